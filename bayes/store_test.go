package bayes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func open(tb testing.TB, dir string) *Store {
	tb.Helper()
	s, err := OpenStore(dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func teach(tb testing.TB, s *Store, from, to int) *Model {
	tb.Helper()
	for n := from; n < to; n++ {
		s.Trainer().Learn(parse(fmt.Sprint(n), sentence(n%2 == 0, n)), n%2 == 0, -2)
	}
	m, err := s.Save()
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestStoreKeepsLessons(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bayes")
	s := open(t, dir)
	first := teach(t, s, 0, 40)
	s.Trainer().Forget(parse("3", sentence(false, 3)))
	s.Trainer().Learn(parse("4", sentence(true, 4)), false, -2)
	second, err := s.Save()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadModel(dir)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Digest() != second.Digest() || first.Digest() == second.Digest() {
		t.Errorf("models %s, %s, on disk %s", first.Digest(), second.Digest(), loaded.Digest())
	}
	again := open(t, dir)
	if spam, ham := again.Trainer().Len(); spam != 19 || ham != 20 {
		t.Errorf("%d and %d lessons came back", spam, ham)
	}
	if m, err := again.Trainer().Compile(); err != nil || m.Digest() != second.Digest() {
		t.Errorf("compiled again: %v, %v", m, err)
	}
}

func TestStoreIsLocked(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := OpenStore(dir, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v", err)
	}
	s.Close()
	open(t, dir)
}

// Wherever a crash cuts the file of lessons, those before the cut are there.
func TestCutLessons(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	teach(t, s, 0, 20)
	s.Close()
	name := filepath.Join(dir, lessonsFile)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for cut := 0; cut <= len(whole); cut += 97 {
		if err := os.WriteFile(name, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(dir, nil)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		spam, ham := s.Trainer().Len()
		if spam+ham < last || cut == 0 && spam+ham != 0 {
			t.Fatalf("cut at %d: %d lessons, %d with a shorter file", cut, spam+ham, last)
		}
		last = spam + ham
		s.Trainer().Learn(parse("after the cut", "text"), true, 0)
		if _, err := s.Save(); err != nil && !errors.Is(err, ErrOneSided) {
			t.Fatal(err)
		}
		s.Close()
		s = open(t, dir)
		if a, b := s.Trainer().Len(); a+b != last+1 {
			t.Fatalf("cut at %d: %d lessons after one more, want %d", cut, a+b, last+1)
		}
		s.Close()
	}
	if last < 19 {
		t.Fatalf("only %d lessons in the longest file", last)
	}
}

func TestFlippedBits(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	m := teach(t, s, 0, 20)
	s.Close()
	data := m.Bytes()
	for i := 0; i < len(data); i += 101 {
		bad := bytes.Clone(data)
		bad[i] ^= 0x10
		if _, err := Read(bad); err == nil {
			t.Fatalf("byte %d: a damaged model was read", i)
		}
	}
	if err := os.WriteFile(ModelFile(dir), data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadModel(dir); err == nil {
		t.Error("half a model was loaded")
	}
}

func TestClear(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	teach(t, s, 0, 20)
	if err := s.Clear(); err != nil {
		t.Fatal(err)
	}
	teach(t, s, 100, 130)
	s.Close()
	s = open(t, dir)
	if a, b := s.Trainer().Len(); a+b != 30 {
		t.Errorf("%d lessons, want 30", a+b)
	}
}

// Lessons that are learned to and fro do not make the file grow for ever.
func TestFileIsTidied(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	teach(t, s, 0, 20)
	for n := range 2000 {
		s.Trainer().Learn(parse("1", sentence(false, 1)), n%2 == 0, 0)
	}
	if _, err := s.Save(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, lessonsFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 100<<10 {
		t.Errorf("%d bytes for 20 lessons", info.Size())
	}
}

func FuzzRead(f *testing.F) {
	m := compiled(f, trained(f, nil, 10, 10))
	f.Add(m.Bytes())
	f.Add([]byte(magic + "{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := Read(data); err == nil {
			m.evidence(parse("subject", "text"))
		}
	})
}

func FuzzLessons(f *testing.F) {
	l := Prepare(parse("subject", "text"), true, 1)
	f.Add(append([]byte(lessonsMagic), appendRecord(nil, &l.lesson, true)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, lessonsFile), data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStore(dir, nil)
		if err != nil {
			return
		}
		defer s.Close()
		if _, err := s.Save(); err != nil && !errors.Is(err, ErrOneSided) {
			t.Fatal(err)
		}
	})
}
