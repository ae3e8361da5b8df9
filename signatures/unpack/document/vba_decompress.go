package document

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

var errCompression = errors.New("no compressed VBA")

// A decompressor reads a compressed container. [MS-OVBA] section 2.4.1.
type decompressor struct {
	in    []byte
	chunk []byte // what the current chunk decompressed to, at most 4096 bytes
	at    int    // how much of it was read
}

// decompress returns a reader of what the container at the start of b holds, or
// nil when there is none.
func decompress(b []byte) *decompressor {
	// [MS-OVBA] section 2.4.1.1.1: the signature byte.
	if len(b) < 4 || b[0] != 1 || !chunkHeader(b[1:]) {
		return nil
	}
	return &decompressor{in: b[1:], chunk: make([]byte, 0, 4096)}
}

// chunkHeader says whether b begins with the header of a chunk.
// [MS-OVBA] section 2.4.1.1.5: three bits are 0b011.
func chunkHeader(b []byte) bool {
	return len(b) >= 2 && b[1]>>4&7 == 3
}

func (d *decompressor) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if d.at == len(d.chunk) {
			if err := d.next(); err != nil {
				return n, err
			}
			continue
		}
		k := copy(p[n:], d.chunk[d.at:])
		d.at += k
		n += k
	}
	return n, nil
}

// next decompresses a chunk. It returns io.EOF where no further chunk begins.
func (d *decompressor) next() error {
	d.chunk, d.at = d.chunk[:0], 0
	if !chunkHeader(d.in) {
		return io.EOF
	}
	header := binary.LittleEndian.Uint16(d.in)
	body := d.in[2:min(len(d.in), int(header&0xFFF)+3)]
	d.in = d.in[2+len(body):]
	if header&0x8000 == 0 {
		// [MS-OVBA] section 2.4.1.3.3: a raw chunk holds 4096 bytes.
		d.chunk = append(d.chunk, body[:min(len(body), 4096)]...)
		return nil
	}
	for len(body) > 0 {
		flags := body[0]
		body = body[1:]
		for bit := 0; bit < 8 && len(body) > 0; bit++ {
			if flags>>bit&1 == 0 {
				if len(d.chunk) == 4096 {
					return errCompression
				}
				d.chunk = append(d.chunk, body[0])
				body = body[1:]
				continue
			}
			if len(body) < 2 || len(d.chunk) == 0 {
				return errCompression
			}
			token := int(binary.LittleEndian.Uint16(body))
			body = body[2:]
			// [MS-OVBA] section 2.4.1.3.19.1: as many bits of the offset as the
			// chunk so far needs, at least four.
			bits := 4
			for 1<<bits < len(d.chunk) {
				bits++
			}
			length := token&(1<<(16-bits)-1) + 3
			offset := token>>(16-bits) + 1
			if offset > len(d.chunk) || len(d.chunk)+length > 4096 {
				return errCompression
			}
			for range length {
				d.chunk = append(d.chunk, d.chunk[len(d.chunk)-offset])
			}
		}
	}
	return nil
}

// sources returns the offsets in b where compressed source text begins: every
// module's text starts with the word Attribute, whose first eight letters are
// literal in any compressor's output.
func sources(b []byte) []int {
	var list []int
	for at := 0; len(list) < 256; {
		i := bytes.Index(b[at:], []byte("\x00Attribut"))
		if i < 0 {
			break
		}
		at += i + 9
		if start := at - 9 - 3; start >= 0 && b[start] == 1 && chunkHeader(b[start+1:]) {
			list = append(list, start)
		}
	}
	return list
}
