package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"spamcatcher/engine/message"
	"spamcatcher/signatures/fingerprint"
)

// reportOptions say to whom reports go, and in whose name.
type reportOptions struct {
	server, zone, key string
}

func (o *reportOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.server, "server", "", "`ADDRESS` of the fingerprint server, host:port")
	c.Flags().StringVar(&o.zone, "zone", "", "`ZONE` of the network (default: the configuration's)")
	c.Flags().StringVar(&o.key, "key", "", "`FILE` with this reporter's key")
}

// network checks the options.
func (o *reportOptions) network(g *global) (n fingerprint.Network, err error) {
	if n.Server = o.server; n.Server == "" {
		return n, usageError{errors.New("--server is needed")}
	}
	if o.key == "" {
		return n, usageError{errors.New("--key is needed")}
	}
	keys, err := readKeyFile(o.key)
	if err != nil {
		return n, err
	}
	if len(keys) != 1 {
		return n, usageError{fmt.Errorf("%s: %d keys; the file of a reporter has one", o.key, len(keys))}
	}
	n.Key = keys[0]
	if n.Zone, err = fingerprintZone(g, o.zone); err == nil && n.Zone == "" {
		err = usageError{errors.New("--zone is needed")}
	}
	return n, err
}

func fingerprintReport(g *global) *cobra.Command {
	var o reportOptions
	var spam, ham, revoke bool
	c := &cobra.Command{
		Use:   "report (--spam|--ham|--revoke) --server ADDRESS --key FILE FILE...|-",
		Short: "Report messages to the network",
		Long: `Reports the fingerprints of messages, not the messages: that they are spam, or that they
are wanted (which takes an earlier report of this reporter back); --revoke only takes it
back. A reporter's word on a fingerprint is counted once a day.`,
		Example: "  spamcatcher fingerprint report --spam --server 192.0.2.53:53 --zone fp.example --key reporter.key spam/",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			asked, word := 0, fingerprint.Spam
			for w, flag := range map[fingerprint.Word]bool{fingerprint.Spam: spam, fingerprint.Ham: ham, fingerprint.Revoke: revoke} {
				if flag {
					asked, word = asked+1, w
				}
			}
			if asked != 1 {
				return usageError{errors.New("fingerprint report: one of --spam, --ham and --revoke is needed")}
			}
			n, err := o.network(g)
			if err != nil {
				return err
			}
			return reportMessages(c, n, word, args)
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&spam, "spam", false, "the messages are spam")
	c.Flags().BoolVar(&ham, "ham", false, "the messages are wanted")
	c.Flags().BoolVar(&revoke, "revoke", false, "take earlier reports of the messages back")
	return c
}

// reportMessages says a word of the messages of args, each fingerprint once.
func reportMessages(c *cobra.Command, n fingerprint.Network, word fingerprint.Word, args []string) error {
	bad := &complaints{out: c.ErrOrStderr()}
	seen := map[string]bool{}
	var list []fingerprint.Print
	messages, none, said := 0, 0, 0
	flush := func() error {
		if err := n.Report(c.Context(), word, list); err != nil {
			return err
		}
		said += len(list)
		list = list[:0]
		return nil
	}
	err := eachMessage(c, args, bad, func(_ string, m *message.Message) error {
		prints := fingerprint.Of(m)
		if messages++; len(prints) == 0 {
			none++
		}
		for _, p := range prints {
			if name := p.Short(); !seen[name] {
				seen[name] = true
				list = append(list, p)
			}
		}
		if len(list) >= 50 {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("%d fingerprints were reported before: %w", said, err)
	}
	rest := ""
	if none > 0 {
		rest = fmt.Sprintf("; %d messages have none, they are too short", none)
	}
	if _, err := fmt.Fprintf(c.OutOrStdout(), "said %s of %d fingerprints of %d messages%s\n", word, said, messages, rest); err != nil {
		return err
	}
	if bad.count > 0 {
		bad.close()
		return errReported
	}
	return nil
}

func fingerprintDelist(g *global) *cobra.Command {
	var o reportOptions
	var names []string
	c := &cobra.Command{
		Use:   "delist --server ADDRESS --key FILE (--name NAME|FILE...)",
		Short: "Take messages off the list, as the network's operator",
		Long: `Takes the fingerprints of messages, or those that are named as in the output of show, off
the list and keeps them off for 30 days whatever is reported. The key must be an
operator's.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args)+len(names) == 0 {
				return usageError{errors.New("fingerprint delist: messages or --name are needed")}
			}
			n, err := o.network(g)
			if err != nil {
				return err
			}
			var list []fingerprint.Print
			for _, name := range names {
				label := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(name), "."), "."+strings.ToLower(n.Zone))
				p, err := fingerprint.ParseName(label)
				if err != nil {
					return usageError{fmt.Errorf("--name %q: %w", name, err)}
				}
				list = append(list, p)
			}
			if len(list) > 0 {
				if err := n.Report(c.Context(), fingerprint.Delist, list); err != nil {
					return err
				}
				if _, err := fmt.Fprintf(c.OutOrStdout(), "said delist of %d fingerprints\n", len(list)); err != nil {
					return err
				}
			}
			if len(args) == 0 {
				return nil
			}
			return reportMessages(c, n, fingerprint.Delist, args)
		},
	}
	o.flags(c)
	c.Flags().StringArrayVar(&names, "name", nil, "`NAME` of a fingerprint")
	return c
}
