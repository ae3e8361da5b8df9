package yara

import (
	"errors"
	"fmt"
	"strings"
)

// A Source is the text of one file of rules. Its rules have a namespace of their
// own, so that two files may use the same names.
type Source struct {
	File string // names it in problems and matches
	Text string
}

// A Problem is why a source is not in the compiled set.
type Problem struct {
	File string
	Line int // 0 unknown
	Msg  string
}

// String is file:line: reason.
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Msg)
}

// Facts are the external variables that every rule may use: filename, filepath,
// extension, filetype, content_type, sender_domain and kind. md5 and owner are
// defined, and empty, for rules written for other scanners.
type Facts struct {
	Name, Path, Extension, Type, ContentType, Sender, Kind string
}

// A Match is one rule that matched.
type Match struct {
	Rule, File string // the rule's name, and its source
	Tags       []string
	Meta       map[string]any // string, int or bool
}

var (
	// ErrTime says that a scan was cut off by its time limit: the matches beside it
	// are those of the rules that were decided by then.
	ErrTime = errors.New("yara: the scan took too long")
	// ErrClosed says that the rules were closed before the scan began.
	ErrClosed = errors.New("yara: the rules are closed")
)

// An external is a variable that rules may use: its name, and where its value
// comes from.
type external struct {
	name  string
	value func(*Facts) string // nil: always empty
}

// externals are those of the scanners for files that public rules are written
// for, and ours.
func externals() []external {
	return []external{
		{"filename", func(f *Facts) string { return f.Name }},
		{"filepath", func(f *Facts) string { return f.Path }},
		{"extension", func(f *Facts) string { return f.Extension }},
		{"filetype", func(f *Facts) string { return f.Type }},
		{"content_type", func(f *Facts) string { return f.ContentType }},
		{"sender_domain", func(f *Facts) string { return f.Sender }},
		{"kind", func(f *Facts) string { return f.Kind }},
		{"md5", nil},
		{"owner", nil},
	}
}

// used are the externals whose names occur anywhere in the sources, be it in a
// comment: what no rule can ask for need not be set before each scan.
func used(sources []Source) []external {
	var list []external
	for _, e := range externals() {
		if e.value == nil {
			continue
		}
		for i := range sources {
			if mentions(sources[i].Text, e.name) {
				list = append(list, e)
				break
			}
		}
	}
	return list
}

// mentions says whether an identifier occurs in a text as a whole word.
func mentions(text, name string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return false
		}
		i += from
		from = i + len(name)
		if (i == 0 || !letter(text[i-1])) && (from == len(text) || !letter(text[from])) {
			return true
		}
	}
}

func letter(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
