package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// scoreOptions are what the score command was asked for.
type scoreOptions struct {
	json, explain bool
	filesFrom     string
	jobs          int
}

// maxJobs bounds -j: each job holds one message in memory.
const maxJobs = 1024

func scoreCommand(g *global) *cobra.Command {
	var o scoreOptions
	c := &cobra.Command{
		Use:   "score [FILE|DIR|-]...",
		Short: "Score messages without a server",
		Long: `Scores messages: files, all files below directories, or - for one message on standard
input. A message that cannot be read is reported on standard error, the others are
scored, and the exit code is 1.`,
		Example: `  spamcatcher score --explain message.eml
  spamcatcher score --json maildir/new | jq .score
  find mail -name '*.eml' | spamcatcher score --json --files-from -`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && o.filesFrom == "" {
				return usageError{errors.New("score: no message given (see spamcatcher score --help)")}
			}
			if o.jobs < 1 || o.jobs > maxJobs {
				return usageError{fmt.Errorf("score: -j %d is not between 1 and %d", o.jobs, maxJobs)}
			}
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			judge, err := newEngine(config)
			if err != nil {
				return err
			}
			return score(c, judge, args, o)
		},
	}
	c.Flags().BoolVar(&o.json, "json", false, "print one JSON object a message and line")
	c.Flags().BoolVar(&o.explain, "explain", false, "print what was found, with its share of the result")
	c.Flags().StringVar(&o.filesFrom, "files-from", "", "read the names of messages from `FILE`, one a line (- is standard input)")
	c.Flags().IntVarP(&o.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "messages scored at one time")
	return c
}

// A scored message: the verdict on it, or why there is none.
type scored struct {
	path    string
	verdict engine.Verdict
	elapsed time.Duration // reading of the file excluded
	err     error
}

// score judges what args and --files-from name, in that order. Results come
// out in the order of the names, each as soon as it and those before it are
// there, so that a program that sends one name at a time gets its answer.
func score(c *cobra.Command, judge *engine.Engine, args []string, o scoreOptions) error {
	type job struct {
		path   string
		result chan scored
	}
	jobs := make(chan job)
	order := make(chan chan scored, 4*o.jobs)
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	for range o.jobs {
		go func() {
			for j := range jobs {
				j.result <- scoreFile(ctx, judge, j.path, c.InOrStdin())
			}
		}()
	}
	bar := newProgress(c, args, o)
	go func() {
		defer close(order)
		defer close(jobs)
		names(ctx, c.InOrStdin(), args, o.filesFrom, func(name string, err error) {
			result := make(chan scored, 1)
			if err != nil {
				result <- scored{path: name, err: err}
			} else {
				select {
				case jobs <- job{name, result}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case order <- result:
			case <-ctx.Done():
			}
		})
	}()
	out := bufio.NewWriter(c.OutOrStdout())
	failed := 0
	for result := range order {
		var s scored
		select {
		case s = <-result:
		case <-ctx.Done():
			return ctx.Err()
		}
		if bar != nil {
			bar.Add(1)
		}
		if s.err != nil {
			failed++
			fmt.Fprintf(c.ErrOrStderr(), "spamcatcher: %s: %v\n", printable(s.path), s.err)
			continue
		}
		if err := s.print(out, o); err != nil {
			return err
		}
		if len(order) == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return errReported
	}
	return nil
}

// newProgress is a progress bar for those who wait at a terminal while the
// results go elsewhere; nil for everybody else.
func newProgress(c *cobra.Command, args []string, o scoreOptions) *progressbar.ProgressBar {
	if !twice(o.filesFrom) || !term.IsTerminal(int(os.Stderr.Fd())) || term.IsTerminal(int(os.Stdout.Fd())) {
		return nil
	}
	total := 0
	names(c.Context(), c.InOrStdin(), args, o.filesFrom, func(string, error) { total++ })
	if total < 20 {
		return nil
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetDescription("scoring"), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())
}

// twice says whether a list of names can be read a second time, after those
// in it were counted: a pipe cannot.
func twice(list string) bool {
	if list == "" {
		return true
	}
	info, err := os.Stat(list)
	return err == nil && info.Mode().IsRegular()
}

// names calls each with every message that args and the list name, files of
// a directory in lexical order.
func names(ctx context.Context, stdin io.Reader, args []string, filesFrom string, each func(name string, err error)) {
	for _, arg := range args {
		if arg == "-" {
			each(arg, nil)
			continue
		}
		err := filepath.WalkDir(arg, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return fs.SkipAll
			case err != nil:
				each(name, err)
			case !entry.IsDir() && (name == arg || !strings.HasPrefix(entry.Name(), ".")):
				each(name, nil)
			}
			return nil
		})
		if err != nil {
			each(arg, err)
		}
	}
	if filesFrom == "" {
		return
	}
	in := stdin
	if filesFrom != "-" {
		f, err := os.Open(filesFrom)
		if err != nil {
			each(filesFrom, err)
			return
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), 1<<20)
	for lines.Scan() && ctx.Err() == nil {
		if name := strings.TrimSuffix(lines.Text(), "\r"); name != "" {
			each(name, nil)
		}
	}
	if err := lines.Err(); err != nil {
		each(filesFrom, err)
	}
}

