package document

import (
	"bytes"
	"strings"
)

// Bounds of one script.
const (
	scriptPieces = 100_000 // literals looked at
	scriptGap    = 48      // bytes between two pieces of one text
)

// script looks for the texts that one script may decode.
func (h *page) script(plain []byte) error {
	if err := h.j.Check(); err != nil {
		return err
	}
	for _, run := range h.literals(plain) {
		if h.files >= htmlFiles {
			break
		}
		if err := h.payload(run); err != nil {
			return err
		}
	}
	if h.files < htmlFiles {
		return h.numbers(plain)
	}
	return nil
}

// doing notes whether a script builds a file and whether it saves one.
func (h *page) doing(b []byte) {
	// Names may be put together of pieces: "cre"+"ateObje"+'ctURL'.
	joined := joinPieces(shortened(b))
	lower := lowered(joined)
	has := func(words ...string) bool {
		for _, w := range words {
			if bytes.Contains(lower, []byte(w)) {
				return true
			}
		}
		return false
	}
	h.builds = h.builds || has("blob(", "blob]", "\"blob\"", "'blob'", "createobjecturl", "mssaveoropenblob", "mssaveblob", "data:application", "showsavefilepicker", "new file(")
	h.saves = h.saves || has("mssaveoropenblob", "mssaveblob", "showsavefilepicker", "saveas(") ||
		has(".download", "'download'", "\"download\"") && has("click", "dispatchevent") ||
		has("createobjecturl") && has("location", "window.open", ".src")
	if h.name == "" {
		for _, w := range []string{".download", "'download'", "\"download\"", "mssaveoropenblob", "mssaveblob"} {
			if i := bytes.Index(lower, []byte(w)); i >= 0 {
				if name := firstString(joined[i+len(w) : min(len(joined), i+len(w)+120)]); name != "" {
					h.name = name
					break
				}
			}
		}
	}
}

// lowered is b with letters of ASCII in lower case.
func lowered(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c | 0x20
		}
	}
	return out
}

// firstString is the first short string literal that looks like a file name.
func firstString(b []byte) string {
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\"'`;")
		if i < 0 || b[i] == ';' {
			return ""
		}
		k := bytes.IndexByte(b[i+1:], b[i])
		if k < 0 {
			return ""
		}
		if s := string(b[i+1 : i+1+k]); strings.Contains(s, ".") && len(s) < 100 {
			return s
		}
		b = b[i+k+2:]
	}
	return ""
}

// shortened leaves out most of what looks like an encoded file.
func shortened(b []byte) []byte {
	out := make([]byte, 0, min(len(b), 64<<10))
	run := 0
	for _, c := range b {
		if base64Values[c] < 64 {
			run++
		} else {
			run = 0
		}
		if run < 200 {
			out = append(out, c)
		}
	}
	return out
}

// joinPieces undoes the concatenation of literals: 'a'+'b' becomes 'ab'.
func joinPieces(b []byte) []byte {
	if bytes.IndexByte(b, '+') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '"' || c == '\'' || c == '`' {
			k := i + 1
			for k < len(b) && k < i+64 && pdfSpace(b[k]) {
				k++
			}
			if k < len(b) && b[k] == '+' {
				k++
				for k < len(b) && k < i+64 && pdfSpace(b[k]) {
					k++
				}
				if k < len(b) && (b[k] == '"' || b[k] == '\'' || b[k] == '`') && len(out) > 0 {
					i = k
					continue
				}
			}
		}
		out = append(out, c)
	}
	return out
}

// unescapeScript undoes \x41 and \u0041; unless all are to go, those stay that
// would end a literal or a line.
func unescapeScript(b []byte, all bool) []byte {
	if !bytes.Contains(b, []byte(`\x`)) && !bytes.Contains(b, []byte(`\u`)) {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		digits := 0
		switch b[i+1] {
		case 'x':
			digits = 2
		case 'u':
			digits = 4
		}
		n, k := 0, 0
		for k < digits && i+2+k < len(b) && hexDigit(b[i+2+k]) >= 0 {
			n = n<<4 | hexDigit(b[i+2+k])
			k++
		}
		if digits == 0 || k < digits {
			out = append(out, b[i], b[i+1])
			i++
			continue
		}
		switch {
		case !all && (n < ' ' || n == '"' || n == '\'' || n == '\\' || n == '`'):
			out = append(out, b[i:i+2+digits]...)
		case n > 0xff:
			out = append(out, string(rune(n))...)
		default:
			out = append(out, byte(n))
		}
		i += 1 + digits
	}
	return out
}

// literals are the long texts in a script: string literals, those joined that
// stand next to each other in a concatenation, an array or a row of assignments.
func (h *page) literals(b []byte) [][]byte {
	var runs [][]byte
	var run []byte
	shared := false // run is a slice of b still
	last, pieces := -scriptGap*2, 0
	close := func() {
		if len(run) >= htmlSmall {
			runs = append(runs, run)
		}
		run = nil
	}
	for i := 0; i < len(b) && pieces < scriptPieces; i++ {
		q := b[i]
		if q != '"' && q != '\'' && q != '`' {
			continue
		}
		start := i + 1
		end := start
		for end < len(b) && b[end] != q {
			if b[end] == '\\' {
				end++
			}
			if end < len(b) && b[end] == '\n' && q != '`' && b[end-1] != '\\' {
				break
			}
			end++
		}
		end = min(end, len(b))
		if end < len(b) && b[end] == '\n' {
			i = start - 1 // an apostrophe in a comment
			if k := bytes.IndexByte(b[i:], '\n'); k > 0 {
				i += k
			}
			continue
		}
		text := b[start:end]
		if pieces++; len(text) >= pieceLeast && len(text) <= pieceMost && len(h.pieces) < scriptPieces && h.builds {
			h.pieces = append(h.pieces, text)
		}
		if i-last > scriptGap || !linked(b[max(0, last):i]) {
			close()
		}
		if run == nil {
			run, shared = text, true
		} else {
			if shared {
				run, shared = bytes.Clone(run), false
			}
			run = append(run, text...)
		}
		last, i = end+1, end
	}
	close()
	return runs
}

// linked says whether what is between two literals makes one text of them.
func linked(gap []byte) bool {
	return bytes.ContainsAny(gap, "+,") || len(bytes.TrimSpace(gap)) == 0 || bytes.Contains(gap, []byte("concat")) || bytes.Contains(gap, []byte("push"))
}
