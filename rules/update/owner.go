package update

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// An owner is whom files are given to. The superuser gives what it makes to the
// owner of the directory that it is in: a service that runs as that user must be
// able to read and to replace it.
type owner struct {
	uid, gid int
	set      bool
}

// nobody is given nothing: files stay whose they are.
var nobody owner

// ownerOf is who what is made in dir must belong to.
func ownerOf(dir string) owner {
	if os.Geteuid() != 0 {
		return nobody
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nobody
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nobody
	}
	return owner{int(st.Uid), int(st.Gid), true}
}

// give gives an open file, or directory, of the superuser away. One with other
// names stays: one of them may be in a place that is nobody's business.
func (o owner) give(f *os.File) error {
	if !o.set {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != 0 || !info.IsDir() && st.Nlink != 1 || int(st.Uid) == o.uid && int(st.Gid) == o.gid {
		return nil
	}
	return f.Chown(o.uid, o.gid)
}

// makeDir makes a directory, and those above it, if need be.
func makeDir(path string, who owner) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if !who.set {
		return nil
	}
	d, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	return who.give(d)
}

// giveTree gives a directory with all that is in it away, the directory last.
func giveTree(dir string, who owner) error {
	if !who.set {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var names []string
	err = fs.WalkDir(root.FS(), ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	for _, name := range slices.Backward(names) {
		err = errors.Join(err, root.Lchown(name, who.uid, who.gid))
	}
	return err
}
