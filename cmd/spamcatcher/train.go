package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"spamcatcher/bayes"
	"spamcatcher/corpus"
	"spamcatcher/engine"
)

type trainOptions struct {
	mailOptions
	replace bool
	output  string
	lessons string
	anchors string
}

func trainCommand(g *global) *cobra.Command {
	var o trainOptions
	c := &cobra.Command{
		Use:   "train [DIR|FILE]...",
		Short: "Teach the classifier a corpus of labelled mail",
		Long: `Teaches the Bayesian classifier labelled mail. What it learns is added to what it
learned before and to the model inside the program, and outweighs that as it grows.
The same message learned twice has no effect; learned as the other class, it moves.
A running gateway takes up the new model by itself.

--output writes a model of this mail alone to a file and leaves the site's untouched;
--lessons writes what is learned from each message (features, no text) instead, which
--anchors lets count in a model whatever else it learns.
` + mailHelp,
		Example: `  spamcatcher train ~/corpora/mine
  spamcatcher train --labels labels.txt
  spamcatcher train --replace --ham ~/Maildir --spam ~/Maildir/.Junk`,
		RunE: func(c *cobra.Command, args []string) error { return train(c, g, o, args) },
	}
	o.flags(c)
	c.Flags().BoolVar(&o.replace, "replace", false, "forget what was learned before (not the model inside the program)")
	c.Flags().StringVar(&o.output, "output", "", "write the model to `FILE`, built upon no other, and learn nothing for this site")
	c.Flags().StringVar(&o.lessons, "lessons", "", "write the lessons to `FILE`, and learn nothing for this site")
	c.Flags().StringVar(&o.anchors, "anchors", "", "with --output: `FILE` of lessons that the model never unlearns")
	return c
}

// bayesDir is where the classifier's lessons and the site's model stand.
func (c *Config) bayesDir() string { return filepath.Join(c.State, "bayes") }

// A teacher gives messages to the classifier, beside what the rules say of
// each, which decides how much the classifier's word weighs.
type teacher struct {
	store *bayes.Store
	rules *engine.Engine
}

func newTeacher(c *Config) (*teacher, error) {
	rules, err := judgeOf(c, true)
	if err != nil {
		return nil, err
	}
	base, err := c.baseModel()
	if err != nil {
		return nil, err
	}
	store, err := bayes.OpenStore(c.bayesDir(), base)
	if errors.Is(err, bayes.ErrLocked) {
		return nil, fmt.Errorf("%w (try again when it has ended)", err)
	}
	if err != nil {
		return nil, err
	}
	return &teacher{store, rules}, nil
}

// A lesson is a message that was read and made ready, or why not.
type lesson struct {
	*bayes.Lesson
	err error
}

func prepareLesson(ctx context.Context, rules *engine.Engine, p parsed, spam bool) lesson {
	if p.err != nil {
		return lesson{err: p.err}
	}
	byRules := rules.Judge(ctx, &engine.Mail{Message: p.message}).LogOdds
	return lesson{Lesson: bayes.Prepare(p.message, spam, byRules)}
}

// close keeps what was learned, if save is set, and releases the store. With
// mail of one class alone there is no model to be made yet; its lessons wait.
func (t *teacher) close(save bool) (waits bool, err error) {
	if save {
		_, err = t.store.Save()
		if errors.Is(err, bayes.ErrOneSided) {
			waits, err = true, nil
		}
	}
	return waits, errors.Join(err, t.store.Close())
}

