package spamassassin

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// kind is what a rule looks at.
type kind uint8

const (
	kindHeader kind = iota
	kindBody
	kindRawBody
	kindFull
	kindURI
	kindURIDetail
	kindMIMEHeader
	kindMeta
	kindEval
	kindEmpty // a name only, that something else may set
)

var kindNames = [...]string{"header", "body", "rawbody", "full", "uri", "uri_detail", "mimeheader", "meta", "eval", "empty"}

// test is one rule as it stands in its file.
type test struct {
	name    string
	kind    kind
	file    string
	line    int
	header  string // kindHeader, kindMIMEHeader: what field, with modifiers
	exists  bool   // kindHeader: only whether there is one
	negated bool   // !~
	unset   string // what an absent field counts as
	source  string // pattern without delimiters; expression of a meta
	flags   string // modifiers of the pattern
	parts   []part // kindURIDetail
	eval    string // kindEval: the function
	area    string // kindEval: under which key it stands
	args    []string
}

// part is one criterion of a uri_detail rule.
type part struct {
	of            string
	negated       bool
	source, flags string
}

// conf is everything that rule files say.
type conf struct {
	tests     map[string]*test
	order     []string // names in the order in which they first appeared
	scores    map[string][4]float64
	describe  map[string]string
	tflags    map[string][]string
	priority  map[string]int
	tags      map[string]string // replace_tag
	pre       map[string]string
	inter     map[string]string
	post      map[string]string
	replace   map[string]bool // replace_rules
	tagOpen   string
	tagClose  string
	redirects []rawRegex
	plugins   map[string]bool
	compat    map[string]bool
	settings
	notes []Entry
}

type rawRegex struct{ source, flags string }

// settings are what the functions of eval rules need to know.
type settings struct {
	tlds, twoLevel, threeLevel map[string]bool
	freemail                   map[string]bool
	freemailGlobs              []string
	notFreemail                map[string]bool
	uriHosts                   map[string]map[string]bool // list -> host -> listed (false: exempted)
	addresses                  map[string][]string        // list -> globs of addresses
	received                   map[string][]rcvdEntry     // list -> address glob and relay
	trusted, internal, msa     networks
	originating                []string
	envelopeHeader             string
	locales                    []string
	requiredScore              float64
	numbers                    map[string]float64
}

type rcvdEntry struct{ address, relay string }

func newConf() *conf {
	return &conf{
		tests: map[string]*test{}, scores: map[string][4]float64{}, describe: map[string]string{},
		tflags: map[string][]string{}, priority: map[string]int{},
		tags: map[string]string{}, pre: map[string]string{}, inter: map[string]string{}, post: map[string]string{},
		replace: map[string]bool{}, tagOpen: "<", tagClose: ">",
		plugins: map[string]bool{}, compat: map[string]bool{},
		settings: settings{
			tlds: map[string]bool{}, twoLevel: map[string]bool{}, threeLevel: map[string]bool{},
			freemail: map[string]bool{}, notFreemail: map[string]bool{},
			uriHosts: map[string]map[string]bool{}, addresses: map[string][]string{}, received: map[string][]rcvdEntry{},
			locales: []string{"all"}, requiredScore: 5,
			numbers: map[string]float64{"freemail_max_body_emails": 5, "freemail_max_body_freemails": 3, "freemail_skip_when_over_max": 1, "freemail_skip_bulk_envfrom": 1},
		},
	}
}

// reader reads rule files into a conf.
type reader struct {
	*conf
	file    string
	line    int
	depth   int // of includes
	lang    string
	answers map[string]bool // conditions already decided
}

// Bounds of what is read, so that no file exhausts memory.
const (
	maxFile    = 64 << 20
	maxInclude = 20
)

