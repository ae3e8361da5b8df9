package queue

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The spool holds the mail: segment files to which records are appended. One fdatasync makes all records of a batch
// durable, which is why a segment and not a file per message (figures in put.go). A segment begins with a block that
// names its nonce: 16 random bytes that every record of it begins with, so that no message body can pose as a record.
//
//	record = header, marks, envelope, body, zeros up to the next multiple of 512
//	header = nonce 16, offset 8, length of body 8, of envelope 4, recipients 4, CRC-32C of body 4, of envelope 4, of header 4
//	marks  = one byte for the item (held or released since), one for each recipient (final)
//
// Marks are the only bytes that change after a record was written. They are hints for the day on which the index is
// lost; they are never written before the index has the same fact on stable storage, and not synced on their own.
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
	crc   uint32 // of body
	place place  // set by spool.append
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
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".seg")
		n, err := strconv.ParseUint(name, 10, 64)
		if !ok || err != nil || n == 0 {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		s.segs[n] = &segment{used: info.Size()}
		s.last = max(s.last, n)
	}
	return s, nil
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
		return err
	}
	s.end = sector + max(n, s.size)
	// Space that is allocated now cannot run out in the middle of a record. Some file systems cannot do it.
	err = unix.Fallocate(int(f.Fd()), 0, 0, s.end)
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
		return err
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
	for {
		err := unix.Fdatasync(int(s.file.Fd()))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: s.file.Name(), Err: err}
		}
		return nil
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

// discard marks a record that will never be indexed.
func (s *spool) discard(r *record) {
	s.mark(r.place, 1, bytes.Repeat([]byte{markFailed}, len(r.it.Recipients))...)
}

// header is a record's header as read back.
type header struct {
	off             int64
	body            int64
	env, recipients int64
	bodySum, envSum uint32
}

func (h *header) bodyOff() int64 { return h.off + headerSize + 1 + h.recipients + h.env }
func (h *header) length() int64  { return align(h.bodyOff() + h.body - h.off) }

// decodeHeader reads the header of the record at off of a segment with this nonce and size.
func decodeHeader(b, nonce []byte, off, size int64) (*header, bool) {
	if len(b) < headerSize || !bytes.Equal(b[:16], nonce) ||
		crc32.Checksum(b[:headerSize-4], castagnoli) != binary.BigEndian.Uint32(b[headerSize-4:]) {
		return nil, false
	}
	h := &header{
		off: int64(binary.BigEndian.Uint64(b[16:])), body: int64(binary.BigEndian.Uint64(b[24:])),
		env: int64(binary.BigEndian.Uint32(b[32:])), recipients: int64(binary.BigEndian.Uint32(b[36:])),
		bodySum: binary.BigEndian.Uint32(b[40:]), envSum: binary.BigEndian.Uint32(b[44:]),
	}
	if h.off != off || h.body < 0 || h.body > size || h.bodyOff()+h.body > size {
		return nil, false
	}
	return h, true
}

// openSegment opens a segment and reads its nonce.
func (s *spool) openSegment(n uint64) (f *os.File, nonce []byte, size int64, err error) {
	f, err = os.Open(s.path(n))
	if err != nil {
		return nil, nil, 0, err
	}
	info, err := f.Stat()
	b := make([]byte, sector+headerSize)
	var got int
	if err == nil {
		if got, err = f.ReadAt(b, 0); err == io.EOF {
			err = nil
		}
	}
	const sum = len(segMagic) + 16
	switch {
	case err != nil:
	case got >= sum+4 && string(b[:len(segMagic)]) == segMagic &&
		crc32.Checksum(b[:sum], castagnoli) == binary.BigEndian.Uint32(b[sum:]):
		return f, b[len(segMagic):sum], info.Size(), nil
	default: // the first record knows the nonce too
		nonce = b[sector : sector+16]
		if _, ok := decodeHeader(b[min(sector, got):got], nonce, sector, info.Size()); ok {
			return f, nonce, info.Size(), nil
		}
		err = errDamaged
	}
	f.Close()
	return nil, nil, 0, fmt.Errorf("reading the head of %s: %w", s.path(n), err)
}

