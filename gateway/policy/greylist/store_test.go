package greylist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

var (
	client  = netip.MustParseAddr("192.0.2.7")
	testNow = time.Date(2026, 11, 23, 9, 8, 7, 0, time.UTC)
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(t testing.TB, cfg Config) (*Store, *clock) {
	t.Helper()
	c := &clock{now: testNow}
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	if cfg.Now == nil {
		cfg.Now = c.Now
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, c
}

func (s *Store) want(t testing.TB, client, from, to string, want time.Duration) {
	t.Helper()
	got, err := s.Check(netip.MustParseAddr(client), from, to)
	if err != nil || got != want {
		t.Errorf("%s, %s to %s: wait %v, %v; want %v", client, from, to, got, err, want)
	}
}

func TestPair(t *testing.T) {
	s, c := open(t, Config{})
	step := func(after, want time.Duration) {
		t.Helper()
		c.add(after)
		s.want(t, "192.0.2.7", "a@example.org", "u@example.com", want)
	}
	step(0, time.Minute)
	step(20*time.Second, 40*time.Second)
	step(39*time.Second, time.Second) // what comes too early changes nothing
	s.want(t, "203.0.113.9", "a@example.org", "u@example.com", time.Second)
	s.want(t, "192.0.2.7", "a@example.org", "v@example.com", time.Minute)
	s.want(t, "192.0.2.7", "b@example.org", "u@example.com", time.Minute)
	step(time.Second, 0)
	s.want(t, "203.0.113.9", "a@example.org", "u@example.com", 0) // a pair, whoever brings it
	step(23*time.Hour, 0)
	step(time.Hour-time.Second, 0)
	step(time.Second, time.Minute) // 24 hours after it passed first, whatever came since
	step(time.Minute, 0)
	// A first attempt that is not repeated is forgotten.
	s.want(t, "192.0.2.7", "c@example.org", "u@example.com", time.Minute)
	c.add(24*time.Hour - time.Second)
	s.want(t, "192.0.2.7", "b@example.org", "v@example.com", time.Minute)
	c.add(time.Second)
	s.want(t, "192.0.2.7", "c@example.org", "u@example.com", time.Minute)
	c.add(24*time.Hour - time.Second)
	s.want(t, "192.0.2.7", "c@example.org", "u@example.com", 0)
}

func TestTripletAndNullSender(t *testing.T) {
	for key, same := range map[string]time.Duration{Pair: 0, Triplet: time.Minute} {
		s, c := open(t, Config{Key: key})
		for _, from := range []string{"a@example.org", ""} {
			s.want(t, "192.0.2.7", from, "u@example.com", time.Minute)
			s.want(t, "2001:db8:0:1::1", from, "w@example.com", time.Minute)
		}
		c.add(time.Minute)
		for _, from := range []string{"a@example.org", ""} {
			other := same
			if from == "" {
				other = time.Minute // everybody's sender is nobody's
			}
			s.want(t, "192.0.2.200", from, "u@example.com", 0)
			s.want(t, "::ffff:192.0.2.9", from, "u@example.com", 0)
			s.want(t, "192.0.3.7", from, "u@example.com", other)
			s.want(t, "2001:db8:0:1:ffff::9", from, "w@example.com", 0)
			s.want(t, "2001:db8:0:2::1", from, "w@example.com", other)
		}
		s.Close()
	}
}

func TestRestart(t *testing.T) {
	dir := t.TempDir()
	s, c := open(t, Config{Dir: dir})
	s.want(t, "192.0.2.7", "a@example.org", "u@example.com", time.Minute)
	s.want(t, "192.0.2.7", "b@example.org", "u@example.com", time.Minute)
	c.add(time.Minute)
	s.want(t, "192.0.2.7", "a@example.org", "u@example.com", 0)
	if _, err := Open(Config{Dir: dir}); err == nil {
		t.Error("two stores in one directory")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Check(client, "a", "b"); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s, _ = open(t, Config{Dir: dir, Now: c.Now})
	if s.Entries() != 2 {
		t.Errorf("%d entries", s.Entries())
	}
	s.want(t, "192.0.2.7", "a@example.org", "u@example.com", 0)
	s.want(t, "192.0.2.7", "b@example.org", "u@example.com", 0)
	c.add(24 * time.Hour)
	s.want(t, "192.0.2.7", "a@example.org", "u@example.com", time.Minute)
}

// A clock that was wrong makes nobody wait for long, nor pass for long.
func TestClockJumps(t *testing.T) {
	s, c := open(t, Config{})
	c.add(240 * time.Hour)
	s.want(t, "192.0.2.7", "a@example.org", "u@example.com", time.Minute)
	s.want(t, "192.0.2.7", "b@example.org", "u@example.com", time.Minute)
	c.add(time.Minute)
	s.want(t, "192.0.2.7", "b@example.org", "u@example.com", 0)
	c.add(-240 * time.Hour)
	s.want(t, "192.0.2.7", "c@example.org", "u@example.com", time.Minute)
	c.add(10 * time.Hour)
	s.want(t, "192.0.2.7", "c@example.org", "u@example.com", 0)
	c.add(-10*time.Hour + 2*time.Minute)
	s.want(t, "192.0.2.7", "c@example.org", "u@example.com", time.Minute)
	s.want(t, "192.0.2.7", "a@example.org", "u@example.com", time.Minute)
	s.want(t, "192.0.2.7", "b@example.org", "u@example.com", time.Minute)
}

func TestBadConfigurations(t *testing.T) {
	for name, cfg := range map[string]Config{
		"no directory":     {},
		"negative":         {Dir: t.TempDir(), Delay: -1},
		"unknown key":      {Dir: t.TempDir(), Key: "quartet"},
		"forgets too soon": {Dir: t.TempDir(), Delay: time.Hour, Retry: time.Hour},
		"no disk":          {Dir: "/dev/null/x"},
	} {
		if s, err := Open(cfg); err == nil {
			s.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

// On a full disk nothing is written, mail passes, and the log says so once.
func TestFullDisk(t *testing.T) {
	var log bytes.Buffer
	dir := t.TempDir()
	s, c := open(t, Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	s.want(t, "192.0.2.7", "a@example.org", "u@example.com", time.Minute)
	s.free = func(string) (int64, error) { return 5 << 20, nil }
	s.space.at = time.Time{}
	c.add(time.Minute)
	for _, from := range []string{"a@example.org", "new@example.org"} {
		if wait, err := s.Check(client, from, "u@example.com"); wait != 0 || !errors.Is(err, errSpace) {
			t.Errorf("%s: wait %v, %v", from, wait, err)
		}
	}
	if n := strings.Count(log.String(), "mail passes without greylisting"); n != 1 {
		t.Errorf("log %q", log.String())
	}
	if err := s.Close(); err == nil {
		t.Error("closed on a full disk, where Badger would write")
	}
	// The next process finds what was there.
	s, _ = open(t, Config{Dir: dir, Now: c.Now})
	s.want(t, "192.0.2.7", "a@example.org", "u@example.com", 0)
	s.want(t, "192.0.2.7", "new@example.org", "u@example.com", time.Minute)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(Config{Dir: dir, MinFree: 1 << 60}); !errors.Is(err, errSpace) {
		t.Errorf("opened without space: %v", err)
	}
}

// A damaged database is put aside.
func TestDamage(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"manifest": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "db", "MANIFEST"), "nonsense, nonsense, nonsense")
		},
		"cut table": func(t *testing.T, dir string) {
			for _, f := range tables(t, dir) {
				info, err := os.Stat(f)
				if err == nil {
					err = os.Truncate(f, info.Size()/2)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		},
		"zeros": func(t *testing.T, dir string) {
			for _, f := range tables(t, dir) {
				info, err := os.Stat(f)
				if err != nil {
					t.Fatal(err)
				}
				write(t, f, string(make([]byte, info.Size())))
			}
		},
		"flipped": func(t *testing.T, dir string) {
			for _, f := range tables(t, dir) {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				b[3] ^= 1
				write(t, f, string(b))
			}
		},
		"died": func(t *testing.T, dir string) { write(t, filepath.Join(dir, "opening"), "") },
		"a file": func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "db")); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "db"), "x")
		},
		"entries": func(t *testing.T, dir string) {
			s, err := Open(Config{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.put([]byte("0123456789abcdef"), entry{}, time.Hour); err != nil {
				t.Fatal(err)
			}
			s.db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("x"), []byte("three")) })
			s.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			dir := t.TempDir()
			s, c := open(t, Config{Dir: dir})
			s.want(t, "192.0.2.7", "a@example.org", "u@example.com", time.Minute)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, dir)
			s, _ = open(t, Config{Dir: dir, Now: c.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
			s.want(t, "192.0.2.7", "a@example.org", "u@example.com", time.Minute)
			if s.Entries() != 1 || !strings.Contains(log.String(), "begun anew") {
				t.Errorf("%d entries, log %q", s.Entries(), log.String())
			}
			if _, err := os.Stat(filepath.Join(dir, "db.damaged")); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "opening")); err == nil {
				t.Error("it still says that it opens")
			}
		})
	}
}

