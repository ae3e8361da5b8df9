package format

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"runtime/debug"
	"sync"
	"time"
)

// Limits bound what unpacking one message may take. Zero fields mean the default
// given.
type Limits struct {
	Depth       int           // containers inside each other: 16
	Members     int           // files in all: 5,000
	MemberBytes int64         // bytes of one file: 16 MiB
	Bytes       int64         // bytes of all files: 96 MiB
	Open        int64         // bytes of the files that are open inside each other: 32 MiB
	Ratio       int64         // bytes of a file for each byte that it was packed in, if it has more than 16 MiB: 200
	Growth      int64         // bytes of all files for each byte of the message, beyond the first 16 MiB: 100
	Time        time.Duration // in all: 2 s
	Links       int           // links kept: 200
	Marks       int           // marks kept of each kind: 20
	Gate        *Gate         // shared by all jobs of the process; nil: none
	Owner       string        // whose job it is, for the Gate; "" unknown
	// Cautious leaves out formats that may overrun their time.
	Cautious bool
	// Run has a decoder do its work in a process of its own: what in yields is what
	// it reads, and out is called with what it writes. The process ends with ctx. nil:
	// what only such a decoder can read is not read.
	Run func(ctx context.Context, decoder string, in io.Reader, out func(io.Reader) error) error
}

// ErrStop says that the Job's limits are used up: return at once.
var ErrStop = errors.New("unpack: a limit is reached")

// ErrBusy says that too many others hold much memory for this file to be opened.
// The Format that gets it from the Job returns it.
var ErrBusy = errors.New("unpack: no place for so much memory")

// A Job is the work on one message: what is left of its limits, and what was
// found. It belongs to one goroutine, but for what it has noted.
type Job struct {
	ctx       context.Context
	limits    Limits
	end       time.Time
	formats   []Format
	visit     func(*File) error
	passwords []string
	ask       func() []string

	files   int   // that count against Limits.Members
	bytes   int64 // unpacked so far
	whole   int64 // bytes of the largest file that came first: the message
	held    *File // the file that is open
	memory  buffers
	latest  time.Time // end, if all the waiting that there may be was needed
	inside  bool      // it has a place in the Gate
	entered time.Time // since then
	small   bool      // it got none, and goes on with what needs none
	stopped bool

	noting sync.Mutex // for the following, and end

	marks  []Mark
	counts map[string]int
	links  []string
	noted  map[string]struct{}
	spent  map[string]int64
	seen   map[content]struct{}
	seed   maphash.Seed // nobody can prepare two files that have the same digest
	faults []error
}

// content identifies what is in a file. Two files that the same reader would
// treat alike have the same.
type content struct {
	digest    uint64
	size      int
	kind      string // media type
	extension string // of a file that was visited
	opened    bool
}

// NewJob begins the work on one message. visit is called with each file before it
// is opened; an error from it ends the job. formats are tried in order on each
// file, and all that read it open it. passwords may open what is encrypted.
func NewJob(ctx context.Context, l Limits, formats []Format, passwords []string, visit func(*File) error) *Job {
	l.Depth = cmp.Or(l.Depth, 16)
	l.Members = cmp.Or(l.Members, 5000)
	l.MemberBytes = cmp.Or(l.MemberBytes, 16<<20)
	l.Bytes = cmp.Or(l.Bytes, 96<<20)
	l.Open = cmp.Or(l.Open, 32<<20)
	l.Ratio = cmp.Or(l.Ratio, 200)
	l.Growth = cmp.Or(l.Growth, 100)
	l.Time = cmp.Or(l.Time, 2*time.Second)
	l.Links = cmp.Or(l.Links, 200)
	l.Marks = cmp.Or(l.Marks, 20)
	now := time.Now()
	j := &Job{ctx: ctx, limits: l, end: now.Add(l.Time), latest: now.Add(2 * l.Time), formats: formats, passwords: passwords, visit: visit, memory: buffers{gate: l.Gate}, seed: maphash.MakeSeed()}
	if deadline, ok := ctx.Deadline(); ok {
		if last := now.Add(deadline.Sub(now) * 3 / 4); last.Before(j.latest) {
			j.latest = last
		}
	}
	return j
}

// AskPasswords sets where further passwords come from. ask is called only when
// a format wants to open something, each time.
func (j *Job) AskPasswords(ask func() []string) { j.ask = ask }

// Passwords are those that the message gives, the likeliest first.
func (j *Job) Passwords() []string {
	if j.ask == nil {
		return j.passwords
	}
	return append(j.passwords[:len(j.passwords):len(j.passwords)], j.ask()...)
}

