package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"spamcatcher/engine/message"
	"spamcatcher/signatures"
	"spamcatcher/signatures/unpack"
	"spamcatcher/signatures/unpack/format"
)

func signaturesCommand(g *global) *cobra.Command {
	root := &cobra.Command{
		Use:   "signatures",
		Short: "Check signature files, and show what is inside a message",
	}
	root.AddCommand(signaturesCheck(g), signaturesUnpack(g))
	return root
}

func signaturesCheck(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "check [DIR]...",
		Short: "Compile signatures, and say what is in force and what is not, and why",
		Long: `Compiles the signatures of the configuration, or only those in the directories given:
YARA rules (.yar, .yara) and ClamAV's signatures (.hdb, .hsb, .ndb, .ldb).`,
		RunE: func(c *cobra.Command, args []string) error {
			var set *signatures.Set
			if len(args) > 0 {
				var err error
				if set, err = signatures.Load(false, args); err != nil {
					return usageError{err}
				}
			} else {
				config, err := loadConfig(g, nil)
				if err != nil {
					return err
				}
				known, err := loadSignatures(config, nil)
				if err != nil {
					return err
				}
				set = known.Set
			}
			return printSignatures(c.OutOrStdout(), set)
		},
	}
}

func printSignatures(out io.Writer, set *signatures.Set) error {
	r := set.Report()
	for _, p := range r.Problems {
		fmt.Fprintln(out, problemText(p.File, p.Line, p.Msg))
	}
	if len(r.Skipped) > 0 {
		fmt.Fprintf(out, "not translated: %s\n", reasonsText(r.Skipped))
	}
	_, err := fmt.Fprintf(out, "%d rules and %d hashes in force, %d problems\n", r.Rules, r.Hashes, len(r.Problems))
	if why := set.Unavailable(); why != nil {
		return fmt.Errorf("YARA rules are not looked for: %w", why)
	}
	return err
}

func signaturesUnpack(g *global) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use:   "unpack FILE|-",
		Short: "List the files inside a message, as signatures are looked for in them",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			raw, err := readOne(args[0], c.InOrStdin(), config.MaxMessage)
			if err != nil {
				return err
			}
			if to != "" {
				if err := os.MkdirAll(to, 0o700); err != nil {
					return err
				}
			}
			return printFiles(c.Context(), c.OutOrStdout(), message.Parse(raw, message.Limits{}), config.unpackLimits(), to)
		},
	}
	c.Flags().StringVar(&to, "to", "", "`DIR` to write the files into, as 0001, 0002, …: they may be malware")
	return c
}

// readOne reads one message of limited size from a file or standard input.
func readOne(name string, in io.Reader, limit int64) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	raw, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("reading %s: larger than limits.message, %d bytes", name, limit)
	}
	return raw, err
}

// printFiles lists what Walk comes upon, and writes it into a directory if one is
// given. Files get numbers for names: what a message calls them is hostile.
func printFiles(ctx context.Context, out io.Writer, m *message.Message, limits format.Limits, to string) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := 0
	found := unpack.Walk(ctx, m, limits, func(f *format.File) error {
		n++
		note := ""
		if f.Cut {
			note = "  (cut)"
		}
		fmt.Fprintf(table, "%04d\t%s\t%d\t%s\t%s%s%s\n", n, f.Kind, len(f.Data), cmp.Or(f.Type, "-"), strings.Repeat("  ", f.Depth), cmp.Or(printable(f.Name), "-"), note)
		if to == "" {
			return nil
		}
		return os.WriteFile(fmt.Sprintf("%s/%04d", to, n), f.Data, 0o600)
	})
	if err := table.Flush(); err != nil {
		return err
	}
	for _, mark := range found.Marks {
		fmt.Fprintf(out, "%s: %s: %s\n", mark.Kind, cmp.Or(printable(mark.Path), "-"), cmp.Or(printable(mark.Detail), "-"))
	}
	for _, link := range found.Links {
		fmt.Fprintf(out, "link: %s\n", printable(link))
	}
	for _, fault := range found.Faults {
		return fmt.Errorf("unpacking: %w", fault)
	}
	return nil
}
