package greylist

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/sys/unix"
)

// closeRoom is what Badger may write when it is closed: a table of at most 8 MiB.
const closeRoom = 10 << 20

var (
	errFull  = errors.New("too many pairs are known already")
	errSpace = errors.New("too little free space on the disk")
)

// open takes the lock and opens the database. A file says, while Badger opens it,
// that it does: should Badger panic beyond anyone's reach over a damage that
// checkTables does not see, the next process knows that the last one died of it.
func (s *Store) open() error {
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(s.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("taking the lock: %w", err)
	}
	if err := s.room(); err != nil {
		return err
	}
	opening := s.path("opening")
	if _, err := os.Stat(opening); err == nil {
		if err := s.putAside(errors.New("the process died opening it")); err != nil {
			return err
		}
	}
	if err := os.WriteFile(opening, nil, 0o600); err != nil {
		return err
	}
	if err := s.load(); err != nil {
		if err := s.putAside(err); err != nil {
			return err
		}
		if err := s.load(); err != nil {
			return err
		}
	}
	return os.Remove(opening)
}

// load opens the database and reads all of it.
func (s *Store) load() error {
	db, err := openBadger(s.path("db"), s.cfg.Log)
	if err != nil {
		return err
	}
	s.db = db
	n := 0
	err = s.each(func([]byte, entry) { n++ })
	if err != nil {
		closeBadger(db)
		return err
	}
	s.entries.Store(int64(n))
	return nil
}

func (s *Store) putAside(why error) error {
	s.cfg.Log.Warn("greylist is damaged and begun anew", "dir", s.cfg.Dir, "error", why)
	if err := os.RemoveAll(s.path("db.damaged")); err != nil {
		return err
	}
	if err := os.Rename(s.path("db"), s.path("db.damaged")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// each calls visit with all entries. The key is valid during the call.
func (s *Store) each(visit func(key []byte, e entry)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger panicked: %v", p)
		}
	}()
	return s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{PrefetchValues: false})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			item := it.Item()
			err := item.Value(func(b []byte) error {
				e, err := decode(b)
				if err == nil {
					visit(item.Key(), e)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// openBadger opens a database that takes little memory and no more of the disk
// than it needs.
func openBadger(dir string, log *slog.Logger) (*badger.DB, error) {
	o := badger.DefaultOptions(dir).
		WithSyncWrites(false). // what is lost costs a sender a minute
		WithDetectConflicts(false).
		WithMemTableSize(8 << 20).WithNumMemtables(2).
		WithNumLevelZeroTables(2).WithNumLevelZeroTablesStall(6).
		WithBaseLevelSize(32 << 20).WithBaseTableSize(4 << 20).
		WithValueThreshold(1 << 10).WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(4 << 20).WithIndexCacheSize(4 << 20).
		WithNumCompactors(2).WithCompression(options.None).
		WithChecksumVerificationMode(options.OnTableAndBlockRead).
		WithMetricsEnabled(false).
		WithBypassLockGuard(true). // the store has its own lock, and Badger keeps its when Open panics
		WithLogger(badgerLog{log})
	db, err := tryBadger(o)
	if err != nil {
		// A known fault of Badger: after a cut, a log file of length zero makes the
		// first Open fail and the second succeed.
		removeEmptyLogs(dir)
		db, err = tryBadger(o)
	}
	return db, err
}

func tryBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("badger panicked: %v", p)
		}
	}()
	if err := checkTables(o); err != nil {
		return nil, err
	}
	if db, err = badger.Open(o); err != nil {
		return nil, err
	}
	return db, nil
}

func closeBadger(db *badger.DB) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger panicked: %v", p)
		}
	}()
	return db.Close()
}

func removeEmptyLogs(dir string) {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.Size() == 0 {
				os.Remove(name)
			}
		}
	}
}

// badgerLog passes on what an operator must know.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("badger: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("badger: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Infof(string, ...any)        {}
func (l badgerLog) Debugf(string, ...any)       {}

// room says whether the disk has room for a write: Badger writes through memory
// maps into sparse files, so that on a full disk the kernel kills the process.
// The disk is asked once a second.
func (s *Store) room() error {
	s.space.Lock()
	defer s.space.Unlock()
	if now := time.Now(); now.Sub(s.space.at) >= time.Second {
		s.space.at = now
		free, err := s.free(s.cfg.Dir)
		if err == nil && free < s.cfg.MinFree {
			err = fmt.Errorf("%w: %d MiB free in %s, %d MiB needed", errSpace, free>>20, s.cfg.Dir, s.cfg.MinFree>>20)
		}
		s.space.err = err
	}
	return s.space.err
}

// freeSpace is what an ordinary user can still write on a directory's disk, in
// octets.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == nil {
			return int64(st.Bavail) * int64(st.Bsize), nil
		}
		if err != unix.EINTR {
			return 0, fmt.Errorf("asking for free space of %s: %w", dir, err)
		}
	}
}
