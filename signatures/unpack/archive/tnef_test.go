package archive

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"spamcatcher/signatures/unpack/format"
)

// A tnefWriter writes attributes.
type tnefWriter struct{ b []byte }

func newTNEF() *tnefWriter { return &tnefWriter{append([]byte(tnefMagic), 1, 0)} }

func (w *tnefWriter) put(level byte, id uint32, data []byte) *tnefWriter {
	w.b = binary.LittleEndian.AppendUint32(append(w.b, level), id)
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(data)))
	var sum uint16
	for _, c := range data {
		sum += uint16(c)
	}
	w.b = binary.LittleEndian.AppendUint16(append(w.b, data...), sum)
	return w
}

// props writes properties; each has a type, an identifier, and a value.
func props(list ...any) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(list)/3))
	for i := 0; i+2 < len(list); i += 3 {
		kind, id, v := list[i].(int), list[i+1].(int), list[i+2].([]byte)
		b = binary.LittleEndian.AppendUint16(b, uint16(kind))
		b = binary.LittleEndian.AppendUint16(b, uint16(id))
		if id >= 0x8000 {
			b = append(b, make([]byte, 16)...)
			b = binary.LittleEndian.AppendUint32(b, 1)
			b = binary.LittleEndian.AppendUint32(b, 6)
			b = append(b, 'a', 0, 'b', 0, 0, 0, 0, 0)
		}
		if kind == 3 {
			b = append(b, v...)
			continue
		}
		b = binary.LittleEndian.AppendUint32(b, 1)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
		b = append(b, make([]byte, (4-len(v)%4)%4)...)
	}
	return b
}

func wide(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func compressedRTF(magic uint32, raw int, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)+12))
	b = binary.LittleEndian.AppendUint32(b, uint32(raw))
	b = binary.LittleEndian.AppendUint32(b, magic)
	return append(append(b, 0, 0, 0, 0), body...)
}

func TestTNEF(t *testing.T) {
	inner := newTNEF().put(2, 0x69002, make([]byte, 14)).put(2, 0x18010, []byte("inner.txt\x00")).put(2, 0x6800f, []byte("inside of the inside")).b
	// "{\rtf1" from the ring at 0, then literals, then the end.
	packed := []byte{0x41, 0x00, 0x04, 'h', 'e', 'l', 'l', 'o', 0x0d, 0xa0}
	w := newTNEF().
		put(1, 0x89006, []byte{0, 0, 1, 0}).
		put(1, 0x2800c, []byte("the text\x00")).
		put(1, attMsgProps, props(3, 0x0e06, []byte{1, 2, 3, 4}, 0x102, 0x1009, compressedRTF(0x75465a4c, 100, packed), 0x1f, 0x8001, wide("x"), 0x102, 0x1013, []byte("<html>page"))).
		put(2, 0x69002, make([]byte, 14)).
		put(2, 0x6800f, []byte("first content")). // data before the name
		put(2, 0x18010, []byte("FIRST~1.TXT\x00")).
		put(2, 0x69005, props(0x1f, 0x3707, wide("first läng name.txt"), 0x1e, 0x370e, []byte("Text/Plain\x00"))).
		put(2, 0x69002, make([]byte, 14)).
		put(2, 0x69005, props(0x1e, 0x3001, []byte("a message\x00"), 0x0d, 0x3701, append(make([]byte, 16), inner...)))
	w.b = append(w.b, 0, 0, '\r', '\n')
	o := open(t, w.b, format.Limits{}, nil, tnef{})
	o.clean(t)
	for name, want := range map[string]string{
		"body.txt": "the text\x00", "body.html": "<html>page", "body.rtf": `{\rtf1hello`, "first läng name.txt": "first content", "a message": string(inner), "inner.txt": "inside of the inside",
	} {
		if f := o.files[name]; f == nil || string(f.Data) != want {
			t.Errorf("%s: %v of %q", name, f, o.order)
		}
	}
	if d := o.files["first läng name.txt"].Declared; d != "text/plain" {
		t.Errorf("declared %q", d)
	}
	if o := open(t, w.b[:len(w.b)-20], format.Limits{}, nil, tnef{}); o.marked(format.Damaged) == 0 {
		t.Error("cut off, and not marked")
	}
}

