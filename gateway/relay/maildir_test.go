package relay

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"spamcatcher/queue"
)

// files returns the messages in a sub-directory of a Maildir.
func files(t *testing.T, dir, sub string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, sub))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, sub, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

func TestMaildir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "Maildir")
	m, err := NewMaildir(dir)
	if err != nil {
		t.Fatal(err)
	}
	it := item(hello, "b@example.org", "done@example.org", "c@example.org")
	it.Recipients[1].State = queue.Delivered
	for range 2 { // the second time is the repetition after a crash: still one file
		got := m.Deliver(context.Background(), it, strings.NewReader(hello))
		want(t, got, "delivered 250 2.0.0 delivered into the maildir", "delivered 250 2.0.0 delivered into the maildir")
		if got[0].Recipient != "b@example.org" || got[1].Recipient != "c@example.org" {
			t.Errorf("got %+v", got)
		}
	}
	wanted := "Return-Path: <a@example.com>\nDelivered-To: b@example.org\nDelivered-To: c@example.org\n" + strings.ReplaceAll(hello, "\r\n", "\n")
	if f := files(t, dir, "new"); len(f) != 1 || f[0] != wanted {
		t.Errorf("new has %q", f)
	}
	if f := files(t, dir, "tmp"); len(f) != 0 {
		t.Errorf("tmp has %q", f)
	}
	// The same text in another item is another message; the same item for another recipient too.
	m.Deliver(context.Background(), item(hello, "b@example.org"), strings.NewReader(hello))
	it.Recipients = it.Recipients[:1]
	m.Deliver(context.Background(), it, strings.NewReader(hello))
	if f := files(t, dir, "new"); len(f) != 3 {
		t.Errorf("new has %d files, want 3", len(f))
	}
}

func TestMaildirLines(t *testing.T) {
	for _, pad := range []string{"", strings.Repeat("x", 32<<10-1), strings.Repeat("x", 32<<10-2), strings.Repeat("x", 100000), strings.Repeat("line\r\n", 20000)} {
		for text, wanted := range map[string]string{
			"a\r\nb\r\n": "a\nb\n", "a": "a\n", "": "", "a\nb": "a\nb\n", "a\rb\r": "a\rb\r\n", "\r\r\n": "\r\n", "\r\n\r\n": "\n\n", "a\r\n.\r\n": "a\n.\n",
		} {
			text, wanted = pad+text, strings.ReplaceAll(pad, "\r\n", "\n")+wanted
			if wanted != "" && !strings.HasSuffix(wanted, "\n") {
				wanted += "\n"
			}
			dir := t.TempDir()
			m, err := NewMaildir(dir)
			if err != nil {
				t.Fatal(err)
			}
			it := item(text, "b@example.org")
			it.Sender = ""
			m.Deliver(context.Background(), it, strings.NewReader(text))
			f := files(t, dir, "new")
			if head := "Return-Path: <>\nDelivered-To: b@example.org\n"; len(f) != 1 || f[0] != head+wanted {
				t.Errorf("%d octets and %q: wrong", len(pad), text[len(pad):])
			}
		}
	}
}

func TestMaildirTrouble(t *testing.T) {
	dir := t.TempDir()
	m, err := NewMaildir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := m.Deliver(context.Background(), item(hello, "b@example.org"), failing{})
	if got[0].State != queue.Deferred || got[0].Down || !strings.HasPrefix(got[0].Reply, "451 4.3.0 ") {
		t.Errorf("got %+v", got)
	}
	if f := append(files(t, dir, "tmp"), files(t, dir, "new")...); len(f) != 0 {
		t.Errorf("files left: %q", f)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got := m.Deliver(ctx, item(hello, "b@example.org"), strings.NewReader(hello)); got[0].State != queue.Deferred {
		t.Errorf("got %+v", got)
	}
	os.RemoveAll(filepath.Join(dir, "tmp"))
	if got := m.Deliver(context.Background(), item(hello, "b@example.org"), strings.NewReader(hello)); got[0].State != queue.Deferred || !got[0].Down {
		t.Errorf("got %+v", got)
	}
	// A value of the envelope cannot make a line of its own.
	m, _ = NewMaildir(dir)
	it := item(hello, "b@example.org\nX-Forged: yes")
	it.Sender = "a\r\nX-Forged: yes"
	m.Deliver(context.Background(), it, strings.NewReader(hello))
	if f := files(t, dir, "new"); len(f) != 1 || strings.Contains(f[0], "\nX-Forged") {
		t.Errorf("new has %q", f)
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	if _, err := NewMaildir(file); err == nil {
		t.Error("a file was taken for a directory")
	}
}

func TestMaildirManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	m, _ := NewMaildir(dir)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				m.Deliver(context.Background(), item(hello, "b@example.org"), strings.NewReader(hello))
			}
		})
	}
	wg.Wait()
	if f := files(t, dir, "new"); len(f) != 80 {
		t.Errorf("%d files, want 80", len(f))
	}
}

var _ queue.Deliverer = (*Maildir)(nil)
var _ queue.Deliverer = (*Relay)(nil)
var _ io.ReadSeeker = failing{}

// entries returns how many messages are new in a Maildir.
func entries(t testing.TB, dir string) int {
	t.Helper()
	list, err := os.ReadDir(filepath.Join(dir, "new"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
