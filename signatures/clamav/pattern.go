package clamav

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A piece is an element of a pattern: a byte, a gap, or a choice.
type piece struct {
	kind        pieceKind
	value, mask byte      // of a byte: the bits of mask count
	min, max    int       // of a gap, in bytes; max -1 is unlimited
	branches    []pattern // of a choice
	not         bool      // of a choice: any byte but those of its branches
}

type pieceKind byte

const (
	literal pieceKind = iota
	gap
	choice
)

// A pattern is what a hexadecimal signature says.
type pattern []piece

const (
	unlimited  = -1
	maxPieces  = 64 << 10
	maxNesting = 8
)

// parsePattern reads ClamAV's hexadecimal signatures: bytes with wildcards for
// either half, gaps {n} {n-m} {-n} {n-} * [n-m], and choices (aa|bb) and !(aa|bb).
func parsePattern(text string) (pattern, error) {
	p := patternParser{text: text}
	out, err := p.sequence(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(p.text) {
		return nil, fmt.Errorf("unexpected %q in the signature", p.text[p.at])
	}
	return trim(out)
}

type patternParser struct {
	text string
	at   int
	n    int
}

// sequence reads up to the end, or the | or ) that ends a branch.
func (p *patternParser) sequence(depth int) (pattern, error) {
	var out pattern
	for p.at < len(p.text) {
		if p.n++; p.n > maxPieces {
			return nil, skip("pattern too long")
		}
		switch c := p.text[p.at]; c {
		case '|', ')':
			if depth == 0 {
				return nil, fmt.Errorf("unexpected %q in the signature", c)
			}
			return out, nil
		case '*':
			p.at++
			out = append(out, piece{kind: gap, max: unlimited})
		case '{', '[':
			g, err := p.gap(c)
			if err != nil {
				return nil, err
			}
			out = append(out, g)
		case '(', '!':
			ch, err := p.choice(depth)
			if err != nil {
				return nil, err
			}
			out = append(out, ch)
		default:
			b, err := p.byte()
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
	}
	return out, nil
}

func (p *patternParser) byte() (piece, error) {
	if p.at+2 > len(p.text) {
		return piece{}, errors.New("half a byte at the end of the signature")
	}
	var out piece
	for _, c := range []byte(p.text[p.at : p.at+2]) {
		out.value, out.mask = out.value<<4, out.mask<<4
		switch {
		case c == '?':
		case c >= '0' && c <= '9':
			out.value, out.mask = out.value|(c-'0'), out.mask|0xf
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			out.value, out.mask = out.value|(c|0x20-'a'+10), out.mask|0xf
		default:
			return piece{}, fmt.Errorf("%q is not a hexadecimal digit", c)
		}
	}
	p.at += 2
	return out, nil
}

// gap reads {n} {n-m} {-n} {n-} or [n-m].
func (p *patternParser) gap(open byte) (piece, error) {
	closing := map[byte]string{'{': "}", '[': "]"}[open]
	end := strings.Index(p.text[p.at:], closing)
	if end < 0 {
		return piece{}, fmt.Errorf("%q is not closed", open)
	}
	text := p.text[p.at+1 : p.at+end]
	p.at += end + 1
	low, high, ranged := strings.Cut(text, "-")
	out := piece{kind: gap}
	var err error
	if low != "" || !ranged {
		if out.min, err = number(low); err != nil {
			return piece{}, err
		}
	}
	switch {
	case !ranged:
		out.max = out.min
	case high == "":
		if low == "" {
			return piece{}, errors.New("gap without a number")
		}
		out.max = unlimited
	default:
		if out.max, err = number(high); err != nil {
			return piece{}, err
		}
		if out.max < out.min {
			return piece{}, errors.New("gap whose end is before its beginning")
		}
	}
	return out, nil
}

// number reads a decimal number that is no offset beyond any file.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || n > math.MaxInt32/4 {
		return 0, fmt.Errorf("%.20q is not a number, or too great", s)
	}
	return int(n), nil
}

