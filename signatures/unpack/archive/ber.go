package archive

import (
	"errors"
	"io"
)

// An element is one value in the Basic Encoding Rules, of which DER is a part:
// signed and encrypted messages have lengths that are not told in advance and
// strings in pieces, which crypto libraries for DER do not read. ITU-T X.690,
// sections 8.1 and 8.7.
type element struct {
	tag         byte // class, constructed or not, and a number below 31
	body        []byte
	rest        []byte // what follows
	short       bool   // it says that it is longer than what there is
	constructed bool
}

var errBER = errors.New("broken encoding")

// header reads tag and length at the beginning of b. length is -1 if an end mark
// follows instead.
func berHeader(b []byte) (size, length int, err error) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return 0, 0, errBER // numbers from 31 on do not occur
	}
	n := int(b[1])
	switch {
	case n < 0x80:
		return 2, n, nil
	case n == 0x80:
		if b[0]&0x20 == 0 {
			return 0, 0, errBER
		}
		return 2, -1, nil
	}
	n &= 0x7f
	if len(b) < 2+n {
		return 0, 0, errBER
	}
	for _, c := range b[2 : 2+n] {
		if length > 1<<40 {
			return 0, 0, errBER
		}
		length = length<<8 | int(c)
	}
	return 2 + n, length, nil
}

// readElement reads the element that b begins with. check is called now and then
// while its end is searched.
func readElement(b []byte, check func() error) (e element, err error) {
	size, length, err := berHeader(b)
	if err != nil {
		return e, err
	}
	e.tag, e.constructed = b[0], b[0]&0x20 != 0
	if length >= 0 {
		e.short = length > len(b)-size
		length = min(length, len(b)-size)
		e.body, e.rest = b[size:size+length], b[size+length:]
		return e, nil
	}
	at := size
	for open, turns := 1, 1; ; turns++ {
		if turns%(16<<10) == 0 {
			if err := check(); err != nil {
				return e, err
			}
		}
		if at+1 < len(b) && b[at] == 0 && b[at+1] == 0 {
			if at, open = at+2, open-1; open == 0 {
				e.body, e.rest = b[size:at-2], b[at:]
				return e, nil
			}
			continue
		}
		size, length, err := berHeader(b[min(at, len(b)):])
		if err != nil {
			break
		}
		if at += size; length < 0 {
			open++
		} else if length > len(b)-at {
			break
		} else {
			at += length
		}
	}
	// It breaks off.
	e.body, e.short = b[size:], true
	return e, nil
}

// An octetReader reads the content of an octet string, which may be in pieces.
type octetReader struct {
	b    []byte // pieces that follow
	open []int  // how much of b each string that is open has left, -1 until its end mark
	now  []byte // the piece that is read
	cut  bool   // the string breaks off
}

// octetDepth bounds strings in strings.
const octetDepth = 16

// octets reads the string that is e.
func octets(e element) *octetReader {
	if !e.constructed {
		return &octetReader{now: e.body, cut: e.short}
	}
	return &octetReader{b: e.body, cut: e.short}
}

// Read implements io.Reader.
func (o *octetReader) Read(p []byte) (int, error) {
	for turns := 0; len(o.now) == 0; turns++ {
		if turns > 16<<10 {
			return 0, nil // the caller looks at the clock
		}
		if !o.next() {
			return 0, io.EOF
		}
	}
	n := copy(p, o.now)
	o.now = o.now[n:]
	return n, nil
}

// next goes to the next piece, and says whether there is one.
func (o *octetReader) next() bool {
	if len(o.b) == 0 {
		o.cut = o.cut || len(o.open) > 0 && o.open[len(o.open)-1] != 0
		return false
	}
	last := len(o.open) - 1
	if last >= 0 && len(o.b) <= o.open[last] {
		o.open = o.open[:last]
		return true
	}
	if len(o.b) >= 2 && o.b[0] == 0 && o.b[1] == 0 {
		if o.b = o.b[2:]; last >= 0 {
			o.open = o.open[:last]
		}
		return true
	}
	size, length, err := berHeader(o.b)
	if err != nil || o.b[0]&0x1f != 4 && o.b[0]&0xc0 == 0 {
		o.b, o.cut = nil, true
		return false
	}
	constructed := o.b[0]&0x20 != 0
	o.b = o.b[size:]
	if constructed {
		if len(o.open) >= octetDepth {
			o.b, o.cut = nil, true
			return false
		}
		end := -1
		if length >= 0 {
			end = max(0, len(o.b)-length)
		}
		o.open = append(o.open, end)
		return true
	}
	if length > len(o.b) {
		o.cut, length = true, len(o.b)
	}
	o.now, o.b = o.b[:length], o.b[length:]
	return true
}
