package archive

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"spamcatcher/signatures/unpack/format"
)

// sevenZip reads 7z archives: solid or not, with encrypted members and headers
// when a password is at hand.
//
// The library reads whatever a header claims, and allocates by it. So the header is
// read here, within bounds; the library is handed one folder at a time, in a small
// archive put together from what was checked (see folder.open), and serves as
// the decoder of it.
type sevenZip struct{}

const sevenMagic = "7z\xbc\xaf\x27\x1c"

func (sevenZip) Name() string { return "7z" }

func (sevenZip) Reads(f *format.File) bool { return behind(f, sevenMagic, 0) >= 0 }

// MayOverrun says that the library is not asked to come back.
func (sevenZip) MayOverrun() bool { return true }

func (sevenZip) Open(j *format.Job, f *format.File) error {
	for at, tries := behind(f, sevenMagic, 0), 0; at >= 0 && tries < 8; at, tries = behind(f, sevenMagic, at+1), tries+1 {
		b := f.Data[at:]
		if len(b) >= 32 && crc32.ChecksumIEEE(b[12:32]) == le32(b[8:]) {
			a := sevenArchive{j: j, f: f, data: b[32:]}
			return a.read(le64(b[12:]), le64(b[20:]), le32(b[28:]))
		}
	}
	if behind(f, sevenMagic, 0) == 0 {
		return errors.New("the first header is damaged")
	}
	return nil // some program's constant
}

// A sevenArchive is one 7z archive that is being read.
type sevenArchive struct {
	j    *format.Job
	f    *format.File
	data []byte // all behind the first header
	key  *string
}

// sevenHeaderMax bounds a header, in bytes.
const sevenHeaderMax = 4 << 20

var errTooBig = errors.New("it asks for more memory than allowed")

// read finds the header, which may itself be packed and encrypted, and emits what
// it lists.
func (a *sevenArchive) read(offset, size uint64, sum uint32) error {
	if offset > uint64(len(a.data)) || size > uint64(len(a.data))-offset {
		return errors.New("the header lies behind the end")
	}
	if size == 0 {
		return nil
	}
	if size > sevenHeaderMax {
		a.j.Mark(a.f, format.LimitBytes, "header")
		return nil
	}
	header := a.data[offset : offset+size]
	if crc32.ChecksumIEEE(header) != sum {
		return errors.New("the header's checksum is wrong")
	}
	for range 4 {
		c := &cursor{b: header}
		switch id := c.byte(); id {
		case 0x01:
			return a.list(c)
		case 0x17: // an encoded header
			s, err := sevenStreams(c)
			if err != nil {
				return err
			}
			if len(s.folders) != 1 {
				return errors.New("the header is not in one piece")
			}
			if header, err = a.unpackHeader(s); err != nil || header == nil {
				return err
			}
		default:
			return fmt.Errorf("a header of type %d", id)
		}
	}
	return errors.New("headers packed in headers")
}

// unpackHeader decodes a header; nil says that it was not to be had, and marked.
func (a *sevenArchive) unpackHeader(s *sevenInfo) ([]byte, error) {
	fo := &s.folders[0]
	key, ok := a.unlock(s, 0, fo.size(), fo.crc, fo.hasCRC)
	if !ok {
		a.j.Mark(a.f, format.Encrypted, "7z: list of names")
		return nil, nil
	}
	r, err := fo.open(a.j, a.data, s, key)
	if err != nil {
		return nil, a.refuse(err)
	}
	header, cut, err := a.j.Read(io.LimitReader(r, sevenHeaderMax), int64(fo.packedSize(s)))
	if err != nil || cut {
		return nil, err
	}
	if uint64(len(header)) != fo.size() || fo.hasCRC && crc32.ChecksumIEEE(header) != fo.crc {
		return nil, errors.New("the packed header's checksum is wrong")
	}
	if fo.encrypted() {
		a.j.Mark(a.f, format.Unlocked, key)
	}
	return header, nil
}

// refuse marks what is not read on purpose, and passes other errors on.
func (a *sevenArchive) refuse(err error) error {
	var method unknownMethod
	switch {
	case errors.Is(err, errTooBig):
		a.j.Mark(a.f, format.LimitBytes, "7z: dictionary")
		return nil
	case errors.As(err, &method):
		a.j.Mark(a.f, format.Unreadable, "7z: "+method.Error())
		return nil
	}
	return err
}

