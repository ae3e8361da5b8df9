package archive

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime/quotedprintable"
	"strconv"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// card reads the files in calendars (RFC 5545 section 3.8.1.1: ATTACH) and cards
// (RFC 6350 section 6.2.4 and 6.6.3; vCard 2.1 and 3.0: PHOTO, LOGO, SOUND, KEY):
// any property whose value is base64, quoted-printable in vCard 2.1, or a data URL.
type card struct{}

func (card) Name() string { return "card" }

func (card) Reads(f *format.File) bool {
	if f.Kind == format.Mail || f.Kind == format.Macro || f.Kind == format.Script {
		return false
	}
	if f.Type == "text/calendar" || f.Type == "text/vcard" {
		return true
	}
	if f.Type != "" || len(f.Data) < 7 {
		return false
	}
	switch f.Data[0] {
	case 'B', 'b', ' ', '\t', '\r', '\n', 0xef:
		head := bytes.TrimLeft(bytes.TrimPrefix(f.Data[:min(len(f.Data), 1024)], []byte("\xef\xbb\xbf")), " \t\r\n")
		return len(head) > 7 && strings.EqualFold(string(head[:7]), "BEGIN:V")
	}
	return false
}

func (card) Open(j *format.Job, f *format.File) error {
	b := f.Data
	for at, n, turns := 0, 0, 0; at < len(b); turns++ {
		if turns%1024 == 1023 {
			if err := j.Check(); err != nil {
				return err
			}
		}
		start := at
		end, next := cardLine(b, at)
		at = next
		head := b[start:min(end, start+1024)]
		colon := cardColon(head)
		if colon < 0 {
			continue
		}
		how, name := cardParameters(string(head[:colon]))
		value, kind := b[start+colon+1:end], ""
		switch how {
		case cardPlain:
			if how, kind, value = cardURL(value); how == cardPlain {
				continue
			}
		case cardBase64:
			// Some writers do not fold: what follows is base64 still.
			for at < len(b) {
				end, next := cardLine(b, at)
				if !isBase64(b[at:end]) {
					break
				}
				value, at = b[start+colon+1:end], next
			}
		}
		var r io.Reader
		switch how {
		case cardBase64:
			r = base64.NewDecoder(base64.RawStdEncoding, &base64Text{in: value})
		case cardQuoted:
			r = quotedprintable.NewReader(bytes.NewReader(value))
		default:
			r = &percentReader{in: value}
		}
		data, cut, err := j.Read(r, int64(len(value)))
		if errors.Is(err, format.ErrStop) {
			return err
		}
		if len(data) == 0 {
			continue
		}
		if n++; name == "" {
			name = fmt.Sprintf("%s%d", strings.ToLower(string(head[:bytes.IndexAny(head, ";:")])), n)
		}
		if err := j.Emit(&format.File{Name: name, Declared: kind, Kind: format.Member, Data: data, Cut: cut}); err != nil {
			return err
		}
		j.Done(data)
	}
	return nil
}

// How the value of a property is written.
const (
	cardPlain = iota
	cardBase64
	cardQuoted
	cardPercent
)

// cardLine is where the line at b[at:] ends, with those that continue it, and
// where the next one begins. RFC 5545 section 3.1 has a space in front of what
// continues a line; quoted-printable has "=" at its end.
func cardLine(b []byte, at int) (end, next int) {
	head := strings.ToUpper(string(b[at:min(len(b), at+200)]))
	head, _, _ = strings.Cut(head, ":")
	quoted := strings.Contains(head, "QUOTED-PRINTABLE")
	for {
		i := bytes.IndexAny(b[at:], "\r\n")
		if i < 0 {
			return len(b), len(b)
		}
		end = at + i
		if at = end + 1; b[end] == '\r' && at < len(b) && b[at] == '\n' {
			at++
		}
		if at >= len(b) || b[at] != ' ' && b[at] != '\t' && !(quoted && end > 0 && b[end-1] == '=') {
			return end, at
		}
	}
}

// cardColon is where the value of a line begins: the first colon that is not in
// quotes, -1 for none.
func cardColon(line []byte) int {
	quoted := false
	for i, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
		case c == ':' && !quoted:
			return i
		}
	}
	return -1
}

// cardParameters reads a property's name and parameters: how its value is written,
// and what the file in it is called.
func cardParameters(head string) (how int, name string) {
	head = strings.NewReplacer("\r\n ", "", "\r\n\t", "", "\n ", "", "\n\t", "", "\r ", "").Replace(head)
	for i, p := range strings.Split(head, ";") {
		if i == 0 {
			continue
		}
		key, value, found := strings.Cut(p, "=")
		key, value = strings.ToUpper(strings.TrimSpace(key)), strings.Trim(strings.TrimSpace(value), `"`)
		if !found {
			key, value = "ENCODING", key // vCard 2.1 leaves it out
		}
		switch {
		case key == "ENCODING":
			switch strings.ToUpper(value) {
			case "B", "BASE64":
				how = cardBase64
			case "QUOTED-PRINTABLE", "Q":
				how = cardQuoted
			}
		case strings.HasSuffix(key, "FILENAME"): // RFC 8607 section 4.2, and X-...
			name = value
		}
	}
	return how, name
}

// cardURL reads a data URL. RFC 2397.
func cardURL(value []byte) (how int, kind string, data []byte) {
	value = bytes.TrimLeft(value, " \t\r\n")
	if len(value) < 6 || !strings.EqualFold(string(value[:5]), "data:") {
		return cardPlain, "", nil
	}
	comma := bytes.IndexByte(value[:min(len(value), 512)], ',')
	if comma < 0 {
		return cardPlain, "", nil
	}
	words := strings.Split(strings.ToLower(string(value[5:comma])), ";")
	how, kind = cardPercent, strings.TrimSpace(words[0])
	for _, w := range words[1:] {
		if strings.HasSuffix(strings.Join(strings.Fields(strings.ReplaceAll(w, "\\", "")), ""), "base64") {
			how = cardBase64
		}
	}
	return how, kind, value[comma+1:]
}

// isBase64 says that a line is nothing else, and not empty.
func isBase64(line []byte) bool {
	n := 0
	for _, c := range line {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/', c == '=':
			n++
		case c > ' ':
			return false
		}
	}
	return n > 0
}

// A percentReader decodes what a URL has in percent signs.
type percentReader struct{ in []byte }

// Read implements io.Reader.
func (r *percentReader) Read(p []byte) (n int, err error) {
	for n < len(p) && len(r.in) > 0 {
		c := r.in[0]
		k := 1
		if c == '%' && len(r.in) > 2 {
			if v, err := strconv.ParseUint(string(r.in[1:3]), 16, 8); err == nil {
				c, k = byte(v), 3
			}
		}
		if r.in = r.in[k:]; k == 3 || c > ' ' { // not what folds lines
			p[n] = c
			n++
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
