package evasion

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A wire says how a text part is encoded. Its zero value is UTF-8 in
// quoted-printable, or in base64 where that is much shorter.
type wire struct {
	encoding string     // "base64", "quoted-printable", "" chooses
	charset  string     // "" is utf-8
	utf16    bool       // the text is written in UTF-16 with a byte order mark
	lengths  func() int // of the next line of base64, nil is 76
	all      bool       // quoted-printable: every byte is encoded
	noise    string     // is put between lines of base64; decoders skip it
}

// write writes the part with its header.
func (n *node) write(b *bytes.Buffer, seed string) {
	if len(n.children) > 0 {
		sum := sha256.Sum256([]byte(seed))
		boundary := "=_" + hex.EncodeToString(sum[:12])
		params := map[string]string{"boundary": boundary}
		if t := n.params["type"]; t != "" {
			params["type"] = t
		}
		writeFields(b, n.fields)
		contentType(b, n.mediaType, params)
		b.WriteString("\r\n")
		for i, c := range n.children {
			b.WriteString("--" + boundary + "\r\n")
			c.write(b, fmt.Sprint(seed, "/", i))
			b.WriteString("\r\n")
		}
		b.WriteString("--" + boundary + "--\r\n")
		return
	}
	if !n.isText {
		writeFields(b, n.fields)
		contentType(b, n.mediaType, n.params)
		b.WriteString("\r\n")
		b.Write(n.body)
		return
	}
	data := []byte(lineEnds(n.text))
	charset := n.wire.charset
	if charset == "" {
		charset = "utf-8"
	}
	if n.wire.utf16 {
		data = data16(string(data))
	}
	encoding := n.wire.encoding
	if encoding == "" {
		encoding = "quoted-printable"
		if foreign := len(data) - ascii(data); foreign > len(data)/6 {
			encoding = "base64"
		}
	}
	writeFields(b, n.fields)
	contentType(b, n.mediaType, map[string]string{"charset": charset})
	b.WriteString("Content-Transfer-Encoding: " + encoding + "\r\n\r\n")
	switch {
	case encoding == "base64":
		n.wire.base64(b, data)
	case n.wire.all:
		for i, c := range data {
			if i > 0 && i%24 == 0 {
				b.WriteString("=\r\n")
			}
			fmt.Fprintf(b, "=%02X", c)
		}
		b.WriteString("\r\n")
	default:
		w := quotedprintable.NewWriter(b)
		w.Write(data) // a bytes.Buffer takes everything
		w.Close()
	}
}

func (w wire) base64(b *bytes.Buffer, data []byte) {
	text := base64.StdEncoding.EncodeToString(data)
	for text != "" {
		n := 76
		if w.lengths != nil {
			n = w.lengths()
		}
		n = min(n, len(text))
		b.WriteString(text[:n] + "\r\n" + w.noise)
		text = text[n:]
	}
}

func data16(s string) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func ascii(data []byte) (n int) {
	for _, c := range data {
		if c < utf8.RuneSelf {
			n++
		}
	}
	return n
}

func writeFields(b *bytes.Buffer, fields []field) {
	for _, f := range fields {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
}

// contentType writes the field, folded before each parameter.
func contentType(b *bytes.Buffer, mediaType string, params map[string]string) {
	text := mime.FormatMediaType(mediaType, params)
	if text == "" { // a name that is no token: pass the type on alone
		text = "application/octet-stream"
	}
	b.WriteString("Content-Type: " + strings.ReplaceAll(text, "; ", ";\r\n\t") + "\r\n")
}

// words writes a text as RFC 2047 encoded words where that is needed, folded
// between words.
func words(text string) string {
	if ascii([]byte(text)) == len(text) && !strings.Contains(text, "=?") {
		return fold(text)
	}
	return strings.ReplaceAll(mime.BEncoding.Encode("utf-8", text), "?= =?", "?=\r\n =?")
}

// wordsApart writes a text as encoded words of a few characters each.
func wordsApart(text string, length int) string {
	var out []string
	for part := range slices.Chunk([]rune(text), length) {
		out = append(out, "=?utf-8?B?"+base64.StdEncoding.EncodeToString([]byte(string(part)))+"?=")
	}
	return strings.Join(out, "\r\n ")
}

// fold breaks a long line of words.
func fold(text string) string {
	var b strings.Builder
	line := 0
	for i, w := range strings.Fields(text) {
		if i > 0 {
			if line+len(w) > 70 {
				b.WriteString("\r\n ")
				line = 0
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteString(w)
		line += len(w) + 1
	}
	return b.String()
}
