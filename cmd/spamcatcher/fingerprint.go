package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"spamcatcher/corpus"
	"spamcatcher/engine/message"
	"spamcatcher/signatures/fingerprint"
)

func fingerprintCommand(g *global) *cobra.Command {
	root := &cobra.Command{
		Use:   "fingerprint",
		Short: "The fingerprint network: what is asked, serving, reporting",
		Long: `Messages are known again by fingerprints: digests of their text, attachments and links,
from which nothing can be read back. Sites that report spam share them by DNS.`,
	}
	root.AddCommand(fingerprintShow(g), fingerprintServe(g), fingerprintReport(g), fingerprintDelist(g), fingerprintKey())
	return root
}

// fingerprintZone is the zone of a flag, else of the configuration.
func fingerprintZone(g *global, flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	config, err := loadConfig(g, nil)
	if err != nil {
		return "", err
	}
	return config.FingerprintZone, nil
}

// eachMessage calls take for every message of files, mbox files, Maildirs,
// folders, and "-" for standard input. What cannot be read is complained of.
func eachMessage(c *cobra.Command, args []string, bad *complaints, take func(name string, m *message.Message) error) error {
	for _, arg := range args {
		if arg == "-" {
			raw, err := io.ReadAll(io.LimitReader(c.InOrStdin(), corpus.MaxMessage+1))
			if err == nil && len(raw) > corpus.MaxMessage {
				err = fmt.Errorf("more than %d bytes", corpus.MaxMessage)
			}
			if err == nil && len(raw) == 0 {
				err = errors.New("no message")
			}
			if err != nil {
				bad.add(corpus.Message{Path: "standard input"}, err)
				continue
			}
			if err := take("-", message.Parse(raw, message.Limits{})); err != nil {
				return err
			}
			continue
		}
		from, err := corpus.Open(corpus.Options{}, arg)
		if err != nil {
			return usageError{err}
		}
		for m, err := range from.All() {
			if err := c.Context().Err(); err != nil {
				return err
			}
			p := parsed{err: err}
			if err == nil {
				p = readMessage(m)
			}
			if p.err != nil {
				bad.add(m, p.err)
				continue
			}
			if err := take(m.Name, p.message); err != nil {
				return err
			}
		}
	}
	return nil
}

// shownPrint is a fingerprint as it is shown.
type shownPrint struct {
	Kind string `json:"kind"`
	Of   string `json:"of"`
	Name string `json:"name"`
}

func fingerprintShow(g *global) *cobra.Command {
	var zone string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show FILE...|-",
		Short: "Show the fingerprints of messages and the names that are asked for",
		Long: `Shows for each message which fingerprints it has, what each was taken of, and the name
that a gateway asks DNS for. Nothing is asked.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in, err := fingerprintZone(g, zone)
			if err != nil {
				return err
			}
			in = cmp.Or(in, "zone")
			bad := &complaints{out: c.ErrOrStderr()}
			out := json.NewEncoder(c.OutOrStdout())
			out.SetEscapeHTML(false)
			err = eachMessage(c, args, bad, func(name string, m *message.Message) error {
				list := []shownPrint{}
				for _, p := range fingerprint.Of(m) {
					list = append(list, shownPrint{string(p.Kind), p.Of, p.Name(in)})
				}
				if asJSON {
					return out.Encode(struct {
						File         string       `json:"file"`
						Fingerprints []shownPrint `json:"fingerprints"`
					}{name, list})
				}
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: %d fingerprints\n", printable(name), len(list)); err != nil {
					return err
				}
				for _, p := range list {
					if _, err := fmt.Fprintf(c.OutOrStdout(), "  %-10s %s\n             %s\n", p.Kind, printable(p.Of), p.Name); err != nil {
						return err
					}
				}
				return nil
			})
			if err == nil && bad.count > 0 {
				bad.close()
				return errReported
			}
			return err
		},
	}
	c.Flags().StringVar(&zone, "zone", "", "`ZONE` of the network (default: the configuration's)")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a message and line")
	return c
}

func fingerprintKey() *cobra.Command {
	var operator bool
	c := &cobra.Command{
		Use:   "key NAME",
		Short: "Make a key for a reporter",
		Long: `Makes a key with a new secret and prints it as a line of a key file: name, role, secret.
The server's key file has the lines of all reporters, the reporter's file only its own.
Keep both readable by nobody else.`,
		Example: "  spamcatcher fingerprint key mail.example.org > reporter.key",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			role := fingerprint.Reporter
			if operator {
				role = fingerprint.Operator
			}
			k, err := fingerprint.NewKey(args[0], role)
			if err != nil {
				return usageError{err}
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), k)
			return err
		},
	}
	c.Flags().BoolVar(&operator, "operator", false, "the key may also take entries off the list")
	return c
}

// readKeyFile reads a key file.
func readKeyFile(name string) ([]fingerprint.Key, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError{fmt.Errorf("reading the keys: %w", err)}
	}
	defer f.Close()
	keys, err := fingerprint.ReadKeys(f)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", name, err)}
	}
	return keys, nil
}
