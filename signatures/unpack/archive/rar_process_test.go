package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// here decodes in a goroutine instead of a process, and leaves it alone when ctx
// ends.
func here(ctx context.Context, _ string, in io.Reader, out func(io.Reader) error) error {
	r, w := io.Pipe()
	go func() {
		<-ctx.Done()
		w.CloseWithError(io.ErrUnexpectedEOF)
	}()
	go func() { w.CloseWithError(DecodeRAR(ctx, in, w)) }()
	err := out(r)
	r.Close()
	return err
}

var packedMembers = []unpacktest.File{{Name: "note.txt", Data: []byte(rarMembers[1])}, {Name: "dir/two.txt", Data: bytes.Repeat([]byte(rarMembers[3]), 5000)}}

func TestRAR3(t *testing.T) {
	b := unpacktest.RAR3(packedMembers...)
	o := open(t, b, format.Limits{Run: here}, nil, rar{})
	o.clean(t)
	if len(o.order) != 3 || string(o.files["note.txt"].Data) != rarMembers[1] || !bytes.Equal(o.files["dir/two.txt"].Data, packedMembers[1].Data) {
		t.Errorf("files %q", o.order)
	}
	// The peer agrees about what the builder has built.
	if peer, err := exec.LookPath("7z"); err == nil {
		file := filepath.Join(t.TempDir(), "a.rar")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(peer, "e", "-so", file, "note.txt").Output(); err != nil || string(out) != rarMembers[1] {
			t.Logf("SKIPPED: 7z says %q, %v: it may have no decoder of RAR", out, err)
		}
	}
	if o := open(t, b, format.Limits{}, nil, rar{}); o.marked(format.Unreadable) != 1 || len(o.order) != 1 {
		t.Errorf("without a process: %q, %v", o.order, o.marks)
	}
	if o := open(t, b, format.Limits{Run: here, MemberBytes: 1000}, nil, rar{}); o.marked(format.LimitBytes) != 1 || len(o.order) != 3 || !o.files["dir/two.txt"].Cut || len(o.files["dir/two.txt"].Data) != 1000 {
		t.Errorf("cut: %q, %v", o.order, o.marks)
	}
	broken := errors.New("no such process")
	refuse := func(context.Context, string, io.Reader, func(io.Reader) error) error { return broken }
	if o := open(t, b, format.Limits{Run: refuse}, nil, rar{}); o.marked(format.Unreadable) != 1 {
		t.Errorf("refused: %v", o.marks)
	}
	// Passwords reach the decoder.
	if o := open(t, rar4(0x80, 4, 29, 0x30, rarMembers...), format.Limits{Run: here}, []string{"x"}, rar{}); o.marked(format.Encrypted) != 1 {
		t.Errorf("names that are encrypted: %v", o.marks)
	}
}

// TestRAR3Breaks: a decoder that ends too early leaves what it said before, and a
// mark.
func TestRAR3Breaks(t *testing.T) {
	var answer bytes.Buffer
	record := func(ctx context.Context, _ string, in io.Reader, out func(io.Reader) error) error {
		if err := DecodeRAR(ctx, in, &answer); err != nil {
			return err
		}
		return out(bytes.NewReader(answer.Bytes()))
	}
	b := unpacktest.RAR3(packedMembers...)
	open(t, b, format.Limits{Run: record}, nil, rar{})
	whole := answer.Bytes()
	for n := 0; n < len(whole); n += max(1, len(whole)/200) {
		cut := func(_ context.Context, _ string, in io.Reader, out func(io.Reader) error) error {
			io.Copy(io.Discard, in)
			return out(bytes.NewReader(whole[:n]))
		}
		o := open(t, b, format.Limits{Run: cut}, nil, rar{})
		if o.marked(format.Damaged) != 1 {
			t.Fatalf("%d of %d bytes: %v", n, len(whole), o.marks)
		}
		if f := o.files["note.txt"]; n > 100 && (f == nil || string(f.Data) != rarMembers[1]) {
			t.Errorf("%d bytes: %q", n, o.order)
		}
	}
}

// TestRAR3Loop: programs without an end take half of the time that there is.
func TestRAR3Loop(t *testing.T) {
	begin := time.Now()
	o := open(t, unpacktest.RAR3Loop(6), format.Limits{Run: here, Time: time.Second}, nil, rar{})
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Errorf("took %v", took)
	}
	if o.marked(format.LimitTime) != 1 {
		t.Errorf("marks %v", o.marks)
	}
}

func FuzzRARAnswer(f *testing.F) {
	f.Add([]byte("f\x00\x01\x00\x00\x00a\x02\x00\x00\x00bcm\x07\x00\x00\x00damaged\x00\x00\x00\x00e"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		b := unpacktest.RAR3(packedMembers[0])
		say := func(_ context.Context, _ string, in io.Reader, out func(io.Reader) error) error {
			return out(bytes.NewReader(answer))
		}
		open(t, b, format.Limits{Run: say}, nil, rar{})
	})
}
