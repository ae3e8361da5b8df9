package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"spamcatcher/corpus"
	"spamcatcher/engine/message"
)

// mailOptions say which labelled mail a command works on.
type mailOptions struct {
	labels  []string // --labels
	base    string   // --base
	ham     []string // --ham
	spam    []string // --spam
	exclude []string // --exclude
	jobs    int      // --jobs
}

// mailHelp explains the arguments that all these commands share.
const mailHelp = `
Mail is given as folders or files, each of which may be

  a tree with folders called ham and spam, in any number of collections
  a Maildir: cur and new; folders called Spam or Junk are spam, the others ham;
    what is in Sent, Drafts and Trash is left out
  an mbox, labelled by its name or its folder's
  a TREC index, or the folder with one (index, full/index)
  a label list: lines "spam PATH" or "ham PATH". Relative paths are looked for in
    the list's folder, the one above it, and the working directory

A message that cannot be read is reported and left out.`

func (o *mailOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&o.labels, "labels", nil, "read a label list (`FILE` of lines \"spam PATH\" or \"ham PATH\"); may be repeated")
	f.StringVar(&o.base, "base", "", "`DIR` where relative paths of label lists begin")
	f.StringArrayVar(&o.ham, "ham", nil, "all mail at `PATH` is ham, whatever its folders are called; may be repeated")
	f.StringArrayVar(&o.spam, "spam", nil, "all mail at `PATH` is spam; may be repeated")
	f.StringArrayVar(&o.exclude, "exclude", nil, "leave out the mail whose collection or file name matches `GLOB`; may be repeated")
	f.IntVarP(&o.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "messages read and parsed at one time")
}

// open opens what args and flags name.
func (o *mailOptions) open(c *cobra.Command, args []string) ([]*corpus.Corpus, error) {
	if len(args)+len(o.labels)+len(o.ham)+len(o.spam) == 0 {
		return nil, usageError{fmt.Errorf("%s: no mail given (see %s --help)", c.CommandPath(), c.CommandPath())}
	}
	if o.jobs < 1 || o.jobs > maxJobs {
		return nil, usageError{fmt.Errorf("-j %d is not between 1 and %d", o.jobs, maxJobs)}
	}
	for _, glob := range o.exclude {
		if _, err := filepath.Match(glob, ""); err != nil {
			return nil, usageError{fmt.Errorf("--exclude %q: %w", glob, err)}
		}
	}
	var list []*corpus.Corpus
	for _, group := range []struct {
		label corpus.Label
		paths []string
	}{{corpus.ByName, args}, {corpus.ByName, o.labels}, {corpus.Ham, o.ham}, {corpus.Spam, o.spam}} {
		opened, err := corpus.Open(corpus.Options{Label: group.label, Base: o.base}, group.paths...)
		if err != nil {
			return nil, usageError{err}
		}
		list = append(list, opened)
	}
	for i, form := range list[1].Forms() {
		if form != "label list" {
			return nil, usageError{fmt.Errorf("--labels %s: %s is no label list, but: %s", o.labels[i], o.labels[i], form)}
		}
	}
	return list, nil
}

func (o *mailOptions) excluded(m corpus.Message) bool {
	for _, glob := range o.exclude {
		for _, name := range []string{m.Set(), m.Name, filepath.Base(m.Name)} {
			if ok, _ := filepath.Match(glob, name); ok { // a bad pattern was refused
				return true
			}
		}
	}
	return false
}

// maxComplaints bounds what is printed about mail that cannot be read.
const maxComplaints = 20

// complaints counts the messages that were left out and says why.
type complaints struct {
	out   io.Writer
	count int
}

func (f *complaints) add(m corpus.Message, err error) {
	f.count++
	switch name := printable(m.Path); {
	case f.count > maxComplaints:
	case name == "" || strings.Contains(err.Error(), m.Path):
		fmt.Fprintf(f.out, "spamcatcher: %s\n", printable(err.Error()))
	default:
		fmt.Fprintf(f.out, "spamcatcher: %s: %s\n", name, printable(err.Error()))
	}
}

// close says how many there were.
func (f *complaints) close() {
	if f.count > 0 {
		fmt.Fprintf(f.out, "spamcatcher: %d messages could not be read and were left out\n", f.count)
	}
}

// messages lists the mail that args and flags name. Only names are held; the
// mail is read later, one message at a time and worker.
func (o *mailOptions) messages(c *cobra.Command, args []string, bad *complaints) ([]corpus.Message, error) {
	opened, err := o.open(c, args)
	if err != nil {
		return nil, err
	}
	var list []corpus.Message
	for _, from := range opened {
		for m, err := range from.All() {
			switch {
			case c.Context().Err() != nil:
				return nil, c.Context().Err()
			case o.excluded(m):
			case err != nil:
				bad.add(m, err)
			default:
				list = append(list, m)
			}
		}
	}
	if len(list) == 0 {
		return nil, errors.New("there is no labelled mail")
	}
	return list, nil
}

// inOrder gives every index below n to work, in jobs goroutines, and yields
// the answers in order. At most 4·jobs answers wait.
func inOrder[T any](ctx context.Context, n, jobs int, work func(i int) T) iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var workers sync.WaitGroup
		defer workers.Wait()
		defer cancel()
		type task struct {
			i      int
			answer chan T
		}
		tasks := make(chan task)
		order := make(chan chan T, 4*jobs)
		for range jobs {
			workers.Go(func() {
				for t := range tasks {
					t.answer <- work(t.i)
				}
			})
		}
		workers.Go(func() {
			defer close(tasks)
			defer close(order)
			for i := range n {
				answer := make(chan T, 1)
				select {
				case order <- answer:
				case <-ctx.Done():
					return
				}
				select {
				case tasks <- task{i, answer}:
				case <-ctx.Done():
					return
				}
			}
		})
		i := 0
		for answer := range order {
			select {
			case a := <-answer:
				if !yield(i, a) {
					return
				}
			case <-ctx.Done():
				return
			}
			i++
		}
	}
}

// parsed is a message that was read, or why it was not.
type parsed struct {
	message *message.Message
	err     error
}

func readMessage(m corpus.Message) parsed {
	raw, err := m.Read()
	if err != nil {
		return parsed{err: err}
	}
	return parsed{message: message.Parse(raw, message.Limits{})}
}

// newBar is a progress bar on standard error where that is a terminal, else
// one that shows nothing.
func newBar(total int, what string) *progressbar.ProgressBar {
	if total < 20 || !term.IsTerminal(int(os.Stderr.Fd())) {
		return progressbar.DefaultSilent(int64(total))
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())
}

// showPath is a path as short as it can be said.
func showPath(m corpus.Message) string {
	if strings.Contains(m.Name, "#") {
		return printable(m.Name)
	}
	if rel, err := filepath.Rel(".", m.Path); err == nil && len(rel) < len(m.Path) {
		return printable(rel)
	}
	return printable(m.Path)
}
