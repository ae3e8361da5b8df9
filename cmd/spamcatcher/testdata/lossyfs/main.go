// Command lossyfs turns a mount point into a disk that can lose its power: what was written is there to be read at once,
// and on the disk only after it was synced.
//
//	lossyfs MOUNT [IMAGE]
//
// The file system begins with what IMAGE holds. On standard input, "cut DIR SEED" writes to DIR what would be on the
// disk if the power failed now; "cut" is answered as soon as the instant is over and "done" when DIR is written. With SEED 0
// all that was not synced is lost. Otherwise a random half of its pages made it to the disk, some of them torn between
// two sectors, and the journal may have been written once more.
//
// The model is that of a journalling file system such as ext4 in its usual mode. Data become durable by fsync, fdatasync
// or msync of their own file alone. Names and sizes set by truncate or fallocate become durable, in their order, by
// any fsync; by an fdatasync only if it has a change of size to record. A file that grew by writing has its old size until
// it is synced.
package main

import (
	"bufio"
	"context"
	"fmt"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const (
	pageSize = 4096
	sector   = 512
)

type page = [pageSize]byte

// contents are the bytes of a file; pages that are absent are zero. Pages of durable contents are never changed.
type contents struct {
	size  int64
	pages map[int64]*page
}

func (c *contents) truncate(size int64) {
	if size < c.size {
		for n := range c.pages {
			if n*pageSize >= size {
				delete(c.pages, n)
			}
		}
		if p := c.pages[size/pageSize]; p != nil {
			cut := *p
			clear(cut[size%pageSize:])
			c.pages[size/pageSize] = &cut
		}
	}
	c.size = size
}

// A disk is the whole file system.
type disk struct {
	mu    sync.Mutex
	root  *node
	names map[string]*node // durable names of files and directories
}

// A node is a file, a directory or a socket.
type node struct {
	fs.Inode
	disk *disk
	mode uint32 // type and permissions

	now     contents
	dirty   map[int64]bool // pages that durable has not
	durable contents
	sized   bool // now.size was set explicitly since the last commit
}

func (d *disk) node(mode uint32) *node {
	return &node{disk: d, mode: mode, now: contents{pages: map[int64]*page{}}, durable: contents{pages: map[int64]*page{}}, dirty: map[int64]bool{}}
}

// commit writes the journal: all names, and sizes that were set.
func (d *disk) commit() {
	d.names = map[string]*node{}
	var walk func(n *node, path string)
	walk = func(n *node, path string) {
		for name, child := range n.Children() {
			c := child.Operations().(*node)
			p := filepath.Join(path, name)
			d.names[p] = c
			if c.sized {
				c.durable.truncate(c.now.size)
				c.sized = false
			}
			if c.mode&syscall.S_IFMT == syscall.S_IFDIR {
				walk(c, p)
			}
		}
	}
	walk(d.root, "")
}

// sync makes the data of one file durable.
func (n *node) sync() {
	for p := range n.dirty {
		if data := n.now.pages[p]; data != nil {
			copied := *data
			n.durable.pages[p] = &copied
		} else {
			delete(n.durable.pages, p)
		}
	}
	clear(n.dirty)
	n.durable.truncate(n.now.size)
	n.sized = false
}

func (n *node) resize(size int64) {
	for p := size / pageSize; p <= n.now.size/pageSize; p++ {
		n.dirty[p] = true
	}
	n.now.truncate(size)
	n.sized = true
}

func (n *node) attributes(a *fuse.Attr) {
	a.Mode, a.Nlink = n.mode, 1
	a.Size = uint64(n.now.size)
	a.Blocks = uint64(len(n.now.pages) * pageSize / sector)
	a.Blksize = pageSize
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.attributes(&out.Attr)
	return 0
}

func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if size, ok := in.GetSize(); ok {
		n.resize(int64(size))
	}
	if mode, ok := in.GetMode(); ok {
		n.mode = n.mode&syscall.S_IFMT | mode&0o7777
	}
	n.attributes(&out.Attr)
	return 0
}

func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_TRUNC != 0 {
		n.disk.mu.Lock()
		n.resize(0)
		n.disk.mu.Unlock()
	}
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (n *node) add(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) *fs.Inode {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	child := n.disk.node(mode)
	inode := n.NewPersistentInode(ctx, child, fs.StableAttr{Mode: mode & syscall.S_IFMT})
	n.AddChild(name, inode, true)
	child.attributes(&out.Attr)
	return inode
}

func (n *node) Create(ctx context.Context, name string, _ uint32, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return n.add(ctx, name, syscall.S_IFREG|mode&0o7777, out), nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.add(ctx, name, syscall.S_IFDIR|mode&0o7777, out), 0
}

func (n *node) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.add(ctx, name, mode, out), 0
}

func (n *node) Link(_ context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	inode := target.EmbeddedInode()
	n.AddChild(name, inode, true)
	inode.Operations().(*node).attributes(&out.Attr)
	return inode, 0
}

// go-fuse moves and removes the names itself.
func (n *node) Unlink(context.Context, string) syscall.Errno { return 0 }
func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	if child := n.GetChild(name); child != nil && len(child.Children()) > 0 {
		return syscall.ENOTEMPTY
	}
	return 0
}
func (n *node) Rename(context.Context, string, fs.InodeEmbedder, string, uint32) syscall.Errno {
	return 0
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	dest = dest[:max(0, min(int64(len(dest)), n.now.size-off))]
	clear(dest)
	for done := int64(0); done < int64(len(dest)); {
		at := off + done
		rest := dest[done:min(int64(len(dest)), done+pageSize-at%pageSize)]
		if p := n.now.pages[at/pageSize]; p != nil {
			copy(rest, p[at%pageSize:])
		}
		done += int64(len(rest))
	}
	return fuse.ReadResultData(dest), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.write(data, off)
	return uint32(len(data)), 0
}

