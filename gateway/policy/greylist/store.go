// Package greylist turns a sender and a recipient into how long the sender has to
// wait: a minute when it is not known, nothing when it has come back after that.
// RFC 6647.
//
// A pair that nobody has seen is written down and has to wait Delay. Attempts
// before that change nothing. The first one after it passes, and so do all for
// Window from then; then the pair is dropped and begins anew, as does one that
// does not come back within Retry.
//
// What is known is in Badger and survives a restart. It is not worth a message:
// writes are not synchronous, for a power cut costs some senders another minute,
// and whenever the store cannot tell (disk full, database damaged, too many
// entries), mail passes.
package greylist

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// The two kinds of keys.
const (
	Pair    = "pair"    // sender and recipient
	Triplet = "triplet" // and the client's network: IPv4 /24, IPv6 /64
)

// A Config is what a store needs. Zero fields mean the default given.
type Config struct {
	Dir        string        // where the database is; required
	Delay      time.Duration // how long an unknown sender waits (1 min)
	Window     time.Duration // how long a pair passes, from when it passed first (24 h)
	Retry      time.Duration // how long a first attempt is remembered (24 h)
	Key        string        // Pair, or Triplet ("" is Pair)
	MaxEntries int           // pairs that are remembered (1,000,000: some 75 MB of the disk, which Badger maps into memory); see Run
	MinFree    int64         // octets that the disk must have free for a write (64 MiB)
	Log        *slog.Logger  // slog.Default()
	Now        func() time.Time
}

// ErrClosed is the error of a store that is closed.
var ErrClosed = errors.New("greylist is closed")

// A Store knows who wrote to whom. It is safe for any number of goroutines.
type Store struct {
	cfg  Config
	lock *os.File
	free func(dir string) (int64, error)

	mu     sync.RWMutex // held for writing while db is closed
	db     *badger.DB
	closed bool

	stripes [64]sync.Mutex // one writer a key
	entries atomic.Int64   // about how many there are
	full    chan struct{}  // asks Run for room

	space struct {
		sync.Mutex
		at  time.Time // when it was last asked for
		err error
	}
	quiet atomic.Int64 // Unix time until which warnings are not repeated
}

// Open opens the store in a directory, which it makes if need be. A database that
// is damaged is put aside, as db.damaged, and begun anew. It is an error if
// another process has the store, or if the disk is full.
func Open(cfg Config) (*Store, error) {
	s := &Store{cfg: cfg, full: make(chan struct{}, 1), free: freeSpace}
	if err := s.defaults(); err != nil {
		return nil, fmt.Errorf("opening greylist: %w", err)
	}
	if err := s.open(); err != nil {
		if s.lock != nil {
			s.lock.Close()
		}
		return nil, fmt.Errorf("opening greylist in %s: %w", cfg.Dir, err)
	}
	return s, nil
}

func (s *Store) defaults() error {
	or(&s.cfg.Delay, time.Minute)
	or(&s.cfg.Window, 24*time.Hour)
	or(&s.cfg.Retry, 24*time.Hour)
	or(&s.cfg.MaxEntries, 1_000_000)
	or(&s.cfg.MinFree, 64<<20)
	or(&s.cfg.Key, Pair)
	if s.cfg.Log == nil {
		s.cfg.Log = slog.Default()
	}
	if s.cfg.Now == nil {
		s.cfg.Now = time.Now
	}
	switch {
	case s.cfg.Dir == "":
		return errors.New("no directory")
	case s.cfg.Delay < 0 || s.cfg.Window < 0 || s.cfg.Retry < 0 || s.cfg.MaxEntries < 0 || s.cfg.MinFree < 0:
		return errors.New("a negative limit")
	case s.cfg.Retry <= s.cfg.Delay:
		return fmt.Errorf("first attempts are forgotten after %v, before the delay of %v is over", s.cfg.Retry, s.cfg.Delay)
	case s.cfg.Key != Pair && s.cfg.Key != Triplet:
		return fmt.Errorf("key %q is neither %s nor %s", s.cfg.Key, Pair, Triplet)
	}
	return nil
}

func or[T comparable](v *T, standard T) {
	var zero T
	if *v == zero {
		*v = standard
	}
}

// An entry is what is known of a pair.
type entry struct {
	first time.Time // when it was seen first
	until time.Time // until when it passes; zero while it has not passed
}

func (e entry) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(e.first.UnixMilli()))
	if e.until.IsZero() {
		return b
	}
	return binary.BigEndian.AppendUint64(b, uint64(e.until.UnixMilli()))
}

