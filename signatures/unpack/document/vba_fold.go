package document

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// A folding is what the constant expressions of macros come to.
type folding struct {
	text   []byte   // one line for each expression that was more than a literal
	blobs  [][]byte // what long hexadecimal and base64 literals decode to, where that is text or a program
	hidden string   // how the text is hidden; "" if it is not
}

// fold works out string expressions of literals, Chr, StrReverse, Replace and
// variables that were given such values, statement by statement. It does not
// follow control flow: what it finds is evidence, not what will run.
func fold(j *format.Job, text []byte) folding {
	f := folder{j: j, values: map[string]string{}}
	for line := range strings.Lines(string(text)) {
		if f.out.Len() > 1<<20 || f.work > mostWork || f.work>>16 != f.checked && j.Check() != nil {
			break
		}
		f.checked = f.work >> 16
		f.work += len(line)
		f.statement(strings.TrimSpace(line))
	}
	r := folding{text: []byte(f.out.String()), blobs: f.blobs}
	switch {
	case f.chrs >= 10:
		r.hidden = "Chr"
	case f.reversed > 0:
		r.hidden = "StrReverse"
	case f.blobHidden:
		r.hidden = "encoded text"
	}
	return r
}

type folder struct {
	j          *format.Job
	values     map[string]string
	out        strings.Builder
	blobs      [][]byte
	chrs       int // calls of Chr with a constant in concatenations
	reversed   int
	blobHidden bool
	work       int
	checked    int

	s     string // the statement
	at    int
	parts int // operands that the expression had
	depth int
}

const (
	longest  = 1 << 16 // bytes of a value that are kept
	mostWork = 8 << 20 // bytes of values and statements that are worked on
)

// statement works out the expression after an = or, without one, each in the
// statement.
func (f *folder) statement(s string) {
	f.s, f.at = s, 0
	target := ""
	if i := strings.IndexByte(s, '='); i > 0 && !strings.ContainsAny(s[:i], `"(`) {
		words := strings.Fields(s[:i])
		if n := len(words); n > 0 && n <= 5 {
			target = strings.ToLower(words[n-1])
			f.at = i + 1
		}
	}
	first := true
	for f.at < len(f.s) && f.work < mostWork {
		before := f.at
		f.parts = 0
		value, ok := f.expression()
		if ok && f.parts > 1 && len(value) > 3 && f.out.Len() < 1<<20 {
			f.out.WriteString(value)
			f.out.WriteByte('\n')
		}
		if ok && first && target != "" && len(f.values) < 4096 && len(value) < longest {
			f.values[target] = value
			f.work += len(value)
		}
		first = false
		if f.at <= before {
			f.at = before + 1
		}
	}
}

// expression is a concatenation.
func (f *folder) expression() (string, bool) {
	if f.depth++; f.depth > 32 {
		f.depth--
		return "", false
	}
	defer func() { f.depth-- }()
	value, ok := f.operand()
	if !ok {
		return "", false
	}
	var all strings.Builder
	all.WriteString(value)
	for {
		at := f.at
		f.space()
		if f.at >= len(f.s) || f.s[f.at] != '&' && f.s[f.at] != '+' {
			f.at = at
			return all.String(), true
		}
		f.at++
		next, ok := f.operand()
		if !ok {
			// What follows is not constant: the known beginning counts.
			return all.String(), true
		}
		if all.Len() < longest {
			all.WriteString(next)
		}
		f.work += len(next)
	}
}

func (f *folder) space() {
	for f.at < len(f.s) && (f.s[f.at] == ' ' || f.s[f.at] == '\t') {
		f.at++
	}
}

// operand is a literal, a call of a function that is known, or a variable.
func (f *folder) operand() (string, bool) {
	f.space()
	if f.at >= len(f.s) || f.work > mostWork {
		return "", false
	}
	switch b := f.s[f.at]; {
	case b == '"':
		f.parts++
		return f.literal(), true
	case b == '(':
		f.at++
		value, ok := f.expression()
		f.accept(')')
		return value, ok
	case !letter(b):
		return "", false
	}
	start := f.at
	for f.at < len(f.s) && (letter(f.s[f.at]) || f.s[f.at] >= '0' && f.s[f.at] <= '9' || f.s[f.at] == '$' || f.s[f.at] == '.') {
		f.at++
	}
	name := strings.ToLower(strings.TrimPrefix(strings.TrimSuffix(f.s[start:f.at], "$"), "VBA."))
	call := f.at < len(f.s) && f.s[f.at] == '('
	switch {
	case call && (name == "chr" || name == "chrw" || name == "chrb" || name == "char"):
		f.at++
		n, ok := f.number()
		if !ok || !f.accept(')') {
			return "", false
		}
		f.parts += 2
		// Line ends, tabs, quotation marks, and letters beyond ASCII are written so by
		// honest people.
		if n >= 32 && n < 127 && n != '"' {
			f.chrs++
		}
		return string(rune(n & 0xFFFF)), true
	case call && name == "strreverse":
		f.at++
		value, ok := f.expression()
		f.accept(')')
		if !ok {
			return "", false
		}
		f.parts += 2
		f.reversed++
		return reverse(value), true
	case call && name == "replace":
		return f.replace()
	case name == "vbcrlf" || name == "vbnewline":
		return "\r\n", true
	case name == "vbcr" || name == "vblf":
		return "\n", true
	case name == "vbtab":
		return "\t", true
	case !call:
		if value, ok := f.values[name]; ok {
			f.parts++
			f.work += len(value)
			return value, true
		}
	}
	return "", false
}

