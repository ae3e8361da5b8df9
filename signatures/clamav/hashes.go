package clamav

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"sort"
)

// hashes are signatures of the three kinds, and their names.
type hashes struct {
	md5, sha1, sha256 table
	names             names
}

func (h *hashes) add(size uint32, digest, name []byte) error {
	at, err := h.names.add(name)
	if err != nil {
		return err
	}
	switch len(digest) {
	case md5.Size:
		h.md5.add(size, digest, at)
	case sha1.Size:
		h.sha1.add(size, digest, at)
	default:
		h.sha256.add(size, digest, at)
	}
	return nil
}

// seal makes the tables ready for match, and tells how many duplicates it dropped.
func (h *hashes) seal() (dropped int) {
	h.names.seal()
	return h.md5.seal() + h.sha1.seal() + h.sha256.seal()
}

func (h *hashes) len() int { return h.md5.n + h.sha1.n + h.sha256.n }

func (h *hashes) match(data []byte) (string, bool) {
	if len(data) == 0 || uint64(len(data)) >= anySize {
		return "", false
	}
	size := uint32(len(data))
	if h.md5.wants(size) {
		sum := md5.Sum(data)
		if at, ok := h.md5.find(size, sum[:]); ok {
			return h.names.get(at), true
		}
	}
	if h.sha1.wants(size) {
		sum := sha1.Sum(data)
		if at, ok := h.sha1.find(size, sum[:]); ok {
			return h.names.get(at), true
		}
	}
	if h.sha256.wants(size) {
		sum := sha256.Sum256(data)
		if at, ok := h.sha256.find(size, sum[:]); ok {
			return h.names.get(at), true
		}
	}
	return "", false
}

// perBlock is how many entries a block of a table has.
const perBlock = 1 << 14

// A table holds digests of one kind. An entry is the file's size, the digest and
// where its name is, all big-endian, so that entries sort as bytes: by size, then
// digest, then the order in which they were read. They are in blocks, because one
// slice that grows would need twice the memory for a moment.
type table struct {
	width  int // of an entry, bytes
	blocks [][]byte
	n      int
	sizes  []uint64 // a bit for every size there is, at its hash
	every  bool     // some are for files of every size
}

func (t *table) entry(i int) []byte {
	at := i % perBlock * t.width
	return t.blocks[i/perBlock][at : at+t.width : at+t.width]
}

func (t *table) add(size uint32, digest []byte, name uint32) {
	t.width = 4 + len(digest) + 4
	if t.n%perBlock == 0 {
		var block []byte // the first grows: most sets are small
		if t.n > 0 {
			block = make([]byte, 0, perBlock*t.width)
		}
		t.blocks = append(t.blocks, block)
	}
	b := &t.blocks[len(t.blocks)-1]
	*b = binary.BigEndian.AppendUint32(*b, size)
	*b = append(*b, digest...)
	*b = binary.BigEndian.AppendUint32(*b, name)
	t.n++
}

// Len, Less and Swap are for package sort.
func (t *table) Len() int           { return t.n }
func (t *table) Less(i, j int) bool { return bytes.Compare(t.entry(i), t.entry(j)) < 0 }
func (t *table) Swap(i, j int) {
	var spare [4 + sha256.Size + 4]byte
	a, b := t.entry(i), t.entry(j)
	copy(spare[:], a)
	copy(a, b)
	copy(b, spare[:])
}

// seal sorts the table and drops what is in it twice; the first read stays.
func (t *table) seal() (dropped int) {
	if t.n == 0 {
		return 0
	}
	sort.Sort(t)
	kept := 1
	for i := 1; i < t.n; i++ {
		if key := t.width - 4; !bytes.Equal(t.entry(i)[:key], t.entry(kept - 1)[:key]) {
			copy(t.entry(kept), t.entry(i))
			kept++
		}
	}
	dropped = t.n - kept
	t.n = kept
	t.blocks = t.blocks[: (kept+perBlock-1)/perBlock : (kept+perBlock-1)/perBlock]
	words := 16
	for words*8 < t.n {
		words *= 2
	}
	t.sizes = make([]uint64, words)
	for i := range t.n {
		size := binary.BigEndian.Uint32(t.entry(i))
		if size == anySize {
			t.every = true
			break // the rest are too
		}
		word, bit := t.slot(size)
		t.sizes[word] |= bit
	}
	return dropped
}

func (t *table) slot(size uint32) (word int, bit uint64) {
	h := uint64(size) * 0x9e3779b97f4a7c15 >> 20
	return int(h >> 6 % uint64(len(t.sizes))), 1 << (h & 63)
}

// wants tells whether a file of that size may be in the table; it never errs when
// it says no.
func (t *table) wants(size uint32) bool {
	if t.n == 0 {
		return false
	}
	word, bit := t.slot(size)
	return t.every || t.sizes[word]&bit != 0
}

// find tells where the name of the entry is, first for the size, then for any.
func (t *table) find(size uint32, digest []byte) (name uint32, ok bool) {
	var key [4 + sha256.Size]byte
	for _, s := range [2]uint32{size, anySize} {
		binary.BigEndian.PutUint32(key[:], s)
		k := key[:4+copy(key[4:], digest)]
		i := sort.Search(t.n, func(i int) bool { return bytes.Compare(t.entry(i)[:len(k)], k) >= 0 })
		if i < t.n && bytes.Equal(t.entry(i)[:len(k)], k) {
			return binary.BigEndian.Uint32(t.entry(i)[len(k):]), true
		}
	}
	return 0, false
}
