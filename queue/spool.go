package queue

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The spool holds the mail: segment files to which records are appended. One fdatasync makes all records of a batch
// durable. A segment begins with a block that names its nonce: 16 random bytes that every record of it begins with, so
// that no message body can pose as a record.
//
// Why not otherwise: messages of 5 KB with 1, 10 and 50 callers of Put, index commit included, on two cores and ext4 gave
//
//	a file for each message    1,160   1,470   1,070 Puts/s    530   860   1,600 µs of CPU for each
//	a file for each batch        650   3,040  11,690         1,270   270      74
//	values in Badger           2,450   6,380  16,410           225    84      40
//	segments                   2,120   9,040  21,950           232    62      36
//
// and a Badger that holds the mail takes all of it along when one byte of it is damaged or the disk is full.
//
//	record = header, marks, envelope, body, zeros up to the next multiple of 512
//	header = nonce 16, offset 8, length of body 8, of envelope 4, recipients 4, CRC-32C of body 4, of envelope 4, of header 4
//	marks  = one byte for the item (held or released since), one for each recipient (final)
//
// Marks are the only bytes that change after a record was written. They are hints for the day on which the index is
// lost, and not synced on their own. "Delivered" is written as soon as the deliverer says so, which is the truth whatever
// becomes of the index: a process that is killed before the index has it finds it there (see recover.go). The others are
// never written before the index has the same fact on stable storage.
// A record shares no 512-byte sector with another.
const (
	sector     = 512
	headerSize = 16 + 8 + 8 + 4 + 4 + 4 + 4 + 4
	segMagic   = "SCqueue1"

	markDelivered = 0xd3
	markFailed    = 0xe5
	markHeld      = 0xb6
	markReleased  = 0x9a
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// place says where a record is.
type place struct {
	seg uint64 // number of the segment
	off int64
	len int64 // with padding
}

// record is a draft made ready for the spool.
type record struct {
	it    *Item
	env   []byte
	marks []byte
	body  [][]byte
	crc   uint32        // of body
	place place         // set by spool.append
	moved time.Duration // which jumps of the clock it's times have followed
}

func newRecord(it *Item, body [][]byte) *record {
	r := &record{it: it, env: appendItem(nil, it), marks: make([]byte, 1+len(it.Recipients)), body: body}
	for _, p := range body {
		r.crc = crc32.Update(r.crc, castagnoli, p)
	}
	for i, rc := range it.Recipients {
		r.marks[1+i] = markOf(rc.State)
	}
	return r
}

func markOf(s State) byte {
	switch s {
	case Delivered:
		return markDelivered
	case Failed:
		return markFailed
	}
	return 0
}

func (r *record) length() int64 {
	return align(headerSize + int64(len(r.marks)) + int64(len(r.env)) + r.it.Size)
}

func align(n int64) int64 { return (n + sector - 1) / sector * sector }

// segment is what is known of one segment file.
type segment struct {
	used  int64 // bytes up to the end of the last record
	live  int64 // bytes of records that the index knows
	items int   // number of them
}

// spool is used by one goroutine at a time (the committer, or Open), except open, which anybody may call.
type spool struct {
	dir   string
	size  int64 // of a segment, bytes; a longer record gets a segment of its own
	segs  map[uint64]*segment
	last  uint64   // highest number ever used
	file  *os.File // the segment being written; nil = the next append begins one
	nonce [16]byte
	off   int64 // where the next record goes
	end   int64 // how far file is allocated
}

func (s *spool) path(seg uint64) string { return filepath.Join(s.dir, fmt.Sprintf("%012d.seg", seg)) }

// openSpool lists the segments that there are.
func openSpool(dir string, size int64) (*spool, error) {
	s := &spool{dir: dir, size: size, segs: map[uint64]*segment{}}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	numbers, err := segmentsIn(dir)
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		info, err := os.Stat(s.path(n))
		if err != nil {
			return nil, err
		}
		s.segs[n] = &segment{used: info.Size()}
		s.last = max(s.last, n)
	}
	return s, nil
}

// segmentsIn returns the numbers of the segments in dir, in order.
func segmentsIn(dir string) (numbers []uint64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".seg")
		if n, err := strconv.ParseUint(name, 10, 64); ok && err == nil && n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// makeDir makes dir (0700) if it is absent, and its name durable.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// begin starts a segment with room for n bytes of records.
func (s *spool) begin(n int64) error {
	if err := s.seal(); err != nil {
		return err
	}
	s.last++
	f, err := os.OpenFile(s.path(s.last), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return scarce(err)
	}
	s.end = sector + max(n, s.size)
	// Space that is allocated now cannot run out in the middle of a record. Some file systems cannot do it.
	err = uninterrupted(func() error { return unix.Fallocate(int(f.Fd()), 0, 0, s.end) })
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		err = nil
	}
	if err == nil {
		rand.Read(s.nonce[:])
		head := append([]byte(segMagic), s.nonce[:]...)
		head = binary.BigEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
		_, err = f.WriteAt(append(head, make([]byte, sector-len(head))...), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		f.Close()
		os.Remove(s.path(s.last))
		return scarce(err)
	}
	s.file, s.off = f, sector
	s.segs[s.last] = &segment{used: sector}
	return nil
}

