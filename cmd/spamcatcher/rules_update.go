package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"spamcatcher/rules/update"
)

// An updateAnswer is what came of one question to the rule channel.
type updateAnswer struct {
	Outcome  update.Outcome  `json:"outcome,omitempty"`
	Manifest update.Manifest `json:"manifest"`
	Changes  []string        `json:"changes,omitempty"`
	Error    string          `json:"error,omitempty"`
	Refused  bool            `json:"refused,omitempty"`
}

// A question says how the rule channel is asked.
type question struct {
	only  bool // nothing is adopted
	retry bool // what was refused before is tried again
}

// askChannel asks once, and adopts what is newer unless q says otherwise.
func askChannel(ctx context.Context, c *Config, t *rehearsal, q question, log *slog.Logger, clock func() time.Time) (updateAnswer, error) {
	var a updateAnswer
	t.changes = func(lines []string) { a.Changes = lines }
	channel, err := newChannel(c, t, q.retry, log, clock)
	if err != nil {
		return a, err
	}
	ask := channel.Check
	if q.only {
		ask = channel.Peek
	}
	a.Manifest, a.Outcome, err = ask(ctx)
	var refused *update.Refused
	if err != nil {
		a.Error, a.Refused = err.Error(), errors.As(err, &refused)
	}
	return a, nil
}

// answerUpdates lets `rules update` ask through the running gateway, which knows
// what was judged lately.
func (s *service) answerUpdates(mux *http.ServeMux) {
	mux.HandleFunc("POST /update", func(w http.ResponseWriter, r *http.Request) {
		a, err := askChannel(r.Context(), s.now.Load().config, s.rehearsal(), question{r.URL.Query().Get("check") != "", r.URL.Query().Get("retry") != ""}, s.log, s.clock)
		if err != nil {
			controlError(w, err)
			return
		}
		if a.Outcome == update.Adopted {
			s.log.Info("newer rules are adopted, as asked", "version", a.Manifest.Version, "about", a.Manifest.About)
		}
		json.NewEncoder(w).Encode(a)
	})
}

func rulesUpdate(g *global) *cobra.Command {
	var q question
	c := &cobra.Command{
		Use:   "update",
		Short: "Ask the rule channel for newer rules now",
		Long: `Asks the rule channel (update.url) for newer rules, tries them, and puts them into
force if they are good. A running gateway does this by itself every ruleupdate seconds;
while one runs, the command asks through it, so that they are tried on the mail that
it judged lately as well. --check only tells what would change. What was refused before
is refused again without a trial, unless its time has come or --retry is given.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			a, err := askWhoever(c.Context(), config, q)
			if err != nil {
				return err
			}
			return printUpdate(c.OutOrStdout(), a)
		},
	}
	c.Flags().BoolVar(&q.only, "check", false, "only tell what there is and what it would change")
	c.Flags().BoolVar(&q.retry, "retry", false, "try also what was refused before")
	return c
}

// askWhoever asks through the running gateway, or else by itself.
func askWhoever(ctx context.Context, c *Config, q question) (a updateAnswer, err error) {
	client, err := dialControl(c.socket())
	if err != nil {
		log := slog.New(slog.DiscardHandler)
		return askChannel(ctx, c, &rehearsal{config: func() *Config { return c }}, q, log, nil)
	}
	defer client.Close()
	v := url.Values{}
	if q.only {
		v.Set("check", "1")
	}
	if q.retry {
		v.Set("retry", "1")
	}
	body, err := client.open(ctx, http.MethodPost, "/update", v)
	if err != nil {
		return a, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&a); err != nil {
		return a, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return a, nil
}

func printUpdate(w io.Writer, a updateAnswer) error {
	m := a.Manifest
	if a.Error != "" {
		return errors.New(a.Error)
	}
	switch a.Outcome {
	case update.Unchanged:
		fmt.Fprintln(w, "there is nothing newer")
	case update.Newer:
		fmt.Fprintf(w, "version %d of %s would be adopted\n", m.Version, m.Created.Format(time.RFC3339))
	case update.Adopted:
		fmt.Fprintf(w, "version %d of %s is adopted\n", m.Version, m.Created.Format(time.RFC3339))
	}
	if m.About != "" && a.Outcome != update.Unchanged {
		fmt.Fprintf(w, "  %s\n", printable(m.About))
	}
	for _, line := range a.Changes {
		fmt.Fprintf(w, "  %s\n", printable(line))
	}
	return nil
}

func rulesRollback(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "rollback",
		Short: "Go back to the rules before the last update",
		Long: `Puts the rules of the channel that were in force before into force again, or those
inside the program where there were none. The channel does not bring back what was
rolled back: only a newer version is adopted. A running gateway follows by itself.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			keys, err := config.updateKeys()
			if err != nil {
				return err
			}
			version, err := update.Rollback(config.updateDir(), keys, time.Now())
			if err != nil {
				return err
			}
			text := "the rules inside the program are in force"
			if version > 0 {
				text = fmt.Sprintf("the rules of version %d are in force again", version)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), text)
			return err
		},
	}
}

