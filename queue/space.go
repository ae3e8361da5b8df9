package queue

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Badger writes through memory maps into sparse files: on a full disk the kernel kills the whole process (SIGBUS), and
// again at every start. So nothing is written into the index unless there is room for it. New mail is refused first
// (below MinFree), then no attempt is begun (half of it), last no result is recorded (a quarter); Open needs a quarter too.
const (
	minInodes      = 256
	tryShare       = 2
	recordShare    = 4
	defaultMinFree = 128 << 20
	closeRoom      = 10 << 20 // Badger's Close writes a table of at most 8 MiB
)

// freeSpace returns what an ordinary user can still write on the file system of dir, in bytes and inodes.
func freeSpace(dir string) (bytes, inodes int64, err error) {
	var st unix.Statfs_t
	if err := uninterrupted(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return 0, 0, fmt.Errorf("asking for free space of %s: %w", dir, err)
	}
	inodes = int64(st.Ffree)
	if st.Files == 0 { // the file system makes them as needed
		inodes = minInodes
	}
	return int64(st.Bavail) * int64(st.Bsize), inodes, nil
}

// room returns an error that wraps ErrFull if fewer than need bytes are free.
func (q *Queue) room(need int64) error {
	bytes, inodes, err := q.free(q.cfg.Dir)
	if err != nil {
		return err
	}
	if bytes < need {
		return fmt.Errorf("%w: %d MiB free in %s, %d MiB needed", ErrFull, bytes>>20, q.cfg.Dir, need>>20)
	}
	if inodes < minInodes {
		return fmt.Errorf("%w: %d inodes free in %s", ErrFull, inodes, q.cfg.Dir)
	}
	return nil
}

// full reports whether err says that there is no space, which is temporary and breaks nothing.
func full(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// errScarce: the process or the machine has too few file descriptors or too little memory. Temporary; nothing is broken.
var errScarce = errors.New("queue: too few file descriptors or too little memory")

// scarce wraps err in errScarce if it says so.
func scarce(err error) error {
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("%w: %w", errScarce, err)
	}
	return err
}
