package archive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"spamcatcher/signatures/unpack/format"
)

// What RAR 3 and 4 compress may be followed by programs for a machine of their own,
// which the library runs to their end, however long that is. So such archives are
// decoded by a process of its own (format.Limits.Run), that is ended when its time
// is over. The request is a rarRequest in JSON behind its size, then the archive;
// the answer is records, each a letter and fields behind their sizes.

// RARDecoder is the name by which format.Limits.Run is asked for DecodeRAR.
const RARDecoder = "rar"

// A rarRequest is what the decoding process is told.
type rarRequest struct {
	Keys                              []string
	Members                           int
	MemberBytes, Bytes, Ratio, Growth int64
	Time                              time.Duration
}

// Letters of records: a member (flags, name, content), a mark (kind, detail), and
// the end.
const (
	rarMember = 'f'
	rarMark   = 'm'
	rarEnd    = 'e'
)

// Bits of the flags of a member.
const (
	rarCut = 1 << iota
	rarUnlocked
)

// maxRequest bounds a request, in bytes, and maxText the texts in answers.
const (
	maxRequest = 1 << 20
	maxText    = 64 << 10
)

// decodeElsewhere has another process read the archive, and emits what it answers.
// It takes half of the time that is left at most, so that other files have the rest.
func (a *rarArchive) decodeElsewhere() error {
	j, l := a.j, a.j.Limits()
	if l.Run == nil {
		j.Mark(a.f, format.Unreadable, "rar: version 3, compressed")
		return nil
	}
	patience := time.Until(j.End()) / 2
	keys := j.Passwords()
	request, err := json.Marshal(rarRequest{keys[:min(len(keys), 16)], l.Members, l.MemberBytes, l.Bytes, l.Ratio, l.Growth, patience})
	if err != nil || len(request) > maxRequest {
		return fmt.Errorf("asking for %d passwords: %w", len(keys), err)
	}
	ctx, cancel := context.WithTimeout(j.Context(), patience)
	defer cancel()
	in := io.MultiReader(bytes.NewReader(binary.LittleEndian.AppendUint32(nil, uint32(len(request)))), bytes.NewReader(request), bytes.NewReader(a.data))
	var answer error
	err = l.Run(ctx, RARDecoder, in, func(r io.Reader) error {
		answer = a.answers(bufio.NewReaderSize(r, 64<<10))
		return answer
	})
	switch {
	case errors.Is(answer, format.ErrStop):
		return answer
	case ctx.Err() != nil:
		j.Mark(a.f, format.LimitTime, "rar")
		return j.Check()
	case err != nil && answer == nil:
		j.Mark(a.f, format.Unreadable, "rar: "+err.Error())
		return nil
	case errors.Is(answer, errRARBroken):
		return fmt.Errorf("the decoder broke off: %w", errors.Join(answer, err))
	}
	return answer
}

var errRARBroken = errors.New("broken answer")

// answers emits what a decoding process found.
func (a *rarArchive) answers(r *bufio.Reader) error {
	field := func(most uint32) (string, error) {
		var size [4]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return "", errRARBroken
		}
		n := binary.LittleEndian.Uint32(size[:])
		if n > most {
			return "", errRARBroken
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return "", errRARBroken
		}
		return string(b), nil
	}
	for {
		kind, err := r.ReadByte()
		if err != nil {
			return errRARBroken
		}
		switch kind {
		case rarEnd:
			return nil
		case rarMark:
			kind, err := field(maxText)
			if err != nil {
				return err
			}
			detail, err := field(maxText)
			if err != nil {
				return err
			}
			a.j.Mark(a.f, kind, detail)
		case rarMember:
			flags, err := r.ReadByte()
			if err != nil {
				return errRARBroken
			}
			name, err := field(maxText)
			if err != nil {
				return err
			}
			var size [4]byte
			if _, err := io.ReadFull(r, size[:]); err != nil {
				return errRARBroken
			}
			limited := &io.LimitedReader{R: r, N: int64(binary.LittleEndian.Uint32(size[:]))}
			data, cut, err := a.j.Read(limited, -1)
			broken := err != nil || !cut && limited.N > 0
			f := &format.File{Name: name, Kind: format.Member, Data: data, Cut: cut || broken || flags&rarCut != 0, Unlocked: flags&rarUnlocked != 0}
			if e := a.j.Emit(f); e != nil {
				return e
			}
			a.j.Done(data)
			switch {
			case errors.Is(err, format.ErrStop):
				return err
			case broken:
				return errRARBroken
			}
			if _, err := io.Copy(io.Discard, limited); err != nil || limited.N > 0 {
				return errRARBroken
			}
		default:
			return errRARBroken
		}
	}
}

// DecodeRAR turns a request and an archive into members. It is what the process does
// that format.Limits.Run starts; that process bounds its own memory, and is ended by
// who started it.
func DecodeRAR(ctx context.Context, in io.Reader, out io.Writer) error {
	var size [4]byte
	if _, err := io.ReadFull(in, size[:]); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxRequest {
		return fmt.Errorf("a request of %d bytes", n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(in, text); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	var q rarRequest
	if err := json.Unmarshal(text, &q); err != nil {
		return fmt.Errorf("reading the request: %w", err)
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("reading the archive: %w", err)
	}
	w := &rarWriter{w: bufio.NewWriterSize(out, 64<<10)}
	limits := format.Limits{Depth: 1, Members: q.Members, MemberBytes: q.MemberBytes, Bytes: q.Bytes, Ratio: q.Ratio, Growth: q.Growth, Time: q.Time}
	j := format.NewJob(ctx, limits, []format.Format{rar{alone: true}}, q.Keys, w.visit)
	// What stopped the job is among its marks.
	_ = j.Emit(&format.File{Kind: format.Part, Type: "application/x-rar", Data: data})
	for _, m := range j.Marks() {
		w.bytes([]byte{rarMark})
		w.text(m.Kind)
		w.text(m.Detail)
	}
	w.bytes([]byte{rarEnd})
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return w.err
}

// A rarWriter writes records.
type rarWriter struct {
	w   *bufio.Writer
	err error
}

func (w *rarWriter) bytes(b []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
}

func (w *rarWriter) text(s string) {
	s = s[:min(len(s), maxText)]
	w.bytes(binary.LittleEndian.AppendUint32(nil, uint32(len(s))))
	w.bytes([]byte(s))
}

// visit writes a member at once, so that it is known whatever becomes of the next.
func (w *rarWriter) visit(f *format.File) error {
	if f.Depth == 0 {
		return nil
	}
	var flags byte
	if f.Cut {
		flags |= rarCut
	}
	if f.Unlocked {
		flags |= rarUnlocked
	}
	w.bytes([]byte{rarMember, flags})
	w.text(f.Name)
	w.bytes(binary.LittleEndian.AppendUint32(nil, uint32(len(f.Data))))
	w.bytes(f.Data)
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return w.err
}
