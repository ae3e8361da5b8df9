// Package queue turns accepted messages into attempts to deliver them, and forgets none: what Put has taken is delivered,
// bounced to its sender, or still there, whatever crashed.
package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"
)

var (
	// ErrFull: free space or inodes are below Config.MinFree; nothing was taken. Temporary.
	ErrFull = errors.New("queue: not enough free space")
	// ErrBroken: the disk failed to store something once, so that nothing it says since can be trusted. Temporary for
	// the sender; the queue takes and attempts nothing until it is opened again.
	ErrBroken = errors.New("queue: storage failed, reopen needed")
	// ErrNotFound: no item has this id.
	ErrNotFound = errors.New("queue: no such item")
	// ErrClosed: the queue is closed.
	ErrClosed = errors.New("queue: closed")
	// ErrLocked: another process (or another Queue) has this directory open.
	ErrLocked = errors.New("queue: in use by another process")
)

// Deliverer tries once to deliver an item to its pending recipients. It returns one Result for each of them, in the
// order of Item.Pending; a missing result counts as Deferred. It must return soon after ctx ends. Calls run side by side.
type Deliverer interface {
	Deliver(ctx context.Context, it *Item, body io.ReadSeeker) []Result
}

// Config says how a queue works. Zero values mean the default in parentheses.
type Config struct {
	Dir       string                          // the queue's own directory; made if absent (mode 0700)
	Deliverer Deliverer                       // who delivers; needed by Run only
	Workers   int                             // attempts at the same time (20); up to five times as many where one for each of many destinations is to be made, or attempts hang
	Lifetime  time.Duration                   // how long delivery is tried (192 h)
	Retry     func(attempt int) time.Duration // pause after attempt 1, 2, … (1 min doubling to 1 h, ±20 %)
	MinFree   int64                           // bytes that must stay free on the file system of Dir (128 MiB); below 48 MiB a full disk may kill the process
	Grace     time.Duration                   // how long Run waits for attempts under way when it ends (30 s)

	// Lane names the destination that mail for an address waits for: at most 255 bytes, no NUL. It is asked whenever an
	// item is scheduled, must be quick, and must not use the queue. Mail of one lane stands still together while its
	// destination is down, and never stands in the way of another's. nil: all mail waits in one lane, "".
	Lane      func(address string) string
	Width     func(lane string) int            // attempts at the same time in a lane; nil, 0 or more than that: three quarters of Workers. Like Lane it must be quick
	LaneRetry func(failures int) time.Duration // pause of a lane that was found down 1, 2, … times in a row (1 min doubling to 30 min, ±20 %)
	Warn      time.Duration                    // after how long the sender is told that mail is delayed (0: never)
	// Notify makes the notification about recipients that failed for good or are delayed; false = none is to be sent
	// (null sender). nil = never one. It is stored in the same commit that records the failure or the warning.
	Notify           func(Notice) (Draft, bool)
	HoldDoubleBounce bool // a message from the null sender that fails for good is held, not dropped with a line in the log

	Now func() time.Time // the wall clock (time.Now)
	Log *slog.Logger     // (slog.Default())
}

// NoticeKind says what a notification is about.
type NoticeKind uint8

const (
	// NoticeFailed: recipients failed for good.
	NoticeFailed NoticeKind = iota
	// NoticeDelayed: recipients are not reached yet, and will be tried further.
	NoticeDelayed
)

// Notice is what a notification is to tell.
type Notice struct {
	Kind  NoticeKind
	Item  *Item         // a copy, as it is after what is told
	About []Recipient   // those that failed or are delayed
	Body  io.ReadSeeker // the message; nil: it cannot be read. Not to be used after Notify has returned
}

// Filter chooses items; fields that are set must all match. The zero Filter matches every item.
type Filter struct {
	ID        string        // exactly this item
	Sender    string        // this reverse path, in any case; "<>" = the null sender
	Recipient string        // one of the recipients is this address, in any case
	Domain    string        // one of the recipients is in this domain, in any case; ".example.org" = in example.org or a subdomain of it
	Lane      *string       // its lane is this
	Older     time.Duration // received at least this long ago; 0 = any
	Held      bool          // only held items
	Active    bool          // only items that are not held
}

const segmentSize = 16 << 20

// Queue is a durable store of messages and the scheduler of their delivery. Its methods may be called by any number of goroutines.
type Queue struct {
	cfg   Config
	log   *slog.Logger
	free  func(dir string) (bytes, inodes int64, err error)
	lock  *os.File
	db    *badger.DB
	spool *spool
	sched *scheduler
	clock wallClock

	ops       chan *op
	committed chan struct{} // closed when the committer has ended
	users     users         // of db and ops
	broke     atomic.Pointer[error]
	panics    atomic.Int64 // of the functions in Config
}