func tables(t *testing.T, dir string) []string {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "db", "*.sst"))
	if len(names) == 0 {
		t.Fatal("no table")
	}
	return names
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Made-up senders displace one another, not those who came back.
func TestBound(t *testing.T) {
	s, c := open(t, Config{MaxEntries: 400, Log: slog.New(slog.DiscardHandler)})
	for i := range 100 {
		s.want(t, "192.0.2.7", fmt.Sprintf("good%d@example.org", i), "u@example.com", time.Minute)
	}
	c.add(time.Minute)
	for i := range 100 {
		s.want(t, "192.0.2.7", fmt.Sprintf("good%d@example.org", i), "u@example.com", 0)
	}
	for i := range 300 {
		if i%100 == 0 {
			c.add(time.Hour)
		}
		s.want(t, "192.0.2.7", fmt.Sprintf("flood%d@example.org", i), "u@example.com", time.Minute)
	}
	if wait, err := s.Check(client, "new@example.org", "u@example.com"); wait != 0 || !errors.Is(err, errFull) || s.Entries() != 400 {
		t.Errorf("beyond the bound: wait %v, %v, %d entries", wait, err, s.Entries())
	}
	s.want(t, "192.0.2.7", "flood299@example.org", "u@example.com", time.Minute) // those who are known are not concerned
	// Run makes room.
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { s.Run(ctx); close(ended) }()
	for range 500 {
		if s.Entries() < 400 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-ended
	if s.Entries() != 300 {
		t.Errorf("%d entries are left", s.Entries())
	}
	s.want(t, "192.0.2.7", "new@example.org", "u@example.com", time.Minute)
	for i := range 100 {
		s.want(t, "192.0.2.7", fmt.Sprintf("good%d@example.org", i), "u@example.com", 0)
	}
	c.add(time.Minute)
	s.want(t, "192.0.2.7", "flood150@example.org", "u@example.com", 0)         // of the newer ones
	s.want(t, "192.0.2.7", "flood0@example.org", "u@example.com", time.Minute) // of the oldest
	// What has expired goes with any sweep.
	c.add(48 * time.Hour)
	if err := s.sweep(t.Context(), false); err != nil || s.Entries() != 0 {
		t.Errorf("%d entries, %v", s.Entries(), err)
	}
	n := 0
	if err := s.each(func([]byte, entry) { n++ }); err != nil || n != 0 {
		t.Errorf("%d entries in the database, %v", n, err)
	}
}

// When all pass, those go whose time ends first, and greylisting goes on.
func TestBoundOfPassing(t *testing.T) {
	s, c := open(t, Config{MaxEntries: 400, Log: slog.New(slog.DiscardHandler)})
	for i := range 400 {
		if i%100 == 0 {
			c.add(time.Hour)
		}
		s.want(t, "192.0.2.7", fmt.Sprintf("flood%d@example.org", i), "u@example.com", time.Minute)
		if i%100 == 99 {
			c.add(time.Minute)
			for k := i - 99; k <= i; k++ {
				s.want(t, "192.0.2.7", fmt.Sprintf("flood%d@example.org", k), "u@example.com", 0)
			}
		}
	}
	if err := s.sweep(t.Context(), true); err != nil || s.Entries() != 300 {
		t.Fatalf("%v, %d entries", err, s.Entries())
	}
	s.want(t, "192.0.2.7", "new@example.org", "u@example.com", time.Minute)
	for i := range 300 {
		s.want(t, "192.0.2.7", fmt.Sprintf("flood%d@example.org", 100+i), "u@example.com", 0)
	}
	s.want(t, "192.0.2.7", "flood0@example.org", "u@example.com", time.Minute)
}

// Where all first attempts are of one time, no more of them go than have to.
func TestBoundOfOneTime(t *testing.T) {
	s, _ := open(t, Config{MaxEntries: 400, Log: slog.New(slog.DiscardHandler)})
	for i := range 400 {
		s.want(t, "192.0.2.7", fmt.Sprintf("flood%d@example.org", i), "u@example.com", time.Minute)
	}
	if err := s.sweep(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := s.each(func([]byte, entry) { n++ }); err != nil || n != 300 || s.Entries() != 300 {
		t.Errorf("%d entries, counted %d, %v", n, s.Entries(), err)
	}
}

// Many at one time: each pair is new once.
func TestConcurrent(t *testing.T) {
	s, _ := open(t, Config{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				s.want(t, "192.0.2.7", fmt.Sprintf("a%d@example.org", i), "u@example.com", time.Minute)
			}
		})
	}
	wg.Go(func() { s.sweep(t.Context(), false) })
	wg.Wait()
	// A sweep beside others may count an entry twice, until the next.
	if err := s.sweep(t.Context(), false); err != nil {
		t.Error(err)
	}
	if n := s.Entries(); n != 200 {
		t.Errorf("%d entries", n)
	}
}

