package document

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// A compound is an OLE2 compound file: its sector tables and its directory. It
// is read leniently, as the programs that open documents do: the counts in the
// header are ignored, tables that break off end there, entries that no tree
// reaches are listed too. Every table is bounded by the size of the file.
type compound struct {
	data    []byte
	shift   uint
	fat     []uint32
	minifat []uint32
	mini    []byte // the mini stream
	entries []entry
	index   map[string]int // of the streams, by path in lower case
}

// An entry is a stream or a storage of a compound file.
type entry struct {
	name    string // as stored, control characters and all
	storage string // path of the storage that it is in, "" for the root, separated by "/"
	stream  bool
	class   [16]byte
	start   uint32
	size    uint64
}

// path is the entry's place in the file.
func (e *entry) path() string {
	if e.storage == "" {
		return e.name
	}
	return e.storage + "/" + e.name
}

const (
	miniSector  = 64
	miniCutoff  = 4096
	lastRegular = 0xFFFFFFFA
	noEntry     = 0xFFFFFFFF
	mostEntries = 1 << 15
)

var errCompound = errors.New("no compound file")

// readCompound reads the tables of a compound file.
func readCompound(b []byte) (*compound, error) {
	// [MS-CFB] section 2.2: the header.
	if len(b) < 512 || string(b[:8]) != "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" {
		return nil, errCompound
	}
	le := binary.LittleEndian
	c := &compound{data: b, shift: uint(le.Uint16(b[30:]))}
	if c.shift < 7 || c.shift > 16 {
		return nil, fmt.Errorf("%w: sectors of 2^%d bytes", errCompound, c.shift)
	}
	c.readFAT(b)
	root := c.readDirectory(le.Uint32(b[48:]))
	if len(c.entries) == 0 {
		return nil, fmt.Errorf("%w: no directory", errCompound)
	}
	// The mini stream is the root's, the mini FAT a chain of its own. Neither can
	// be longer than the file.
	c.mini = c.table(root.start, root.size)
	c.minifat = words(c.table(le.Uint32(b[60:]), uint64(len(c.mini)/miniSector*4)))
	return c, nil
}

// readFAT puts the sector table together: 109 of its sectors are named in the
// header, the others in a chain of sectors. A file of n sectors needs no table of
// more than n entries.
func (c *compound) readFAT(b []byte) {
	sectors := len(b)>>c.shift + 1
	room := sectors>>(c.shift-2) + 1
	add := func(list []uint32) {
		for _, n := range list {
			if n < lastRegular && len(c.fat) < room<<(c.shift-2) {
				c.fat = append(c.fat, words(c.sector(n))...)
			}
		}
	}
	add(words(b[76:512]))
	next := binary.LittleEndian.Uint32(b[68:])
	for i := 0; i < room && next < lastRegular; i++ {
		list := words(c.sector(next))
		if len(list) == 0 {
			return
		}
		add(list[:len(list)-1])
		next = list[len(list)-1]
	}
}

// sector is the content of a sector, shorter at the end of the file.
func (c *compound) sector(n uint32) []byte {
	at := (uint64(n) + 1) << c.shift
	if at >= uint64(len(c.data)) {
		return nil
	}
	return c.data[at:min(at+1<<c.shift, uint64(len(c.data)))]
}

