package bench

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// A Record is the figures of one run, with where and of what it was made.
type Record struct {
	Date    string // 2006-01-02
	Commit  string
	Machine string // see Machine
	Figures []Figure
}

var columns = []string{"date", "commit", "machine", "stage", "message", "allocs", "bytes", "ns", "ratio"}

// Machine names the class of the machine that this is: system, architecture,
// release of Go, processors and their model. What comes before the semicolon
// decides about allocations; all of it about time.
func Machine() string {
	release := strings.SplitN(runtime.Version(), ".", 3)
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.Join(strings.Fields(value), " ")
				break
			}
		}
	}
	return fmt.Sprintf("%s/%s %s; %d x %s", runtime.GOOS, runtime.GOARCH, strings.Join(release[:min(2, len(release))], "."), runtime.NumCPU(), model)
}

// ReadRecords reads the records of a file, the oldest first. A file that is
// not there holds none.
func ReadRecords(file string) ([]Record, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading records: %w", err)
	}
	defer f.Close()
	list, err := readRecords(f)
	if err != nil {
		return nil, fmt.Errorf("reading records: %s: %w", file, err)
	}
	return list, nil
}

func readRecords(r io.Reader) (list []Record, err error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = len(columns)
	for n := 0; ; n++ {
		row, err := rows.Read()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			if strings.Join(row, ",") != strings.Join(columns, ",") {
				return nil, fmt.Errorf("the columns are %q, not %q", row, columns)
			}
			continue
		}
		var f Figure
		f.Stage, f.Message = row[3], row[4]
		var errs [4]error
		f.Allocs, errs[0] = strconv.ParseInt(row[5], 10, 64)
		f.Bytes, errs[1] = strconv.ParseInt(row[6], 10, 64)
		f.Nanos, errs[2] = strconv.ParseFloat(row[7], 64)
		f.Ratio, errs[3] = strconv.ParseFloat(row[8], 64)
		if err := errors.Join(errs[:]...); err != nil {
			line, _ := rows.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if last := len(list) - 1; last < 0 || list[last].Date != row[0] || list[last].Commit != row[1] || list[last].Machine != row[2] ||
			list[last].has(f.Stage, f.Message) {
			list = append(list, Record{Date: row[0], Commit: row[1], Machine: row[2]})
		}
		list[len(list)-1].Figures = append(list[len(list)-1].Figures, f)
	}
}

func (r Record) has(stage, message string) bool {
	_, ok := r.figure(stage, message)
	return ok
}

func (r Record) figure(stage, message string) (Figure, bool) {
	for _, f := range r.Figures {
		if f.Stage == stage && f.Message == message {
			return f, true
		}
	}
	return Figure{}, false
}

// Append adds the record to the file, which it makes if there is none.
func (r Record) Append(file string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		w.Write(columns) // a bytes.Buffer takes everything
	}
	for _, f := range r.Figures {
		w.Write([]string{r.Date, r.Commit, r.Machine, f.Stage, f.Message, strconv.FormatInt(f.Allocs, 10), strconv.FormatInt(f.Bytes, 10),
			strconv.FormatFloat(f.Nanos, 'f', 0, 64), strconv.FormatFloat(f.Ratio, 'g', 4, 64)})
	}
	w.Flush()
	to, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("adding a record: %w", err)
	}
	_, err = to.Write(b.Bytes())
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("adding a record: %w", err)
	}
	return nil
}

// Last is the newest record whose allocations can be compared with those made
// on the machine: of the same system, architecture and release of Go.
func Last(list []Record, machine string) (Record, bool) {
	class, _, _ := strings.Cut(machine, ";")
	for i := len(list) - 1; i >= 0; i-- {
		if c, _, _ := strings.Cut(list[i].Machine, ";"); c == class {
			return list[i], true
		}
	}
	return Record{}, false
}

// What may be more than the record says. From run to run the counts are the
// same to the allocation and the bytes to a few, but where an automaton of the
// rules has just learned new states (2 allocations and 5 % of the bytes of one
// job in every fifth run), which is why what is worse is measured again. One
// more allocation a message, in a path that makes a few dozen, is to be seen;
// hence so little.
const (
	allocSlack, allocShare = 2, 0.02
	byteSlack, byteShare   = 512, 0.03
)

// A Change is a figure beside what it was.
type Change struct {
	Figure
	Was Figure
	New bool // it was not measured before
}

// Worse says that the job takes markedly more from the heap than it did.
func (c Change) Worse() bool {
	return !c.New && (float64(c.Allocs) > float64(c.Was.Allocs)*(1+allocShare)+allocSlack ||
		float64(c.Bytes) > float64(c.Was.Bytes)*(1+byteShare)+byteSlack)
}

func (c Change) String() string {
	if c.New {
		return fmt.Sprintf("%-8s %-16s %6d allocs %9d B %9.1f µs  ratio %8.4f  (new)", c.Stage, c.Message, c.Allocs, c.Bytes, c.Nanos/1e3, c.Ratio)
	}
	mark := ""
	if c.Worse() {
		mark = "  WORSE"
	}
	return fmt.Sprintf("%-8s %-16s %6d allocs (%+6.1f %%) %9d B (%+6.1f %%) %9.1f µs  ratio %8.4f (%+6.1f %%)%s", c.Stage, c.Message,
		c.Allocs, percent(c.Allocs, c.Was.Allocs), c.Bytes, percent(c.Bytes, c.Was.Bytes), c.Nanos/1e3, c.Ratio, percent(c.Ratio, c.Was.Ratio), mark)
}

func percent[T int64 | float64](now, was T) float64 {
	if was == 0 {
		return 100 * float64(min(now, 1))
	}
	return 100 * (float64(now)/float64(was) - 1)
}

// Compare sets the figures beside those of the record.
func Compare(was Record, now []Figure) (list []Change) {
	for _, f := range now {
		before, ok := was.figure(f.Stage, f.Message)
		list = append(list, Change{Figure: f, Was: before, New: !ok})
	}
	return list
}
