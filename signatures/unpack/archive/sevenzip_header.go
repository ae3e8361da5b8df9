package archive

import (
	"errors"
	"unicode/utf16"
)

// Bounds of a 7z header.
const (
	sevenEntriesMax = 1 << 17 // files, and streams
	sevenFoldersMax = 1 << 14
	sevenCodersMax  = 8 // of one folder
)

var errSevenHeader = errors.New("the header contradicts itself")

// sevenInfo is what a header says of the packed streams.
type sevenInfo struct {
	position uint64   // of the first packed stream
	packs    []uint64 // sizes of the packed streams
	folders  []sevenFolder
	counts   []int // of streams in each folder
	sizes    []uint64
	sums     []uint32
	hasSum   []bool
	more     bool // there are more than are read
}

// A sevenFile is a file as the header lists it.
type sevenFile struct {
	name       string
	empty, dir bool
}

// number reads the format's integer of one to nine bytes.
func (c *cursor) number() uint64 {
	first := c.byte()
	var v uint64
	for i, mask := 0, byte(0x80); i < 8; i, mask = i+1, mask>>1 {
		if first&mask == 0 {
			return v | uint64(first&(mask-1))<<(8*i)
		}
		v |= uint64(c.byte()) << (8 * i)
	}
	return v
}

// count reads a number of things that take a byte of the header each, at least.
func (c *cursor) count(most uint64) int {
	n := c.number()
	if n > uint64(len(c.b)) || n > most {
		c.b, c.bad = nil, true
		return 0
	}
	return int(n)
}

// bits reads n flags.
func (c *cursor) bits(n int) []bool {
	packed := c.take(uint64(n+7) / 8)
	out := make([]bool, n)
	for i := range out {
		out[i] = packed != nil && packed[i/8]&(0x80>>(i%8)) != 0
	}
	return out
}

// digests reads n checksums, some of which are not there.
func (c *cursor) digests(n int) (sums []uint32, has []bool) {
	if c.byte() != 0 {
		has = make([]bool, n)
		for i := range has {
			has[i] = true
		}
	} else {
		has = c.bits(n)
	}
	sums = make([]uint32, n)
	for i := range sums {
		if has[i] {
			sums[i] = c.le32()
		}
	}
	return sums, has
}

// sevenStreams reads the description of packed streams.
func sevenStreams(c *cursor) (*sevenInfo, error) {
	s := &sevenInfo{}
	for !c.bad {
		switch c.byte() {
		case 0x06:
			s.readPacks(c)
		case 0x07:
			s.readFolders(c)
		case 0x08:
			s.readSubStreams(c)
		case 0x00:
			if s.counts == nil {
				s.oneEach()
			}
			if c.bad || !s.consistent() {
				return nil, errSevenHeader
			}
			return s, nil
		default:
			return nil, errSevenHeader
		}
	}
	return nil, errSevenHeader
}

func (s *sevenInfo) readPacks(c *cursor) {
	s.position = c.number()
	n := c.count(sevenEntriesMax)
	for !c.bad {
		switch c.byte() {
		case 0x09:
			s.packs = make([]uint64, n)
			for i := range s.packs {
				s.packs[i] = c.number()
			}
		case 0x0a:
			c.digests(n)
		case 0x00:
			return
		default:
			c.bad = true
		}
	}
}

func (s *sevenInfo) readFolders(c *cursor) {
	if c.byte() != 0x0b {
		c.bad = true
		return
	}
	n := c.count(sevenFoldersMax)
	if c.byte() != 0 { // kept elsewhere: nobody writes that
		c.bad = true
	}
	s.folders = make([]sevenFolder, n)
	pack := 0
	for i := range s.folders {
		if c.bad {
			return
		}
		s.folders[i].read(c)
		s.folders[i].firstPack = pack
		pack += len(s.folders[i].packed)
	}
	if c.byte() != 0x0c {
		c.bad = true
	}
	for i := range s.folders {
		f := &s.folders[i]
		f.sizes = make([]uint64, len(f.coders))
		for k := range f.sizes {
			f.sizes[k] = c.number()
		}
	}
	for !c.bad {
		switch c.byte() {
		case 0x0a:
			sums, has := c.digests(n)
			for i := range s.folders {
				s.folders[i].crc, s.folders[i].hasCRC = sums[i], has[i]
			}
		case 0x00:
			return
		default:
			c.bad = true
		}
	}
}