func (p *patternParser) choice(depth int) (piece, error) {
	out := piece{kind: choice}
	if p.text[p.at] == '!' {
		out.not = true
		p.at++
	}
	rest := p.text[p.at:]
	if !strings.HasPrefix(rest, "(") {
		return piece{}, errors.New("! without a choice")
	}
	for _, class := range []string{"(B)", "(L)", "(W)"} {
		if strings.HasPrefix(rest, class) {
			return piece{}, skip("boundary of a word or line")
		}
	}
	if depth == maxNesting {
		return piece{}, skip("choices nested too deep")
	}
	for {
		p.at++ // ( or |
		branch, err := p.sequence(depth + 1)
		if err != nil {
			return piece{}, err
		}
		if len(branch) == 0 {
			return piece{}, errors.New("empty branch of a choice")
		}
		if p.at == len(p.text) {
			return piece{}, errors.New("choice is not closed")
		}
		if branch, err = trim(branch); err != nil {
			return piece{}, err
		}
		for _, b := range branch {
			if b.kind == gap && (b.max == unlimited || b.max > 127) {
				return piece{}, skip("long gap inside a choice")
			}
			if out.not && (len(branch) > 1 || b.kind != literal || b.mask != 0xff) {
				return piece{}, skip("negated choice of more than single bytes")
			}
		}
		out.branches = append(out.branches, branch)
		if p.text[p.at] == ')' {
			p.at++
			return out, nil
		}
	}
}

// trim joins gaps that are neighbours, and makes the fixed ones at the ends bytes
// of any value, since YARA has no gaps there.
func trim(in pattern) (pattern, error) {
	var out pattern
	for _, p := range in {
		if p.kind == gap && p.max == 0 {
			continue
		}
		if p.kind == gap && len(out) > 0 && out[len(out)-1].kind == gap {
			last := &out[len(out)-1]
			if last.min += p.min; last.max == unlimited || p.max == unlimited {
				last.max = unlimited
			} else {
				last.max += p.max
			}
			if last.min > math.MaxInt32/4 || last.max > math.MaxInt32/4 {
				return nil, errors.New("gaps are too great")
			}
			continue
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, errors.New("empty signature")
	}
	for _, end := range []int{0, len(out) - 1} {
		if g := out[end]; g.kind == gap && (g.min != g.max || g.min > 128) {
			return nil, skip("gap at the end of a pattern")
		}
	}
	var whole pattern
	for i, p := range out {
		if p.kind == gap && (i == 0 || i == len(out)-1) {
			for range p.min {
				whole = append(whole, piece{})
			}
			continue
		}
		whole = append(whole, p)
	}
	return whole, nil
}

// plain returns the bytes of a pattern that is nothing else.
func (p pattern) plain() ([]byte, bool) {
	var out []byte
	for _, b := range p {
		if b.kind != literal || b.mask != 0xff {
			return nil, false
		}
		out = append(out, b.value)
	}
	return out, true
}

// has tells whether a piece satisfies f, in branches too.
func (p pattern) has(f func(piece) bool) bool {
	for _, b := range p {
		if f(b) {
			return true
		}
		for _, branch := range b.branches {
			if branch.has(f) {
				return true
			}
		}
	}
	return false
}

// anchor is the length of the longest run of known bytes that every match has, by
// which a scanner can search for it, and how many known bytes there are in all.
func (p pattern) anchor() (run, total int) {
	now := 0
	for _, b := range p {
		if b.kind == literal && b.mask == 0xff {
			now++
			total++
			run = max(run, now)
			continue
		}
		now = 0
		if b.kind == choice && !b.not {
			least, sum := math.MaxInt, math.MaxInt
			for _, branch := range b.branches {
				r, t := branch.anchor()
				least, sum = min(least, r), min(sum, t)
			}
			run, total = max(run, least), total+sum
		}
	}
	return run, total
}

// splits is about how many alternatives libyara has to keep apart.
func (p pattern) splits() int {
	n := 0
	for _, b := range p {
		n += len(b.branches)
		for _, branch := range b.branches {
			n += branch.splits()
		}
	}
	return n
}

// widened puts a zero after every known byte.
func (p pattern) widened() pattern {
	var out pattern
	for _, b := range p {
		for i, branch := range b.branches {
			if i == 0 {
				b.branches = append([]pattern(nil), b.branches...)
			}
			b.branches[i] = branch.widened()
		}
		out = append(out, b)
		if b.kind == literal && b.mask != 0 {
			out = append(out, piece{mask: 0xff})
		}
	}
	return out
}
