package archive

import (
	"bytes"
	"encoding/binary"
)

// Signatures of PKWARE's APPNOTE 6.3.10, sections 4.3.7 to 4.3.16.
var (
	zipLocal      = []byte("PK\x03\x04")
	zipDescriptor = []byte("PK\x07\x08")
	zipCentral    = []byte("PK\x01\x02")
	zipEnd        = []byte("PK\x05\x06")
	zipEnd64      = []byte("PK\x06\x06")
	zipLocator64  = []byte("PK\x06\x07")
)

// zipTail is how many bytes from the end the end record is searched in.
const zipTail = 64<<10 + 22

// A zipHeader is what a local or a central header says about a member.
type zipHeader struct {
	name   []byte
	extra  []byte
	flags  uint16
	method uint16
	time   uint16
	crc    uint32
	packed int64 // bytes in the archive
	size   int64 // bytes unpacked
	offset int64 // central: of the local header, as written; local: of the data
}

const (
	zipEncrypted = 1 << 0
	zipStreamed  = 1 << 3 // sizes follow the data
	zipStrong    = 1 << 6
	zipUTF8      = 1 << 11
)

// readLocal reads the local header at b[at:].
func readLocal(b []byte, at int64) (h zipHeader, ok bool) {
	if at < 0 || at+30 > int64(len(b)) || !bytes.HasPrefix(b[at:], zipLocal) {
		return h, false
	}
	le, p := binary.LittleEndian, b[at:]
	h = zipHeader{flags: le.Uint16(p[6:]), method: le.Uint16(p[8:]), time: le.Uint16(p[10:]), crc: le.Uint32(p[14:]), packed: int64(le.Uint32(p[18:])), size: int64(le.Uint32(p[22:]))}
	name, extra := int64(le.Uint16(p[26:])), int64(le.Uint16(p[28:]))
	if at+30+name+extra > int64(len(b)) {
		return h, false
	}
	h.name, h.extra, h.offset = p[30:30+name], p[30+name:30+name+extra], at+30+name+extra
	h.wide(false)
	return h, true
}

// readCentral reads the central header at b[at:], and says where the next may be.
func readCentral(b []byte, at int64) (h zipHeader, next int64, ok bool) {
	if at < 0 || at+46 > int64(len(b)) || !bytes.HasPrefix(b[at:], zipCentral) {
		return h, at, false
	}
	le, p := binary.LittleEndian, b[at:]
	h = zipHeader{flags: le.Uint16(p[8:]), method: le.Uint16(p[10:]), time: le.Uint16(p[12:]), crc: le.Uint32(p[16:]), packed: int64(le.Uint32(p[20:])), size: int64(le.Uint32(p[24:])), offset: int64(le.Uint32(p[42:]))}
	name, extra, comment := int64(le.Uint16(p[28:])), int64(le.Uint16(p[30:])), int64(le.Uint16(p[32:]))
	if at+46+name+extra > int64(len(b)) {
		return h, at, false
	}
	h.name, h.extra = p[46:46+name], p[46+name:46+name+extra]
	h.wide(true)
	return h, min(at+46+name+extra+comment, int64(len(b))), true
}

// field is the content of an extra field, nil if there is none of this kind.
func (h *zipHeader) field(kind uint16) []byte {
	for e := h.extra; len(e) >= 4; {
		size := int(binary.LittleEndian.Uint16(e[2:]))
		if len(e) < 4+size {
			return nil
		}
		if binary.LittleEndian.Uint16(e) == kind {
			return e[4 : 4+size]
		}
		e = e[4+size:]
	}
	return nil
}

// wide fills in the sizes that do not fit into 32 bits. APPNOTE section 4.5.3.
func (h *zipHeader) wide(central bool) {
	e := h.field(1)
	for _, v := range []*int64{&h.size, &h.packed, &h.offset} {
		if v == &h.offset && !central || *v != 1<<32-1 || len(e) < 8 {
			continue
		}
		// What is more than an archive can hold is cut later.
		*v = int64(min(binary.LittleEndian.Uint64(e), 1<<62))
		e = e[8:]
	}
}

// A zipRecord is an end record and the directory that it leads to.
type zipRecord struct {
	at      int64 // of the end record
	end     int64 // behind it, comment not counted
	count   int64 // members that it counts; 16 bits of them, or 64
	wide    bool  // it is a zip64 record
	start   int64 // of the directory, -1 if there is none
	base    int64 // what offsets are counted from
	another int64 // where another reader would find a directory, -1 for none
}

// findEnds are the places near the end of b at which an end record may begin, the
// last first.
func findEnds(b []byte) (all []int64) {
	from := max(0, len(b)-zipTail)
	for {
		i := bytes.Index(b[from:], zipEnd)
		if i < 0 || from+i+22 > len(b) {
			break
		}
		all = append(all, int64(from+i))
		from += i + 4
	}
	// Files of nothing but signatures are not worth more.
	all = all[max(0, len(all)-8):]
	for i, k := 0, len(all)-1; i < k; i, k = i+1, k-1 {
		all[i], all[k] = all[k], all[i]
	}
	return all
}

// readEnd reads the end record at b[at:] and finds its directory: right before the
// record, or where the record says; readers disagree if those are two places.
func readEnd(b []byte, at int64) zipRecord {
	le, p := binary.LittleEndian, b[at:]
	r := zipRecord{at: at, end: at + 22, count: int64(le.Uint16(p[10:])), start: -1, another: -1}
	size, offset := int64(le.Uint32(p[12:])), int64(le.Uint32(p[16:]))
	front := at
	if l := at - 20; l >= 0 && bytes.HasPrefix(b[l:], zipLocator64) {
		for _, e := range []int64{int64(min(le.Uint64(b[l+8:]), 1<<62)), l - 56} {
			if e >= 0 && e+56 <= l && bytes.HasPrefix(b[e:], zipEnd64) {
				if r.count == 1<<16-1 || size == 1<<32-1 || offset == 1<<32-1 {
					r.wide = true
					r.count = int64(min(le.Uint64(b[e+32:]), 1<<62))
					size, offset = int64(min(le.Uint64(b[e+40:]), 1<<62)), int64(min(le.Uint64(b[e+48:]), 1<<62))
				}
				front = e
				break
			}
		}
	}
	is := func(at int64) bool {
		return at >= 0 && at+46 <= int64(len(b)) && bytes.HasPrefix(b[at:], zipCentral)
	}
	if before := front - size; size >= 46 && is(before) {
		r.start, r.base = before, before-offset
	}
	if offset != r.start && is(offset) {
		if r.start < 0 {
			r.start = offset
		} else {
			r.another = offset
		}
	}
	return r
}