// found is one record that scan met.
type found struct {
	it    *Item
	place place
	marks []byte
	whole bool // the body's checksum holds
}

// scan calls each for the records of a segment from offset from on, and bad for runs of bytes that are neither a record
// nor zero. It returns where the last record ends.
func (s *spool) scan(n uint64, from int64, each func(found) error, bad func(off, length int64)) (end int64, err error) {
	f, nonce, size, err := s.openSegment(n)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	end = max(from, sector)
	skipped := int64(-1) // beginning of a damaged run
	report := func(to int64) {
		if skipped >= 0 {
			bad(skipped, to-skipped)
		}
		skipped = -1
	}
	buf := make([]byte, 128<<10)
	have, at := 0, int64(0) // buf[:have] is what stands at offset at
	for off := end; off+headerSize <= size; {
		if off < at || off+headerSize > at+int64(have) {
			at = off
			if have, err = f.ReadAt(buf, at); err != nil && err != io.EOF {
				return end, err
			}
		}
		b := buf[off-at : have]
		h, ok := decodeHeader(b, nonce, off, size)
		if !ok {
			if skipped < 0 && !zero(b[:min(sector, len(b))]) {
				skipped = off
			} else if skipped < 0 && zero(buf[off-at:have]) { // allocated, never written
				off = at + int64(have)/sector*sector
				if have < len(buf) {
					break
				}
				continue
			}
			off += sector
			continue
		}
		report(off)
		got := found{place: place{n, off, h.length()}}
		head := make([]byte, h.bodyOff()-off-headerSize)
		if _, err := f.ReadAt(head, off+headerSize); err != nil {
			return end, err
		}
		got.marks = head[:1+h.recipients]
		env := head[1+h.recipients:]
		if crc32.Checksum(env, castagnoli) == h.envSum {
			got.it, err = decodeItem(env)
		}
		if got.it == nil || err != nil || len(got.it.Recipients) != int(h.recipients) || got.it.Size != h.body {
			bad(off, h.length())
		} else {
			sum, err := checksum(io.NewSectionReader(f, h.bodyOff(), h.body))
			if err != nil {
				return end, err
			}
			got.whole = sum == h.bodySum
			if err := each(got); err != nil {
				return end, err
			}
		}
		off += h.length()
		end = off
	}
	report(size)
	return end, nil
}

func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

func checksum(r io.Reader) (uint32, error) {
	h := crc32.New(castagnoli)
	_, err := io.Copy(h, r)
	return h.Sum32(), err
}

// errDamaged: bytes in the spool are not those that Put wrote.
var errDamaged = errors.New("damaged")

// body is an open message.
type body struct {
	*io.SectionReader
	f *os.File
}

func (b body) Close() error { return b.f.Close() }

// open opens the body of the record at p, which must be that of item id, and checks all of it.
func (s *spool) open(p place, id string) (io.ReadSeekCloser, error) {
	f, nonce, size, err := s.openSegment(p.seg)
	if err != nil {
		return nil, err
	}
	b := make([]byte, headerSize)
	if _, err = f.ReadAt(b, p.off); err == nil {
		h, ok := decodeHeader(b, nonce, p.off, size)
		if !ok || h.length() != p.len {
			err = errDamaged
		} else {
			r := io.NewSectionReader(f, h.bodyOff(), h.body)
			var sum uint32
			if sum, err = checksum(r); err == nil && sum != h.bodySum {
				err = errDamaged
			}
			if err == nil {
				r.Seek(0, io.SeekStart)
				return body{r, f}, nil
			}
		}
	}
	f.Close()
	if err == io.EOF {
		err = errDamaged
	}
	return nil, fmt.Errorf("item %s in %s at %d: %w", id, s.path(p.seg), p.off, err)
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
