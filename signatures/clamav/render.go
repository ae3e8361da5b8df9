package clamav

import (
	"fmt"
	"strings"
)

// Limits of libyara 4.2. Its scanner keeps up to 8,192 bytes of a quoted string or
// a regular expression while it reads them, tells 128 alternatives apart, and has
// gaps of up to 32,767 bytes in regular expressions.
const (
	maxQuoted = 8000
	maxHex    = 32 << 10
	maxSplits = 100
	maxGap    = 32767
)

// modifiers are what surrounds the matching of a pattern.
type modifiers struct {
	nocase bool // ::i
	wide   bool // ::w
	ascii  bool // ::a
	whole  bool // ::f, delimited by what is neither letter nor digit
	loose  bool // a space is any white space: the pattern is for normalised text
}

// approximations
const (
	farGap     = "unlimited gap reaches 32,767 bytes"
	normalised = "written for normalised HTML or text"
	scanned    = "regular expression reaches 4,096 bytes"
)

// render writes a pattern as YARA strings, of which any is to match.
func render(p pattern, m modifiers) (strings []string, approximated []string, err error) {
	searched := p
	if m.loose {
		searched = nil
		for _, b := range p {
			if b.kind == literal && b.value == ' ' {
				b.mask = 0 // any white space
			}
			searched = append(searched, b)
		}
	}
	if run, total := searched.anchor(); run < 2 || run == 2 && total < 4 {
		return nil, nil, skip("too short to search for")
	}
	if p.splits() > maxSplits {
		return nil, nil, skip("too many alternatives")
	}
	text, isPlain := p.plain()
	// Normalised text has no control characters: only single spaces are loose.
	m.loose = m.loose && p.has(func(b piece) bool { return b.kind == literal && b.mask == 0xff && b.value == ' ' })
	simple := !m.nocase && !m.wide && !m.whole && !m.loose
	switch {
	case isPlain && !m.loose && !simple:
		s, err := quoted(text)
		if err != nil {
			return nil, nil, err
		}
		return []string{s + m.words(true)}, nil, nil
	case simple && !p.has(func(b piece) bool { return b.not }):
		var out hexWriter
		out.pattern(p)
		if out.Len() > maxHex {
			return nil, nil, skip("pattern too long")
		}
		return []string{"{" + out.String() + "}"}, nil, nil
	}
	if m.wide && m.whole {
		return nil, nil, skip("whole words in UTF-16 with wildcards")
	}
	// Wildcards are not doubled when a pattern is wide, so YARA's own word wide
	// would not do.
	readings := []pattern{p}
	if m.wide && m.ascii {
		readings = append(readings, p.widened())
	} else if m.wide {
		readings[0] = p.widened()
	}
	for _, r := range readings {
		out := regexWriter{loose: m.loose}
		if out.pattern(r); out.err != nil {
			return nil, nil, out.err
		}
		if out.Len() > maxQuoted {
			return nil, nil, skip("pattern too long")
		}
		flags := "s"
		if m.nocase {
			flags = "is"
		}
		strings = append(strings, "/"+out.String()+"/"+flags+m.words(false))
		if out.far {
			approximated = append(approximated, farGap)
		}
	}
	return strings, approximated, nil
}

// words are YARA's modifiers.
func (m modifiers) words(quoted bool) string {
	out := ""
	if quoted && m.nocase {
		out += " nocase"
	}
	if quoted && m.wide {
		out += " wide"
		if m.ascii {
			out += " ascii"
		}
	}
	if m.whole {
		out += " fullword"
	}
	return out
}

func quoted(b []byte) (string, error) {
	var out strings.Builder
	out.WriteByte('"')
	for _, c := range b {
		if isWord(c) || c == ' ' || c == '.' || c == '-' {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, `\x%02x`, c)
		}
	}
	out.WriteByte('"')
	if out.Len() > maxQuoted {
		return "", skip("pattern too long")
	}
	return out.String(), nil
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// A hexWriter writes YARA's hexadecimal strings.
type hexWriter struct{ strings.Builder }

func (w *hexWriter) pattern(p pattern) {
	for _, b := range p {
		switch b.kind {
		case literal:
			w.half(b.value>>4, b.mask>>4)
			w.half(b.value&15, b.mask&15)
			w.WriteByte(' ')
		case gap:
			switch {
			case b.max == unlimited && b.min == 0:
				w.WriteString("[-] ")
			case b.max == unlimited:
				fmt.Fprintf(w, "[%d-] ", b.min)
			case b.min == b.max:
				fmt.Fprintf(w, "[%d] ", b.min)
			default:
				fmt.Fprintf(w, "[%d-%d] ", b.min, b.max)
			}
		case choice:
			for i, branch := range b.branches {
				w.WriteByte("(|"[min(i, 1)])
				w.pattern(branch)
			}
			w.WriteString(") ")
		}
	}
}

func (w *hexWriter) half(value, mask byte) {
	if mask == 0 {
		w.WriteByte('?')
		return
	}
	w.WriteByte("0123456789abcdef"[value])
}

// A regexWriter writes YARA's regular expressions, with every quantifier reluctant:
// only so are long gaps found however far they reach, and greedy ones must not be
// mixed with them.
type regexWriter struct {
	strings.Builder
	loose bool
	far   bool // a gap was cut
	err   error
}

func (w *regexWriter) pattern(p pattern) {
	for _, b := range p {
		switch b.kind {
		case literal:
			switch {
			case b.mask == 0:
				w.WriteByte('.')
			case b.mask != 0xff:
				w.WriteByte('[')
				w.halves(b)
				w.WriteByte(']')
			case w.loose && b.value == ' ':
				w.WriteString(`\s{1,100}?`)
			default:
				w.byte(b.value)
			}
		case gap:
			high := b.max
			if high == unlimited {
				high, w.far = maxGap, true
			}
			if b.min > maxGap || high > maxGap {
				w.err = skip("gap too long for a regular expression")
			}
			if b.min == high {
				fmt.Fprintf(w, ".{%d}?", b.min)
			} else {
				fmt.Fprintf(w, ".{%d,%d}?", b.min, high)
			}
		case choice:
			w.choice(b)
		}
	}
}

func (w *regexWriter) choice(b piece) {
	single := true
	for _, branch := range b.branches {
		single = single && len(branch) == 1 && branch[0].kind == literal && branch[0].mask == 0xff
	}
	if single {
		w.WriteByte('[')
		if b.not {
			w.WriteByte('^')
		}
		for _, branch := range b.branches {
			w.byte(branch[0].value)
		}
		w.WriteByte(']')
		return
	}
	for i, branch := range b.branches {
		w.WriteByte("(|"[min(i, 1)])
		w.pattern(branch)
	}
	w.WriteByte(')')
}

func (w *regexWriter) byte(c byte) {
	if isWord(c) {
		w.WriteByte(c)
	} else {
		fmt.Fprintf(w, `\x%02x`, c)
	}
}

// halves lists the bytes that have the half that is known.
func (w *regexWriter) halves(b piece) {
	if b.mask == 0xf0 {
		fmt.Fprintf(w, `\x%02x-\x%02x`, b.value, b.value|15)
		return
	}
	for high := range byte(16) {
		fmt.Fprintf(w, `\x%02x`, high<<4|b.value)
	}
}
