package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"spamcatcher/queue"
)

func queueDestinations(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "destinations",
		Short: "List where mail waits for, and which of these are down",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withStore(g, func(q store) error {
				lanes, err := q.LaneStates()
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
				fmt.Fprintln(w, "DESTINATION\tDELIVERIES\tSTATE\tLAST REPLY")
				for _, l := range lanes {
					fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", laneName(l.Name), l.Running, laneText(l), printable(l.Reply))
				}
				return w.Flush()
			})
		},
	}
}

// laneText says whether a destination is down.
func laneText(l queue.LaneState) string {
	if l.Failures == 0 {
		return "up"
	}
	times := "once"
	if l.Failures > 1 {
		times = fmt.Sprintf("%d times", l.Failures)
	}
	text := fmt.Sprintf("down for %s, asked %s", age(l.Since), times)
	if wait := time.Until(l.Until); wait > 0 {
		return text + ", again in " + wait.Round(time.Second).String()
	}
	return text + ", again now"
}

func queueCheck(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Read everything in the queue and say what is damaged",
		Long: `Reads every message in the queue and compares it with its checksum and with the index.
Damaged entries are named, and kept where they are for inspection. The exit code is 1
when anything is damaged.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withStore(g, func(q store) error {
				out := c.OutOrStdout()
				sum, err := q.Check(c.Context(), func(f queue.Finding) { fmt.Fprintln(out, printable(f.String())) })
				if err != nil {
					return err
				}
				fmt.Fprintln(out, sum)
				if sum.Damaged > 0 {
					return errReported
				}
				return nil
			})
		},
	}
}

func queueBackup(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the queue, also while the gateway runs",
		Long: `Copies the queue into a new directory DIR, from which it can be restored: put DIR in the
place of the directory queue in the state directory, with the gateway stopped, and start it.
Mail that comes or goes while the copy is made may or may not be in it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return withStore(g, func(q store) error {
				sum, err := q.Backup(c.Context(), dir)
				if err != nil {
					return err
				}
				fmt.Fprintln(c.OutOrStdout(), sum)
				return nil
			})
		},
	}
}

func queueRebuild(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild",
		Short: "Build the queue's index anew from the messages on disk",
		Long: `Sets the index aside and builds a new one from the messages on disk. What has been
delivered stays so. The gateway must not run; it does the same by itself at a start when
the index cannot be opened.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			if _, err := os.Stat(config.queueDir()); errors.Is(err, os.ErrNotExist) {
				return usageError{fmt.Errorf("there is no queue in %s", config.State)}
			}
			n, err := queue.Rebuild(config.queueAtRest())
			if errors.Is(err, queue.ErrLocked) {
				return fmt.Errorf("stop the gateway first: %w", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%d in the queue\n", n)
			return nil
		},
	}
}