func train(c *cobra.Command, g *global, o trainOptions, args []string) error {
	if o.replace && o.toFile() {
		return usageError{errors.New("train: --output and --lessons learn nothing for this site, so there is nothing to --replace")}
	}
	if o.anchors != "" && o.output == "" {
		return usageError{errors.New("train: --anchors needs --output")}
	}
	config, err := loadConfig(g, nil)
	if err != nil {
		return err
	}
	bad := &complaints{out: c.ErrOrStderr()}
	list, err := o.messages(c, args, bad)
	if err != nil {
		return err
	}
	begin := time.Now()
	if o.toFile() {
		return trainFile(c, config, o, list, bad)
	}
	t, err := newTeacher(config)
	if err != nil {
		return err
	}
	fail := func(err error) error {
		_, closing := t.close(false)
		return errors.Join(err, closing)
	}
	if o.replace {
		if err := t.store.Clear(); err != nil {
			return fail(err)
		}
	}
	n, err := teach(c.Context(), t.store.Trainer(), t.rules, list, o.jobs, bad)
	if err != nil {
		return fail(err)
	}
	spam, ham := t.store.Trainer().Len()
	waits, err := t.close(true)
	if err != nil {
		return err
	}
	bad.close()
	fmt.Fprintf(c.OutOrStdout(), "learned %d spam and %d ham in %.1f s (%d were known)\n", n.spam, n.ham, time.Since(begin).Seconds(), n.known)
	if waits {
		_, err = fmt.Fprintf(c.OutOrStdout(), "the classifier knows %d spam and %d ham of this site, which is too little of one class for a model of its own\n", spam, ham)
	} else {
		_, err = fmt.Fprintf(c.OutOrStdout(), "the classifier knows %d spam and %d ham of this site\n", spam, ham)
	}
	return err
}

// toFile says whether what is learned goes into files instead of the state.
func (o trainOptions) toFile() bool { return o.output != "" || o.lessons != "" }

// trainFile writes a model of the mail alone, or its lessons, or both.
func trainFile(c *cobra.Command, config *Config, o trainOptions, list []corpus.Message, bad *complaints) error {
	rules, err := judgeOf(config, true)
	if err != nil {
		return err
	}
	trainer := bayes.NewTrainer(nil)
	if o.anchors != "" {
		data, err := os.ReadFile(o.anchors)
		if err == nil {
			err = trainer.Anchor(data)
		}
		if err != nil {
			return usageError{fmt.Errorf("reading the anchors: %w", err)}
		}
	}
	n, err := teach(c.Context(), trainer, rules, list, o.jobs, bad)
	if err != nil {
		return err
	}
	if o.lessons != "" {
		if err := os.WriteFile(o.lessons, trainer.Lessons(), 0o644); err != nil {
			return fmt.Errorf("writing the lessons: %w", err)
		}
		fmt.Fprintf(c.OutOrStdout(), "the lessons of %d spam and %d ham are in %s\n", n.spam, n.ham, o.lessons)
	}
	if o.output != "" {
		model, err := trainer.Compile()
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.output, model.Bytes(), 0o644); err != nil {
			return fmt.Errorf("writing the model: %w", err)
		}
		fmt.Fprintf(c.OutOrStdout(), "a model of %d spam and %d ham, %s, is in %s\n", n.spam, n.ham, model.Digest(), o.output)
	}
	bad.close()
	return nil
}

// learned counts what a training came to.
type learned struct{ spam, ham, known int }

// teach reads, parses and judges messages in several goroutines and learns
// them in order, so that the result does not depend on their number.
func teach(ctx context.Context, trainer *bayes.Trainer, rules *engine.Engine, list []corpus.Message, jobs int, bad *complaints) (learned, error) {
	var n learned
	bar := newBar(len(list), "learning")
	for i, l := range inOrder(ctx, len(list), jobs, func(i int) lesson {
		return prepareLesson(ctx, rules, readMessage(list[i]), list[i].Spam)
	}) {
		bar.Add(1)
		switch {
		case l.err != nil:
			bad.add(list[i], l.err)
		case !trainer.Add(l.Lesson):
			n.known++
		case list[i].Spam:
			n.spam++
		default:
			n.ham++
		}
	}
	if err := ctx.Err(); err != nil {
		return n, err
	}
	if n == (learned{}) {
		return n, errors.New("there is no mail that could be read")
	}
	return n, nil
}