// words are the little-endian numbers in b.
func words(b []byte) []uint32 {
	list := make([]uint32, len(b)/4)
	for i := range list {
		list[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return list
}

// readDirectory lists the entries and returns the root.
func (c *compound) readDirectory(start uint32) entry {
	le := binary.LittleEndian
	table := c.table(start, mostEntries*128)
	// [MS-CFB] section 2.6.1: an entry has 128 bytes.
	n := len(table) / 128
	list := make([]entry, n)
	child, left, right := make([]uint32, n), make([]uint32, n), make([]uint32, n)
	for i := range n {
		e := table[128*i : 128*i+128]
		length := min(int(le.Uint16(e[64:])), 64)
		units := make([]uint16, 0, 32)
		for k := 0; k+2 <= length; k += 2 {
			if u := le.Uint16(e[k:]); u != 0 {
				units = append(units, u)
			}
		}
		list[i] = entry{name: string(utf16.Decode(units)), stream: e[66] == 2, start: le.Uint32(e[116:]), size: le.Uint64(e[120:]), class: [16]byte(e[80:96])}
		if c.shift == 9 {
			list[i].size &= 0xFFFFFFFF // [MS-CFB] section 2.6.3: the upper half is unreliable in version 3
		}
		left[i], right[i], child[i] = le.Uint32(e[68:]), le.Uint32(e[72:]), le.Uint32(e[76:])
	}
	if n == 0 {
		return entry{}
	}
	root := list[0]
	root.storage = ""
	// Walk the trees; an entry is visited once, whatever the pointers say.
	type place struct {
		id      uint32
		storage string
	}
	seen := make([]bool, n)
	seen[0] = true
	stack := []place{{child[0], ""}}
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if p.id >= uint32(n) || seen[p.id] {
			continue
		}
		seen[p.id] = true
		e := &list[p.id]
		e.storage = p.storage
		stack = append(stack, place{left[p.id], p.storage}, place{right[p.id], p.storage})
		// Paths are bounded: a chain of storages as long as the directory would
		// make them quadratic.
		if inside := e.path(); !e.stream && len(inside) < 256 {
			stack = append(stack, place{child[p.id], inside})
		}
	}
	c.entries = append(c.entries, entry{class: root.class})
	for i := 1; i < n; i++ {
		if table[128*i+66] != 0 || list[i].size > 0 && list[i].name != "" {
			c.entries = append(c.entries, list[i])
		}
	}
	return root
}

// chain reads size bytes of the sectors from start on.
func (c *compound) chain(start uint32, size uint64) io.Reader {
	return &chain{c: c, next: start, left: min(size, uint64(len(c.data)))}
}

// table is at most size bytes of the sectors from start on, as far as they go.
func (c *compound) table(start uint32, size uint64) []byte {
	if b := c.slice(&entry{start: start, size: size}); b != nil {
		return b
	}
	b := make([]byte, min(size, uint64(len(c.data))))
	n, _ := io.ReadFull(c.chain(start, uint64(len(b))), b)
	return b[:n]
}

// open reads a stream's content.
func (c *compound) open(e *entry) io.Reader {
	if e.size < miniCutoff {
		return &chain{c: c, next: e.start, left: e.size, mini: true}
	}
	return c.chain(e.start, e.size)
}

// A chain reads sectors in order. left bounds it, so that a cycle ends.
type chain struct {
	c    *compound
	next uint32
	left uint64
	mini bool
	rest []byte
}

// Read fills p with what the sectors hold; a chain that breaks off ends with
// io.ErrUnexpectedEOF.
func (r *chain) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if r.left == 0 {
			return n, io.EOF
		}
		if len(r.rest) == 0 {
			if r.advance(); len(r.rest) == 0 {
				return n, io.ErrUnexpectedEOF
			}
		}
		k := copy(p[n:], r.rest[:min(uint64(len(r.rest)), r.left)])
		r.rest = r.rest[k:]
		r.left -= uint64(k)
		n += k
	}
	return n, nil
}

func (r *chain) advance() {
	if r.next >= lastRegular {
		return
	}
	table := r.c.fat
	if r.mini {
		table = r.c.minifat
		if at := uint64(r.next) * miniSector; at < uint64(len(r.c.mini)) {
			r.rest = r.c.mini[at:min(at+miniSector, uint64(len(r.c.mini)))]
		}
	} else {
		r.rest = r.c.sector(r.next)
	}
	if uint64(r.next) < uint64(len(table)) {
		r.next = table[r.next]
	} else {
		r.next = noEntry
	}
}

// find is the stream of that name in that storage, names compared as the format
// does, without case.
func (c *compound) find(storage, name string) *entry {
	if c.index == nil {
		c.index = make(map[string]int, len(c.entries))
		for i := len(c.entries) - 1; i >= 0; i-- {
			if e := &c.entries[i]; e.stream {
				c.index[strings.ToLower(e.path())] = i
			}
		}
	}
	if i, ok := c.index[strings.ToLower((&entry{storage: storage, name: name}).path())]; ok {
		return &c.entries[i]
	}
	return nil
}