// oneEach says that each folder is one stream.
func (s *sevenInfo) oneEach() {
	for i := range s.folders {
		f := &s.folders[i]
		s.counts = append(s.counts, 1)
		s.sizes, s.sums, s.hasSum = append(s.sizes, f.size()), append(s.sums, f.crc), append(s.hasSum, f.hasCRC)
	}
}

func (s *sevenInfo) readSubStreams(c *cursor) {
	counts := make([]int, len(s.folders))
	for i := range counts {
		counts[i] = 1
	}
	id := c.byte()
	total := len(counts)
	if id == 0x0d {
		total = 0
		for i := range counts {
			n := c.number()
			if n > sevenEntriesMax || total+int(n) > sevenEntriesMax {
				c.bad = true
				return
			}
			counts[i] = int(n)
			total += counts[i]
		}
		id = c.byte()
	}
	s.sizes, s.sums, s.hasSum = make([]uint64, 0, total), make([]uint32, total), make([]bool, total)
	for i, n := range counts {
		if n == 0 {
			continue
		}
		rest := s.folders[i].size()
		for range n - 1 {
			var size uint64
			if id == 0x09 {
				size = c.number()
			}
			if size > rest {
				c.bad = true
				return
			}
			rest -= size
			s.sizes = append(s.sizes, size)
		}
		s.sizes = append(s.sizes, rest)
	}
	if id == 0x09 {
		id = c.byte()
	}
	s.counts = counts
	// The checksum of a folder with one stream stands at the folder.
	var open []int
	for i, k := 0, 0; i < len(counts); i++ {
		if f := &s.folders[i]; counts[i] == 1 && f.hasCRC {
			s.sums[k], s.hasSum[k] = f.crc, true
		} else {
			for m := range counts[i] {
				open = append(open, k+m)
			}
		}
		k += counts[i]
	}
	for !c.bad && id != 0x00 {
		if id != 0x0a {
			c.bad = true
			return
		}
		sums, has := c.digests(len(open))
		for i, k := range open {
			s.sums[k], s.hasSum[k] = sums[i], has[i]
		}
		id = c.byte()
	}
}

// consistent says whether the folders' packed streams are there.
func (s *sevenInfo) consistent() bool {
	for i := range s.folders {
		if f := &s.folders[i]; f.firstPack+len(f.packed) > len(s.packs) {
			return false
		}
	}
	return true
}

// sevenHeader reads a header behind its first byte.
func sevenHeader(c *cursor) (*sevenInfo, []sevenFile, error) {
	s := &sevenInfo{}
	var files []sevenFile
	for !c.bad {
		switch c.byte() {
		case 0x02: // properties of the archive
			for {
				id := c.number()
				if id == 0 || c.bad {
					break
				}
				c.take(c.number())
			}
		case 0x03: // additional streams: nobody writes them
			if _, err := sevenStreams(c); err != nil {
				return nil, nil, err
			}
		case 0x04:
			var err error
			if s, err = sevenStreams(c); err != nil {
				return nil, nil, err
			}
		case 0x05:
			files = sevenFiles(c)
		case 0x00:
			if !c.bad {
				return s, files, nil
			}
		default:
			c.bad = true
		}
	}
	return nil, nil, errSevenHeader
}

// sevenFiles reads the list of files.
func sevenFiles(c *cursor) []sevenFile {
	files := make([]sevenFile, c.count(sevenEntriesMax))
	var empty []int
	for !c.bad {
		id := c.byte()
		if id == 0 {
			return files
		}
		p := &cursor{b: c.take(c.number())}
		switch id {
		case 0x0e: // which have no stream
			for i, is := range p.bits(len(files)) {
				if is {
					files[i].empty, files[i].dir = true, true
					empty = append(empty, i)
				}
			}
		case 0x0f: // which of those are files
			for i, is := range p.bits(len(empty)) {
				files[empty[i]].dir = !is
			}
		case 0x11:
			if p.byte() != 0 {
				c.bad = true
				return nil
			}
			for i := range files {
				files[i].name = p.utf16z()
			}
		}
		c.bad = c.bad || p.bad
	}
	return nil
}

// utf16z reads a string of UTF-16LE up to its NUL.
func (c *cursor) utf16z() string {
	var units []uint16
	for len(c.b) >= 2 {
		u := c.le16()
		if u == 0 {
			return string(utf16.Decode(units))
		}
		units = append(units, u)
	}
	c.b, c.bad = nil, true
	return ""
}
