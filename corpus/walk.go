package corpus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A walker visits the messages of a corpus. Its functions return false when
// the caller wants no more.
type walker struct {
	options Options
	yield   func(Message, error) bool
}

// maxDepth bounds how deep folders may stand in folders.
const maxDepth = 64

// errNoLabel is what a message gets that nothing says the class of.
var errNoLabel = errors.New("nothing says whether it is spam or ham: it stands in no folder of such a name")

func (w *walker) source(s source) bool {
	label := w.options.Label
	name := baseName(s.path)
	switch s.form {
	case formList:
		return w.list(s.path)
	case formIndex:
		return w.list(indexOf(s.path))
	case formMaildir:
		return w.maildir(s.path, name, w.orByName(label, name))
	case formTree:
		// The set is the first folder below, unless that is ham or spam; then
		// it is this folder, unless that is ham or spam itself.
		set := name
		if labelOf(name) != ByName || label != ByName {
			set = baseName(filepath.Dir(absolute(s.path)))
		}
		return w.tree(s.path, "", set, w.orByName(label, name), 0)
	}
	if label == ByName {
		label = labelOf(name)
	}
	if label == ByName {
		label = labelOf(baseName(filepath.Dir(absolute(s.path))))
	}
	if s.form == formMbox {
		return w.mbox(s.path, name, name, label)
	}
	set := filepath.Dir(absolute(s.path))
	if labelOf(baseName(set)) != ByName {
		set = filepath.Dir(set)
	}
	return w.message(Message{Path: s.path, Name: name, set: baseName(set)}, label)
}

// orByName is the label that was asked for, or the one of a folder's name.
func (w *walker) orByName(label Label, name string) Label {
	if w.options.Label != ByName {
		return w.options.Label
	}
	if by := labelOf(name); by != ByName {
		return by
	}
	return label
}

func (w *walker) message(m Message, label Label) bool {
	if label == ByName {
		return w.yield(m, errNoLabel)
	}
	m.Spam = label == Spam
	return w.yield(m, nil)
}

// tree yields the mail in a folder and in those below it; links to folders
// are not followed, so that it ends. name is the folder's path below the one
// that was opened, set the collection that files in it belong to.
func (w *walker) tree(path, name, set string, label Label, depth int) bool {
	if depth > maxDepth {
		return w.yield(Message{Path: path}, fmt.Errorf("more than %d folders in each other", maxDepth))
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return w.yield(Message{Path: path}, err)
	}
	for _, entry := range entries {
		file, below := filepath.Join(path, entry.Name()), joinName(name, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), "."):
			continue
		case entry.IsDir():
			inner, own := w.orByName(label, entry.Name()), set
			if name == "" && label == ByName && labelOf(entry.Name()) == ByName {
				own = entry.Name()
			}
			var more bool
			switch detectFolder(file) {
			case formMaildir:
				more = w.maildir(file, own, inner)
			case formIndex:
				more = w.list(indexOf(file))
			default:
				more = w.tree(file, below, own, inner, depth+1)
			}
			if !more {
				return false
			}
		default:
			if !w.file(file, below, set, label) {
				return false
			}
		}
	}
	return true
}

// file yields a message, or the messages of an mbox.
func (w *walker) file(path, name, set string, label Label) bool {
	m := Message{Path: path, Name: name, set: set}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return w.yield(m, err)
	case info.IsDir(): // through a link
		return true
	case !info.Mode().IsRegular():
		return w.yield(m, errors.New("not a regular file"))
	case info.Size() == 0:
		return true
	}
	form, err := detect(path)
	if err != nil {
		return w.yield(m, err)
	}
	if form == formMbox {
		return w.mbox(path, name, set, w.orByName(label, filepath.Base(path)))
	}
	return w.message(m, label)
}

// maildir yields the mail of a Maildir (cur and new; tmp is not delivered
// yet) and of the Maildir++ folders in it. A folder whose name says nothing
// is ham: its owner keeps mail there.
func (w *walker) maildir(path, set string, label Label) bool {
	if label == ByName {
		label = Ham
	}
	for _, sub := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(path, sub))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			if !w.yield(Message{Path: filepath.Join(path, sub)}, err) {
				return false
			}
		}
		for _, entry := range entries {
			// Info ":2,FLAGS": T is thrown away by the owner but still there.
			_, flags, _ := strings.Cut(entry.Name(), ":2,")
			if entry.IsDir() || strings.HasPrefix(entry.Name(), ".") || strings.Contains(flags, "T") {
				continue
			}
			m := Message{Path: filepath.Join(path, sub, entry.Name()), Name: set + "/" + filepath.Base(path) + "/" + entry.Name(), set: set}
			var err error
			if info, fault := os.Stat(m.Path); fault != nil {
				err = fault
			} else if !info.Mode().IsRegular() {
				err = errors.New("not a regular file")
			}
			if err != nil {
				if !w.yield(m, err) {
					return false
				}
			} else if !w.message(m, label) {
				return false
			}
		}
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return w.yield(Message{Path: path}, err)
	}
	for _, entry := range entries {
		folder := entry.Name()
		if !entry.IsDir() || folder == "cur" || folder == "new" || folder == "tmp" || unjudged(folder) {
			continue
		}
		below := filepath.Join(path, folder)
		// Maildir++ keeps all folders side by side, with a dot in front;
		// others put Maildirs into each other.
		if detectFolder(below) != formMaildir || len(below) > 4096 {
			continue
		}
		inner := labelOf(folder)
		if w.options.Label != ByName {
			inner = w.options.Label
		}
		if !w.maildir(below, set, inner) {
			return false
		}
	}
	return true
}

func joinName(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// baseName is the last element of a path, also of "." and "mail/".
func baseName(path string) string { return filepath.Base(absolute(path)) }

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}
