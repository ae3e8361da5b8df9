package document

import (
	"bytes"

	"spamcatcher/signatures/unpack/format"
)

// encodedFormat reads what the Windows script encoder wrote (.jse, .vbe, and
// scripts in pages): the source is the file inside.
type encodedFormat struct{}

const (
	encodedBegin = "#@~^"
	encodedEnd   = "==^#~@"
	encodedHead  = 12 // the mark, six characters of length, "=="
)

func (encodedFormat) Name() string { return "encoded" }

func (encodedFormat) Reads(f *format.File) bool {
	if f.Kind == format.Mail {
		return false
	}
	switch f.Type {
	case "", "text/html", "text/xml", "text/plain":
	default:
		return false
	}
	b := f.Data
	if f.Type == "" {
		b = b[:min(len(b), 64<<10)]
	}
	return bytes.Contains(b, []byte(encodedBegin))
}

func (encodedFormat) Open(j *format.Job, f *format.File) error {
	b := f.Data
	for range htmlFiles {
		i := bytes.Index(b, []byte(encodedBegin))
		if i < 0 {
			return nil
		}
		b = b[i:]
		if len(b) < encodedHead || string(b[10:12]) != "==" {
			b = b[len(encodedBegin):]
			continue
		}
		body := b[encodedHead:]
		next := []byte(nil)
		if k := bytes.Index(body, []byte(encodedEnd)); k >= 0 {
			// The six characters before the end are a checksum.
			next, body = body[k+len(encodedEnd):], body[:max(0, k-6)]
		}
		data, cut, err := j.Read(bytes.NewReader(unencode(body)), int64(len(body)))
		if err != nil {
			return err
		}
		if err := j.Emit(&format.File{Kind: format.Script, Name: "script", Data: data, Cut: cut}); err != nil {
			return err
		}
		b = next
	}
	return nil
}

// What the characters 32 to 127 stand for in each of the three alphabets, and
// which alphabet is used at which place.
const (
	encoded0    = ".GzVBj/&IA42[vrC89pEhqO\tbD#uJ~J^@wJa]\"KoN;LPg*}tT+-,0nkf5%!dMRc?{x)(sY3\x7fmUS|:_eFX1ilZH'\\=$y7`Q 6"
	encoded1    = "-uR`q^I\\b})6 |z\x7fkc3+hQfv1dTCL:L~LE,*t'7DyY/o&rj9{?8wgSG4x]0#Z[lHUpi.L!$NP\tVs5aKX;W\"mM%(FJ2A=_OBe"
	encoded2    = "20!)[83=X:5e9\\VsfNEkbYx^}JmqA`AS@B'Hru17MR\"TjGd- \x7f.L]~loytC&v%$+(#A4\t*D?w;UiacPgQIOFh|6pnz/_KZ,W"
	encodedTurn = "0120121221210212021200122102122100212120200120210212001220012021"
)

// unencode undoes the encoding. The turns count all characters of ASCII in the
// text as it was, in which "@&" was a line feed, "@#" a carriage return, "@*" and
// "@!" the angle brackets, "@$" an at sign.
func unencode(b []byte) []byte {
	out := make([]byte, 0, len(b))
	turn := -1
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c < 128 {
			turn++
		}
		if c == '@' && i+1 < len(b) {
			if k := bytes.IndexByte([]byte("&#*!$"), b[i+1]); k >= 0 {
				out = append(out, "\n\r><@"[k])
				i++
				continue
			}
		}
		switch {
		case c == '\t':
			c = "Wn{"[encodedTurn[turn%64]-'0']
		case c >= 32 && c < 128 && c != '<' && c != '>' && c != '@':
			c = [...]string{encoded0, encoded1, encoded2}[encodedTurn[turn%64]-'0'][c-32]
		}
		out = append(out, c)
	}
	return out
}
