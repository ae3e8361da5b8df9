package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nwaples/rardecode/v2"

	"spamcatcher/signatures/unpack/format"
)

// rar reads RAR archives of versions 4 and 5: solid or not, with encrypted members
// and headers when a password is at hand. Of an archive in several volumes it reads
// what is in this one. What may hold programs of RAR's own is left to a process of
// its own (rar_process.go).
type rar struct {
	alone bool // this is that process
}

const rarMagic = "Rar!\x1a\x07"

// rarDictMax bounds the dictionary, in bytes. WinRAR takes 32 MiB unless told.
const rarDictMax = 64 << 20

func (rar) Name() string { return "rar" }

func (rar) Reads(f *format.File) bool { return rarStart(f) >= 0 }

// rarStart finds the signature with a version that exists.
func rarStart(f *format.File) int {
	for at, tries := behind(f, rarMagic, 0), 0; at >= 0 && tries < 8; at, tries = behind(f, rarMagic, at+1), tries+1 {
		if rest := f.Data[at+len(rarMagic):]; len(rest) > 0 && rest[0] == 0 || len(rest) > 1 && rest[0] == 1 && rest[1] == 0 {
			return at
		}
	}
	return -1
}

// MayOverrun says that the library is not asked to come back.
func (rar) MayOverrun() bool { return true }

func (x rar) Open(j *format.Job, f *format.File) error {
	a := rarArchive{j: j, f: f, data: f.Data[rarStart(f):]}
	scan := scanRAR(a.data, "")
	a.locked = scan.names
	if scan.memory > rarDictMax {
		j.Mark(f, format.LimitBytes, "rar: model")
		return nil
	}
	if err := j.Hold(max(scan.window, scan.memory)); err != nil {
		return err
	}
	if !x.alone && !scan.plain {
		return a.decodeElsewhere()
	}
	if scan.names || scan.members {
		if key, ok := a.unlock(scan); ok {
			a.key = key
			j.Mark(f, format.Unlocked, key)
		} else if scan.names {
			j.Mark(f, format.Encrypted, "rar: list of names")
			return nil
		}
	}
	return a.list()
}

// A rarArchive is one archive that is being read.
type rarArchive struct {
	j      *format.Job
	f      *format.File
	data   []byte
	key    string // "" unless it opens what is encrypted
	locked bool   // the headers are encrypted
}

// reader opens the archive from its beginning.
func (a *rarArchive) reader(key string) (r *rardecode.Reader, err error) {
	defer recovered(&err)
	opts := []rardecode.Option{rardecode.MaxDictionarySize(rarDictMax)}
	if key != "" {
		opts = append(opts, rardecode.Password(key))
	}
	return rardecode.NewReader(bytes.NewReader(a.data), opts...)
}

// next is the library's Next, whose panics are damage.
func (a *rarArchive) next(r *rardecode.Reader) (h *rardecode.FileHeader, err error) {
	defer recovered(&err)
	return r.Next()
}

// unlock finds the password by the first encrypted member.
func (a *rarArchive) unlock(scan rarScan) (string, bool) {
	keys := a.j.Passwords()
	for _, key := range keys[:min(len(keys), 16)] {
		if a.j.Check() != nil || scan.power > rarKeyPower {
			break
		}
		if key == "" || scan.names && scanRAR(a.data, key).power > rarKeyPower {
			continue
		}
		if a.opens(key) {
			return key, true
		}
	}
	return "", false
}

// opens says whether key opens the first encrypted member with bytes in it.
func (a *rarArchive) opens(key string) bool {
	r, err := a.reader(key)
	if err != nil {
		return false
	}
	for a.j.Check() == nil {
		h, err := a.next(r)
		if err != nil {
			return err == io.EOF && a.locked // names that can be read are proof enough
		}
		if h.IsDir || !h.Encrypted && !h.Solid {
			continue
		}
		n, err := copyChecked(a.j, io.Discard, io.LimitReader(guarded{r}, skipMax))
		if err != nil {
			return false
		}
		if h.Encrypted && n > 0 {
			return true
		}
	}
	return false
}

// list emits the members.
func (a *rarArchive) list() error {
	r, err := a.reader(a.key)
	if err != nil {
		return a.refuse(err)
	}
	var damage error
	solid := false
	for {
		if err := a.j.Check(); err != nil {
			return err
		}
		h, err := a.next(r)
		if err == io.EOF {
			return damage
		}
		if err != nil {
			return errors.Join(damage, a.refuse(err))
		}
		if h.IsDir {
			continue
		}
		solid = solid || h.Solid
		data, cut, err := a.j.Read(guarded{r}, h.PackedSize)
		if errors.Is(err, rardecode.ErrArchivedFileEncrypted) || errors.Is(err, rardecode.ErrBadPassword) || h.Encrypted && a.key == "" {
			a.j.Mark(a.f, format.Encrypted, h.Name)
			if err := a.j.Emit(&format.File{Name: h.Name, Kind: format.Member, Cut: true}); err != nil {
				return err
			}
			continue
		}
		if e := a.j.Emit(&format.File{Name: strings.TrimSuffix(h.Name, "\x00"), Kind: format.Member, Data: data, Cut: cut, Unlocked: h.Encrypted}); e != nil {
			return e
		}
		size := int64(len(data))
		a.j.Done(data)
		switch {
		case errors.Is(err, format.ErrStop):
			return err
		case errors.Is(err, rardecode.ErrBadFileChecksum):
			a.j.Mark(a.f, format.Damaged, "rar: checksum of "+h.Name)
		case err != nil:
			if err := a.refuse(err); err != nil && damage == nil {
				damage = fmt.Errorf("%q: %w", h.Name, err)
			}
		case cut:
			// What follows in a solid archive needs all before it; the library would
			// decode that without looking at the clock.
			if err := skip(a.j, guarded{r}, min(max(0, h.UnPackedSize-size), skipMax+1)); err != nil {
				if errors.Is(err, errSkip) && !solid {
					continue
				}
				return err
			}
		}
	}
}

// refuse marks what is not read on purpose, and passes other errors on.
func (a *rarArchive) refuse(err error) error {
	switch {
	case errors.Is(err, rardecode.ErrMultiVolume), errors.Is(err, rardecode.ErrInvalidFileBlock):
		a.j.Mark(a.f, format.Unreadable, "rar: one volume of several")
	case errors.Is(err, rardecode.ErrDictionaryTooLarge):
		a.j.Mark(a.f, format.LimitBytes, "rar: dictionary")
	case errors.Is(err, rardecode.ErrUnsupportedDecoder), errors.Is(err, rardecode.ErrUnknownDecoder), errors.Is(err, rardecode.ErrUnknownVersion), errors.Is(err, rardecode.ErrMultipleDecoders):
		a.j.Mark(a.f, format.Unreadable, "rar: a version of its own")
	case errors.Is(err, rardecode.ErrArchiveEncrypted), errors.Is(err, rardecode.ErrBadPassword):
		a.j.Mark(a.f, format.Encrypted, "rar: list of names")
	default:
		return err
	}
	return nil
}
