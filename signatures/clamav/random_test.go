package clamav

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
)

// A maker makes signatures and files at random that ClamAV takes too.
type maker struct{ *rand.Rand }

func newMaker(seed uint64) maker { return maker{rand.New(rand.NewPCG(seed, 77))} }

const alphabet = "abcdefghABCDEFGH01 \x90\xfe\x00"

func (m maker) letter() byte { return alphabet[m.IntN(len(alphabet))] }

// word is three to five known bytes.
func (m maker) word() (pattern string, instance []byte) {
	for range 3 + m.IntN(3) {
		c := m.letter()
		pattern += fmt.Sprintf("%02x", c)
		instance = append(instance, c)
	}
	return pattern, instance
}

func (m maker) filler(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = "xyz.\x01\xff"[m.IntN(6)]
	}
	return out
}

// pattern makes a signature and bytes that it matches.
func (m maker) pattern() (text string, instance []byte) {
	text, instance = m.word()
	gap := func(open string, n int) {
		w, i := m.word()
		text += open + w
		instance = append(append(instance, m.filler(n)...), i...)
	}
	for range m.IntN(4) {
		c, d := m.letter(), m.letter()
		switch m.IntN(12) {
		case 0:
			gap("??", 1)
		case 1:
			text += fmt.Sprintf("%x?", c>>4)
			instance = append(instance, c&0xf0|7)
			gap("", 0)
		case 2:
			text += fmt.Sprintf("?%x", c&15)
			instance = append(instance, c&15|0x60)
			gap("", 0)
		case 3:
			text += fmt.Sprintf("(%02x|%02x)", c, d)
			instance = append(instance, d)
			gap("", 0)
		case 4:
			text += fmt.Sprintf("!(%02x|%02x)", c, d)
			instance = append(instance, 'q')
			gap("", 0)
		case 5:
			a, _ := m.word()
			b, i := m.word()
			text += "(" + a + "|" + b + ")"
			instance = append(instance, i...)
			gap("", 0)
		case 6:
			n := 1 + m.IntN(6)
			gap(fmt.Sprintf("{%d}", n), n)
		case 7:
			n := m.IntN(4)
			gap(fmt.Sprintf("{%d-%d}", n, n+1+m.IntN(5)), n+1)
		case 8:
			n := 1 + m.IntN(6)
			gap(fmt.Sprintf("{-%d}", n), n)
		case 9:
			n := 1 + m.IntN(6)
			gap(fmt.Sprintf("{%d-}", n), n+m.IntN(300))
		case 10:
			gap("*", m.IntN(600))
		case 11:
			text += fmt.Sprintf("{%d-%d}", 1, 400)
			instance = append(instance, m.filler(1+m.IntN(380))...)
			gap("", 0)
		}
	}
	return text, instance
}

// changed is data with a byte more, less, or different.
func (m maker) changed(data []byte) []byte {
	out := bytes.Clone(data)
	i := m.IntN(len(out))
	switch m.IntN(4) {
	case 0:
		out[i] ^= 0x20
	case 1:
		out = append(out[:i], out[i+1:]...)
	case 2:
		out = append(out[:i], append([]byte{'!'}, out[i:]...)...)
	}
	return out
}

// extended makes a line of an .ndb file and a file that may contain it.
func (m maker) extended(i int) (line string, file []byte) {
	text, instance := m.pattern()
	before, after := m.filler(m.IntN(40)), m.filler(m.IntN(40))
	instance = m.changed(instance)
	offset := "*"
	const head = 16 // bytes that keep the file from being text
	switch m.IntN(6) {
	case 0:
		offset = fmt.Sprint(head + len(before))
	case 1:
		offset = fmt.Sprintf("%d,%d", head+len(before)-m.IntN(4), m.IntN(5))
	case 2:
		offset = fmt.Sprintf("EOF-%d", len(instance)+len(after))
	case 3:
		offset = fmt.Sprintf("EOF-%d,%d", len(instance)+len(after)+m.IntN(4), m.IntN(5))
	}
	return fmt.Sprintf("Ndb.%d:0:%s:%s", i, offset, text), m.file(before, instance, after)
}

