package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"

	"spamcatcher/signatures/unpack/format"
)

// A stream is a file that holds one other file, compressed.
type stream struct {
	name string
	// reads says whether b, of the media type kind, is of this format.
	reads func(kind string, b []byte) bool
	// open returns what b expands to and the name that stands in it, "" for none.
	// No dictionary is to be larger than room.
	open func(b []byte, room int64) (r io.Reader, name string, err error)
	// window says that the decoder takes memory for a window or dictionary.
	window bool
	// guess says that reads may be wrong: what cannot be read is then no damage.
	guess bool
}

// streams are the compressed files that are no archives.
func streams() []format.Format {
	return []format.Format{
		&stream{name: "gzip", reads: ofType("application/gzip"), open: func(b []byte, _ int64) (io.Reader, string, error) {
			return openGzip(b)
		}},
		&stream{name: "bzip2", reads: ofType("application/x-bzip2"), open: func(b []byte, _ int64) (io.Reader, string, error) {
			return newBzip2(b), "", nil
		}},
		&stream{name: "xz", window: true, reads: ofType("application/x-xz"), open: func(b []byte, room int64) (io.Reader, string, error) {
			return newXZ(b, room), "", nil
		}},
		&stream{name: "zstd", window: true, reads: func(kind string, b []byte) bool {
			return kind == "application/zstd" || skippable(b)
		}, open: func(b []byte, room int64) (io.Reader, string, error) {
			d, err := newZstd(zstdFrames(b))
			if err != nil {
				return nil, "", err
			}
			return d, "", nil
		}},
		&stream{name: "compress", reads: ofType("application/x-compress"), open: func(b []byte, _ int64) (io.Reader, string, error) {
			r, err := newLZW(b)
			return r, "", err
		}},
		&stream{name: "lzip", window: true, reads: func(_ string, b []byte) bool {
			return len(b) > 26 && string(b[:4]) == "LZIP" && b[4] <= 1
		}, open: openLzip},
		&stream{name: "lzma", window: true, reads: looksLikeLZMA, open: openLZMA, guess: true},
		&stream{name: "zlib", reads: func(kind string, b []byte) bool {
			// RFC 1950 section 2.2: deflate with a 32 KiB window, header a multiple of 31.
			return kind == "" && len(b) > 8 && b[0] == 0x78 && binary.BigEndian.Uint16(b)%31 == 0 && b[1]&0x20 == 0
		}, open: func(b []byte, _ int64) (io.Reader, string, error) {
			r, err := zlib.NewReader(bytes.NewReader(b))
			return r, "", err
		}, guess: true},
	}
}

func ofType(want string) func(string, []byte) bool {
	return func(kind string, _ []byte) bool { return kind == want }
}

func (s *stream) Name() string { return s.name }

func (s *stream) Reads(f *format.File) bool {
	return f.Kind != format.Mail && s.reads(f.Type, f.Data)
}

func (s *stream) Open(j *format.Job, f *format.File) error {
	room, _ := j.Room(-1)
	if s.window {
		if err := j.Hold(int(min(room, largestWindow))); err != nil {
			return err
		}
	}
	r, name, err := s.open(f.Data, room)
	if err != nil {
		if s.guess {
			return nil
		}
		return err
	}
	if c, ok := r.(interface{ Close() }); ok {
		defer c.Close()
	}
	data, cut, err := j.Read(r, -1)
	if errors.Is(err, format.ErrStop) && len(data) == 0 {
		return err
	}
	if u, ok := r.(interface{ unread() string }); ok && u.unread() != "" {
		j.Mark(f, format.Unreadable, u.unread())
	}
	if s.guess && err != nil && len(data) < 16 {
		return nil
	}
	if name == "" {
		name = unsuffixed(f.Name)
	}
	if stop := j.Emit(&format.File{Name: name, Kind: format.Member, Data: data, Cut: cut}); stop != nil {
		return stop
	}
	return err
}

// unsuffixed is a file's name without the extension that says how it is compressed.
func unsuffixed(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 {
		return name
	}
	switch strings.ToLower(name[dot+1:]) {
	case "tgz", "tbz", "tbz2", "txz", "tzst", "tlz", "taz":
		return name[:dot] + ".tar"
	case "gz", "bz2", "bz", "xz", "zst", "z", "lzma", "lz":
		return name[:dot]
	}
	return name
}

// A gzipReader reads all members of a gzip file as one, and ends where something
// else follows, as gzip(1) does: Go's own reader takes padding for damage. A wrong
// checksum is told at the end: there are readers that go on.
type gzipReader struct {
	in    *bytes.Reader
	z     *gzip.Reader
	wrong error
}