func rulesStatus(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say which rules are in force, and how it stands with the channel",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			keys, err := config.updateKeys()
			if err != nil {
				return err
			}
			var status update.Status
			if len(keys) > 0 {
				status = update.ReadStatus(config.updateDir(), keys)
			}
			printStatus(c.OutOrStdout(), config, status, time.Now())
			return nil
		},
	}
}

func printStatus(w io.Writer, c *Config, s update.Status, now time.Time) {
	line := func(key, format string, args ...any) {
		fmt.Fprintf(w, "%-12s %s\n", key, printable(fmt.Sprintf(format, args...)))
	}
	if b := s.Bundle; b != nil {
		line("in force", "version %d of %s, since %s", b.Version, b.Created.Format(time.RFC3339), b.Since.Format(time.RFC3339))
		if b.About != "" {
			line("about", "%s", b.About)
		}
		line("expires", "%s", b.Expires.Format(time.RFC3339))
		if b.OldKey {
			line("key", "it is signed with a key that is not configured any more; it stays until a newer one comes")
		}
	} else {
		line("in force", "what is inside the program")
	}
	for _, p := range s.Problems {
		line("problem", "%v", p)
	}
	for _, v := range s.Previous {
		line("before", "version %d", v)
	}
	if s.Bundle == nil && s.Floor > 0 || s.Bundle != nil && s.Floor > s.Bundle.Version {
		line("not again", "versions up to %d: they were in force before", s.Floor)
	}
	if c.UpdateURL == "" {
		line("channel", "none (update.url is not set)")
		return
	}
	line("channel", "%s", c.UpdateURL)
	if s.Checked.IsZero() {
		line("asked", "never yet")
		return
	}
	line("asked", "%s", s.Checked.Format(time.RFC3339))
	line("heard", "%s", s.Heard.Format(time.RFC3339))
	if s.Error != "" {
		line("error", "%s", s.Error)
	}
	if s.Silent(now) {
		line("warning", "the channel is silent: the rules in force are getting old")
	}
	for _, v := range slices.Backward(slices.Sorted(maps.Keys(s.Refused))) {
		r := s.Refused[v]
		then := "; not tried again (rules update --retry does)"
		if !r.Final {
			then = "; tried again after " + r.Again.Format(time.RFC3339)
		}
		line("refused", "version %d at %s: %s%s", v, r.Time.Format(time.RFC3339), r.Reason, then)
	}
}

type publishOptions struct {
	key, to, about string
	version        int64
	days           int
}

