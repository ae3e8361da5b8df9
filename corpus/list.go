package corpus

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxLine bounds a line of a list, in bytes.
const maxLine = 64 << 10

// ReadLabels reads a label list as a whole: lines "spam PATH" or "ham PATH",
// '#' begins a comment line. Relative paths are relative to dir. An error
// names file and line.
func ReadLabels(file, dir string) ([]Message, error) {
	f, _, err := openRegular(file)
	if err != nil {
		return nil, fmt.Errorf("reading labels: %w", err)
	}
	defer f.Close()
	var list []Message
	err = eachLabel(f, file, func(_ int, name string, spam bool) error {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, name)
		}
		list = append(list, Message{Path: path, Name: name, Spam: spam})
		return nil
	}, func(err error) error { return err })
	if err != nil {
		return nil, fmt.Errorf("reading labels: %w", err)
	}
	return list, nil
}

// eachLabel calls each with the lines of a list, and bad with an error for
// every line that is none; it ends early with the error that either returns.
func eachLabel(r io.Reader, file string, each func(line int, name string, spam bool) error, bad func(error) error) error {
	lines := bufio.NewReaderSize(r, maxLine)
	for number := 1; ; number++ {
		text, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			// The rest of the line would be read as lines of its own.
			return fmt.Errorf("%s:%d: a line of more than %d bytes; this is no list", file, number, maxLine)
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("%s:%d: %w", file, number, err)
		}
		end := err == io.EOF
		line := strings.TrimSpace(string(text))
		if line != "" && line[0] != '#' {
			name, spam, ok := parseLabel(line)
			if ok {
				err = each(number, name, spam)
			} else {
				err = bad(fmt.Errorf("%s:%d: %q is neither \"spam PATH\" nor \"ham PATH\"", file, number, shorten(line)))
			}
			if err != nil {
				return err
			}
		}
		if end {
			return nil
		}
	}
}

func parseLabel(line string) (name string, spam, ok bool) {
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return "", false, false
	}
	name = strings.TrimSpace(line[i:])
	switch {
	case strings.ContainsRune(name, 0):
		return "", false, false
	case strings.EqualFold(line[:i], "spam"):
		return name, true, true
	case strings.EqualFold(line[:i], "ham"):
		return name, false, true
	}
	return "", false, false
}

func shorten(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}

// list yields what a label list or TREC index names.
func (w *walker) list(file string) bool {
	f, _, err := openRegular(file)
	if err != nil {
		return w.yield(Message{Path: file}, err)
	}
	defer f.Close()
	set := collection(file)
	err = eachLabel(f, file, func(line int, name string, spam bool) error {
		m := Message{Name: filepath.ToSlash(name), Spam: spam}
		// "../data/inmail.1" says nothing of where it is from.
		if filepath.IsAbs(name) || strings.HasPrefix(m.Name, ".") || !strings.Contains(m.Name, "/") {
			m.set = set
		}
		var err error
		if m.Path, err = w.find(name, file); err != nil {
			m.Path = name
			err = fmt.Errorf("%s:%d: %w", file, line, err)
		}
		if !w.yield(m, err) {
			return errStop
		}
		return nil
	}, func(err error) error {
		if !w.yield(Message{Path: file}, err) {
			return errStop
		}
		return nil
	})
	if err != nil && err != errStop {
		return w.yield(Message{Path: file}, err)
	}
	return err == nil
}

// errStop ends a walk whose caller wants no more.
var errStop = errors.New("stop")

// find returns the file that a list means by a name.
func (w *walker) find(name, list string) (string, error) {
	bases := []string{filepath.Dir(list), filepath.Join(filepath.Dir(list), ".."), "."}
	switch {
	case filepath.IsAbs(name):
		bases = []string{""}
	case w.options.Base != "":
		bases = []string{w.options.Base}
	}
	for _, base := range bases {
		path := filepath.Join(base, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no file %s below %s", name, strings.Join(bases, ", "))
}

// collection names the corpus that an index belongs to: trec07p for
// trec07p/full/index, the list's own name for others.
func collection(file string) string {
	abs, err := filepath.Abs(file)
	if err != nil {
		abs = file
	}
	if filepath.Base(abs) != "index" {
		return filepath.Base(abs)
	}
	dir := filepath.Dir(abs)
	switch filepath.Base(dir) {
	case "full", "delay", "partial":
		dir = filepath.Dir(dir)
	}
	return filepath.Base(dir)
}