func (m maker) file(parts ...[]byte) []byte {
	return append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x00\x00\x00\x00\x00"), bytes.Join(parts, nil)...)
}

// logical makes a line of an .ldb file and a file that may contain it.
func (m maker) logical(i int) (line string, file []byte) {
	n := 2 + m.IntN(3)
	subs, parts := []string{}, [][]byte{}
	for range n {
		text, instance := m.pattern()
		if m.IntN(2) == 0 {
			// In ClamAV a pattern with modifiers may have no negated choices.
			text, instance = m.word()
			switch m.IntN(6) {
			case 0:
				text, instance = text+"::i", upper(instance)
			case 1:
				text, instance = text+"::w", widen(instance)
			case 2:
				text += "::wa"
			case 3:
				text, instance = text+"::wa", widen(instance)
			case 4:
				text += "::f"
			case 5:
				text, instance = text+"::iwa", upper(widen(instance))
			}
		}
		subs = append(subs, text)
		for range m.IntN(4) {
			parts = append(parts, m.filler(m.IntN(30)), instance, m.filler(1+m.IntN(10)))
		}
	}
	return fmt.Sprintf("Ldb.%d;Engine:81-255,Target:0;%s;%s", i, m.useful(n), strings.Join(subs, ";")), m.file(parts...)
}

// upper is bytes.ToUpper for bytes that are no UTF-8.
func upper(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if c >= 'a' && c <= 'z' {
			out[i] -= 'a' - 'A'
		}
	}
	return out
}

func widen(b []byte) []byte {
	var out []byte
	for _, c := range b {
		out = append(out, c, 0)
	}
	return out
}

// useful makes an expression over n subsignatures, all numbers of which it may
// use, that nothing at all does not satisfy.
func (m maker) useful(n int) string {
	for {
		e := m.expression(n) + fmt.Sprintf("%s%d", []string{"&", "|", "|"}[m.IntN(3)], n-1)
		if t, err := parseTerm(e, n); err != nil {
			panic(err)
		} else if !byNothing(t) {
			return e
		}
	}
}

// byNothing tells whether a term holds when no subsignature is found.
func byNothing(t *term) bool {
	switch {
	case t.mod == '=':
		return t.count == 0 && t.different == 0
	case t.mod == '<':
		return t.count > 0 && t.different == 0
	case t.mod == '>' || t.op == 0:
		return false
	case t.op == '|':
		return byNothing(t.left) || byNothing(t.right)
	}
	return byNothing(t.left) && byNothing(t.right)
}

// expression makes an expression over n subsignatures.
func (m maker) expression(n int) string {
	one := func() string {
		t := fmt.Sprint(m.IntN(n))
		switch m.IntN(5) {
		case 0:
			t += fmt.Sprintf("=%d", m.IntN(3))
		case 1:
			t += fmt.Sprintf(">%d", m.IntN(2))
		case 2:
			t += fmt.Sprintf("<%d", 1+m.IntN(3))
		}
		return t
	}
	block := func() string {
		op := []string{"&", "|"}[m.IntN(2)]
		t := "(0" + op + "1)"
		switch m.IntN(4) {
		case 0:
			return t + fmt.Sprintf("=%d", m.IntN(4))
		case 1:
			return t + fmt.Sprintf(">%d", m.IntN(3))
		case 2:
			return t + fmt.Sprintf(">%d,%d", m.IntN(3), 1+m.IntN(2))
		}
		return t
	}
	op := func() string { return []string{"&", "|"}[m.IntN(2)] }
	switch m.IntN(5) {
	case 0:
		return one()
	case 1:
		return one() + op() + one()
	case 2:
		return block()
	case 3:
		return block() + op() + one()
	}
	return one() + op() + one() + op() + one()
}
