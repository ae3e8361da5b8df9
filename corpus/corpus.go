// Package corpus turns labelled mail into figures: it reads which message is
// spam and which is ham, and evaluates how well scores tell them apart.
package corpus

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A Message is a labelled message on disk.
type Message struct {
	Path string // of the file
	Name string // as the list has it
	Spam bool
}

// ReadLabels reads a label list: lines "spam PATH" or "ham PATH", '#' begins
// a comment line. Relative paths are relative to dir. An error names file and
// line.
func ReadLabels(file, dir string) ([]Message, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading labels: %w", err)
	}
	defer f.Close()
	return parseLabels(f, file, dir)
}

func parseLabels(r io.Reader, file, dir string) ([]Message, error) {
	var list []Message
	lines := bufio.NewScanner(r)
	number := 0
	for lines.Scan() {
		number++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		label, name, _ := strings.Cut(line, " ")
		name = strings.TrimSpace(name)
		if label != "spam" && label != "ham" || name == "" {
			return nil, fmt.Errorf("%s:%d: %q is neither \"spam PATH\" nor \"ham PATH\"", file, number, line)
		}
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, name)
		}
		list = append(list, Message{Path: path, Name: name, Spam: label == "spam"})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading labels: %s: %w", file, err)
	}
	return list, nil
}

// Set is the part of the name before the first slash: which collection the
// message is from.
func (m Message) Set() string {
	set, _, _ := strings.Cut(filepath.ToSlash(m.Name), "/")
	return set
}
