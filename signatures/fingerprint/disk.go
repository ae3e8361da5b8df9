package fingerprint

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/sys/unix"
)

// openStore opens the store in dir, which is made if need be, with settings for
// little memory.
func openStore(dir string, log *slog.Logger) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the store: %w", err)
	}
	// Badger on a full disk ends the process, and again at every start.
	if free, err := freeBytes(dir); err == nil && free < 32<<20 {
		return nil, fmt.Errorf("opening the store %s: only %d bytes of disk are free, 32 MiB are needed", dir, free)
	}
	o := badger.DefaultOptions(dir).
		WithSyncWrites(true). // a report that was answered is there after a power cut
		WithDetectConflicts(false).
		WithMemTableSize(8 << 20).WithNumMemtables(2).
		WithNumLevelZeroTables(5).WithNumLevelZeroTablesStall(12).WithBaseLevelSize(64 << 20).WithBaseTableSize(8 << 20).
		WithValueThreshold(1 << 20).WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(16 << 20).WithIndexCacheSize(16 << 20).
		WithNumCompactors(2).WithCompression(options.None).WithMetricsEnabled(false).
		WithLogger(badgerLog{log})
	db, err := openBadger(o)
	if err != nil {
		return nil, fmt.Errorf("opening the store %s: %w", dir, err)
	}
	s := &store{db: db, dir: dir}
	if err := s.count(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the store %s: %w", dir, err), db.Close())
	}
	return s, nil
}

// openBadger turns a panic in Badger's reading of damaged files into an error.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("badger panicked: %v", p)
		}
	}()
	return badger.Open(o)
}

// badgerLog passes on what an operator must know.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("badger: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("badger: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Infof(string, ...any)        {}
func (l badgerLog) Debugf(string, ...any)       {}

func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}
