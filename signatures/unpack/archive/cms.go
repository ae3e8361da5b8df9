package archive

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"io"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// cms reads the Cryptographic Message Syntax (RFC 5652), in which S/MIME wraps a
// signed message (RFC 8551 section 3.5.2), and in which files are signed: .p7m.
// The signature is not verified. What is encrypted for somebody is marked; a
// signature without content (.p7s) has nothing in it.
type cms struct{}

func (cms) Name() string { return "cms" }

// The types of content, as the bytes of their object identifiers.
const (
	pkcs7       = "\x2a\x86\x48\x86\xf7\x0d\x01\x07"         // 1.2.840.113549.1.7
	smimeType   = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01" // 1.2.840.113549.1.9.16.1
	cmsData     = pkcs7 + "\x01"                             // RFC 5652 section 4
	cmsSigned   = pkcs7 + "\x02"                             // section 5
	cmsEnvelope = pkcs7 + "\x03"                             // section 6
	cmsSignEnv  = pkcs7 + "\x04"                             // RFC 2315 section 11
	cmsDigested = pkcs7 + "\x05"                             // section 7
	cmsEncrypt  = pkcs7 + "\x06"                             // section 8
	cmsAuth     = smimeType + "\x02"                         // section 9
	cmsCompress = smimeType + "\x09"                         // RFC 3274
	cmsAuthEnv  = smimeType + "\x17"                         // RFC 5083
	cmsStamped  = smimeType + "\x1f"                         // RFC 5544
	spcContent  = "\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x04" // of a signed program: digests only
	trustList   = "\x2b\x06\x01\x04\x01\x82\x37\x0a\x01"     // of a catalogue of programs
	timestamped = smimeType + "\x04"                         // of a time stamp: digests only
)

// cmsDepth bounds contents in contents.
const cmsDepth = 6

// Reads wants a sequence that begins with one of the types, or its base64.
func (cms) Reads(f *format.File) bool {
	if f.Kind == format.Mail || len(f.Data) < 16 {
		return false
	}
	switch f.Data[0] {
	case 0x30:
		return isCMS(f.Data)
	case 'M', '-', '\r', '\n', ' ', 0xef:
		return cmsText(f.Data) != nil
	}
	return false
}

func isCMS(b []byte) bool {
	_, oid, ok := contentInfo(b)
	return ok && (strings.HasPrefix(oid, pkcs7) || strings.HasPrefix(oid, smimeType))
}

// contentInfo reads the beginning of a ContentInfo and returns what is behind the
// type. RFC 5652 section 3.
func contentInfo(b []byte) (rest []byte, oid string, ok bool) {
	if len(b) < 4 || b[0] != 0x30 {
		return nil, "", false
	}
	size, _, err := berHeader(b)
	if err != nil {
		return nil, "", false
	}
	b = b[size:]
	if len(b) < 2 || b[0] != 6 || b[1] > 32 || len(b) < 2+int(b[1]) {
		return nil, "", false
	}
	return b[2+b[1]:], string(b[2 : 2+b[1]]), true
}

// cmsText is the base64 of b, if that is what b holds: with the lines of RFC 7468
// around it or without.
func cmsText(b []byte) []byte {
	b = bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n")
	if rest, found := bytes.CutPrefix(b, []byte("-----BEGIN ")); found {
		line, _, _ := bytes.Cut(rest[:min(len(rest), 1000)], []byte("\n"))
		if name := string(bytes.TrimRight(line, "- \t\r")); name != "PKCS7" && name != "CMS" && name != "PKCS #7 SIGNED DATA" {
			return nil
		}
		b = rest[min(len(rest), len(line)+1):]
	}
	if len(b) < 16 || b[0] != 'M' {
		return nil
	}
	var head [48]byte
	n, _ := base64.StdEncoding.Decode(head[:], b[:min(len(b), 64)&^3])
	if n < 12 || !isCMS(head[:n]) {
		return nil
	}
	return b
}

