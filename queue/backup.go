package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

const backupSync = 16 << 20 // bytes after which a backup is made durable, and the disk asked for room

// Backup writes a copy of the queue into dir, which must not exist or be empty, while the queue works: a spool from
// which Open makes a queue with every item that was there when Backup began and was not finished when it was copied,
// with its state and history. When Backup returns without an error all of it is on stable storage; until then it stands
// in dir with ".partial" behind its name. A damaged record is not copied, but counted, and its whole segment is put into
// the directory damaged of the copy.
func (q *Queue) Backup(ctx context.Context, dir string) (Summary, error) {
	var sum Summary
	err := q.backup(ctx, filepath.Clean(dir), &sum)
	if err != nil {
		return sum, fmt.Errorf("backing the queue up: %w", err)
	}
	return sum, nil
}

func (q *Queue) backup(ctx context.Context, dir string, sum *Summary) (err error) {
	if names, err := os.ReadDir(dir); err == nil && len(names) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	part := dir + ".partial"
	if err := os.Mkdir(part, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(part)
		}
	}()
	to, err := openSpool(filepath.Join(part, "spool"), segmentSize)
	if err != nil {
		return err
	}
	defer func() {
		if to.file != nil {
			to.file.Close()
		}
	}()
	unsynced := int64(0)
	sync := func() error {
		unsynced = 0
		if err := q.room(q.cfg.MinFree); err != nil { // it may be the same disk
			return err
		}
		return to.sync()
	}
	damaged := map[uint64]bool{}
	err = q.each(ctx, itemPrefix, func(_ *badger.Txn, k, v []byte) error {
		e, err := decodeEntry(v)
		if err != nil {
			return fmt.Errorf("item %q: %w", k, err)
		}
		r, err := q.copyOf(e)
		switch {
		case errors.Is(err, ErrNotFound): // finished since
			return nil
		case err != nil && (errors.Is(err, errDamaged) || errors.Is(err, os.ErrNotExist)):
			sum.Damaged++
			q.log.Error("a message's body cannot be read; its segment is copied as it is", "id", e.ID, "from", e.Sender, "error", err)
			damaged[e.place.seg] = true
			return nil
		case err != nil:
			return err
		}
		if unsynced+r.length() > backupSync {
			if err := sync(); err != nil {
				return err
			}
		}
		if err := to.append([]*record{r}); err != nil {
			return err
		}
		to.added(r.place)
		unsynced += r.length()
		sum.Items++
		sum.Records++
		sum.Bytes += r.it.Size
		if r.it.Hold != "" {
			sum.Held++
		}
		return nil
	})
	if err == nil {
		err = sync()
	}
	if err == nil {
		err = to.seal()
	}
	sum.Segments = len(to.segs)
	for n := range damaged {
		if err == nil {
			err = copyInto(filepath.Join(part, "damaged"), q.spool.path(n))
		}
	}
	if err == nil {
		err = syncDir(to.dir)
	}
	if err == nil {
		err = syncDir(part)
	}
	if err == nil {
		err = os.Rename(part, dir)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// copyOf makes a record of an item as it is in e, with its body. It finds a record that was moved since.
func (q *Queue) copyOf(e *entry) (*record, error) {
	b, err := q.openBody(e)
	if err != nil {
		if now, e2 := q.get(e.ID); e2 != nil {
			return nil, e2
		} else if now.place != e.place {
			return q.copyOf(now)
		}
		return nil, err
	}
	defer b.Close()
	body := make([]byte, e.Size)
	if _, err := io.ReadFull(b, body); err != nil {
		return nil, fmt.Errorf("item %s: %w: %w", e.ID, errDamaged, err)
	}
	return newRecord(e.Item, [][]byte{body}), nil
}

// copyInto copies a file into a directory, durably. One that is gone is none to copy.
func copyInto(dir, name string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	from, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(dir, filepath.Base(name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err == nil {
		err = to.Sync()
	}
	if e := to.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = syncDir(dir)
	}
	return err
}

// asideName is a name that nobody has, with a time in it.
func asideName(name string, now time.Time) string {
	name += now.UTC().Format("20060102T150405.000")
	for n, base := 2, name; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			return name
		}
		name = fmt.Sprintf("%s-%d", base, n)
	}
}

// Rebuild sets the index of the queue in cfg.Dir aside, which nobody may have open, builds a new one from the spool, and
// returns how many items are in it. What the index alone knew is lost: attempts so far and replies; a recipient whose
// delivery was recorded last before a power cut may get the message again. It fails with ErrLocked while the queue is open.
func Rebuild(cfg Config) (int, error) {
	n, err := rebuild(cfg)
	if err != nil {
		return n, fmt.Errorf("rebuilding the index: %w", err)
	}
	return n, nil
}

func rebuild(cfg Config) (n int, err error) {
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return 0, err
	}
	index := filepath.Join(cfg.Dir, "index")
	now := time.Now
	if cfg.Now != nil {
		now = cfg.Now
	}
	aside := asideName(index+".replaced-", now())
	err = os.Rename(index, aside)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = syncDir(cfg.Dir)
	}
	lock.Close()
	if err != nil {
		return 0, err
	}
	q, err := Open(cfg)
	if err != nil {
		return 0, err
	}
	err = q.List(context.Background(), Filter{}, func(*Item) bool { n++; return true })
	if e := q.Close(); err == nil {
		err = e
	}
	return n, err
}
