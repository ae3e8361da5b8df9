package format

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"
)

// Limits bound what unpacking one message may take. Zero fields mean the default
// given.
type Limits struct {
	Depth       int           // containers inside each other: 16
	Members     int           // files in all: 5,000
	MemberBytes int64         // bytes of one file: 16 MiB
	Bytes       int64         // bytes of all files: 96 MiB
	Ratio       int64         // bytes of a file for each byte that it was packed in, beyond the first MiB: 200
	Time        time.Duration // in all: 2 s
	Links       int           // links kept: 200
	Marks       int           // marks kept of each kind: 20
}

// ErrStop says that the Job's limits are used up: return at once.
var ErrStop = errors.New("unpack: a limit is reached")

// A Job is the work on one message: what is left of its limits, and what was
// found. It belongs to one goroutine.
type Job struct {
	ctx       context.Context
	limits    Limits
	end       time.Time
	formats   []Format
	visit     func(*File) error
	passwords []string

	files  int
	bytes  int64
	held   *File // the file that is open
	marks  []Mark
	counts map[string]int
	links  []string
	seen   map[string]bool
	faults []error
}

// NewJob begins the work on one message. visit is called with each file before it
// is opened; an error from it ends the job. formats are tried in order on each
// file, and all that read it open it. passwords may open what is encrypted.
func NewJob(ctx context.Context, l Limits, formats []Format, passwords []string, visit func(*File) error) *Job {
	l.Depth = cmp.Or(l.Depth, 16)
	l.Members = cmp.Or(l.Members, 5000)
	l.MemberBytes = cmp.Or(l.MemberBytes, 16<<20)
	l.Bytes = cmp.Or(l.Bytes, 96<<20)
	l.Ratio = cmp.Or(l.Ratio, 200)
	l.Time = cmp.Or(l.Time, 2*time.Second)
	l.Links = cmp.Or(l.Links, 200)
	l.Marks = cmp.Or(l.Marks, 20)
	return &Job{ctx: ctx, limits: l, end: time.Now().Add(l.Time), formats: formats, passwords: passwords, visit: visit, counts: map[string]int{}, seen: map[string]bool{}}
}

// Passwords are those that the message gives, the likeliest first.
func (j *Job) Passwords() []string { return j.passwords }

// Context ends with the caller's patience.
func (j *Job) Context() context.Context { return j.ctx }

// Check returns ErrStop when time is up. Call it at least once for every 64 KiB
// that are looked at.
func (j *Job) Check() error {
	if j.ctx.Err() != nil || time.Now().After(j.end) {
		j.Mark(j.held, LimitTime, "")
		return ErrStop
	}
	return nil
}

// Read reads a file that was packed in so many bytes (-1: unknown, the open
// container's size counts) from r, as far as limits allow. cut says that there was
// more, or that r broke off with an error, which is then returned beside what was
// read. Every byte that is unpacked must come through Read.
func (j *Job) Read(r io.Reader, packed int64) (data []byte, cut bool, err error) {
	if packed < 0 && j.held != nil {
		packed = int64(len(j.held.Data))
	}
	most, why := j.limits.MemberBytes, LimitBytes
	if byRatio := 1<<20 + max(packed, 0)*j.limits.Ratio; byRatio < most {
		most, why = byRatio, LimitRatio
	}
	if left := j.limits.Bytes - j.bytes; left < most {
		most, why = left, LimitBytes
	}
	buf := make([]byte, 0, min(most+1, max(512, 2*packed)))
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		room := buf[len(buf):min(cap(buf), len(buf)+64<<10)]
		n, err := r.Read(room)
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > most {
			j.Mark(j.held, why, "")
			j.bytes += most
			return buf[:most], true, nil
		}
		if err == io.EOF {
			j.bytes += int64(len(buf))
			return buf, false, nil
		}
		if err == nil {
			err = j.Check()
		}
		if err != nil {
			j.bytes += int64(len(buf))
			return buf, true, err
		}
	}
}

// Emit hands a file on: it is visited, and opened if a format reads it. It
// returns ErrStop when nothing more may be emitted.
func (j *Job) Emit(f *File) error {
	if f.Parent == nil {
		f.Parent = j.held
	}
	if f.Parent != nil {
		f.Depth = f.Parent.Depth + 1
	}
	if j.files++; j.files > j.limits.Members {
		j.Mark(f.Parent, LimitMembers, "")
		return ErrStop
	}
	if err := j.Check(); err != nil {
		return err
	}
	if f.Type == "" {
		f.Type = Detect(f.Data)
	}
	if err := j.visit(f); err != nil {
		j.faults = append(j.faults, err)
		return ErrStop
	}
	if j.bytes >= j.limits.Bytes {
		j.Mark(f, LimitBytes, "")
		return ErrStop
	}
	for _, x := range j.formats {
		if !x.Reads(f) {
			continue
		}
		if f.Depth >= j.limits.Depth {
			j.Mark(f, LimitDepth, "")
			return nil
		}
		if err := j.open(x, f); errors.Is(err, ErrStop) {
			return ErrStop
		} else if err != nil {
			j.Mark(f, Damaged, x.Name()+": "+err.Error())
		}
	}
	return nil
}

// open recovers from what a library does with a hostile file.
func (j *Job) open(x Format, f *File) (err error) {
	before := j.held
	j.held = f
	defer func() {
		j.held = before
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
			j.faults = append(j.faults, fmt.Errorf("%s: %w\n%s", x.Name(), err, debug.Stack()))
		}
	}()
	return x.Open(j, f)
}

// Mark notes something remarkable about f.
func (j *Job) Mark(f *File, kind, detail string) {
	if j.counts[kind]++; j.counts[kind] > j.limits.Marks {
		return
	}
	m := Mark{Kind: kind, Detail: detail}
	if f != nil {
		m.Path = f.Path()
	}
	j.marks = append(j.marks, m)
}

// Link notes an address that f leads to and that the text of the message does not
// show.
func (j *Job) Link(f *File, address string) {
	if len(j.links) < j.limits.Links && len(address) <= 4096 && !j.seen[address] {
		j.seen[address] = true
		j.links = append(j.links, address)
	}
}

// Marks are those made so far, in order.
func (j *Job) Marks() []Mark { return j.marks }

// Links are those noted so far, each once.
func (j *Job) Links() []string { return j.links }

// Faults are errors of ours: panics of a format, and what visit returned.
func (j *Job) Faults() []error { return j.faults }
