package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/relay"
)

func configCommand(g *global) *cobra.Command {
	root := &cobra.Command{Use: "config", Short: "Check the configuration"}
	root.AddCommand(&cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and print what is in force",
		Long: `Reads configuration, sender lists and rules as run would, resolves the outgoing
servers, and prints every setting in force with where its value came from, and the
state of every resolver and DNS list (as spamcatcher dns test). The exit code is 0 when
run would start with it, also when there are warnings.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			_, warnings, err := prepare(config, nil, nil)
			if err != nil {
				return err
			}
			if err := checkState(config); err != nil {
				return err
			}
			if config.Certificate != "" {
				if _, err := keyPairOf(config, nil); err != nil {
					return err
				}
			}
			if s := config.Syslog; s != "auto" && s != "off" {
				if _, err := os.Stat(s); err != nil {
					return usageError{fmt.Errorf("%s: log.syslog: %w", config.origins["log.syslog"], err)}
				}
			}
			out := c.OutOrStdout()
			printConfig(out, config)
			for _, w := range config.Warnings {
				fmt.Fprintln(out, "warning:", w)
			}
			for _, w := range warnings {
				fmt.Fprintln(out, "warning:", w)
			}
			for _, w := range resolveAll(c.Context(), lookup.System{}, config) {
				fmt.Fprintln(out, "warning:", w)
			}
			if !config.NetCheck {
				return nil
			}
			t, err := newDNSTester(out, config)
			if err != nil {
				return err
			}
			defer t.close()
			fmt.Fprintln(out, "\nDNS:")
			t.state(c.Context())
			return nil
		},
	})
	return root
}

// printConfig writes the settings in the native form, with their origins as
// comments.
func printConfig(w io.Writer, c *Config) {
	table := ""
	for _, s := range settings {
		key := s.key
		if t, k, ok := strings.Cut(s.key, "."); ok {
			if t != table {
				fmt.Fprintf(w, "\n[%s]\n", t)
				table = t
			}
			key = k
		}
		fmt.Fprintf(w, "%-54s # %s; %s\n", key+" = "+s.show(c), s.doc, c.origins[s.key])
	}
	for _, l := range c.Lists {
		printList(w, l)
	}
	for _, s := range c.ByDomain {
		printScope(w, "domain", s)
	}
	for _, s := range c.ByAddress {
		printScope(w, "recipient", s)
	}
}

func printScope(w io.Writer, kind string, s Scope) {
	line := func(key, value string) { fmt.Fprintf(w, "%-54s # %s\n", key+" = "+value, s.origins[key]) }
	fmt.Fprintf(w, "\n[[%s]]\n", kind)
	line(scopeKinds[kind].nameKey, strconv.Quote(s.Name))
	for _, set := range scopeKinds[kind].settings {
		if s.origins[set.key] != "" {
			line(set.key, set.show(&s))
		}
	}
}

// resolveAll returns what is wrong with the names of servers.
func resolveAll(ctx context.Context, r lookup.Resolver, c *Config) []error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var wrong []error
	known := map[string]bool{}
	resolve := func(what string, servers []string) {
		for _, s := range servers {
			if known[s] {
				continue
			}
			known[s] = true
			address, err := relay.ParseServer(s)
			if err == nil {
				var host string
				if host, _, err = net.SplitHostPort(address); err == nil {
					_, err = lookup.Addresses(ctx, r, host)
				}
			}
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", what, err))
			}
		}
	}
	resolve("outgoing_smtp", c.Outgoing)
	for _, s := range c.ByDomain {
		resolve("destinations of "+s.Name, s.Destinations)
	}
	return wrong
}
