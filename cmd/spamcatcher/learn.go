package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"spamcatcher/corpus"
	"spamcatcher/engine/message"
)

type learnOptions struct {
	spam, ham, forget bool
}

func learnCommand(g *global) *cobra.Command {
	var o learnOptions
	c := &cobra.Command{
		Use:   "learn (--spam|--ham|--forget) FILE...|-",
		Short: "Teach the classifier single messages, or make it forget them",
		Long: `Teaches the Bayesian classifier messages that all are spam, or all are ham: files,
mbox files, Maildirs, folders, or - for one message on standard input. The same
message learned twice has no effect; learned as the other class, it moves. --forget
takes back what was learned of it, whichever class it was.`,
		Example: `  spamcatcher learn --spam message.eml
  spamcatcher learn --ham - < message.eml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return learn(c, g, o, args) },
	}
	c.Flags().BoolVar(&o.spam, "spam", false, "the messages are spam")
	c.Flags().BoolVar(&o.ham, "ham", false, "the messages are ham")
	c.Flags().BoolVar(&o.forget, "forget", false, "forget the messages")
	return c
}

func learn(c *cobra.Command, g *global, o learnOptions, args []string) error {
	asked := 0
	for _, flag := range []bool{o.spam, o.ham, o.forget} {
		if flag {
			asked++
		}
	}
	if asked != 1 {
		return usageError{errors.New("learn: one of --spam, --ham and --forget is needed (see spamcatcher learn --help)")}
	}
	config, err := loadConfig(g, nil)
	if err != nil {
		return err
	}
	label := corpus.Ham
	if o.spam {
		label = corpus.Spam
	}
	t, err := newTeacher(config)
	if err != nil {
		return err
	}
	fail := func(err error) error {
		_, closing := t.close(false)
		return errors.Join(err, closing)
	}
	bad := &complaints{out: c.ErrOrStderr()}
	seen, changed := 0, 0
	take := func(m corpus.Message, p parsed) {
		switch {
		case p.err != nil:
			bad.add(m, p.err)
			return
		case o.forget && t.store.Trainer().Forget(p.message):
			changed++
		case !o.forget && t.store.Trainer().Add(prepareLesson(c.Context(), t.rules, p, o.spam).Lesson):
			changed++
		}
		seen++
	}
	for _, arg := range args {
		if arg == "-" {
			raw, err := io.ReadAll(io.LimitReader(c.InOrStdin(), corpus.MaxMessage+1))
			if err == nil && len(raw) > corpus.MaxMessage {
				err = fmt.Errorf("more than %d bytes", corpus.MaxMessage)
			}
			if err == nil && len(raw) == 0 {
				err = errors.New("no message")
			}
			p := parsed{err: err}
			if err == nil {
				p.message = message.Parse(raw, message.Limits{})
			}
			take(corpus.Message{Path: "standard input"}, p)
			continue
		}
		from, err := corpus.Open(corpus.Options{Label: label}, arg)
		if err != nil {
			return fail(usageError{err})
		}
		for m, err := range from.All() {
			if err := c.Context().Err(); err != nil {
				return fail(err)
			}
			p := parsed{err: err}
			if err == nil {
				p = readMessage(m)
			}
			take(m, p)
		}
	}
	waits, err := t.close(changed > 0)
	if err != nil {
		return err
	}
	verb := "learned"
	if o.forget {
		verb = "forgot"
	}
	rest := ""
	if changed < seen {
		rest = "; the others changed nothing"
	}
	if _, err := fmt.Fprintf(c.OutOrStdout(), "%s %d of %d messages%s\n", verb, changed, seen, rest); err != nil {
		return err
	}
	if waits {
		fmt.Fprintln(c.OutOrStdout(), "there is too little of one class yet for a model of this site's own")
	}
	if bad.count > 0 {
		bad.close()
		return errReported
	}
	return nil
}
