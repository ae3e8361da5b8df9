package unpacktest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	locked "github.com/yeka/zip"
)

// Methods of zip members (APPNOTE section 4.4.5).
const (
	Stored   uint16 = 0
	Deflated uint16 = 8
	Bzipped  uint16 = 12
	LZMAed   uint16 = 14
	Zstded   uint16 = 93
	XZed     uint16 = 95
)

// Zip packs files by a method.
func Zip(method uint16, files ...File) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	register := func(method uint16, pack func([]byte) []byte) {
		w.RegisterCompressor(method, func(out io.Writer) (io.WriteCloser, error) {
			return &whole{out: out, pack: pack}, nil
		})
	}
	register(Bzipped, Bzip2)
	register(Zstded, Zstd)
	register(XZed, XZ)
	register(LZMAed, zipLZMA)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.Name, Method: method}
		if method == LZMAed {
			h.Flags = 2 // the stream has a mark of its end
		}
		out := must(w.CreateHeader(h))
		must(out.Write(f.Data))
	}
	check(w.Close())
	return b.Bytes()
}

// whole packs what was written to it at once, when it is closed.
type whole struct {
	bytes.Buffer
	out  io.Writer
	pack func([]byte) []byte
}

func (w *whole) Close() error {
	_, err := w.out.Write(w.pack(w.Bytes()))
	return err
}

// zipLZMA is a stream of LZMA with the header that zip members have (APPNOTE
// section 5.8.8) instead of that of an .lzma file.
func zipLZMA(data []byte) []byte {
	alone := lzmaUntil(data, -1)
	var b buffer
	b.u8(9, 20) // version of the packer
	b.u16(5)    // length of the properties
	b.Write(alone[:5])
	b.Write(alone[13:])
	return b.Bytes()
}

// ZipLocked packs files behind a password, by AES-256 or by the old ZipCrypto.
func ZipLocked(password string, aes bool, files ...File) []byte {
	var b bytes.Buffer
	w := locked.NewWriter(&b)
	method := locked.StandardEncryption
	if aes {
		method = locked.AES256Encryption
	}
	for _, f := range files {
		out := must(w.Encrypt(f.Name, password, method))
		must(out.Write(f.Data))
	}
	check(w.Close())
	return b.Bytes()
}

// A ZipEntry is a member of a zip file whose two headers are written as they are
// given, consistent or not.
type ZipEntry struct {
	Name        string // in the directory
	LocalName   string // in the header before the data; "" is Name
	Method      uint16
	Flags       uint16
	Packed      []byte
	Size        uint32 // as declared
	CRC         uint32
	At          int  // where the directory says that the header is, if not 0
	NoDirectory bool // the directory does not list it
	NoLocal     bool // it is in the directory alone, At its header
}

// StoredEntry is an entry that is as it should be.
func StoredEntry(f File) ZipEntry {
	return ZipEntry{Name: f.Name, Packed: f.Data, Size: uint32(len(f.Data)), CRC: crc32.ChecksumIEEE(f.Data)}
}

// ZipOf writes entries one after the other, then the directory with as many
// entries as it says, or count if that is not negative.
func ZipOf(count int, entries ...ZipEntry) []byte {
	var b, directory buffer
	listed := 0
	for _, e := range entries {
		at := b.Len()
		if e.At != 0 || e.NoLocal {
			at = e.At
		}
		if !e.NoLocal {
			name := e.LocalName
			if name == "" {
				name = e.Name
			}
			b.text("PK\x03\x04")
			b.u16(20, e.Flags, e.Method, 0, 0x21)
			b.u32(e.CRC, uint32(len(e.Packed)), e.Size)
			b.u16(uint16(len(name)), 0)
			b.text(name)
			b.Write(e.Packed)
		}
		if e.NoDirectory {
			continue
		}
		listed++
		directory.text("PK\x01\x02")
		directory.u16(20, 20, e.Flags, e.Method, 0, 0x21)
		directory.u32(e.CRC, uint32(len(e.Packed)), e.Size)
		directory.u16(uint16(len(e.Name)), 0, 0, 0, 0)
		directory.u32(0, uint32(at))
		directory.text(e.Name)
	}
	if count >= 0 {
		listed = count
	}
	at := b.Len()
	b.Write(directory.Bytes())
	b.text("PK\x05\x06")
	b.u16(0, 0, uint16(listed), uint16(listed))
	b.u32(uint32(directory.Len()), uint32(at))
	b.u16(0)
	return b.Bytes()
}

// Deflate packs data as zip members and MSZIP blocks keep it (RFC 1951).
func Deflate(data []byte) []byte {
	var b bytes.Buffer
	w := must(flate.NewWriter(&b, flate.BestCompression))
	must(w.Write(data))
	check(w.Close())
	return b.Bytes()
}

// Zstd packs data into one frame (RFC 8878).
func Zstd(data []byte) []byte {
	w := must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1)))
	defer w.Close()
	return w.EncodeAll(data, nil)
}

// XZ packs data into one stream.
func XZ(data []byte) []byte {
	var b bytes.Buffer
	w := must(xz.WriterConfig{DictCap: 1 << 20}.NewWriter(&b))
	must(w.Write(data))
	check(w.Close())
	return b.Bytes()
}
