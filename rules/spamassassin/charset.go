package spamassassin

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

func itoa(i int) string { return strconv.Itoa(i) }

// decode undoes the transfer encoding of a leaf.
func (e *entity) decode() string {
	if e.decoded != nil {
		return *e.decoded
	}
	text := strings.Join(e.lines, "")
	switch strings.ToLower(e.last("content-transfer-encoding")) {
	case "quoted-printable":
		text = strings.ReplaceAll(decodeQuoted(text), "\r\n", "\n")
	case "base64":
		text = decodeBase64(text)
		if strings.HasPrefix(e.kind, "text/") || strings.HasPrefix(e.kind, "message/") {
			text = strings.ReplaceAll(text, "\r\n", "\n")
		}
	}
	e.decoded = &text
	return text
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// decodeQuoted undoes quoted-printable: white space at line ends goes, then
// soft line breaks, then encoded bytes.
func decodeQuoted(s string) string {
	if !strings.ContainsAny(s, "= \t") {
		return s
	}
	b := make([]byte, 0, len(s))
	for line := range strings.Lines(s) {
		end := ""
		if strings.HasSuffix(line, "\r\n") {
			line, end = line[:len(line)-2], "\r\n"
		} else if strings.HasSuffix(line, "\n") {
			line, end = line[:len(line)-1], "\n"
		}
		if end != "" {
			line = strings.TrimRight(line, " \t")
			if strings.HasSuffix(line, "=") {
				line, end = line[:len(line)-1], ""
			}
		}
		for i := 0; i < len(line); i++ {
			if line[i] == '=' && i+2 < len(line) {
				if hi, lo := hexDigit(line[i+1]), hexDigit(line[i+2]); hi >= 0 && lo >= 0 {
					b = append(b, byte(hi<<4|lo))
					i += 2
					continue
				}
			}
			b = append(b, line[i])
		}
		b = append(b, end...)
	}
	return string(b)
}

// decodeBase64 ignores what is no base64 and goes on behind padding.
func decodeBase64(s string) string {
	clean := make([]byte, 0, len(s))
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '=' {
			clean = append(clean, c)
		}
	}
	for len(clean) > 0 && clean[len(clean)-1] == '=' {
		clean = clean[:len(clean)-1]
	}
	for i := range clean {
		if clean[i] == '=' {
			clean[i] = 'A'
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
	n, _ := base64.RawStdEncoding.Decode(out, clean)
	return string(out[:n])
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// charsetOf finds a character set by the name that mail gives it; nil if it is
// not known.
func charsetOf(name string) encoding.Encoding {
	lower := strings.ToLower(name)
	switch lower {
	case "gb2312", "gb_2312-80", "euc-cn", "csgb2312", "gb2312-80":
		return chinese{}
	case "iso-8859-1", "iso8859-1", "windows-1252", "cp1252":
		return charmap.Windows1252
	case "utf-8", "utf8":
		return unicode.UTF8
	case "gb18030", "gb-18030", "gb 18030":
		lower = "gbk"
	case "ks_c_5601-1987":
		lower = "euc-kr"
	case "latin1":
		return charmap.ISO8859_1
	}
	if n, ok := strings.CutPrefix(lower, "cp125"); ok {
		lower = "windows-125" + n
	}
	if e, err := ianaindex.MIME.Encoding(lower); err == nil && e != nil {
		return e
	}
	if e, err := ianaindex.IANA.Encoding(lower); err == nil && e != nil {
		return e
	}
	return nil
}

// chinese is GB 2312 and nothing of what was added to it later: rules were
// weighed with texts decoded so.
type chinese struct{ encoding.Encoding }

func (chinese) NewDecoder() *encoding.Decoder {
	return &encoding.Decoder{Transformer: chineseDecoder{}}
}

type chineseDecoder struct{ transform.NopResetter }

// Transform decodes pairs of bytes from A1 to FE; any other byte above ASCII
// is an error of its own.
func (chineseDecoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	for nSrc < len(src) {
		r, n := rune(src[nSrc]), 1
		if r >= 0x80 {
			if nSrc+1 >= len(src) && !atEOF {
				return nDst, nSrc, transform.ErrShortSrc
			}
			r = utf8.RuneError
			if lead := src[nSrc]; nSrc+1 < len(src) && lead >= 0xa1 && lead <= 0xf7 && src[nSrc+1] >= 0xa1 && src[nSrc+1] != 0xff {
				if t, err := simplifiedchinese.GBK.NewDecoder().Bytes(src[nSrc : nSrc+2]); err == nil && utf8.RuneCount(t) == 1 {
					if c, _ := utf8.DecodeRune(t); c != utf8.RuneError {
						r, n = c, 2
					}
				}
			}
		}
		if nDst+utf8.RuneLen(r) > len(dst) {
			return nDst, nSrc, transform.ErrShortDst
		}
		nDst += utf8.EncodeRune(dst[nDst:], r)
		nSrc += n
	}
	return nDst, nSrc, nil
}

// plainSets are character sets of which ASCII is a part.
func plainSet(name string) bool {
	l := strings.ToLower(name)
	switch l {
	case "us-ascii", "ascii", "utf-8", "utf8", "big5", "gbk", "gb18030", "gb-18030", "iso646-us":
		return true
	}
	return strings.HasPrefix(l, "iso-8859") || strings.HasPrefix(l, "iso8859") || strings.HasPrefix(l, "windows-") || strings.HasPrefix(l, "koi8-") || strings.HasPrefix(l, "euc-")
}

// toUTF8 decodes bytes of a declared character set, which may be wrong: UTF-8
// that is valid is UTF-8 whatever was declared. changed tells whether the text
// is now characters rather than the bytes it was. strict means that the
// declaration is believed.
func toUTF8(s, charset string, strict bool) (text string, changed bool) {
	ascii := isASCII(s)
	if ascii && plainSet(charset) {
		return s, false
	}
	if !ascii && !strict && utf8.ValidString(s) {
		return s, true
	}
	lower := strings.ToLower(charset)
	if !(!strict && (lower == "us-ascii" || lower == "ascii")) {
		if strings.HasPrefix(lower, "utf-16") || strings.HasPrefix(lower, "utf16") || strings.HasPrefix(lower, "utf 16") {
			if t, err := unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder().String(s); err == nil {
				return t, true
			}
		} else if !ascii && strings.HasPrefix(lower, "iso-2022-") {
			return "", true // such text is in seven bits, and what is not counts as none
		} else if e := charsetOf(charset); e != nil && !(e == unicode.UTF8 && !strict && !ascii) {
			t, err := e.NewDecoder().String(s)
			if err == nil && (strict || !strings.ContainsRune(t, utf8.RuneError)) {
				return t, true
			}
		}
	}
	if ascii {
		return s, false
	}
	t, _ := charmap.Windows1252.NewDecoder().String(s)
	return t, true
}

// decodeField decodes a header field's value into UTF-8.
func decodeField(s, key string) string {
	if s == "" {
		return ""
	}
	if strings.Contains(s, "\n") {
		s = strings.ReplaceAll(s, "\r\n", "")
		s = strings.ReplaceAll(s, "\n", "")
	}
	if !isASCII(s) {
		s, _ = toUTF8(s, "UTF-8", false)
	}
	if !strings.Contains(s, "=?") || notEncoded(key) {
		return s
	}
	return decodeWords(s)
}

// notEncoded says that words of a field are never encoded.
func notEncoded(key string) bool {
	key = strings.TrimPrefix(key, "resent-")
	switch key {
	case "received", "message-id", "date", "mime-version", "references", "in-reply-to":
		return true
	}
	return strings.HasPrefix(key, "list-")
}

// decodeWords decodes the encoded words of a text (RFC 2047). Neighbours of the
// same character set are joined before they are decoded, since a character may
// be split between them.
func decodeWords(s string) string {
	type section struct{ text, charset string }
	var sections []section
	put := func(text, charset string) {
		if n := len(sections); n > 0 && sections[n-1].charset == charset {
			sections[n-1].text += text
		} else {
			sections = append(sections, section{text, charset})
		}
	}
	for s != "" {
		i := strings.Index(s, "=?")
		if i < 0 {
			put(s, "")
			break
		}
		charset, text, n, ok := encodedWord(s[i:])
		if !ok {
			put(s[:i+2], "")
			s = s[i+2:]
			continue
		}
		if i > 0 {
			put(s[:i], "")
		}
		put(text, strings.ToLower(charset))
		s = s[i+n:]
		// White space between two encoded words is no part of the text.
		if next := strings.TrimLeft(s, white); len(next) < len(s) {
			if _, _, _, ok := encodedWord(next); ok {
				s = next
			}
		}
	}
	var b strings.Builder
	for _, sec := range sections {
		if sec.charset == "" {
			b.WriteString(sec.text)
			continue
		}
		name, _, _ := strings.Cut(sec.charset, "*")
		t, _ := toUTF8(sec.text, name, true)
		b.WriteString(t)
	}
	return b.String()
}

// encodedWord reads the encoded word that s begins with; n is its length.
func encodedWord(s string) (charset, text string, n int, ok bool) {
	rest, found := strings.CutPrefix(s, "=?")
	if !found {
		return "", "", 0, false
	}
	charset, rest, found = strings.Cut(rest, "?")
	if !found || charset == "" || strings.Trim(charset, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789*_-") != "" {
		return "", "", 0, false
	}
	how, rest, found := strings.Cut(rest, "?")
	if !found || len(how) != 1 || !strings.Contains("bBqQ", how) {
		return "", "", 0, false
	}
	data, after, found := strings.Cut(rest, "?")
	if !found || !strings.HasPrefix(after, "=") {
		return "", "", 0, false
	}
	n = len(s) - len(after) + 1
	if how == "b" || how == "B" {
		return charset, decodeBase64(data), n, true
	}
	return charset, decodeQuoted(strings.ReplaceAll(data, "_", "=20")), n, true
}