func (cms) Open(j *format.Job, f *format.File) error {
	b := f.Data
	if b[0] != 0x30 {
		text := cmsText(b)
		var err error
		if b, _, err = j.Read(base64.NewDecoder(base64.RawStdEncoding, &base64Text{in: text}), int64(len(text))); errors.Is(err, format.ErrStop) {
			return err
		}
	}
	c := &cmsReader{j: j, f: f}
	if err := c.info(b, 0); err != nil && (errors.Is(err, format.ErrStop) || !c.apart) {
		return err
	}
	if c.short && !c.apart {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// base64Text passes the characters of base64 on, and ends at the first that ends
// the text.
type base64Text struct{ in []byte }

func (r *base64Text) Read(p []byte) (n int, err error) {
	for n < len(p) && len(r.in) > 0 {
		c := r.in[0]
		if c == '-' {
			r.in = nil
			break
		}
		// Padding is left out, and what vCard escapes with.
		if r.in = r.in[1:]; c > ' ' && c != '=' && c != '\\' {
			p[n] = c
			n++
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// A cmsReader is one file while it is read.
type cmsReader struct {
	j     *format.Job
	f     *format.File
	short bool // something breaks off
	apart bool // a signature without what it signs
}

// info reads a ContentInfo, or an EncapsulatedContentInfo: a type, and the content
// in a tag of its own.
func (c *cmsReader) info(b []byte, depth int) error {
	all, err := c.read(b)
	if err != nil {
		return err
	}
	oid, err := c.read(all.body)
	if err != nil || oid.tag != 6 {
		return err
	}
	if len(oid.rest) == 0 || depth > 0 && oid.rest[0] == 0 {
		return nil // a signature apart from its content
	}
	content, err := c.read(oid.rest)
	if err != nil {
		return err
	}
	return c.content(string(oid.body), content, depth)
}

func (c *cmsReader) read(b []byte) (element, error) {
	e, err := readElement(b, c.j.Check)
	c.short = c.short || e.short
	return e, err
}

// content reads what a type says that it is. tagged is the content in its tag.
func (c *cmsReader) content(kind string, tagged element, depth int) error {
	if depth >= cmsDepth {
		c.j.Mark(c.f, format.LimitDepth, "signed data in signed data")
		return nil
	}
	if tagged.tag&0xc0 != 0x80 || len(tagged.body) == 0 {
		return nil
	}
	e, err := c.read(tagged.body)
	if err != nil {
		// Some writers leave the inner tag out.
		e = element{tag: 4, body: tagged.body}
	}
	switch kind {
	case cmsEnvelope, cmsSignEnv, cmsEncrypt, cmsAuthEnv:
		c.j.Mark(c.f, format.Encrypted, "S/MIME")
		return nil
	case cmsSigned, cmsDigested, cmsAuth, cmsCompress, cmsStamped:
		body := e.body
		if e.tag == 4 && depth > 0 {
			// The string holds the structure without a type of its own, or all of another.
			data, _, err := c.j.Read(octets(e), int64(len(e.body)))
			if errors.Is(err, format.ErrStop) {
				return err
			}
			if isCMS(data) {
				return c.info(data, depth+1)
			}
			inner, err := c.read(data)
			if err != nil {
				return err
			}
			body = inner.body
		}
		return c.fields(kind, body, depth)
	case spcContent, trustList, timestamped:
		return nil
	}
	return c.emit(e, tagged.body, false)
}

// fields looks for the content among the fields of a structure: a sequence of a
// type and a tagged content, or (RFC 5544) a string.
func (c *cmsReader) fields(kind string, b []byte, depth int) error {
	for n := 0; len(b) > 0 && n < 12; n++ {
		if b[0] == 0 && len(b) > 1 && b[1] == 0 {
			break
		}
		e, err := c.read(b)
		if err != nil {
			return err
		}
		b = e.rest
		if kind == cmsStamped && e.tag&^0x20 == 4 {
			return c.emit(e, nil, false)
		}
		if e.tag != 0x30 || kind == cmsStamped {
			continue
		}
		oid, err := c.read(e.body)
		if errors.Is(err, format.ErrStop) {
			return err
		}
		if err != nil || oid.tag != 6 || len(oid.rest) == 0 || oid.rest[0] != 0xa0 {
			if kind == cmsSigned {
				c.apart = err == nil && oid.tag == 6
				return err
			}
			continue
		}
		tagged, err := c.read(oid.rest)
		if err != nil {
			return err
		}
		if kind == cmsCompress {
			inner, err := c.read(tagged.body)
			if err != nil {
				return err
			}
			return c.emit(inner, tagged.body, true)
		}
		return c.content(string(oid.body), tagged, depth+1)
	}
	return nil
}

// emit hands the content on: of an octet string, or all that the tag has if it is
// no string.
func (c *cmsReader) emit(e element, whole []byte, packed bool) error {
	file := &format.File{Name: unsigned(c.f.Name), Kind: format.Member}
	if wrapsMail(c.f) {
		file.Declared = "message/rfc822" // RFC 8551 section 3.1: an entity
	}
	var broken error
	switch {
	case packed && e.tag&^0x20 == 4:
		z, err := zlib.NewReader(octets(e))
		if err != nil {
			return err
		}
		file.Data, file.Cut, broken = c.j.Read(z, int64(len(e.body)))
	case e.tag == 4:
		file.Data, file.Cut = c.j.Take(e.body)
	case e.tag == 0x24:
		r := octets(e)
		file.Data, file.Cut, broken = c.j.Read(r, int64(len(e.body)))
		c.short = c.short || r.cut
	default:
		file.Data, file.Cut = c.j.Take(whole)
	}
	if errors.Is(broken, format.ErrStop) {
		return broken
	}
	if len(file.Data) > 0 {
		file.Cut = file.Cut || c.short
		if err := c.j.Emit(file); err != nil {
			return err
		}
	}
	return broken
}

// wrapsMail says that S/MIME is why f is what it is: not a file that was signed.
func wrapsMail(f *format.File) bool {
	switch f.Declared {
	case "application/pkcs7-mime", "application/x-pkcs7-mime", "application/pkcs7-signature", "application/x-pkcs7-signature":
		base := f.Name[strings.LastIndexAny(f.Name, `/\`)+1:]
		return strings.Count(base, ".") < 2 // not invoice.xml.p7m
	}
	return strings.HasSuffix(strings.ToLower(f.Name), "smime.p7m")
}

// unsigned is a file's name without what says that it is signed.
func unsigned(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		switch strings.ToLower(name[dot+1:]) {
		case "p7m", "p7s", "p7b", "p7c", "p7z", "tsd", "p7", "pem":
			return name[:dot]
		}
	}
	return name
}
