package bayes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// Lessons are stored as one line that says so, and records: length of what
// follows the checksum (4 bytes, little-endian as all numbers), checksum (4,
// CRC-32C), kind (1), id (16), other evidence (4, a float), number of parts of
// grams (1), then for each part and for the words: length (4) and buckets.
const (
	lessonsMagic = "spamcatcher bayes lessons 1\n"

	recordHead  = 8
	recordFixed = 22
	maxRecord   = 1 << 20

	kindHam       = 'h'
	kindSpam      = 's'
	kindForgotten = 'f'
)

var (
	errDamaged = errors.New("a record is damaged")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func appendRecord(out []byte, l *lesson, learned bool) []byte {
	kind := byte(kindForgotten)
	parts, words := l.parts, l.words
	switch {
	case learned && l.spam:
		kind = kindSpam
	case learned:
		kind = kindHam
	default:
		parts, words = nil, nil
	}
	begin := len(out)
	out = append(out, make([]byte, recordHead)...)
	out = append(out, kind)
	out = append(out, l.id[:]...)
	out = binary.LittleEndian.AppendUint32(out, math.Float32bits(l.other))
	out = append(out, byte(len(parts)))
	for _, part := range append(parts[:len(parts):len(parts)], words) {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	body := out[begin+recordHead:]
	binary.LittleEndian.PutUint32(out[begin:], uint32(len(body)))
	binary.LittleEndian.PutUint32(out[begin+4:], crc32.Checksum(body, castagnoli))
	return out
}

// readRecord reads one record. io.EOF: there is none; io.ErrUnexpectedEOF or
// errDamaged: it is not whole. learned is false for a lesson to be forgotten.
func readRecord(in io.Reader) (l *lesson, learned bool, size int64, err error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, false, 0, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < recordFixed || n > maxRecord {
		return nil, false, 0, errDamaged
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, false, 0, err
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, false, 0, errDamaged
	}
	l = &lesson{id: [16]byte(body[1:17]), spam: body[0] == kindSpam, other: math.Float32frombits(binary.LittleEndian.Uint32(body[17:]))}
	parts, rest := int(body[21]), body[recordFixed:]
	if parts > 2+maxPieces || math.IsNaN(float64(l.other)) {
		return nil, false, 0, errDamaged
	}
	for i := 0; i <= parts; i++ {
		if len(rest) < 4 || binary.LittleEndian.Uint32(rest) > uint32(len(rest)-4) {
			return nil, false, 0, errDamaged
		}
		size := binary.LittleEndian.Uint32(rest)
		list, bits := rest[4:4+size], gramBits
		if i == parts {
			l.words, bits = list, wordBits
		} else {
			l.parts = append(l.parts, list)
		}
		if !sound(list, bits) {
			return nil, false, 0, errDamaged
		}
		rest = rest[4+size:]
	}
	return l, body[0] != kindForgotten, recordHead + int64(n), nil
}

// sound says whether all numbers are buckets.
func sound(packed []byte, bits int) bool {
	if len(packed) > 0 && packed[len(packed)-1] >= 0x80 {
		return false
	}
	last := uint32(0)
	for _, v := range unpack(nil, packed) {
		if v >= 1<<bits || v < last {
			return false
		}
		last = v
	}
	return true
}

func formatLessons(list []*lesson) []byte {
	data := []byte(lessonsMagic)
	for _, l := range list {
		data = appendRecord(data, l, true)
	}
	return data
}

// parseLessons is the inverse of formatLessons.
func parseLessons(data []byte) ([]*lesson, error) {
	rest, ok := bytes.CutPrefix(data, []byte(lessonsMagic))
	if !ok {
		return nil, errors.New("bayes: these are no lessons of this version")
	}
	var list []*lesson
	for in := bytes.NewReader(rest); ; {
		l, _, _, err := readRecord(in)
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("bayes: lesson %d: %w", len(list)+1, err)
		}
		list = append(list, l)
	}
}