// Whatever happens to one file of the database, the store opens and works. Random
// damage, from a seed that is told.
func TestAnyDamage(t *testing.T) {
	template := t.TempDir()
	for range 2 { // so that there are a table and a log
		s, c := open(t, Config{Dir: template})
		for i := range 300 {
			s.want(t, "192.0.2.7", fmt.Sprintf("a%d@example.org", i+s.Entries()), "u@example.com", time.Minute)
		}
		c.add(time.Minute)
		s.Close()
	}
	files, err := filepath.Glob(filepath.Join(template, "db", "*"))
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	anew := 0
	for range 40 {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "db", filepath.Base(files[random.IntN(len(files))]))
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		what := random.IntN(4)
		at := random.IntN(min(len(b), 40<<10) + 1)
		switch {
		case what == 0:
			b = b[:at]
		case what == 1:
			clear(b[at:])
		case what == 2:
			b = append(b, "more"...)
		case at < len(b):
			b[at] ^= 1 << random.IntN(8)
		}
		write(t, name, string(b))
		t.Logf("%s: damage %d at %d", filepath.Base(name), what, at)
		s, _ := open(t, Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		s.want(t, "192.0.2.7", "new@example.org", "u@example.com", time.Minute)
		if s.Entries() == 1 {
			anew++
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of 40 were begun anew", anew)
}