func (n *node) write(data []byte, off int64) {
	for done := 0; done < len(data); {
		at := off + int64(done)
		p := n.now.pages[at/pageSize]
		if p == nil {
			p = new(page)
			n.now.pages[at/pageSize] = p
		}
		n.dirty[at/pageSize] = true
		done += copy(p[at%pageSize:], data[done:])
	}
	n.now.size = max(n.now.size, off+int64(len(data)))
}

func (n *node) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if mode != 0 {
		return syscall.EOPNOTSUPP
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if end := int64(off + size); end > n.now.size {
		n.resize(end)
	}
	return 0
}

func (n *node) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

func (n *node) Fsync(_ context.Context, _ fs.FileHandle, flags uint32) syscall.Errno {
	const fdatasync = 1 // FUSE_FSYNC_FDATASYNC
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.mode&syscall.S_IFMT == syscall.S_IFREG {
		resized := n.sized || n.durable.size != n.now.size
		n.sync()
		if flags&fdatasync != 0 && !resized {
			return 0
		}
	}
	n.disk.commit()
	return 0
}

func (n *node) Fsyncdir(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.disk.commit()
	return 0
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Blocks, out.Bfree, out.Bavail, out.NameLen = pageSize, 1<<24, 1<<23, 1<<23, 255
	return 0
}

// snapshot returns what is on the disk now: directories have no contents.
func (d *disk) snapshot(seed uint64) map[string]*contents {
	d.mu.Lock()
	defer d.mu.Unlock()
	var chance *rand.Rand
	if seed > 0 {
		chance = rand.New(rand.NewPCG(seed, seed))
		if chance.IntN(2) == 0 {
			d.commit()
		}
	}
	image := map[string]*contents{}
	for name, n := range d.names {
		switch n.mode & syscall.S_IFMT {
		case syscall.S_IFDIR:
			image[name] = nil
		case syscall.S_IFREG:
			c := contents{n.durable.size, maps.Clone(n.durable.pages)}
			if chance != nil {
				n.tear(&c, chance)
			}
			image[name] = &c
		}
	}
	return image
}

// tear gives c some of the pages that were on their way to the disk.
func (n *node) tear(c *contents, chance *rand.Rand) {
	if n.now.size > c.size && chance.IntN(2) == 0 {
		c.size = n.now.size
	}
	for p := range n.dirty {
		data := n.now.pages[p]
		if data == nil || p*pageSize >= c.size || chance.IntN(2) == 0 {
			continue
		}
		var torn page
		if old := c.pages[p]; old != nil {
			torn = *old
		}
		end := pageSize
		if chance.IntN(4) == 0 {
			end = sector * chance.IntN(pageSize/sector+1)
		}
		copy(torn[:end], data[:end])
		c.pages[p] = &torn
	}
}

// dump writes an image to a directory.
func dump(image map[string]*contents, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, c := range image {
		path := filepath.Join(dir, name)
		if c == nil {
			if err := os.MkdirAll(path, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		for n, p := range c.pages {
			if n*pageSize < c.size {
				if _, err := f.WriteAt(p[:min(pageSize, c.size-n*pageSize)], n*pageSize); err != nil {
					return err
				}
			}
		}
		if err := f.Truncate(c.size); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// load lets the disk begin with what is in dir.
func (d *disk) load(dir string) error {
	ctx := context.Background()
	err := filepath.WalkDir(dir, func(path string, entry iofs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		parent := &d.root.Inode
		if up := filepath.Dir(name); up != "." {
			parent = &d.names[up].Inode
		}
		mode := uint32(syscall.S_IFDIR | 0o700)
		if !entry.IsDir() {
			mode = syscall.S_IFREG | 0o600
		}
		n := d.node(mode)
		parent.AddChild(entry.Name(), parent.NewPersistentInode(ctx, n, fs.StableAttr{Mode: mode & syscall.S_IFMT}), true)
		d.names[name] = n
		if entry.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for off := 0; off < len(data); off += pageSize {
			var p page
			copy(p[:], data[off:])
			if p != (page{}) {
				n.write(p[:min(pageSize, len(data)-off)], int64(off))
			}
		}
		n.now.size = int64(len(data))
		n.sync()
		return nil
	})
	return err
}

func main() {
	if len(os.Args) < 2 {
		fmt.Println("usage: lossyfs MOUNT [IMAGE]")
		os.Exit(2)
	}
	d := &disk{names: map[string]*node{}}
	d.root = d.node(syscall.S_IFDIR | 0o700)
	second := time.Second
	server, err := fs.Mount(os.Args[1], d.root, &fs.Options{
		EntryTimeout: &second, AttrTimeout: &second,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "lossyfs", MaxWrite: 1 << 20},
	})
	if err == nil && len(os.Args) > 2 {
		d.mu.Lock()
		err = d.load(os.Args[2])
		d.mu.Unlock()
	}
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var dir string
		var seed uint64
		if n, _ := fmt.Sscanf(lines.Text(), "cut %s %d", &dir, &seed); n != 2 {
			fmt.Println("failed: what is", lines.Text())
			continue
		}
		image := d.snapshot(seed)
		fmt.Println("cut")
		if err := dump(image, dir); err != nil {
			fmt.Println("failed:", err)
			continue
		}
		fmt.Println("done")
	}
	server.Unmount()
}
