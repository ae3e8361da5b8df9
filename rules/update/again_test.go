package update

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTriedAgain: what is refused because of this place is neither downloaded at
// each question nor given up: it is tried again after an hour, then after two, up
// to a day. Until then every question, also one that is answered 304, says what
// stands against it.
func TestTriedAgain(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.mustAdopt(key.good(t, 1), 1)
	s.host.serve(key.good(t, 2), nil)
	tried := 0
	s.try = func(context.Context, string) error { tried++; return fmt.Errorf("%w: too many open files", ErrAgain) }
	stands := func() {
		t.Helper()
		_, err := s.check()
		var refused *Refused
		if !errors.As(err, &refused) || refused.Final || !strings.Contains(err.Error(), "too many open files") || !strings.Contains(err.Error(), "tried again") {
			t.Fatalf("%v", err)
		}
		if st := ReadStatus(s.dir, s.keys); st.Error == "" || st.Refused[2].Final || st.Refused[2].Again.IsZero() || st.Bundle.Version != 1 {
			t.Fatalf("status %+v", st)
		}
	}
	for i, hours := range []int{1, 2, 4, 8, 16, 24, 24} {
		stands()
		if tried != i+1 {
			t.Fatalf("tried %d times, want %d", tried, i+1)
		}
		s.now = s.now.Add(time.Duration(hours)*time.Hour - time.Second)
		stands()
		if tried != i+1 {
			t.Fatalf("tried again within %d hours", hours)
		}
		s.now = s.now.Add(time.Second)
	}
	s.try = nil
	if outcome, err := s.check(); err != nil || outcome != Adopted || s.inForce() != 2 {
		t.Fatalf("%q, %v", outcome, err)
	}
	if st := ReadStatus(s.dir, s.keys); len(st.Refused) != 0 || st.Error != "" {
		t.Errorf("afterwards: %+v", st)
	}
}

// TestRefusedForGood: what is the bundle's own fault is not tried again, and said
// at every question; but it is when the circumstances change, or on demand.
func TestRefusedForGood(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.mustAdopt(key.good(t, 1), 1)
	s.host.serve(key.good(t, 2), nil)
	tried, circumstances, retry := 0, "one", false
	s.set = func(c *Config) { c.Circumstances, c.Retry = func() string { return circumstances }, retry }
	s.try = func(context.Context, string) error { tried++; return errors.New("it does not compile") }
	refused := func(times int) {
		t.Helper()
		_, err := s.check()
		var r *Refused
		if !errors.As(err, &r) || !r.Final || tried != times {
			t.Fatalf("%v, tried %d times, want %d", err, tried, times)
		}
		if st := ReadStatus(s.dir, s.keys); !strings.Contains(st.Error, "does not compile") || !st.Refused[2].Final {
			t.Errorf("status %+v", st)
		}
	}
	refused(1)
	s.now = s.now.Add(48 * time.Hour)
	refused(1)
	if got := s.host.log(); got[len(got)-1] != manifestFile {
		t.Errorf("asked %v: not answered 304", got)
	}
	soon := func() bool {
		st, err := readState(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		return s.channel().wait(st) < 10*time.Second
	}
	if soon() {
		t.Error("it asks at once, though nothing changed")
	}
	circumstances = "two"
	if !soon() {
		t.Error("it does not ask at once, though the circumstances changed")
	}
	refused(2)
	refused(2)
	retry = true
	refused(3)
	s.try = nil
	if outcome, err := s.check(); err != nil || outcome != Adopted {
		t.Errorf("on demand: %q, %v", outcome, err)
	}
	if st := ReadStatus(s.dir, s.keys); len(st.Refused) != 0 {
		t.Errorf("afterwards: %+v", st)
	}
}

// TestStateCannotBeWritten: where what came of a question cannot be noted, the
// channel is not asked more often for it.
func TestStateCannotBeWritten(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.mustAdopt(key.good(t, 1), 1)
	// A directory cannot be replaced by a file, not even by the superuser.
	name := filepath.Join(s.dir, stateFile)
	if err := errors.Join(os.Remove(name), os.MkdirAll(filepath.Join(name, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	s.host.serve(key.good(t, 1), nil)
	s.set = func(c *Config) { c.Interval, c.Now = 300*time.Millisecond, nil }
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	s.channel().Run(ctx)
	n := 0
	for _, name := range s.host.log() {
		if name == manifestFile {
			n++
		}
	}
	// At 0 to 0.3 s, then after 0.3, 0.6 and 1.2 s.
	if n < 1 || n > 4 {
		t.Errorf("asked %d times in 2 s at an interval of 0.3 s that doubles", n)
	}
}

// TestPipes: a pipe in the place of a file is an error, and nobody waits for
// somebody to write into it.
func TestPipes(t *testing.T) {
	key := newSigner(t)
	for _, name := range []string{currentFile, stateFile, "versions/1/" + manifestFile, "versions/1/" + signatureFile, "versions/1/" + digestsFile, "key"} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, newHost(t), key.public)
			s.mustAdopt(key.good(t, 1), 1)
			path := filepath.Join(s.dir, name)
			os.Remove(path)
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				if name == "key" {
					_, err := ParseKeys(path)
					done <- err
					return
				}
				st := ReadStatus(s.dir, s.keys)
				done <- errors.Join(st.Problems...)
			}()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), "no plain file") {
					t.Errorf("%v", err)
				}
			case <-time.After(5 * time.Second):
				t.Error("it waits for the pipe")
			}
		})
	}
}

// TestGivenToTheService: what the superuser makes belongs to the owner of the
// directory that the state is in.
func TestGivenToTheService(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only the superuser can give files away")
	}
	const service = 12345
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	if err := os.Chown(filepath.Dir(s.dir), service, service); err != nil {
		t.Fatal(err)
	}
	seen := 0
	theirs := func() {
		t.Helper()
		err := filepath.WalkDir(filepath.Dir(s.dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			if st := info.Sys().(*syscall.Stat_t); st.Uid != service || st.Gid != service {
				t.Errorf("%s belongs to %d:%d", path, st.Uid, st.Gid)
			}
			seen++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.mustAdopt(key.good(t, 1), 1)
	theirs()
	s.mustAdopt(key.good(t, 2), 2)
	theirs()
	if _, err := Rollback(s.dir, s.keys, now); err != nil {
		t.Fatal(err)
	}
	theirs()
	if seen < 30 {
		t.Errorf("only %d files and directories", seen)
	}
}

// TestPublishLarge: what receivers do not take is not published.
func TestPublishLarge(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	noise := make([]byte, maxBundle+1)
	source := rand.NewChaCha8([32]byte{})
	source.Read(noise)
	if err := os.WriteFile(filepath.Join(dir, "model.bin"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	_, secret, err := NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Publish(Publication{From: dir, To: to, Secret: secret, Version: 1, Created: now})
	if err == nil || !strings.Contains(err.Error(), "receivers take") {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(to); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
