package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

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
func (s *spool) openSegment(n uint64, flag int) (f *os.File, nonce []byte, size int64, err error) {
	f, err = os.OpenFile(s.path(n), flag, 0)
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
	f, nonce, size, err := s.openSegment(n, os.O_RDONLY)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return scanRecords(f, nonce, size, n, from, each, bad)
}

// scanRecords does that with the bytes of a segment of this nonce and size.
func scanRecords(f io.ReaderAt, nonce []byte, size int64, n uint64, from int64, each func(found) error, bad func(off, length int64)) (end int64, err error) {
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
			sum, err := checksum(f, h.bodyOff(), h.body)
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

// checksum returns the CRC-32C of size bytes of f from off on.
func checksum(f io.ReaderAt, off, size int64) (uint32, error) {
	h := crc32.New(castagnoli)
	_, err := io.CopyBuffer(h, io.NewSectionReader(f, off, size), make([]byte, min(size+1, 64<<10)))
	return h.Sum32(), err
}

// errDamaged: bytes in the spool are not those that Put wrote.
var errDamaged = errors.New("damaged")

// body is an open message.
type body struct {
	*io.SectionReader
	f     *os.File
	place place
}

func (b *body) Close() error { return b.f.Close() }

// mark writes the marks of the record's recipients. It makes nothing durable, but they survive the process. A failure
// costs at most a second delivery.
func (b *body) mark(marks []byte) { b.f.WriteAt(marks, b.place.off+headerSize+1) }

// open opens the body of the record at p, which must be that of item id, and checks all of it.
func (s *spool) open(p place, id string) (*body, error) {
	f, nonce, size, err := s.openSegment(p.seg, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	b := make([]byte, headerSize)
	if _, err = f.ReadAt(b, p.off); err == nil {
		h, ok := decodeHeader(b, nonce, p.off, size)
		if !ok || h.length() != p.len {
			err = errDamaged
		} else {
			var sum uint32
			if sum, err = checksum(f, h.bodyOff(), h.body); err == nil && sum != h.bodySum {
				err = errDamaged
			}
			if err == nil {
				return &body{io.NewSectionReader(f, h.bodyOff(), h.body), f, p}, nil
			}
		}
	}
	f.Close()
	if err == io.EOF {
		err = errDamaged
	}
	return nil, fmt.Errorf("item %s in %s at %d: %w", id, s.path(p.seg), p.off, err)
}
