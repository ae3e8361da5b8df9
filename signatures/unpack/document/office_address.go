package document

import (
	"bytes"
	"strings"
)

// webAddresses are at most so many addresses of the web in b.
func webAddresses(b []byte, most int) []string {
	var list []string
	for at, tries := 0, 0; tries < 4096 && len(list) < most; tries++ {
		i := bytes.Index(b[at:], []byte("://"))
		if i < 0 {
			break
		}
		i += at
		at = i + 3
		head := strings.ToLower(string(b[max(0, i-5):i]))
		scheme := ""
		for _, s := range []string{"https", "http", "ftp"} {
			if strings.HasSuffix(head, s) {
				scheme = s
				break
			}
		}
		if scheme == "" {
			continue
		}
		end := at
		for end < len(b) && end-at < 2000 && b[end] > ' ' && b[end] != 0x7f && strings.IndexByte("\"'<>()", b[end]) < 0 {
			end++
		}
		if end-at >= 4 {
			list = append(list, string(b[i-len(scheme):end]))
		}
		at = end
	}
	return list
}

// addressIn is the first address in a text, "" for none.
func addressIn(s string) string {
	if list := webAddresses([]byte(s), 1); len(list) > 0 {
		return list[0]
	}
	return ""
}

// ddeCell is the formula in a line of a table that starts another program,
// program|topic!item after a sign that begins formulas; "" for none.
func ddeCell(b []byte) string {
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '|')
		if i < 0 {
			return ""
		}
		i += at
		at = i + 1
		word := i
		for word > 0 && i-word < 40 && (letter(b[word-1]) || b[word-1] >= '0' && b[word-1] <= '9' || b[word-1] == '.') {
			word--
		}
		if i-word < 2 || !letter(b[word]) {
			continue
		}
		from := max(0, word-200)
		sign := bytes.LastIndexAny(b[from:word], "=+-@|!\"<>\r\n")
		if sign < 0 || strings.IndexByte("=+-@", b[from+sign]) < 0 {
			continue
		}
		rest := b[at:min(len(b), at+400)]
		bang := bytes.IndexAny(rest, "!|\r\n")
		if bang < 1 || rest[bang] != '!' || bang+1 >= len(rest) {
			continue
		}
		if c := rest[bang+1]; letter(c) || c >= '0' && c <= '9' || c == '\'' || c == '"' {
			return string(b[from+sign : at+bang+2])
		}
	}
}
