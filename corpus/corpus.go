// Package corpus turns labelled mail into figures: it reads which message is
// spam and which is ham, evaluates how well scores tell them apart, and fits
// the prices of findings to them.
package corpus

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// MaxMessage is the size in bytes from which on a message is not read.
const MaxMessage = 64 << 20

// A Message says where a labelled message stands. It is small: the bytes are
// read only by Read.
type Message struct {
	Path string // of the file
	Name string // within its corpus: as the list has it, or below the folder
	Spam bool

	set            string // "" means the first element of Name
	offset, length int64  // within an mbox; length 0 means the whole file
}

// Set names the collection that the message is from: the first element of
// its name, unless the reader knew better.
func (m Message) Set() string {
	if m.set != "" {
		return m.set
	}
	set, _, _ := strings.Cut(filepath.ToSlash(m.Name), "/")
	return set
}

// Read returns the bytes of the message. A message inside an mbox is given
// without its separator line and without the quoting of the format.
func (m Message) Read() ([]byte, error) {
	f, size, err := openRegular(m.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if m.length > 0 {
		size = m.length
	}
	if size > MaxMessage {
		return nil, fmt.Errorf("%d bytes are more than a message may have (%d)", size, MaxMessage)
	}
	raw := make([]byte, size)
	n, err := f.ReadAt(raw, m.offset)
	if err != nil && !(errors.Is(err, io.EOF) && m.length == 0) {
		return nil, err
	}
	raw = raw[:n] // the file may have shrunk
	if m.length > 0 {
		return unquote(raw), nil
	}
	return raw, nil
}

// openRegular opens a file that is a file. A pipe or device among the mail
// would never end, and even to open a pipe would wait for a writer.
func openRegular(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// A Label says which class mail is of.
type Label int

const (
	// ByName: lists say it, folders and mbox files by their names.
	ByName Label = iota
	Ham
	Spam
)

// Options of Open. The zero value serves labelled corpora.
type Options struct {
	// Label, unless ByName, is the class of all mail whatever its folders
	// are called. Lists keep their own labels.
	Label Label
	// Base is where relative paths of lists begin. "" means: the list's
	// own folder, the folder above it, or the working directory,
	// whichever first has the file.
	Base string
}

// A Corpus is labelled mail at one or several places.
type Corpus struct {
	options Options
	sources []source
}

// A source is one argument of Open with what it was found to be.
type source struct {
	form
	path string
}

// Open finds out what stands at each path: a label list (lines "spam PATH"
// or "ham PATH"), a TREC index or a folder with one (index, full/index), a
// Maildir, an mbox, a tree of folders called ham and spam (which may hold
// any of these), or a single message.
func Open(o Options, paths ...string) (*Corpus, error) {
	c := &Corpus{options: o}
	for _, path := range paths {
		form, err := detect(path)
		if err != nil {
			return nil, fmt.Errorf("opening a corpus: %w", err)
		}
		c.sources = append(c.sources, source{form, path})
	}
	return c, nil
}

// Forms tells what was found at each path, in the order of Open.
func (c *Corpus) Forms() []string {
	var list []string
	for _, s := range c.sources {
		list = append(list, s.String())
	}
	return list
}

// All yields every message in a fixed order: lists in theirs, folders in
// that of names. What is wrong with one message, or one line of a list, is
// yielded beside a Message that has at least a Path; the others follow.
func (c *Corpus) All() iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		w := &walker{options: c.options, yield: yield}
		for _, s := range c.sources {
			if !w.source(s) {
				return
			}
		}
	}
}
