package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// scoreOptions are what the score command was asked for.
type scoreOptions struct {
	json, explain bool
	filesFrom     string
	jobs          int
	network       bool
	facts         [3]string // client, helo, from
}

// collectAt is by how many percent what is in use may grow until garbage is
// collected: half as much garbage as Go's own 100 allows, for 2 % of processor
// time.
const collectAt = 50

// collectStarting is that until the first message: the heap is small and most
// of it remains, so that collecting it takes a fifth of the start.
const collectStarting = 400

// collect sets that, unless the environment does.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
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
scored, and the exit code is 1.

Nothing is asked of the network, unless --network is given: then signatures, DMARC,
lists and fingerprints are looked up as by the gateway, and SPF if --client is given.`,
		Example: `  spamcatcher score --explain message.eml
  spamcatcher score --json maildir/new | jq .score
  spamcatcher score --network --client 192.0.2.1 --from a@example.org --explain message.eml
  find mail -name '*.eml' | spamcatcher score --json --files-from -`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && o.filesFrom == "" {
				return usageError{errors.New("score: no message given (see spamcatcher score --help)")}
			}
			if o.jobs < 1 || o.jobs > maxJobs {
				return usageError{fmt.Errorf("score: -j %d is not between 1 and %d", o.jobs, maxJobs)}
			}
			collect(collectStarting)
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			judge, err := newScorer(c.Context(), config, o)
			if err != nil {
				return err
			}
			defer judge.close()
			collect(collectAt)
			return score(c, judge, args, o)
		},
	}
	c.Flags().BoolVar(&o.json, "json", false, "print one JSON object a message and line")
	c.Flags().BoolVar(&o.explain, "explain", false, "print what was found, with its share of the result")
	c.Flags().StringVar(&o.filesFrom, "files-from", "", "read the names of messages from `FILE`, one a line (- is standard input)")
	c.Flags().IntVarP(&o.jobs, "jobs", "j", runtime.GOMAXPROCS(0), "messages scored at one time")
	c.Flags().BoolVar(&o.network, "network", false, "ask DNS about the messages, as the gateway does")
	for i, fact := range []string{"client", "helo", "from"} {
		what := []string{"`ADDRESS` that the messages came from", "`NAME` that the client gave itself", "envelope sender, an `ADDRESS`"}[i]
		c.Flags().StringVar(&o.facts[i], fact, "", what)
	}
	return c
}

// A scored message: the verdict on it, or why there is none.
type scored struct {
	path    string
	verdict engine.Verdict
	answers map[string]string // of the network
	elapsed time.Duration     // reading of the file excluded
	err     error
}

// score judges what args and --files-from name, in that order. Results come
// out in the order of the names, each as soon as it and those before it are
// there, so that a program that sends one name at a time gets its answer.
func score(c *cobra.Command, judge *scorer, args []string, o scoreOptions) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	r := &results{out: bufio.NewWriterSize(c.OutOrStdout(), 64<<10), errors: c.ErrOrStderr(), bar: newProgress(c, args, o), options: o}
	ended := make(chan error, 1)
	go func() {
		if o.jobs == 1 {
			ended <- scoreOne(ctx, judge, c.InOrStdin(), args, r)
		} else {
			ended <- scoreMany(ctx, judge, c.InOrStdin(), args, r)
		}
	}()
	select {
	case err := <-ended:
		if err != nil {
			return err
		}
	case <-ctx.Done(): // also while a read waits
		return ctx.Err()
	}
	if err := r.out.Flush(); err != nil {
		return err
	}
	if r.failed > 0 {
		return errReported
	}
	return nil
}

// results writes scored messages out.
type results struct {
	out     *bufio.Writer
	errors  io.Writer
	bar     *progressbar.ProgressBar // nil for none
	options scoreOptions
	failed  int
	line    []byte // scratch
}

func (r *results) add(s scored) error {
	if r.bar != nil {
		r.bar.Add(1)
	}
	if s.err != nil {
		r.failed++
		_, err := fmt.Fprintf(r.errors, "spamcatcher: %s: %v\n", printable(s.path), s.err)
		return err
	}
	if r.options.json {
		r.line = s.appendJSON(r.line[:0])
		_, err := r.out.Write(r.line)
		return err
	}
	return s.print(r.out, r.options)
}

// scoreOne judges one message after the other in one goroutine: handing each
// to another would cost more processor time than many a message takes.
func scoreOne(ctx context.Context, judge *scorer, stdin io.Reader, args []string, r *results) (err error) {
	var buffer []byte
	list := flushing{stdin, r.out}
	names(ctx, list, args, r.options.filesFrom, func(name string, fault error) {
		if err != nil {
			return
		}
		s := scored{path: name, err: fault}
		if fault == nil {
			s, buffer = scoreFile(ctx, judge, name, stdin, buffer)
		}
		err = r.add(s)
		if err == nil && r.options.filesFrom != "-" {
			err = r.out.Flush()
		}
	})
	return err
}

// flushing is a reader before each read of which, as it may wait, what was
// written goes out.
type flushing struct {
	io.Reader
	out *bufio.Writer
}

func (f flushing) Read(p []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.Reader.Read(p)
}

// scoreMany judges several messages side by side.
func scoreMany(ctx context.Context, judge *scorer, stdin io.Reader, args []string, r *results) error {
	type job struct {
		path   string
		result chan scored
	}
	jobs := make(chan job)
	order := make(chan chan scored, 4*r.options.jobs)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for range r.options.jobs {
		go func() {
			var buffer []byte
			for j := range jobs {
				var s scored
				s, buffer = scoreFile(ctx, judge, j.path, stdin, buffer)
				j.result <- s
			}
		}()
	}
	go func() {
		defer close(order)
		defer close(jobs)
		names(ctx, stdin, args, r.options.filesFrom, func(name string, err error) {
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
	for result := range order {
		var s scored
		select {
		case s = <-result:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := r.add(s); err != nil {
			return err
		}
		if len(order) == 0 {
			if err := r.out.Flush(); err != nil {
				return err
			}
		}
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

// scoreFile judges one message. It reads it into buffer, where that is large
// enough, and returns what may be the buffer of the next.
func scoreFile(ctx context.Context, judge *scorer, name string, stdin io.Reader, buffer []byte) (scored, []byte) {
	var raw []byte
	var err error
	if name == "-" {
		raw, err = io.ReadAll(stdin)
	} else {
		raw, err = readRegular(name, buffer)
	}
	if err != nil {
		return scored{path: name, err: err}, buffer
	}
	begin := time.Now()
	m := &engine.Mail{Message: message.Parse(raw, message.Limits{})}
	v := judge.judge(ctx, m)
	if v.TimedOut || cap(raw) > maxBuffer {
		buffer = nil // a check may still be reading it; or it is a large one
	} else {
		buffer = raw[:0]
	}
	return scored{path: name, verdict: v, answers: m.Answers.All(), elapsed: time.Since(begin)}, buffer
}

// maxBuffer is the largest buffer that is kept for the next message.
const maxBuffer = 1 << 20

// readRegular reads a file that is a file, into buffer where that is large
// enough: a pipe or device in a directory of mail would never end.
func readRegular(name string, buffer []byte) ([]byte, error) {
	// O_NONBLOCK, so that opening a pipe does not wait for its other end.
	fd, err := retry(func() (int, error) { return unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("not a regular file")
	}
	raw := buffer[:0]
	if int64(cap(raw)) <= info.Size {
		raw = make([]byte, 0, info.Size+info.Size/4+512)
	}
	for {
		if len(raw) == cap(raw) {
			raw = slices.Grow(raw, 64<<10)
		}
		room := raw[len(raw):cap(raw)]
		n, err := retry(func() (int, error) { return unix.Read(fd, room) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: name, Err: err}
		}
		raw = raw[:len(raw)+n]
		if n == 0 || n < len(room) && int64(len(raw)) >= info.Size {
			return raw, nil
		}
	}
}

// retry repeats a system call that a signal interrupts.
func retry(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}

func (s scored) print(w io.Writer, o scoreOptions) error {
	if o.explain {
		return explain(w, s)
	}
	v := s.verdict
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
	slices.SortStableFunc(symbols, func(a, b engine.Scored) int { return cmp.Compare(math.Abs(b.Share), math.Abs(a.Share)) })
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