func TestLZFu(t *testing.T) {
	stored := compressedRTF(0x414c454d, 5, []byte("hello, and what is too much"))
	r, err := newLZFu(stored)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(r); string(b) != "hello" {
		t.Errorf("not compressed: %q", b)
	}
	// A reference to what is being written repeats it; the size bounds what comes out.
	rep := []byte{0x02, 'a', byte(len(lzfuStart) >> 4), byte(len(lzfuStart)&15<<4) | 15, 0, 0}
	r, _ = newLZFu(compressedRTF(0x75465a4c, 10, rep))
	if b, _ := io.ReadAll(r); string(b) != "aaaaaaaaaa" {
		t.Errorf("a repetition: %q", b)
	}
	if len(lzfuStart) != 207 {
		t.Errorf("the ring begins with %d bytes", len(lzfuStart))
	}
	if _, err := newLZFu(compressedRTF(1, 1, nil)); err == nil {
		t.Error("an unknown compression is taken")
	}
}

func TestTNEFHostile(t *testing.T) {
	huge := binary.LittleEndian.AppendUint32(nil, 0xffffffff)
	many := append(append(bytes.Clone(huge), 3, 0x10, 1, 0x0e), huge...)
	many = append(many, make([]byte, 1<<16)...)
	for name, b := range map[string][]byte{
		"values":     newTNEF().put(1, attMsgProps, many).b,
		"null":       newTNEF().put(1, attMsgProps, append(append(bytes.Clone(huge), 1, 0x10, 1, 0x0e), huge...)).b,
		"properties": newTNEF().put(1, attMsgProps, huge).b,
		"length":     append(newTNEF().b, 1, 0x0c, 0x80, 2, 0, 0xff, 0xff, 0xff, 0xff),
	} {
		if got := allocated(func() { open(t, b, format.Limits{}, nil, tnef{}) }); got > 2<<20 {
			t.Errorf("%s: %d KiB", name, got>>10)
		}
	}
	// Attachments in attachments end at a limit of depth.
	b := []byte("core")
	for range 40 {
		b = newTNEF().put(2, 0x69002, make([]byte, 14)).put(2, 0x6800f, b).b
	}
	if o := open(t, b, format.Limits{}, nil, tnef{}); o.marked(format.LimitDepth) != 1 {
		t.Errorf("nested: %v", o.marks)
	}
}

// The suite has the files that another reader takes out of each.
func TestTNEFSuite(t *testing.T) {
	dir := filepath.Join(shared(t), "suites/mime/mimekit/tnef")
	list, _ := filepath.Glob(filepath.Join(dir, "*.tnef"))
	if len(list) == 0 {
		t.Skipf("no TNEF suite at %s (SPAMCATCHER_SHARED)", dir)
	}
	total, found := 0, 0
	for _, path := range list {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		o := open(t, b, format.Limits{}, nil, tnef{})
		want, _ := filepath.Glob(filepath.Join(strings.TrimSuffix(path, ".tnef"), "*"))
		for _, w := range want {
			content, _ := os.ReadFile(w)
			total++
			ok := false
			for _, f := range o.all {
				ok = ok || bytes.Equal(plain(f.Data), plain(content)) || len(content) > 16 && bytes.Equal(f.Data, content[16:]) // the suite keeps an interface's identifier
			}
			if ok {
				found++
			} else {
				t.Logf("%s: %s (%d bytes) was not found among %q, marks %v", filepath.Base(path), filepath.Base(w), len(content), o.order, o.marks)
			}
		}
	}
	t.Logf("%d files of TNEF, %d of %d contents found", len(list), found, total)
	if found < total {
		t.Errorf("%d of %d contents found", found, total)
	}
}

// plain is content without what the suite's checkout changed: ends of lines.
func plain(b []byte) []byte {
	return bytes.TrimRight(bytes.ReplaceAll(b, []byte("\r"), nil), "\x00")
}

// shared is where the material that is not part of the project lies.
func shared(t *testing.T) string {
	if dir := os.Getenv("SPAMCATCHER_SHARED"); dir != "" {
		return dir
	}
	dir, _ := os.Getwd()
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "../shared")
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no go.mod above the test; set SPAMCATCHER_SHARED")
		}
		dir = filepath.Dir(dir)
	}
}

func FuzzTNEF(f *testing.F) {
	f.Add(newTNEF().put(1, attMsgProps, props(0x102, 0x1009, compressedRTF(0x75465a4c, 100, []byte{2, 'a', 0x0c, 0xff}))).put(2, 0x69002, make([]byte, 14)).put(2, 0x6800f, []byte("x")).b)
	f.Add(newTNEF().put(2, 0x69005, props(0x1f, 0x3707, wide("n"), 0x0d, 0x3701, make([]byte, 20))).b)
	fuzz(f, tnef{})
}