// Open opens the queue in cfg.Dir, which must lie on a file system that keeps the order of its metadata (ext4, xfs,
// btrfs), and puts right what a crash left behind. An index that cannot be read is set aside and built anew from the
// spool. Errors: ErrLocked, ErrFull (no room to open safely), or what is wrong with the directory.
func Open(cfg Config) (*Queue, error) {
	if cfg.Dir == "" {
		return nil, errors.New("opening queue: no directory given")
	}
	cfg.Workers = or(cfg.Workers, 20)
	cfg.Lifetime = or(cfg.Lifetime, 192*time.Hour)
	cfg.MinFree = or(cfg.MinFree, defaultMinFree)
	cfg.Grace = or(cfg.Grace, 30*time.Second)
	cfg.Log = or(cfg.Log, slog.Default())
	if cfg.Retry == nil {
		cfg.Retry = Retry
	}
	if cfg.LaneRetry == nil {
		cfg.LaneRetry = LaneRetry
	}
	q := &Queue{cfg: cfg, log: cfg.Log, free: freeSpace, ops: make(chan *op, maxPending), committed: make(chan struct{})}
	if cfg.Now == nil {
		began := time.Now()
		q.clock.wall, q.clock.elapsed = time.Now, func() time.Duration { return time.Since(began) }
	} else {
		q.clock.wall = cfg.Now
		if began := cfg.Now(); began != began.Round(0) { // it knows elapsed time, too
			q.clock.elapsed = func() time.Duration { return cfg.Now().Sub(began) }
		}
	}
	q.sched = newScheduler(q)
	if err := q.open(); err != nil {
		closeIndex(q.db)
		if q.lock != nil {
			q.lock.Close()
		}
		return nil, fmt.Errorf("opening queue %s: %w", cfg.Dir, err)
	}
	go q.commit()
	return q, nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (q *Queue) open() (err error) {
	if err := os.MkdirAll(filepath.Dir(q.cfg.Dir), 0o700); err != nil {
		return err
	}
	if err := makeDir(q.cfg.Dir); err != nil {
		return err
	}
	if q.lock, err = lockDir(q.cfg.Dir); err != nil {
		return err
	}
	if err := q.room(q.cfg.MinFree / recordShare); err != nil {
		return err
	}
	if q.spool, err = openSpool(filepath.Join(q.cfg.Dir, "spool"), segmentSize); err != nil {
		return err
	}
	return q.recover()
}

// lockDir makes sure that nobody else has the queue open. The lock goes with the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return f, nil
}

// Close ends attempts under way (after Run they have ended), makes what was asked of the queue durable and closes it.
// On a disk so full that Badger's closing would kill the process, it returns ErrFull and leaves the index as after a
// crash, and locked until the process ends; nothing is lost by that.
func (q *Queue) Close() error {
	q.sched.stop()
	if !q.users.end() {
		return nil
	}
	close(q.ops)
	<-q.committed
	err := q.spool.seal()
	if full := q.room(closeRoom); errors.Is(full, ErrFull) {
		return fmt.Errorf("closing queue: %w", full)
	}
	if e := closeIndex(q.db); err == nil {
		err = e
	}
	q.lock.Close()
	if err != nil {
		return fmt.Errorf("closing queue: %w", err)
	}
	return nil
}

// broken returns the error of the first failure of the disk, nil if there was none.
func (q *Queue) broken() error {
	if p := q.broke.Load(); p != nil {
		return *p
	}
	return nil
}

// breakDown notes that storage failed: a failed sync may have dropped the data and the next one may succeed without it.
func (q *Queue) breakDown(err error) error {
	err = fmt.Errorf("%w: %w", ErrBroken, err)
	if q.broke.CompareAndSwap(nil, &err) {
		q.log.Error("queue storage failed; nothing more is taken or attempted until it is opened again", "dir", q.cfg.Dir, "error", err)
	}
	return q.broken()
}

// users counts those who use what Close takes away. Unlike a RWMutex it may be entered twice (by List's callback), and
// refuses rather than blocks when the end has come.
type users struct {
	mu    sync.Mutex
	n     int
	ended bool
	gone  chan struct{} // closed when the last has left after the end
}

// enter reports whether there is still something to use; each success must be followed by leave.
func (u *users) enter() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ended {
		return false
	}
	u.n++
	return true
}

func (u *users) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.n--; u.ended && u.n == 0 {
		close(u.gone)
	}
}

func (u *users) over() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ended
}

// end lets nobody in any more and waits until all have left; false if it was called before.
func (u *users) end() bool {
	u.mu.Lock()
	if u.ended {
		u.mu.Unlock()
		return false
	}
	u.ended, u.gone = true, make(chan struct{})
	if u.n == 0 {
		close(u.gone)
	}
	u.mu.Unlock()
	<-u.gone
	return true
}