// replace is Replace(text, what, by).
func (f *folder) replace() (string, bool) {
	f.at++
	var args [3]string
	for i := range args {
		value, ok := f.expression()
		if !ok {
			return "", false
		}
		args[i] = value
		if i < 2 && !f.accept(',') {
			return "", false
		}
	}
	f.accept(')')
	f.parts += 2
	if args[1] == "" || len(args[0])*(1+len(args[2])) > 1<<20 {
		return args[0], true
	}
	value := strings.ReplaceAll(args[0], args[1], args[2])
	f.work += len(value)
	return value[:min(len(value), longest)], true
}

func (f *folder) accept(b byte) bool {
	f.space()
	if f.at < len(f.s) && f.s[f.at] == b {
		f.at++
		return true
	}
	return false
}

// number is a sum, difference or exclusive or of constants, from left to right.
func (f *folder) number() (int, bool) {
	n, ok := f.constant()
	for ok {
		f.space()
		rest := f.s[f.at:]
		var next int
		switch {
		case strings.HasPrefix(rest, "+"):
			f.at++
			next, ok = f.constant()
			n += next
		case strings.HasPrefix(rest, "-"):
			f.at++
			next, ok = f.constant()
			n -= next
		case len(rest) > 3 && strings.EqualFold(rest[:3], "xor"):
			f.at += 3
			next, ok = f.constant()
			n ^= next
		default:
			return n, n >= 0 && n < 1<<16
		}
	}
	return 0, false
}

func (f *folder) constant() (int, bool) {
	f.space()
	base, start := 10, f.at
	if rest := f.s[f.at:]; len(rest) > 2 && strings.EqualFold(rest[:2], "&h") {
		base, start = 16, f.at+2
		f.at = start
	}
	for f.at < len(f.s) && (f.s[f.at] >= '0' && f.s[f.at] <= '9' || base == 16 && strings.IndexByte("abcdefABCDEF", f.s[f.at]) >= 0) {
		f.at++
	}
	n, err := strconv.ParseInt(f.s[start:f.at], base, 32)
	if err != nil {
		return 0, false
	}
	if f.at < len(f.s) && (f.s[f.at] == '&' || f.s[f.at] == '%' || f.s[f.at] == '#') {
		f.at++
	}
	return int(n), true
}

// literal reads a string in quotation marks and keeps what it decodes to.
func (f *folder) literal() string {
	var b strings.Builder
	for f.at++; f.at < len(f.s); f.at++ {
		if f.s[f.at] == '"' {
			if f.at+1 >= len(f.s) || f.s[f.at+1] != '"' {
				f.at++
				break
			}
			f.at++
		}
		b.WriteByte(f.s[f.at])
	}
	value := b.String()
	if blob, ok := decoded(value); ok && len(f.blobs) < 16 {
		c := conduct(f.j, blob)
		if format.Detect(blob) == "application/x-msdownload" || c.download != "" || c.execute != "" || addressIn(string(blob[:min(len(blob), 64<<10)])) != "" {
			f.blobHidden = true
			f.blobs = append(f.blobs, blob)
		}
	}
	return value
}

// decoded is what a literal of at least 24 hexadecimal or base64 characters stands
// for. UTF-16 text, which PowerShell takes, loses its zeros.
func decoded(s string) ([]byte, bool) {
	if len(s) < 24 || strings.ContainsAny(s, " .:\\") {
		return nil, false
	}
	if b, err := hex.DecodeString(s); err == nil {
		return narrow(b), true
	}
	if b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "=")); err == nil {
		return narrow(b), true
	}
	return nil, false
}

// narrow drops the zeros of UTF-16 text in ASCII.
func narrow(b []byte) []byte {
	if len(b) < 4 || len(b)%2 != 0 || b[1] != 0 || b[3] != 0 {
		return b
	}
	out := make([]byte, 0, len(b)/2)
	for i := 0; i < len(b); i += 2 {
		if b[i+1] != 0 {
			return b
		}
		out = append(out, b[i])
	}
	return out
}

func letter(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' || b >= 0x80
}

func reverse(s string) string {
	r := []rune(s)
	for i, k := 0, len(r)-1; i < k; i, k = i+1, k-1 {
		r[i], r[k] = r[k], r[i]
	}
	return string(r)
}
