package message

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
)

// decodeCharset turns text of a declared charset into valid UTF-8. A charset
// that is missing, unknown or contradicted by the bytes is guessed: UTF-8,
// else windows-1252.
func decodeCharset(name string, b []byte, found *defects) string {
	switch name {
	case "", "us-ascii", "ascii", "utf-8", "utf8":
		if utf8.Valid(b) {
			return string(b)
		}
		if name != "" {
			found.add(CharsetBad, name)
		}
		return guessCharset(b)
	case "utf-7", "utf7", "unicode-1-1-utf-7", "x-unicode-2-0-utf-7":
		found.add(CharsetUTF7, name)
		return decodeUTF7(b)
	}
	if asciiOnly(b) && asciiSuperset(name) {
		return string(b)
	}
	enc := lookupCharset(name)
	if enc == nil {
		if r, err := charset.Reader(name, bytes.NewReader(b)); err == nil && r != nil {
			if out, err := io.ReadAll(r); err == nil {
				return strings.ToValidUTF8(string(out), "\uFFFD")
			}
		}
		found.add(CharsetUnknown, name)
		return guessCharset(b)
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		found.add(CharsetBad, name)
		return guessCharset(b)
	}
	if bytes.Contains(out, []byte("\uFFFD")) {
		found.add(CharsetBad, name)
		if utf8.Valid(b) {
			return string(b)
		}
	}
	return string(out)
}

// lookupCharset is nil for a charset that x/text does not know. The index of
// the WHATWG comes first, because it says what readers do with a name; its
// "replacement" stands for charsets that browsers refuse.
func lookupCharset(name string) encoding.Encoding {
	if enc, err := htmlindex.Get(name); err == nil && enc != nil {
		if n, _ := htmlindex.Name(enc); n != "replacement" {
			return enc
		}
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil && enc != nil {
		return enc
	}
	return nil
}

// asciiSuperset is false for charsets in which ASCII bytes mean other things.
func asciiSuperset(name string) bool {
	for _, p := range []string{"iso-8859-", "windows-", "gb", "big5", "koi8", "euc-", "shift_jis", "cp125", "utf-8", "ks_c", "iso_8859", "latin", "tis-620", "macintosh"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

func guessCharset(b []byte) string {
	if mostlyUTF8(b) {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	out, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(out)
}

// mostlyUTF8 tells whether at least nine in ten of the bytes over 127 stand in
// valid UTF-8.
func mostlyUTF8(b []byte) bool {
	good, bad := 0, 0
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			bad++
		} else {
			good += n
		}
		i += n
	}
	return good >= 9*bad
}

func asciiOnly(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf || c == 0x1b {
			return false
		}
	}
	return true
}

// decodeUTF7 decodes RFC 2152; what is not valid stays as it is.
func decodeUTF7(b []byte) string {
	var out strings.Builder
	out.Grow(len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '+' {
			if b[i] < utf8.RuneSelf {
				out.WriteByte(b[i])
			} else {
				out.WriteRune(utf8.RuneError)
			}
			continue
		}
		if i+1 < len(b) && b[i+1] == '-' {
			out.WriteByte('+')
			i++
			continue
		}
		var bits uint32
		n, high := 0, rune(0)
		j := i + 1
		for ; j < len(b) && base64Value[b[j]] < 64; j++ {
			bits = bits<<6 | uint32(base64Value[b[j]])
			if n += 6; n < 16 {
				continue
			}
			n -= 16
			unit := rune(bits >> n & 0xffff)
			bits &= 1<<n - 1
			switch {
			case high != 0 && 0xdc00 <= unit && unit < 0xe000:
				out.WriteRune((high-0xd800)<<10 | (unit - 0xdc00) + 0x10000)
				high = 0
			case 0xd800 <= unit && unit < 0xdc00:
				high = unit
			default:
				high = 0
				out.WriteRune(unit)
			}
		}
		if j == i+1 {
			out.WriteByte('+')
			continue
		}
		if j < len(b) && b[j] == '-' {
			j++
		}
		i = j - 1
	}
	return out.String()
}