// read reads files and directories. Files that load plugins (*.pre) are read
// before all others, and what a directory holds in the order of names.
func (c *conf) read(paths []string, lang string) error {
	var first, rest []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return fmt.Errorf("reading rule files: %w", err)
		}
		names := []string{p}
		if info.IsDir() {
			entries, err := os.ReadDir(p)
			if err != nil {
				return fmt.Errorf("reading rule files: %w", err)
			}
			names = nil
			for _, e := range entries {
				if ext := filepath.Ext(e.Name()); (ext == ".cf" || ext == ".pre") && !strings.HasPrefix(e.Name(), ".") {
					names = append(names, filepath.Join(p, e.Name()))
				}
			}
			sort.Strings(names)
		}
		for _, name := range names {
			if filepath.Ext(name) == ".pre" {
				first = append(first, name)
			} else {
				rest = append(rest, name)
			}
		}
	}
	r := &reader{conf: c, lang: lang, answers: map[string]bool{}}
	for _, name := range first {
		if err := r.readFile(name); err != nil {
			return err
		}
	}
	if len(c.plugins) == 0 {
		for _, p := range defaultPlugins {
			c.plugins[p] = true
		}
	}
	for _, name := range rest {
		if err := r.readFile(name); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readFile(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("reading rule file: %w", err)
	}
	if info.Size() > maxFile {
		return fmt.Errorf("reading rule file %s: larger than %d bytes", name, maxFile)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading rule file: %w", err)
	}
	r.parse(name, string(text))
	return nil
}

// block is an if that has not ended yet.
type block struct {
	line     int
	skipping bool // what was being done around it
	text     string
}

// parse reads the lines of one file.
func (r *reader) parse(name, text string) {
	file, line := r.file, r.line
	r.file, r.line = name, 0
	defer func() { r.file, r.line = file, line }()
	var open []block
	skipping := false
	for raw := range strings.Lines(text) {
		r.line++
		key, value, ok := r.split(raw)
		if !ok {
			continue
		}
		switch key {
		case "if", "ifplugin":
			open = append(open, block{r.line, skipping, value})
			if !skipping && !r.condition(key, value) {
				skipping = true
			}
			continue
		case "else":
			switch {
			case len(open) == 0:
				r.fault("", "else without if")
			case open[len(open)-1].skipping: // around it nothing is read
			default:
				skipping = !skipping
			}
			continue
		case "endif":
			if len(open) == 0 {
				r.fault("", "endif without if")
				continue
			}
			skipping = open[len(open)-1].skipping
			open = open[:len(open)-1]
			continue
		}
		if skipping {
			continue
		}
		switch key {
		case "require_version":
			// Files say which release they were made for; they are read whatever it is.
		case "include":
			r.include(value)
		default:
			r.directive(key, value)
		}
	}
	for _, b := range open {
		r.line = b.line
		r.fault("", fmt.Sprintf("if without endif: %s", clip(b.text, 60)))
	}
}

// split takes comment and white space from a line, and its first word.
func (r *reader) split(line string) (key, value string, ok bool) {
	if i := strings.IndexByte(line, '#'); i >= 0 {
		var b strings.Builder
		for i := 0; i < len(line); i++ {
			if line[i] == '\\' && i+1 < len(line) && line[i+1] == '#' {
				b.WriteByte('#')
				i++
			} else if line[i] == '#' {
				break
			} else {
				b.WriteByte(line[i])
			}
		}
		line = b.String()
	}
	line = trim(line)
	if line == "" {
		return "", "", false
	}
	first, rest := splitWord(line)
	if first == "lang" {
		tag, rest := splitWord(rest)
		if !strings.HasPrefix(strings.ToLower(r.lang), strings.ToLower(tag)) || rest == "" {
			return "", "", false
		}
		first, value := splitWord(rest)
		return strings.ReplaceAll(strings.ToLower(first), "-", "_"), value, true
	}
	return strings.ReplaceAll(strings.ToLower(first), "-", "_"), rest, true
}

const white = " \t\n\v\f\r"

func trim(s string) string { return strings.Trim(s, white) }

// splitWord cuts the first word off a text without white space around it.
func splitWord(s string) (first, rest string) {
	i := strings.IndexAny(s, white)
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], white)
}

func (r *reader) include(value string) {
	if value == "" {
		r.fault("", "include without a file")
		return
	}
	if r.depth >= maxInclude {
		r.fault("", fmt.Sprintf("files included deeper than %d", maxInclude))
		return
	}
	if !filepath.IsAbs(value) {
		value = filepath.Join(filepath.Dir(r.file), value)
	}
	r.depth++
	defer func() { r.depth-- }()
	if err := r.readFile(value); err != nil {
		r.fault("", err.Error())
	}
}

// fault notes that a line, or the rule in it, can't be used.
func (r *reader) fault(name, reason string) {
	r.notes = append(r.notes, Entry{Rule: name, File: r.file, Line: r.line, Status: Refused, Reason: reason})
}

// ignored notes a line that has no meaning here.
func (r *reader) ignored(key, reason string) {
	r.notes = append(r.notes, Entry{Rule: key, File: r.file, Line: r.line, Status: Ignored, Reason: reason})
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}