func decode(b []byte) (entry, error) {
	if len(b) != 8 && len(b) != 16 {
		return entry{}, fmt.Errorf("an entry of %d octets", len(b))
	}
	e := entry{first: time.UnixMilli(int64(binary.BigEndian.Uint64(b)))}
	if len(b) == 16 {
		e.until = time.UnixMilli(int64(binary.BigEndian.Uint64(b[8:])))
	}
	return e, nil
}

// expired says whether an entry counts no more. One that was made later than now,
// or passes for longer than one made now would, is of a clock that was wrong.
func (s *Store) expired(e entry, now time.Time) bool {
	if e.first.After(now.Add(time.Second)) {
		return true
	}
	if e.until.IsZero() {
		return !now.Before(e.first.Add(s.cfg.Retry))
	}
	return !now.Before(e.until) || e.until.After(now.Add(s.cfg.Window+time.Second))
}

// Check records an attempt and returns how long the sender has to wait, 0 for not
// at all. The addresses should be in one case and spelling. The null sender, whom
// everybody shares, is told apart by the client's network: RFC 6647 section 2.4
// and 5. An error means that nobody can tell; the wait is 0 then.
func (s *Store) Check(client netip.Addr, from, to string) (wait time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			wait, err = 0, fmt.Errorf("badger panicked: %v", p)
		}
		if err != nil {
			err = fmt.Errorf("greylisting: %w", err)
			s.warn("mail passes without greylisting", err)
		}
	}()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0, ErrClosed
	}
	key := s.key(client, from, to)
	stripe := &s.stripes[key[0]%byte(len(s.stripes))]
	stripe.Lock()
	defer stripe.Unlock()
	now := s.cfg.Now()
	e, known, err := s.get(key)
	if err != nil {
		return 0, err
	}
	known = known && !s.expired(e, now)
	switch {
	case known && !e.until.IsZero():
		return 0, nil
	case known && now.Before(e.first.Add(s.cfg.Delay)):
		return e.first.Add(s.cfg.Delay).Sub(now), nil
	case known:
		return 0, s.put(key, entry{e.first, now.Add(s.cfg.Window)}, s.cfg.Window)
	case s.entries.Load() >= int64(s.cfg.MaxEntries):
		select {
		case s.full <- struct{}{}:
		default:
		}
		return 0, errFull
	}
	if err := s.put(key, entry{first: now}, s.cfg.Retry); err != nil {
		return 0, err
	}
	s.entries.Add(1)
	return s.cfg.Delay, nil
}

// key is a hash, so that every key has the same size and the database tells
// nobody who writes to whom.
func (s *Store) key(client netip.Addr, from, to string) []byte {
	network := ""
	if s.cfg.Key == Triplet || from == "" {
		bits := 24
		if client = client.Unmap().WithZone(""); client.Is6() {
			bits = 64
		}
		p, _ := client.Prefix(bits)
		network = p.String()
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{network, from, to}, "\x00")))
	return sum[:16]
}

func (s *Store) get(key []byte) (e entry, known bool, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		return item.Value(func(b []byte) error {
			e, err = decode(b)
			return err
		})
	})
	if errors.Is(err, badger.ErrKeyNotFound) {
		return entry{}, false, nil
	}
	return e, err == nil, err
}

// put writes an entry, if the disk has room. Badger may forget it a minute after
// it has expired.
func (s *Store) put(key []byte, e entry, lifetime time.Duration) error {
	if err := s.room(); err != nil {
		return err
	}
	return s.db.Update(func(txn *badger.Txn) error {
		return txn.SetEntry(badger.NewEntry(key, e.encode()).WithTTL(lifetime + time.Minute))
	})
}

// Delay is how long an unknown sender has to wait.
func (s *Store) Delay() time.Duration { return s.cfg.Delay }

// Entries is about how many pairs are known.
func (s *Store) Entries() int { return int(s.entries.Load()) }

// warn writes a warning, at most one a minute.
func (s *Store) warn(what string, err error) {
	if errors.Is(err, ErrClosed) {
		return
	}
	now := time.Now().Unix()
	if until := s.quiet.Load(); now >= until && s.quiet.CompareAndSwap(until, now+60) {
		s.cfg.Log.Warn(what, "error", err)
	}
}

// Close closes the store. On a full disk the database is left as it is, as after
// a crash: Badger would write, and be killed for it.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	defer s.lock.Close()
	if free, err := s.free(s.cfg.Dir); err == nil && free < closeRoom {
		return fmt.Errorf("closing greylist: %d MiB free in %s, %d MiB needed", free>>20, s.cfg.Dir, closeRoom>>20)
	}
	if err := closeBadger(s.db); err != nil {
		return fmt.Errorf("closing greylist: %w", err)
	}
	return nil
}

// path is a file of the store.
func (s *Store) path(name string) string { return filepath.Join(s.cfg.Dir, name) }
