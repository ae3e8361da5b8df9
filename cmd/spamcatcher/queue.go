package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"spamcatcher/queue"
)

func queueCommand(g *global) *cobra.Command {
	root := &cobra.Command{
		Use:   "queue",
		Short: "Look at and act on the mail in the queue",
		Long: `Lists and changes what is in the queue: mail waiting for delivery, and mail held for
review. Works while the gateway runs, and when it does not.`,
	}
	root.AddCommand(queueList(g), queueShow(g), queueDestinations(g), queueFlush(g))
	root.AddCommand(
		queueAct(g, "hold", "Keep mail from being delivered", "held", queue.Filter{Active: true}, func(q store, reason string, ids []string) error { return q.Hold(reason, ids...) }),
		queueAct(g, "release", "Deliver held mail after all", "released", queue.Filter{Held: true}, func(q store, _ string, ids []string) error { return q.Release(ids...) }),
		queueAct(g, "delete", "Delete mail; nobody is told", "deleted", queue.Filter{}, func(q store, _ string, ids []string) error { return q.Delete(ids...) }),
	)
	root.AddCommand(queueExport(g), queueCheck(g), queueBackup(g), queueRebuild(g))
	return root
}

// withStore opens the queue for one command.
func withStore(g *global, do func(q store) error) error {
	c, err := loadConfig(g, nil)
	if err != nil {
		return err
	}
	q, err := openStore(c)
	if err != nil {
		return err
	}
	return errors.Join(do(q), q.Close())
}

// filterFlags adds the options that choose items.
func filterFlags(c *cobra.Command, f *queue.Filter) {
	c.Flags().StringVar(&f.Sender, "sender", "", "only mail of this `ADDRESS` (\"<>\" is the null sender)")
	c.Flags().StringVar(&f.Recipient, "recipient", "", "only mail for this `ADDRESS`")
	c.Flags().StringVar(&f.Domain, "domain", "", "only mail with a recipient in this `DOMAIN` (.DOMAIN: or one of its subdomains)")
	c.Flags().DurationVar(&f.Older, "older", 0, "only mail that came at least this `LONG` ago, such as 90m or 24h")
	c.Flags().Func("destination", "only mail that waits for this `DESTINATION` (as queue destinations names it)", func(name string) error {
		if name == globalLane {
			name = ""
		}
		f.Lane = &name
		return nil
	})
}

// globalLane is how the lane of mail for the global servers is written.
const globalLane = "outgoing_smtp"

// laneName is a lane's name for people.
func laneName(lane string) string {
	if lane == "" {
		return globalLane
	}
	return lane
}

func queueList(g *global) *cobra.Command {
	var f queue.Filter
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the mail in the queue",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withStore(g, func(q store) error {
				out := c.OutOrStdout()
				if asJSON {
					encode := json.NewEncoder(out)
					return q.List(c.Context(), f, func(it *queue.Item) bool { return encode.Encode(it) == nil })
				}
				w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
				n := 0
				fmt.Fprintln(w, "ID\tAGE\tSIZE\tSTATE\tFROM\tTO")
				err := q.List(c.Context(), f, func(it *queue.Item) bool {
					n++
					fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\n", it.ID, age(it.Received), it.Size, itemState(it), path(it.Sender), recipientsOf(it))
					if n%256 == 0 { // memory does not grow with the queue
						w.Flush()
					}
					return true
				})
				if err := errors.Join(err, w.Flush()); err != nil {
					return err
				}
				fmt.Fprintf(out, "%d in the queue\n", n)
				return nil
			})
		},
	}
	filterFlags(c, &f)
	c.Flags().BoolVar(&f.Held, "held", false, "only mail held for review")
	c.Flags().BoolVar(&f.Active, "active", false, "only mail waiting for delivery")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return c
}

func queueShow(g *global) *cobra.Command {
	var message, asJSON bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show one message: recipients, attempts, and the message itself",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withStore(g, func(q store) error {
				it, err := q.Get(args[0])
				if err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				out := c.OutOrStdout()
				switch {
				case asJSON:
					return json.NewEncoder(out).Encode(it)
				case message:
					body, err := q.Body(it.ID)
					if err != nil {
						return fmt.Errorf("%s: %w", it.ID, err)
					}
					defer body.Close()
					_, err = io.Copy(out, body)
					return err
				}
				lanes, err := q.LaneStates()
				showItem(out, it, lanes)
				return err
			})
		},
	}
	c.Flags().BoolVar(&message, "message", false, "print the message as it goes out")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

func showItem(w io.Writer, it *queue.Item, lanes []queue.LaneState) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("id", "%s", it.ID)
	line("state", "%s", itemState(it))
	if it.Hold != "" {
		line("held", "%s", printable(it.Hold))
	}
	line("from", "%s", path(it.Sender))
	line("received", "%s (%s ago)", it.Received.Format(time.RFC3339), age(it.Received))
	if it.Hold == "" {
		line("next try", "%s", it.Next.Format(time.RFC3339))
	}
	line("expires", "%s", it.Expires.Format(time.RFC3339))
	line("size", "%d bytes", it.Size)
	destination := laneName(it.Lane)
	for _, l := range lanes {
		if l.Name == it.Lane && l.Failures > 0 {
			destination += ", " + laneText(l)
		}
	}
	line("waits for", "%s", destination)
	line("attempts", "%d", it.Attempts)
	for _, a := range it.History {
		line("", "  %s %s", a.Time.Format(time.RFC3339), attemptText(a))
	}
	if !it.Warned.IsZero() {
		line("warned", "%s: the sender was told of the delay", it.Warned.Format(time.RFC3339))
	}
	for _, name := range sortedKeys(it.Note) {
		line("message", "%s: %s", name, printable(it.Note[name]))
	}
	for _, r := range it.Recipients {
		line("to", "%s: %s, %d attempts", path(r.Address), r.State, r.Attempts)
		if r.Reply != "" {
			line("", "  %s: %s", printable(r.Server), printable(r.Reply))
		}
	}
}

// attemptText says what came of an attempt.
func attemptText(a queue.Attempt) string {
	var words []string
	for _, n := range []struct {
		count int
		word  string
	}{{a.Delivered, "delivered"}, {a.Deferred, "deferred"}, {a.Failed, "failed"}} {
		if n.count > 0 {
			words = append(words, fmt.Sprintf("%d %s", n.count, n.word))
		}
	}
	text := strings.Join(words, ", ")
	if a.Down {
		text += ", destination down"
	}
	if a.Server != "" {
		text += " by " + printable(a.Server)
	}
	if a.Reply != "" {
		text += ": " + printable(a.Reply)
	}
	return text
}

func itemState(it *queue.Item) string {
	switch {
	case it.Hold != "":
		return "held"
	case it.Attempts > 0:
		return "deferred"
	default:
		return "waiting"
	}
}

func recipientsOf(it *queue.Item) string {
	var list []string
	for i, r := range it.Recipients {
		if i == 3 {
			list = append(list, fmt.Sprintf("and %d more", len(it.Recipients)-i))
			break
		}
		list = append(list, path(r.Address))
	}
	return strings.Join(list, ",")
}

// path writes an address as SMTP does.
func path(address string) string { return "<" + printable(address) + ">" }

func age(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