// list emits the files of the archive, folder by folder.
func (a *sevenArchive) list(c *cursor) error {
	s, files, err := sevenHeader(c)
	if err != nil {
		return err
	}
	if s.more || len(files) == sevenEntriesMax {
		a.j.Mark(a.f, format.LimitMembers, "")
	}
	next, stream := 0, 0
	var first error
	for i := range s.folders {
		n := s.counts[i]
		var members []sevenFile
		for len(members) < n && next < len(files) {
			if file := files[next]; file.empty {
				if err := a.emitEmpty(file); err != nil {
					return err
				}
			} else {
				members = append(members, file)
			}
			next++
		}
		for len(members) < n { // streams that no file claims
			members = append(members, sevenFile{})
		}
		err := a.folder(s, i, stream, members)
		if errors.Is(err, format.ErrStop) {
			return err
		}
		if first == nil {
			first = err
		}
		stream += n
	}
	for ; next < len(files); next++ {
		if err := a.emitEmpty(files[next]); err != nil {
			return err
		}
	}
	return first
}

// emitEmpty emits a file of no bytes; directories are passed over.
func (a *sevenArchive) emitEmpty(file sevenFile) error {
	if !file.empty || file.dir {
		return nil
	}
	return a.j.Emit(&format.File{Name: file.name, Kind: format.Member})
}

// folder emits the members of folder i, whose streams begin at number stream.
func (a *sevenArchive) folder(s *sevenInfo, i, stream int, members []sevenFile) error {
	fo := &s.folders[i]
	if len(members) == 0 {
		return nil
	}
	key, ok := a.unlock(s, i, s.sizes[stream], s.sums[stream], s.hasSum[stream])
	if !ok {
		for _, m := range members {
			a.j.Mark(a.f, format.Encrypted, m.name)
			if err := a.j.Emit(&format.File{Name: m.name, Kind: format.Member, Cut: true}); err != nil {
				return err
			}
		}
		return a.j.Check()
	}
	if fo.encrypted() {
		a.j.Mark(a.f, format.Unlocked, key)
	}
	r, err := fo.open(a.j, a.data, s, key)
	if err != nil {
		return a.refuse(err)
	}
	for k, m := range members {
		size := s.sizes[stream+k]
		limited := &io.LimitedReader{R: r, N: int64(size)}
		data, cut, err := a.j.Read(limited, int64(fo.packedSize(s)))
		if errors.Is(err, format.ErrStop) {
			a.j.Emit(&format.File{Name: m.name, Kind: format.Member, Data: data, Cut: true, Unlocked: fo.encrypted()})
			return err
		}
		short := err == nil && !cut && uint64(len(data)) < size
		if e := a.j.Emit(&format.File{Name: m.name, Kind: format.Member, Data: data, Cut: cut || short, Unlocked: fo.encrypted()}); e != nil {
			return e
		}
		wrong := err == nil && !cut && !short && s.hasSum[stream+k] && crc32.ChecksumIEEE(data) != s.sums[stream+k]
		a.j.Done(data)
		switch {
		case err != nil && fo.farther():
			a.j.Mark(a.f, format.LimitBytes, "7z: dictionary")
			return nil
		case err != nil:
			return fmt.Errorf("%q: %w", m.name, err)
		case short:
			return fmt.Errorf("%q is shorter than it says", m.name)
		case cut:
			if err := skip(a.j, limited, limited.N); err != nil {
				return err
			}
		case wrong:
			a.j.Mark(a.f, format.Damaged, "7z: checksum of "+m.name)
		}
	}
	return nil
}

// unlock finds the password of folder i by its first stream, of so many bytes and
// with this checksum. It is "" and true for what is not encrypted.
func (a *sevenArchive) unlock(s *sevenInfo, i int, size uint64, sum uint32, hasSum bool) (string, bool) {
	fo := &s.folders[i]
	if !fo.encrypted() {
		return "", true
	}
	try := a.j.Passwords()
	if a.key != nil {
		try = append([]string{*a.key}, try...)
	}
	for _, key := range try[:min(len(try), 16)] {
		if a.j.Check() != nil || !hasSum {
			break
		}
		r, err := fo.open(a.j, a.data, s, key)
		if err != nil {
			continue
		}
		h := crc32.NewIEEE()
		if n, err := copyChecked(a.j, h, io.LimitReader(r, int64(min(size, 32<<20)))); err == nil && (uint64(n) < size && n == 32<<20 || uint64(n) == size && h.Sum32() == sum) {
			a.key = &key
			return key, true
		}
	}
	return "", false
}
