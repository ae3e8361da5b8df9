package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"spamcatcher/rules"
	"spamcatcher/rules/native"
)

// loadRules reads the rules that c asks for: the built-in ones, or those of the
// rule channel in their place, then files.
func loadRules(c *Config) ([]rules.Rule, error) {
	var list []rules.Rule
	if c.BuiltinRules {
		own, err := c.ownRules()
		if err != nil {
			return nil, err
		}
		list = own
	}
	for _, pattern := range c.RuleFiles {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, usageError{fmt.Errorf("%s: rules: bad pattern %q: %w", c.origins["rules"], pattern, err)}
		}
		if len(files) == 0 {
			return nil, usageError{fmt.Errorf("%s: rules: no file matches %q", c.origins["rules"], pattern)}
		}
		more, err := readRules(files)
		var path *fs.PathError
		if errors.As(err, &path) {
			return nil, usageError{fmt.Errorf("%s: rules: %w", c.origins["rules"], err)}
		} else if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

func readRules(files []string) ([]rules.Rule, error) {
	var list []rules.Rule
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, usageError{fmt.Errorf("reading rules: %w", err)}
		}
		more, err := native.Parse(file, text)
		if err != nil {
			return nil, usageError{err}
		}
		list = append(list, more...)
	}
	return list, nil
}

// ruleset compiles the rules of the configuration, or only the files given.
func ruleset(g *global, files []string) (*rules.Ruleset, error) {
	var list []rules.Rule
	var err error
	if len(files) > 0 {
		list, err = readRules(files)
	} else {
		var c *Config
		if c, err = loadConfig(g, nil); err == nil {
			list, err = loadRules(c)
		}
	}
	if err != nil {
		return nil, err
	}
	set, err := rules.Compile(list)
	if err != nil {
		return nil, usageError{err}
	}
	return set, nil
}

func rulesCommand(g *global) *cobra.Command {
	root := &cobra.Command{
		Use:   "rules",
		Short: "List, check, test, update and publish rules",
		Long: `Rules are TOML files; those inside the program, or newer ones of a rule channel, are
used unless the configuration says otherwise. Without FILE the commands list, check and
test work on the rules in force, with FILE on those files alone.`,
	}
	root.AddCommand(rulesList(g), rulesCheck(g), rulesTest(g), rulesStatus(g), rulesUpdate(g), rulesRollback(g), rulesPublish(g), rulesKey())
	return root
}

func rulesList(g *global) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list [FILE]...",
		Short: "List the rules with their points",
		RunE: func(c *cobra.Command, args []string) error {
			set, err := ruleset(g, args)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			list := slices.DeleteFunc(slices.Clone(set.Rules()), func(r rules.Rule) bool { return r.Term() })
			slices.SortStableFunc(list, func(a, b rules.Rule) int { return strings.Compare(a.Symbol, b.Symbol) })
			for _, r := range list {
				if asJSON {
					err = json.NewEncoder(out).Encode(map[string]any{"symbol": r.Symbol, "points": r.Points, "kind": r.When.Kind(), "description": r.Description, "file": r.File, "line": r.Line})
				} else {
					_, err = fmt.Fprintf(out, "%-34s %+5.2f  %-10s %s\n", r.Symbol, r.Points, r.When.Kind(), r.Description)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

func rulesCheck(g *global) *cobra.Command {
	var site, every bool
	check := &cobra.Command{
		Use:   "check [FILE]...",
		Short: "Compile the rules and say what they cost",
		Long: `Compiles the rules and says what they cost.

With --spamassassin FILE and directories are rules of SpamAssassin (.cf), without them
those of the configuration; it then says how many are exact (they hit where they do in
SpamAssassin), approximate or refused, why, and lists each that is not exact.`,
		RunE: func(c *cobra.Command, args []string) error {
			if site {
				config, err := loadConfig(g, nil)
				if err != nil {
					return err
				}
				own, err := loadRules(config)
				if err != nil {
					return err
				}
				if len(args) == 0 {
					args = config.SpamAssassin
				}
				if len(args) == 0 {
					return usageError{errors.New("no SpamAssassin rules: name files or directories, or set spamassassin_rules")}
				}
				return checkSpamAssassin(c, args, every, own)
			}
			set, err := ruleset(g, args)
			if err != nil {
				return err
			}
			printReport(c.OutOrStdout(), set.Report())
			return nil
		},
	}
	check.Flags().BoolVar(&site, "spamassassin", false, "FILE and directories are rules of SpamAssassin")
	check.Flags().BoolVar(&every, "all", false, "with --spamassassin, also list settings without meaning here")
	return check
}

func rulesTest(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "test [FILE]...",
		Short: "Run every rule on its samples",
		RunE: func(c *cobra.Command, args []string) error {
			set, err := ruleset(g, args)
			if err != nil {
				return err
			}
			samples := 0
			for _, r := range set.Rules() {
				samples += len(r.Hit) + len(r.Miss)
			}
			failures := set.Test()
			for _, f := range failures {
				fmt.Fprintln(c.OutOrStdout(), f)
			}
			fmt.Fprintf(c.OutOrStdout(), "%d rules, %d samples, %d failures\n", set.Len(), samples, len(failures))
			if len(failures) > 0 {
				return errReported
			}
			return nil
		},
	}
}

func printReport(w io.Writer, r rules.Report) {
	fmt.Fprintf(w, "%d symbols, %d terms, %d samples\n", r.Symbols, r.Terms, r.Samples)
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		fmt.Fprintf(w, "  %-12s %d\n", kind, r.Kinds[kind])
	}
	fmt.Fprintf(w, "%d rules have a pattern without a literal and are tried on every message\n", len(r.Literalless))
	for _, symbol := range r.Literalless {
		fmt.Fprintf(w, "  %s\n", symbol)
	}
}