func rulesPublish(g *global) *cobra.Command {
	var o publishOptions
	c := &cobra.Command{
		Use:   "publish DIR",
		Short: "Make a signed bundle of rules for a channel",
		Long: `Makes a bundle of DIR, which holds rules/*.toml with rules/prices.toml, signatures/
(YARA, ClamAV) and model.bin, any of which may be left out, tries it as whoever receives
it would, signs it, and writes it into the directory of a channel, to be served by
HTTPS. The same files make the same bundle.`,
		Example: "  spamcatcher rules publish new --key rules.key --to /srv/www/rules --version 12",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return publish(c, g, o, args[0])
		},
	}
	c.Flags().StringVar(&o.key, "key", "", "`FILE` of the secret key (see spamcatcher rules key)")
	c.Flags().StringVar(&o.to, "to", "", "`DIR` of the channel")
	c.Flags().Int64Var(&o.version, "version", 0, "version of the bundle, higher than the one before")
	c.Flags().IntVar(&o.days, "days", 90, "days until it expires")
	c.Flags().StringVar(&o.about, "about", "", "what is new, in a few words")
	return c
}

func publish(c *cobra.Command, g *global, o publishOptions, dir string) error {
	if o.key == "" || o.to == "" || o.version < 1 || o.days < 1 {
		return usageError{errors.New("rules publish: --key, --to and --version are needed, and --days is at least 1 (see spamcatcher rules publish --help)")}
	}
	config, err := loadConfig(g, nil)
	if err != nil {
		return err
	}
	secret, err := os.ReadFile(o.key)
	if err != nil {
		return usageError{fmt.Errorf("reading the secret key: %w", err)}
	}
	out := c.OutOrStdout()
	t := &rehearsal{config: func() *Config { return config }, publishing: true}
	var changes []string
	t.changes = func(lines []string) { changes = lines }
	m, err := update.Publish(update.Publication{
		From: dir, To: o.to, Secret: secret, Version: o.version, About: o.about,
		Created: time.Now(), Lifetime: time.Duration(o.days) * 24 * time.Hour,
		Password: func() (string, error) { return askPassword(c, "password of the secret key: ") },
		Try:      func(dir string) error { return t.try(c.Context(), dir) },
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s of %d bytes; with what is in force here compared:\n", m.File, m.Size)
	for _, line := range changes {
		fmt.Fprintf(out, "  %s\n", printable(line))
	}
	return nil
}

func rulesKey() *cobra.Command {
	var open bool
	c := &cobra.Command{
		Use:   "key NAME",
		Short: "Make a key pair to sign rules with",
		Long: `Makes a minisign key pair: NAME.key is secret and signs, NAME.pub goes into update.key
of whoever receives the rules. The secret key is encrypted with a password, which is
asked for, unless --no-password is given. Existing files are never overwritten.`,
		Example: "  spamcatcher rules key rules",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			password := ""
			if !open {
				var err error
				if password, err = askPassword(c, "password for the secret key: "); err != nil {
					return err
				}
				again, err := askPassword(c, "again: ")
				if err != nil {
					return err
				}
				if password == "" || password != again {
					return usageError{errors.New("no password, or not the same twice (--no-password makes a key without one)")}
				}
			}
			public, secret, err := update.NewKey(password)
			if err != nil {
				return err
			}
			if err := writeNew(args[0]+".key", secret, 0o600); err != nil {
				return err
			}
			if err := writeNew(args[0]+".pub", public, 0o644); err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(public)
			return err
		},
	}
	c.Flags().BoolVar(&open, "no-password", false, "do not encrypt the secret key")
	return c
}

// writeNew writes a file that does not exist yet.
func writeNew(name string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return usageError{err}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// askPassword asks at the terminal.
func askPassword(c *cobra.Command, prompt string) (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		return "", usageError{errors.New("a password is asked for, and there is no terminal")}
	}
	fmt.Fprint(c.ErrOrStderr(), prompt)
	text, err := term.ReadPassword(in)
	fmt.Fprintln(c.ErrOrStderr())
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return string(text), nil
}