// seal ends the segment being written and gives back what it did not use.
func (s *spool) seal() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	f.Truncate(s.off) // only saves space
	err := f.Close()
	s.removeIfDead(s.last)
	return err
}

// append writes records to the end of the spool, which makes nothing durable before sync. When it fails the segment is
// given up, so that no half-written record is ever overwritten by another.
func (s *spool) append(recs []*record) error {
	for _, r := range recs {
		n := r.length()
		if s.file == nil || s.off+n > s.end {
			if err := s.sync(); err != nil {
				return err
			}
			if err := s.begin(n); err != nil {
				return err
			}
		}
		r.place = place{s.last, s.off, n}
		if err := s.write(r); err != nil {
			s.seal()
			return err
		}
		s.off += n
		s.segs[s.last].used = s.off
	}
	return nil
}

// write puts r at its place.
func (s *spool) write(r *record) error {
	head := make([]byte, 0, headerSize+len(r.marks)+len(r.env))
	head = append(head, s.nonce[:]...)
	head = binary.BigEndian.AppendUint64(head, uint64(r.place.off))
	head = binary.BigEndian.AppendUint64(head, uint64(r.it.Size))
	head = binary.BigEndian.AppendUint32(head, uint32(len(r.env)))
	head = binary.BigEndian.AppendUint32(head, uint32(len(r.it.Recipients)))
	head = binary.BigEndian.AppendUint32(head, r.crc)
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(r.env, castagnoli))
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	head = append(append(head, r.marks...), r.env...)
	pad := r.place.len - int64(len(head)) - r.it.Size
	pieces := append(append([][]byte{head}, r.body...), make([]byte, pad))
	off := r.place.off
	for len(pieces) > 0 {
		n, err := unix.Pwritev(int(s.file.Fd()), pieces[:min(len(pieces), 1024)], off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "pwritev", Path: s.file.Name(), Err: err}
		}
		off += int64(n)
		for len(pieces) > 0 && n >= len(pieces[0]) {
			n -= len(pieces[0])
			pieces = pieces[1:]
		}
		if n > 0 {
			pieces[0] = pieces[0][n:]
		}
	}
	return nil
}

// sync makes what was appended durable.
func (s *spool) sync() error {
	if s.file == nil {
		return nil
	}
	if err := uninterrupted(func() error { return unix.Fdatasync(int(s.file.Fd())) }); err != nil {
		return &os.PathError{Op: "fdatasync", Path: s.file.Name(), Err: err}
	}
	return nil
}

// uninterrupted repeats a system call that a signal (the Go scheduler's, for one) has interrupted.
func uninterrupted(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// added counts a record that the index knows from now on, dropped one that it has forgotten for good.
func (s *spool) added(p place) {
	if seg := s.segs[p.seg]; seg != nil {
		seg.live += p.len
		seg.items++
	}
}

func (s *spool) dropped(p place) {
	if seg := s.segs[p.seg]; seg != nil {
		seg.live -= p.len
		seg.items--
		s.removeIfDead(p.seg)
	}
}

// removeIfDead deletes a segment that no item needs. If its name comes back after a power cut, Open finds it dead again.
func (s *spool) removeIfDead(n uint64) bool {
	seg := s.segs[n]
	if seg == nil || seg.items > 0 || s.file != nil && n == s.last {
		return false
	}
	os.Remove(s.path(n))
	delete(s.segs, n)
	return true
}

// mark writes marks of a record, from the first'th on. A failure costs at most a second delivery after the index was lost.
func (s *spool) mark(p place, first int, marks ...byte) {
	if s.segs[p.seg] == nil {
		return
	}
	f := s.file
	if f == nil || p.seg != s.last {
		var err error
		if f, err = os.OpenFile(s.path(p.seg), os.O_WRONLY, 0); err != nil {
			return
		}
		defer f.Close()
	}
	f.WriteAt(marks, p.off+headerSize+int64(first))
}

// delivered returns which of n recipients the record at p is marked as delivered for; none if it cannot be read.
func (s *spool) delivered(p place, n int) []bool {
	marks, yes := make([]byte, n), make([]bool, n)
	f, err := os.Open(s.path(p.seg))
	if err != nil {
		return yes
	}
	defer f.Close()
	if _, err := f.ReadAt(marks, p.off+headerSize+1); err != nil {
		return yes
	}
	for i, m := range marks {
		yes[i] = m == markDelivered
	}
	return yes
}

// discard marks a record that will never be indexed.
func (s *spool) discard(r *record) {
	s.mark(r.place, 1, bytes.Repeat([]byte{markFailed}, len(r.it.Recipients))...)
}

// numbers returns the segments in order.
func (s *spool) numbers() []uint64 {
	var ns []uint64
	for n := range s.segs {
		ns = append(ns, n)
	}
	slices.Sort(ns)
	return ns
}
