package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"spamcatcher/queue"
)

func queueFlush(g *global) *cobra.Command {
	var f queue.Filter
	c := &cobra.Command{
		Use:   "flush",
		Short: "Try waiting mail now",
		Long: `Makes waiting mail due at once: all of it, or what the options choose. A destination that
was found down is asked again. Held mail stays held.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withStore(g, func(q store) error {
				n, err := q.Flush(f)
				if err == nil {
					fmt.Fprintf(c.OutOrStdout(), "%d due now\n", n)
				}
				return err
			})
		},
	}
	filterFlags(c, &f)
	c.Flags().StringVar(&f.ID, "id", "", "only the message with this `ID`")
	return c
}

// queueAct is a command that does the same to several items: those named, or
// those that options choose among what matters.
func queueAct(g *global, verb, short, done string, matters queue.Filter, act func(q store, reason string, ids []string) error) *cobra.Command {
	var reason string
	var all bool
	f := matters
	c := &cobra.Command{
		Use:   verb + " {ID... | OPTIONS}",
		Short: short,
		RunE: func(c *cobra.Command, args []string) error {
			chosen := all || f != matters
			if chosen == (len(args) > 0) {
				return usageError{fmt.Errorf("%s needs either the ids of messages, or options that choose some (--all for all)", c.CommandPath())}
			}
			return withStore(g, func(q store) error {
				ids := args
				if chosen {
					var err error
					if ids, err = idsOf(c.Context(), q, f); err != nil {
						return err
					}
				}
				n := 0
				for _, id := range ids {
					err := act(q, reason, []string{id})
					if chosen && errors.Is(err, queue.ErrNotFound) { // delivered meanwhile
						continue
					}
					if err != nil {
						return fmt.Errorf("%s: %w", id, err)
					}
					n++
					if !chosen {
						fmt.Fprintln(c.OutOrStdout(), id, done)
					}
				}
				if chosen {
					fmt.Fprintln(c.OutOrStdout(), n, done)
				}
				return nil
			})
		},
	}
	filterFlags(c, &f)
	c.Flags().BoolVar(&all, "all", false, "all mail that it can be done to")
	if verb == "hold" {
		c.Flags().StringVar(&reason, "reason", "held by the administrator", "why, for listings")
	}
	return c
}

// idsOf returns the ids of the items that match.
func idsOf(ctx context.Context, q store, f queue.Filter) (ids []string, err error) {
	err = q.List(ctx, f, func(it *queue.Item) bool {
		ids = append(ids, it.ID)
		return true
	})
	return ids, err
}

func queueExport(g *global) *cobra.Command {
	var f queue.Filter
	var dir string
	c := &cobra.Command{
		Use:   "export {ID... | OPTIONS} --to DIR",
		Short: "Copy messages out of the queue, as files ID.eml",
		Long: `Writes messages as they would go out into files ID.eml of a directory, which is made if
it is not there. The mail stays in the queue. A file that exists already is not overwritten.`,
		RunE: func(c *cobra.Command, args []string) error {
			if dir == "" {
				return usageError{errors.New("--to is missing: the directory for the files")}
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			return withStore(g, func(q store) error {
				ids := args
				if len(ids) == 0 {
					var err error
					if ids, err = idsOf(c.Context(), q, f); err != nil {
						return err
					}
				}
				n := 0
				for _, id := range ids {
					err := export(q, id, filepath.Join(dir, id+".eml"))
					if len(args) == 0 && errors.Is(err, queue.ErrNotFound) { // delivered meanwhile
						continue
					}
					if err != nil {
						return fmt.Errorf("%s: %w", id, err)
					}
					n++
				}
				fmt.Fprintf(c.OutOrStdout(), "%d exported to %s\n", n, dir)
				return nil
			})
		},
	}
	filterFlags(c, &f)
	c.Flags().BoolVar(&f.Held, "held", false, "only mail held for review")
	c.Flags().StringVar(&dir, "to", "", "`DIR` for the files")
	return c
}

// export writes one message to a new file, whole or not at all.
func export(q store, id, file string) (err error) {
	if _, err := q.Get(id); err != nil { // also: id is one, and no path
		return err
	}
	body, err := q.Body(id)
	if err != nil {
		return err
	}
	defer body.Close()
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, body); err == nil {
		err = out.Sync()
	}
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(file)
	}
	return err
}
