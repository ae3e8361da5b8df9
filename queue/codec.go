package queue

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"
)

// An item is stored as one version byte and then its fields in a fixed order: strings with their length before them,
// numbers as varints, times as Unix milliseconds (0 = none). The same bytes stand in the spool (as Put made them) and
// in the index (as they are now).
//
// Version 2 has more fields behind those of version 1. An item that needs none of them is written as version 1, so that
// the spool can be read by a program from before there were lanes.
const (
	codecVersion1 = 1
	codecVersion2 = 2
)

// Bounds of Item.History.
const (
	maxHistory      = 10
	maxHistoryReply = 200
)

var errCodec = errors.New("item record is damaged")

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, 0)
	}
	return binary.AppendVarint(b, t.UnixMilli())
}

func appendItem(b []byte, it *Item) []byte {
	version := byte(codecVersion1)
	if it.Lane != "" || it.of != "" || it.Lifetime != 0 || !it.Warned.IsZero() || len(it.History) > 0 {
		version = codecVersion2
	}
	b = append(b, version)
	b = appendString(b, it.ID)
	b = appendString(b, it.Sender)
	for _, t := range []time.Time{it.Received, it.Next, it.Expires, it.Tried} {
		b = appendTime(b, t)
	}
	b = binary.AppendUvarint(b, uint64(it.Attempts))
	b = binary.AppendUvarint(b, uint64(it.Crashes))
	b = binary.AppendUvarint(b, uint64(it.Size))
	b = appendString(b, it.Hold)
	var flags byte
	if it.UTF8 {
		flags |= 1
	}
	if it.EightBit {
		flags |= 2
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(len(it.Note)))
	for _, k := range slices.Sorted(maps.Keys(it.Note)) {
		b = appendString(appendString(b, k), it.Note[k])
	}
	b = binary.AppendUvarint(b, uint64(len(it.Recipients)))
	for i := range it.Recipients {
		r := &it.Recipients[i]
		b = appendString(b, r.Address)
		b = append(b, byte(r.State))
		b = binary.AppendUvarint(b, uint64(r.Attempts))
		b = appendString(b, r.Reply)
		b = appendString(b, r.Server)
		b = appendTime(b, r.Changed)
	}
	if version == codecVersion1 {
		return b
	}
	b = appendString(b, it.Lane)
	b = binary.AppendUvarint(b, uint64(it.Lifetime))
	b = appendTime(b, it.Warned)
	b = binary.AppendUvarint(b, uint64(len(it.History)))
	for i := range it.History {
		a := &it.History[i]
		b = appendTime(b, a.Time)
		b = appendString(appendString(b, a.Server), a.Reply)
		for _, n := range []int{a.Delivered, a.Deferred, a.Failed} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = appendBool(b, a.Down)
	}
	if it.of == "" {
		return b
	}
	return appendString(b, it.of)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// reader takes fields off the front of b; after the first that does not fit, everything is zero and bad is set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) time() time.Time {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return time.Time{}
	}
	r.b = r.b[n:]
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v)
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) string() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// count reads the number of things that follow, each at least min bytes long.
func (r *reader) count(min int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/min) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func decodeItem(b []byte) (*Item, error) {
	r := reader{b: b}
	version := r.byte()
	if version != codecVersion1 && version != codecVersion2 {
		return nil, errCodec
	}
	it := &Item{ID: r.string(), Sender: r.string()}
	it.Received, it.Next, it.Expires, it.Tried = r.time(), r.time(), r.time(), r.time()
	it.Attempts, it.Crashes, it.Size = int(r.uvarint()), int(r.uvarint()), int64(r.uvarint())
	it.Hold = r.string()
	flags := r.byte()
	it.UTF8, it.EightBit = flags&1 != 0, flags&2 != 0
	if n := r.count(2); n > 0 {
		it.Note = make(map[string]string, n)
		for range n {
			k := r.string()
			it.Note[k] = r.string()
		}
	}
	if n := r.count(6); n > 0 {
		it.Recipients = make([]Recipient, n)
		for i := range it.Recipients {
			it.Recipients[i] = Recipient{Address: r.string(), State: State(r.byte()), Attempts: int(r.uvarint()),
				Reply: r.string(), Server: r.string(), Changed: r.time()}
		}
	}
	if version == codecVersion2 {
		it.Lane, it.Lifetime, it.Warned = r.string(), time.Duration(r.uvarint()), r.time()
		if n := r.count(7); n > 0 {
			it.History = make([]Attempt, n)
			for i := range it.History {
				it.History[i] = Attempt{Time: r.time(), Server: r.string(), Reply: r.string(),
					Delivered: int(r.uvarint()), Deferred: int(r.uvarint()), Failed: int(r.uvarint()), Down: r.byte() != 0}
			}
		}
		if len(r.b) > 0 {
			it.of = r.string()
		}
	}
	if r.bad || len(r.b) != 0 || checkID(it.ID) != nil {
		return nil, errCodec
	}
	return it, nil
}
