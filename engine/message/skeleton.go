package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold takes the disguises off a text: compatibility forms become plain
// characters (NFKC), letters lower case; characters without width and
// combining marks go, and letters of other scripts or of no script at all that
// look like Latin ones become those. What is to be found in a Skeleton must be
// folded too if it is not plain ASCII.
func Fold(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf {
		i++
	}
	if i == len(s) {
		return asciiLower(s)
	}
	out := make([]byte, 0, len(s))
	loose := false // marks that belong to the letter before them are not joined to it
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			out = append(out, lowerByte(c))
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if l := latin(r); l != 0 {
			out = append(out, l)
			i += n
			continue
		}
		d := norm.NFKD.PropertiesString(s[i:]).Decomposition()
		i += n
		if len(d) == 0 || !separable(d) {
			loose = loose || r == 0x3099 || r == 0x309a || 0x1100 <= r && r < 0x1200
			out = appendFolded(out, r)
			continue
		}
		for len(d) > 0 {
			r, n := utf8.DecodeRune(d)
			out = appendFolded(out, r)
			d = d[n:]
		}
	}
	if loose {
		return string(norm.NFC.Bytes(out))
	}
	return string(out)
}

func appendFolded(out []byte, r rune) []byte {
	if r < utf8.RuneSelf {
		return append(out, lowerByte(byte(r)))
	}
	if invisible(r) || combining(r) {
		return out
	}
	l := latin(r)
	if l == 0 {
		r = unicode.ToLower(r)
		l = latin(r)
	}
	if l != 0 {
		return append(out, l)
	}
	return utf8.AppendRune(out, r)
}

// separable tells whether a decomposition may be used: not if it splits off a
// mark that is kept.
func separable(d []byte) bool {
	for len(d) > 0 {
		p := norm.NFKD.Properties(d)
		r, n := utf8.DecodeRune(d)
		if p.CCC() != 0 && !combining(r) {
			return false
		}
		d = d[n:]
	}
	return true
}

// invisible tells whether a character has no width.
func invisible(r rune) bool {
	switch {
	case r == 0xad, r == 0x34f, r == 0x61c, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r == 0x3164, r == 0xfeff, r == 0xffa0:
		return true
	case 0x180b <= r && r <= 0x180e, 0x200b <= r && r <= 0x200f, 0x202a <= r && r <= 0x202e, 0x2060 <= r && r <= 0x206f,
		0xfe00 <= r && r <= 0xfe0f, 0xe0000 <= r && r <= 0xe0fff:
		return true
	}
	return false
}

// combining tells whether a mark is one that is set on letters of any script.
// The vowel signs of scripts that need them are not.
func combining(r rune) bool {
	return 0x300 <= r && r <= 0x36f || 0x483 <= r && r <= 0x489 || 0x1ab0 <= r && r <= 0x1aff || 0x1dc0 <= r && r <= 0x1dff ||
		0x20d0 <= r && r <= 0x20ff || 0xfe20 <= r && r <= 0xfe2f
}

// latin is the ASCII character that r looks like, 0 for none.
func latin(r rune) byte {
	switch {
	case 0x1f1e6 <= r && r <= 0x1f1ff: // regional indicators
		return byte('a' + r - 0x1f1e6)
	case 0x1f150 <= r && r <= 0x1f169: // white on black circles
		return byte('a' + r - 0x1f150)
	case 0x1f170 <= r && r <= 0x1f189: // and squares
		return byte('a' + r - 0x1f170)
	case 0x2010 <= r && r <= 0x2015, r == 0x2212:
		return '-'
	case 0x2018 <= r && r <= 0x201b, r == 0x2032:
		return '\''
	case 0x201c <= r && r <= 0x201f, r == 0x2033:
		return '"'
	}
	return confusables[r]
}

// confusables are drawn up by the look of the letters in common fonts. Both
// cases stand here where their looks differ: Cyrillic "В" looks like B, "в"
// like nothing Latin but goes with it.
var confusables = func() map[rune]byte {
	m := make(map[rune]byte)
	for latin, like := range map[byte]string{
		'a': "аАαΑɑᎪꓮ⍺ᴀ", 'b': "ЬьВвΒƄᏴᛒʙꓐ♭", 'c': "сСϲϹᴄⅽꓚᏟ¢", 'd': "ԁᏧđĐɗᴅꓒԀ", 'e': "еЕΕεєЄҽɛᴇꓰᎬ℮ә", 'f': "ƒϝꓝꞙſẝ", 'g': "ɡցɢԌᏀꓖ",
		'h': "һҺнНΗհħĦʜꓧᎻ", 'i': "іІΙιıɩɪӏӀᎥⅰꙇ", 'j': "јЈϳʝᴊꓙᎫ", 'k': "кКκΚᴋꓗᏦқ", 'l': "ⅼℓŁłɭʟꓡᏞⳑ", 'm': "мМΜᴍꓟᎷⅿ", 'n': "пηΝոռɴꓠ",
		'o': "оОοΟσөՕօᴏøØꓳⲟ๐০౦ဝ", 'p': "рРρΡᴘꓑᏢþ", 'q': "ԛգզԚϙ", 'r': "гᴦʀɾꓣᏒ", 's': "ѕЅꜱʂꓢᏚ", 't': "тТτΤᴛŧŦꓔᎢ", 'u': "υսᴜцꓴՍʋ",
		'v': "ѵѴνᴠꓦᏙⅴ", 'w': "ԝԜѡωᴡꓪᎳա", 'x': "хХχΧⅹꓫ×", 'y': "уУγΥүҮʏꓬᎽӯ", 'z': "ᴢΖꓜᏃʐ",
	} {
		for _, r := range like {
			m[r] = latin
		}
	}
	return m
}()