// Context ends with the caller's patience.
func (j *Job) Context() context.Context { return j.ctx }

// Limits are those of the job, defaults filled in.
func (j *Job) Limits() Limits { return j.limits }

// Check returns ErrStop when time is up. Call it at least once for every 64 KiB
// that are looked at.
func (j *Job) Check() error {
	if j.stopped {
		return ErrStop
	}
	if j.ctx.Err() != nil || time.Now().After(j.end) { // only this goroutine sets end
		return j.stop(j.held, LimitTime)
	}
	return nil
}

// stop ends the job.
func (j *Job) stop(f *File, why string) error {
	j.Mark(f, why, "")
	j.stopped = true
	return ErrStop
}

// free is how many bytes good files may expand to from next to nothing: pictures
// and tables that are empty.
const free = 16 << 20

// Room is how many bytes Read or Take would let through of a file that was packed
// in so many bytes (-1: unknown, the open container's size counts), and which
// limit that is. No dictionary, window or table need be larger.
func (j *Job) Room(packed int64) (bytes int64, limit string) {
	if packed < 0 && j.held != nil {
		packed = int64(len(j.held.Data))
	}
	bytes, limit = j.limits.MemberBytes, LimitBytes
	for _, l := range [...]struct {
		bytes int64
		limit string
	}{
		{max(free, max(packed, 0)*j.limits.Ratio), LimitRatio},
		{free + j.whole*j.limits.Growth - j.bytes, LimitRatio},
		{j.limits.Bytes - j.bytes, LimitBytes},
		{j.limits.Open - j.memory.held, LimitBytes},
		{j.light(), LimitTime},
	} {
		if l.bytes < bytes || l.bytes == bytes && l.limit == LimitRatio {
			bytes, limit = max(l.bytes, 0), l.limit
		}
	}
	return bytes, limit
}

// Read reads a file that was packed in so many bytes (-1: unknown, the open
// container's size counts) from r, as far as limits allow. cut says that there was
// more, or that r broke off with an error, which is then returned beside what was
// read. Every byte that is unpacked must come through Read or Take. data belongs
// to the Job, which uses its memory again when the Format that called returns.
func (j *Job) Read(r io.Reader, packed int64) (data []byte, cut bool, err error) {
	most, why := j.Room(packed)
	if packed < 0 && j.held != nil {
		packed = int64(len(j.held.Data))
	}
	first := int(min(most, max(512, 2*packed)))
	if !j.enter(first) {
		most, why = j.Room(packed)
		first = min(first, int(most))
	}
	buf := j.memory.get(first)
	defer func() { // also when r panics
		j.bytes += int64(len(data))
		j.memory.lease(buf)
	}()
	var more [1]byte
	for checked, turns := 0, 0; ; turns++ {
		n := 0
		if int64(len(buf)) >= most {
			if n, err = r.Read(more[:]); n > 0 {
				j.Mark(j.held, why, "")
				return buf, true, nil
			}
		} else {
			if len(buf) == cap(buf) {
				if !j.enter(2 * cap(buf)) {
					if most, why = j.Room(packed); int64(len(buf)) >= most {
						continue
					}
				}
				larger := append(j.memory.get(int(min(most, int64(2*cap(buf))))), buf...)
				j.memory.put(buf)
				buf = larger
			}
			n, err = r.Read(buf[len(buf):min(int64(cap(buf)), int64(len(buf)+64<<10), most)])
			buf = buf[:len(buf)+n]
		}
		if err == io.EOF {
			return buf, false, nil
		}
		if err == nil && (len(buf)-checked >= 64<<10 || turns%64 == 63) {
			err, checked = j.Check(), len(buf)
		}
		if err != nil {
			return buf, true, err
		}
	}
}

// Take is Read for a file that lies in its container as it is: nothing is copied.
func (j *Job) Take(b []byte) (data []byte, cut bool) {
	most, why := j.Room(int64(len(b)))
	if int64(len(b)) > most {
		j.Mark(j.held, why, "")
		b, cut = b[:most], true
	}
	j.bytes += int64(len(b))
	return b[:len(b):len(b)], cut
}

// Done gives the memory of what Read returned back, once nothing looks at it any
// more. A format that reads many files calls it behind each Emit.
func (j *Job) Done(data []byte) {
	j.memory.done(data)
	j.rest()
}

// Spend counts n against an allowance of the whole job that a format has for work
// of its own, and says whether the sum is still most at most.
func (j *Job) Spend(what string, n, most int64) bool {
	if j.spent == nil {
		j.spent = make(map[string]int64)
	}
	j.spent[what] += n
	return j.spent[what] <= most
}