func openGzip(b []byte) (io.Reader, string, error) {
	in := bytes.NewReader(b)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, "", err
	}
	z.Multistream(false)
	return &gzipReader{in: in, z: z}, z.Name, nil
}

func (g *gzipReader) Read(p []byte) (int, error) {
	for range emptyRun {
		n, err := g.z.Read(p)
		if errors.Is(err, gzip.ErrChecksum) {
			g.wrong, err = err, io.EOF
		}
		if n > 0 && err == io.EOF {
			return n, nil
		}
		if n > 0 || err != io.EOF {
			return n, err
		}
		for {
			c, err := g.in.ReadByte()
			if err != nil {
				return 0, g.end()
			}
			if c != 0 {
				break
			}
		}
		_ = g.in.UnreadByte()
		if g.z.Reset(g.in) != nil {
			return 0, g.end()
		}
		g.z.Multistream(false)
	}
	return 0, nil
}

func (g *gzipReader) end() error {
	if g.wrong != nil {
		return g.wrong
	}
	return io.EOF
}

// skippable says that b begins with frames that zstd readers skip, and that the
// content follows them. RFC 8878 section 3.1.2.
func skippable(b []byte) bool {
	skipped := false
	for range 1000 {
		n := zstdSkip(b)
		if n == 0 {
			return skipped && len(b) >= 4 && binary.LittleEndian.Uint32(b) == zstdMagic
		}
		b, skipped = b[n:], true
	}
	return true
}

// looksLikeLZMA recognises the format that has no magic number: usual properties,
// a dictionary that is a power of two or one and a half of it, a size that is
// unknown or thinkable, and the zero that the range coder begins with.
func looksLikeLZMA(kind string, b []byte) bool {
	if kind != "" || len(b) < 20 || b[0] >= 9*5*5 || b[13] != 0 {
		return false
	}
	dictionary := binary.LittleEndian.Uint32(b[1:])
	if dictionary < 4096 {
		return false
	}
	if low := dictionary & -dictionary; dictionary != low && dictionary != 3*low && dictionary != 1<<32-1 {
		return false
	}
	size := binary.LittleEndian.Uint64(b[5:])
	return size == 1<<64-1 || size > 0 && size < 1<<40
}

func openLZMA(b []byte, room int64) (io.Reader, string, error) {
	r, err := newLZMA(b[0], binary.LittleEndian.Uint32(b[1:]), int64(binary.LittleEndian.Uint64(b[5:])), room, bytes.NewReader(b[13:]))
	return r, "", err
}

// openLzip reads an lzip file: members of LZMA with fixed properties (lc 3, lp 0,
// pb 2) and an end mark, a trailer behind each.
func openLzip(b []byte, room int64) (io.Reader, string, error) {
	l := &lzipReader{in: bytes.NewReader(b), b: b, room: room}
	if !l.next() {
		return nil, "", errors.New("lzip: broken")
	}
	return l, "", nil
}

// lzipTrailer is the size in bytes of checksum, size of the content, and size of
// the member.
const lzipTrailer = 20

// A lzipReader reads the members of a file as one.
type lzipReader struct {
	in     *bytes.Reader
	b      []byte
	room   int64
	taken  int64 // bytes of dictionaries so far
	member io.Reader
}

// lzipWindows bounds the dictionaries of all members together, in bytes.
const lzipWindows = 256 << 20

// next begins the next member, and says whether there is one.
func (l *lzipReader) next() bool {
	b := l.b[len(l.b)-l.in.Len():]
	if len(b) < 26 || string(b[:4]) != "LZIP" || b[4] > 1 {
		return false
	}
	bits := b[5] & 31
	if bits < 12 || bits > 29 {
		return false
	}
	size := uint32(1) << bits
	size -= size / 16 * uint32(b[5]>>5)
	_, _ = l.in.Seek(6, io.SeekCurrent)
	l.taken += min(int64(size), max(l.room, 4096), largestWindow)
	if l.taken > lzipWindows {
		return false
	}
	var err error
	l.member, err = newLZMA(0x5d, size, -1, l.room, l.in)
	return err == nil
}

// Read implements io.Reader.
func (l *lzipReader) Read(p []byte) (int, error) {
	n, err := l.member.Read(p)
	if err != io.EOF {
		return n, err
	}
	_, _ = l.in.Seek(lzipTrailer, io.SeekCurrent)
	if l.in.Len() <= 0 || !l.next() {
		if l.taken > lzipWindows {
			return n, errors.New("lzip: more dictionaries than are allowed")
		}
		return n, io.EOF
	}
	return n, nil // the caller looks at the clock
}