func scoreFile(ctx context.Context, judge *engine.Engine, name string, stdin io.Reader) scored {
	var raw []byte
	var err error
	if name == "-" {
		raw, err = io.ReadAll(stdin)
	} else {
		raw, err = readRegular(name)
	}
	if err != nil {
		return scored{path: name, err: err}
	}
	begin := time.Now()
	m := &engine.Mail{Message: message.Parse(raw, message.Limits{})}
	v := judge.Judge(ctx, m)
	return scored{path: name, verdict: v, elapsed: time.Since(begin)}
}

// readRegular reads a file that is a file: a pipe or device in a directory of
// mail would never end.
func readRegular(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	return os.ReadFile(name)
}

// jsonVerdict is the form of `score --json`.
type jsonVerdict struct {
	Path    string       `json:"path"`
	Score   float64      `json:"score"`
	Symbols []jsonSymbol `json:"symbols"`
	Faults  []jsonFault  `json:"faults"`
	Virus   string       `json:"virus"`
	Elapsed int64        `json:"elapsed_us"`
	LogOdds float64      `json:"log_odds"`
	Bias    float64      `json:"bias"`
	Plan    string       `json:"plan"`
}

type jsonSymbol struct {
	Name        string  `json:"name"`
	Share       float64 `json:"share"`
	Detail      string  `json:"detail"`
	Description string  `json:"description"`
}

type jsonFault struct {
	Check string `json:"check"`
	Kind  string `json:"kind"`
	Error string `json:"error"`
}

func (s scored) print(w io.Writer, o scoreOptions) error {
	v := s.verdict
	switch {
	case o.json:
		j := jsonVerdict{Path: s.path, Score: v.Score, Symbols: []jsonSymbol{}, Faults: []jsonFault{}, Virus: v.Virus, Elapsed: s.elapsed.Microseconds(), LogOdds: v.LogOdds, Bias: v.Bias, Plan: v.Plan}
		for _, x := range v.Symbols {
			j.Symbols = append(j.Symbols, jsonSymbol(x))
		}
		for _, f := range v.Faults {
			j.Faults = append(j.Faults, jsonFault{f.Check, string(f.Kind), f.Err})
		}
		return json.NewEncoder(w).Encode(j)
	case o.explain:
		return explain(w, s)
	}
	var list []string
	for _, x := range v.Symbols {
		list = append(list, fmt.Sprintf("%s:%+.2f", x.Name, x.Share))
	}
	_, err := fmt.Fprintf(w, "%5.1f  %s  %s\n", v.Score, printable(s.path), strings.Join(list, " "))
	return err
}

// explain prints the verdict as a table of shares, the largest first, that
// adds up to the log-odds.
func explain(w io.Writer, s scored) error {
	v := s.verdict
	fmt.Fprintf(w, "%s\n  score %.1f", printable(s.path), v.Score)
	if v.Virus != "" {
		fmt.Fprintf(w, "  virus %s", printable(v.Virus))
	}
	fmt.Fprintf(w, "  (log-odds %+.2f, plan %s, %d µs)\n\n", v.LogOdds, v.Plan, s.elapsed.Microseconds())
	fmt.Fprintf(w, "  %7.2f  %-32s %s\n", v.Bias, "", "what every message starts from")
	symbols := slices.Clone(v.Symbols)
	slices.SortStableFunc(symbols, func(a, b engine.Scored) int {
		switch d := max(b.Share, -b.Share) - max(a.Share, -a.Share); {
		case d > 0:
			return 1
		case d < 0:
			return -1
		}
		return 0
	})
	for _, x := range symbols {
		detail := ""
		if x.Detail != "" {
			detail = fmt.Sprintf(" [%s]", printable(x.Detail))
		}
		fmt.Fprintf(w, "  %+7.2f  %-32s %s%s\n", x.Share, x.Name, x.Description, detail)
	}
	for _, f := range v.Faults {
		fmt.Fprintf(w, "  fault    %-32s %s: %s\n", f.Check, f.Kind, printable(f.Err))
	}
	_, err := fmt.Fprintf(w, "  -------\n  %+7.2f  log-odds of spam\n\n", v.LogOdds)
	return err
}
