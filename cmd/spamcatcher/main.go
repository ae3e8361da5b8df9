// Spamcatcher turns mail that arrives by SMTP into mail that is wanted: it
// scores each message inside its own process and passes it on, holds it, or
// refuses it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "unknown"

// Exit codes, as the help says.
const (
	exitFailure = 1 // the work could not be done
	exitUsage   = 2 // wrong usage, configuration or rule file
)

func main() {
	decodeIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once: what was answered 250 is on disk
	err := newCommand().ExecuteContext(ctx)
	stop()
	os.Exit(report(os.Stderr, err))
}

// usageError marks what the caller can mend: arguments, configuration, rules.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errReported ends the program with code 1 after everything has been said.
var errReported = errors.New("reported")

// report says what went wrong in one line and returns the exit code.
func report(w io.Writer, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return exitFailure
	case errors.As(err, &usage):
		fmt.Fprintln(w, "spamcatcher:", printableLines(err.Error()))
		return exitUsage
	default:
		fmt.Fprintln(w, "spamcatcher:", printableLines(err.Error()))
		return exitFailure
	}
}

// global are the options of every command.
type global struct {
	config string // --config
	state  string // --state
}

func newCommand() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "spamcatcher",
		Short: "A mail filter in one program: SMTP in, scored, passed on or refused",
		Long: `SpamCatcher stands where mail enters a network. It accepts SMTP, decides on each
message inside its own process, and passes what is wanted on to the mail servers
behind it.

First try, without any configuration (listens on 127.0.0.1:2525, delivers into
the Maildir ./var/maildir):

  spamcatcher run

Exit codes: 0 success; 1 the work could not be done; 2 wrong usage,
configuration or rule file.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see %s --help)", err, c.CommandPath())}
	})
	root.PersistentFlags().StringVar(&g.config, "config", "", "configuration `FILE`: .toml, or .conf for the classic form")
	root.PersistentFlags().StringVar(&g.state, "state", "", "`DIR` for queue and state (default /var/lib/spamcatcher where it exists and is writable, else ./var)")
	root.AddCommand(
		runCommand(g),
		scoreCommand(g),
		configCommand(g),
		queueCommand(g),
		domainCommand(g),
		dnsCommand(g),
		rulesCommand(g),
		signaturesCommand(g),
		trainCommand(g),
		learnCommand(g),
		corpusCommand(g),
		fingerprintCommand(g),
		&cobra.Command{
			Use:   "version",
			Short: "Print the version",
			Args:  cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				_, err := fmt.Fprintln(c.OutOrStdout(), "spamcatcher", version)
				return err
			},
		},
	)
	usageArgs(root)
	return root
}

// usageArgs makes wrong arguments of c and the commands below it usage errors.
func usageArgs(c *cobra.Command) {
	if c.Run == nil && c.RunE == nil { // only a name for the commands below it
		c.Args = knownCommand
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%s: %w (see %s --help)", c.CommandPath(), err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usageArgs(sub)
	}
}

// knownCommand refuses a word that names no command below c; cobra by itself
// prints the help and is content.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return fmt.Errorf("unknown command %q%s", args[0], didYouMean(args[0], names))
}