// Hold asks for a place in the Gate before the open file's decoder takes n bytes for
// itself: a dictionary, a model. It returns ErrBusy if there is none.
func (j *Job) Hold(n int) error {
	if !j.enter(n) {
		return ErrBusy
	}
	if j.held != nil {
		j.memory.hold(int64(n))
	}
	return nil
}

// Keep counts memory that a format has made itself among what is open, until the
// Format that called returns.
func (j *Job) Keep(data []byte) {
	if cap(data) > 0 && j.held != nil {
		j.memory.leases = append(j.memory.leases, lease{buf: data, counted: true, foreign: true})
		j.memory.held += int64(cap(data))
	}
}

// Emit hands a file on: it is visited, and opened if a format reads it. It
// returns ErrStop when nothing more may be emitted. A file that has been emitted
// before, byte for byte, is not visited again unless its name ends otherwise, and
// never opened again.
func (j *Job) Emit(f *File) error {
	if err := j.Visit(f); err != nil {
		return err
	}
	return j.Open(f)
}

// Visit is the first half of Emit. The parts of a message are all visited before
// the first is opened, so that what lies openly in it is never hidden behind what
// uses the limits up.
func (j *Job) Visit(f *File) error {
	if f.Parent == nil {
		f.Parent = j.held
	}
	if len(f.Name) > maxName {
		f.Name = f.Name[len(f.Name)-maxName:]
	}
	if f.Parent != nil {
		f.Depth = f.Parent.Depth + 1
		if j.files++; j.files > j.limits.Members {
			return j.stop(f.Parent, LimitMembers)
		}
	} else {
		j.whole = max(j.whole, int64(len(f.Data)))
	}
	// What lies openly in the message is looked at whatever the time is.
	if j.stopped {
		return ErrStop
	}
	if f.Parent != nil {
		if err := j.Check(); err != nil {
			return err
		}
	}
	if f.Type == "" {
		f.Type = Detect(f.Data)
	}
	if f.Kind != Mail {
		f.digest = maphash.Bytes(j.seed, f.Data)
		if !j.first(content{f.digest, len(f.Data), f.Type, f.Extension(), false}) {
			return nil
		}
	}
	if err := j.visit(f); err != nil {
		j.fault(err)
		j.stopped = true
		return ErrStop
	}
	return nil
}

// first says whether c is met for the first time, and remembers it.
func (j *Job) first(c content) bool {
	if _, known := j.seen[c]; known {
		return false
	}
	if j.seen == nil {
		j.seen = make(map[content]struct{})
	}
	j.seen[c] = struct{}{}
	return true
}

// Open is the second half of Emit.
func (j *Job) Open(f *File) error {
	defer j.memory.settle(f.Data)
	for _, x := range j.formats {
		if !x.Reads(f) {
			continue
		}
		if j.stopped {
			return ErrStop
		}
		if f.Depth >= j.limits.Depth {
			j.Mark(f, LimitDepth, "")
			return nil
		}
		if c := (content{f.digest, len(f.Data), f.Type, x.Name(), true}); f.Kind != Mail && !j.first(c) {
			if f.holdsItself() {
				j.Mark(f, LimitDepth, "a file that holds itself")
			}
			continue
		}
		if x, ok := x.(Overrunner); ok && j.limits.Cautious && x.MayOverrun() {
			j.Mark(f, Unreadable, x.(Format).Name()+": busy")
			continue
		}
		if j.bytes >= j.limits.Bytes {
			return j.stop(f, LimitBytes)
		}
		if err := j.open(x, f); errors.Is(err, ErrStop) {
			j.stopped = true
			return ErrStop
		} else if errors.Is(err, ErrBusy) {
			j.Mark(f, LimitTime, x.Name()+": busy")
		} else if err != nil {
			j.Mark(f, Damaged, x.Name()+": "+err.Error())
		}
	}
	return nil
}

// holdsItself says that f lies in a file which is the same byte for byte.
func (f *File) holdsItself() bool {
	for p := f.Parent; p != nil; p = p.Parent {
		if p.digest == f.digest && len(p.Data) == len(f.Data) {
			return true
		}
	}
	return false
}

// open recovers from what a library does with a hostile file.
func (j *Job) open(x Format, f *File) (err error) {
	before, own := j.held, j.memory.begin()
	j.held = f
	defer func() {
		j.held = before
		j.memory.release(own)
		if before == nil {
			j.leave(true)
		}
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
			j.fault(fmt.Errorf("%s: %w\n%s", x.Name(), err, debug.Stack()))
		}
	}()
	return x.Open(j, f)
}
