package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// files returns what matches in the queue's directory, at least one file.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in %s (%v)", pattern, dir, err)
	}
	return names
}

// flip inverts one bit of a file.
func flip(t *testing.T, name string, off int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x10
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// filled makes a closed queue of n items m000…, of which every tenth is finished, one recipient of every tenth+1 is
// delivered, every tenth+2 was held by hand and every tenth+3 was put held and then released.
func filled(t *testing.T, n int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	q := open(t, Config{Dir: dir, Retry: func(int) time.Duration { return time.Hour },
		Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			rs := all(it, Deferred, "450 4.2.0 later")
			switch it.ID[3] {
			case '0':
				rs = all(it, Delivered, "250 2.0.0 ok")
			case '1':
				rs[0] = Result{State: Delivered, Reply: "250 2.0.0 ok"}
			}
			return rs
		})})
	var ds []Draft
	for i := range n {
		d := draft(fmt.Sprintf("m%03d", i))
		if i%10 == 3 {
			d.Hold = "quarantine"
		}
		ds = append(ds, d)
	}
	put(t, q, ds...)
	stop := run(t, q)
	wait(t, "all tried", func() bool {
		left := 0
		for _, id := range list(t, q, Filter{Active: true}) {
			if it, err := q.Get(id); err == nil && it.Attempts == 0 {
				left++
			}
		}
		return left == 0
	})
	stop()
	for i := range n {
		switch id := fmt.Sprintf("m%03d", i); i % 10 {
		case 2:
			if err := q.Hold("by hand", id); err != nil {
				t.Fatal(err)
			}
		case 3:
			if err := q.Release(id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestIndexIsRebuilt damages the index in every way that keeps it from being opened or read; the spool alone gives
// everything back that is not finished, with the recipients that were delivered to and the items that were held.
func TestIndexIsRebuilt(t *testing.T) {
	const n = 60
	for name, damage := range map[string]func(t *testing.T, index string){
		"deleted":        func(t *testing.T, index string) { os.RemoveAll(index) },
		"manifest flip":  func(t *testing.T, index string) { flip(t, filepath.Join(index, "MANIFEST"), 12) },
		"manifest empty": func(t *testing.T, index string) { os.Truncate(filepath.Join(index, "MANIFEST"), 0) },
		"key registry":   func(t *testing.T, index string) { flip(t, filepath.Join(index, "KEYREGISTRY"), 20) },
		"table flip": func(t *testing.T, index string) {
			flip(t, files(t, index, "*.sst")[0], 300)
		},
		"table cut": func(t *testing.T, index string) {
			name := files(t, index, "*.sst")[0]
			os.Truncate(name, size(t, name)/2)
		},
		"table of zeros": func(t *testing.T, index string) {
			name := files(t, index, "*.sst")[0]
			os.WriteFile(name, make([]byte, size(t, name)), 0o600)
		},
		"table empty": func(t *testing.T, index string) { os.Truncate(files(t, index, "*.sst")[0], 0) },
		"table's block index flip": func(t *testing.T, index string) {
			name := files(t, index, "*.sst")[0]
			flip(t, name, size(t, name)-60)
		},
		"table gone": func(t *testing.T, index string) { os.Remove(files(t, index, "*.sst")[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t, n)
			damage(t, filepath.Join(dir, "index"))
			log := &logbook{}
			q := open(t, Config{Dir: dir, Log: log.logger()})
			if got := len(list(t, q, Filter{})); got != n-n/10 {
				t.Fatalf("%d items, want %d\n%s", got, n-n/10, log)
			}
			for i := range n {
				id := fmt.Sprintf("m%03d", i)
				it, err := q.Get(id)
				if i%10 == 0 {
					if !errors.Is(err, ErrNotFound) {
						t.Errorf("%s was delivered and is back: %v", id, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if got, want := readBody(t, q, id), fmt.Sprintf(draftBody, id); got != want || it.Sender != "alice@example.org" || it.Note["subject"] != id {
					t.Errorf("%s: %+v, body %q", id, it, got)
				}
				if open := len(it.Pending()); open != 2 && i%10 != 1 || open != 1 && i%10 == 1 {
					t.Errorf("%s has %d open recipients", id, open)
				}
				if held := it.Hold != ""; held != (i%10 == 2) {
					t.Errorf("%s: hold %q", id, it.Hold)
				}
			}
			if !strings.Contains(log.String(), "messages were taken in from the spool") {
				t.Errorf("nobody was told:\n%s", log)
			}
			if name != "deleted" {
				files(t, dir, "index.damaged-*/*")
				if !strings.Contains(log.String(), "set aside") {
					t.Errorf("nobody was told:\n%s", log)
				}
			}
		})
	}
}

// TestLogFlip copies a queue at work and damages Badger's log in the copy, of which Badger silently drops what follows:
// everything that was acknowledged is adopted from the spool again.
func TestLogFlip(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	for i := range 40 {
		put(t, q, draft(fmt.Sprintf("m%02d", i)))
	}
	for _, off := range []int64{40, 1000, 3000, 9000} {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		flip(t, files(t, copied, "index/*.mem")[0], off)
		log := &logbook{}
		c := open(t, Config{Dir: copied, Log: log.logger()})
		if got := len(list(t, c, Filter{})); got != 40 {
			t.Errorf("flip at %d: %d items of 40\n%s", off, got, log)
		}
		if !strings.Contains(log.String(), "taken in from the spool") {
			t.Errorf("flip at %d hit nothing:\n%s", off, log)
		}
		for _, id := range list(t, c, Filter{}) {
			if b := readBody(t, c, id); b != fmt.Sprintf(draftBody, id) {
				t.Errorf("%s: %q", id, b)
			}
		}
		c.Close()
	}
}

// TestDamagedSpoolIsHeld truncates and flips the spool below an index that is whole: what is damaged is named and
// held, the rest is delivered, and nothing is delivered that is not what was put.
func TestDamagedSpoolIsHeld(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	for i := range 4 {
		put(t, q, draft(fmt.Sprintf("m%d", i)))
	}
	places := map[string]place{}
	for i := range 4 {
		e, err := q.get(fmt.Sprintf("m%d", i))
		if err != nil {
			t.Fatal(err)
		}
		places[e.ID] = e.place
	}
	q.Close()
	seg := files(t, dir, "spool/*.seg")[0]
	flip(t, seg, places["m1"].off+places["m1"].len-sector+200) // in the body or envelope
	flip(t, seg, places["m2"].off+3)                           // in the header
	if err := os.Truncate(seg, places["m3"].off+100); err != nil {
		t.Fatal(err)
	}
	log := &logbook{}
	var delivered []string
	q = open(t, Config{Dir: dir, Workers: 1, Log: log.logger(), Deliverer: deliverFunc(func(_ context.Context, it *Item, b io.ReadSeeker) []Result {
		got, _ := io.ReadAll(b)
		delivered = append(delivered, it.ID+string(got))
		return all(it, Delivered, "250 2.0.0 ok")
	})})
	stop := run(t, q)
	wait(t, "the rest delivered and held", func() bool { return len(list(t, q, Filter{Active: true})) == 0 })
	stop()
	held := list(t, q, Filter{Held: true})
	if want := "m0" + fmt.Sprintf(draftBody, "m0"); len(delivered) != 1 && len(delivered) != 2 || delivered[0] != want {
		t.Errorf("delivered %q", delivered)
	}
	if fmt.Sprint(held) != "[m1 m2 m3]" {
		t.Errorf("held %q", held)
	}
	for _, id := range held {
		if !strings.Contains(log.String(), "id="+id) {
			t.Errorf("nobody was told of %s:\n%s", id, log)
		}
		if _, err := q.Body(id); err == nil {
			t.Errorf("the body of %s was read", id)
		}
	}
	if err := q.Delete(held...); err != nil {
		t.Error(err)
	}
}

// TestRebuildFromDamagedSpool loses the index and has damage in the spool as well: header of the segment, of a record,
// a body. Records behind the damage are found again.
func TestRebuildFromDamagedSpool(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	var p [6]place
	for i := range p {
		put(t, q, Draft{ID: fmt.Sprintf("m%d", i), Recipients: []string{"b@example.com"}, Body: [][]byte{[]byte(strings.Repeat("0123456789", 200))}})
		e, _ := q.get(fmt.Sprintf("m%d", i))
		p[i] = e.place
	}
	q.Close()
	seg := files(t, dir, "spool/*.seg")[0]
	flip(t, seg, 10)                      // the segment's header
	flip(t, seg, p[1].off+30)             // a record's header
	flip(t, seg, p[3].off+1500)           // a body
	flip(t, seg, p[4].off+headerSize+2+3) // an envelope
	os.RemoveAll(filepath.Join(dir, "index"))
	log := &logbook{}
	q = open(t, Config{Dir: dir, Log: log.logger()})
	if got := fmt.Sprint(list(t, q, Filter{Active: true}), list(t, q, Filter{Held: true})); got != "[m0 m2 m5] [m3]" {
		t.Errorf("got %s\n%s", got, log)
	}
	if n := strings.Count(log.String(), "not readable as a message"); n != 2 {
		t.Errorf("%d losses reported:\n%s", n, log)
	}
	if err := q.Delete("m0", "m2", "m3", "m5"); err != nil {
		t.Error(err)
	}
	if kept := files(t, dir, "damaged/*.seg"); len(kept) != 1 {
		t.Errorf("kept %q", kept)
	}
}

// TestUnindexedRecordIsAdopted has whole and torn records in the spool that the index has never heard of, as after a
// cut between the two.
func TestUnindexedRecordIsAdopted(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	put(t, q, draft("known"))
	var recs []*record
	for _, id := range []string{"a", "b", "torn"} {
		r, err := q.prepare(draft(id))
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, r)
	}
	if err := q.spool.append(recs); err != nil {
		t.Fatal(err)
	}
	q.Close()
	p := recs[2].place
	flip(t, q.spool.path(p.seg), p.off+p.len-sector+200)
	for range 2 {
		q = open(t, Config{Dir: dir})
		if got := fmt.Sprint(list(t, q, Filter{})); got != "[a b known]" {
			t.Fatalf("list %s", got)
		}
		if b := readBody(t, q, "b"); b != fmt.Sprintf(draftBody, "b") {
			t.Fatalf("body %q", b)
		}
		q.Close()
	}
}

// TestPoison dies in the attempts of one item while others are under way: it is held after the third time, they are not.
func TestPoison(t *testing.T) {
	dir, clk := t.TempDir(), newClock()
	q := open(t, Config{Dir: dir, Now: clk.Now})
	put(t, q, draft("poison"), draft("innocent"))
	log := &logbook{}
	for n := 1; n <= 3; n++ {
		clk.set(clk.Now().Add(time.Minute))
		begin(t, q, "poison")
		if n < 3 {
			begin(t, q, "innocent")
		}
		q.Close() // no result: as if the process had died
		clk.set(clk.Now().Add(time.Minute))
		q = open(t, Config{Dir: dir, Now: clk.Now, Log: log.logger(), Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result { return all(it, Delivered, "250 ok") })})
	}
	it, err := q.Get("poison")
	if err != nil || it.Hold != reasonPoison || it.Attempts != 3 || it.Crashes != 3 {
		t.Fatalf("%+v, %v", it, err)
	}
	if !strings.Contains(log.String(), "id=poison") {
		t.Errorf("nobody was told:\n%s", log)
	}
	clk.set(clk.Now().Add(time.Minute))
	run(t, q)
	wait(t, "innocent delivered", func() bool { return len(list(t, q, Filter{})) == 1 })
	if err := q.Release("poison"); err != nil {
		t.Fatal(err)
	}
	wait(t, "released and delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second Open: %v", err)
	}
	q.Close()
	open(t, Config{Dir: dir})
}

// TestClockWentBack opens a queue whose stamps lie ten days in the future: its items are due at once and live their whole lifetime.
func TestClockWentBack(t *testing.T) {
	dir, clk := t.TempDir(), newClock()
	start := clk.Now()
	clk.set(start.Add(240 * time.Hour))
	q := open(t, Config{Dir: dir, Now: clk.Now})
	put(t, q, draft("m"))
	q.Close()
	clk.set(start)
	q = open(t, Config{Dir: dir, Now: clk.Now})
	if it, err := q.Get("m"); err != nil || !it.Next.Equal(start) || !it.Expires.Equal(start.Add(192*time.Hour)) {
		t.Fatalf("%+v, %v", it, err)
	}
}

// TestClockGoesBackWhileRunning sets the clock back by ten days between two attempts.
func TestClockGoesBackWhileRunning(t *testing.T) {
	clk := newClock()
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		return all(it, Deferred, "450 later")
	})})
	put(t, q, draft("m"))
	run(t, q)
	wait(t, "an attempt", func() bool { it, _ := q.Get("m"); return it.Attempts == 1 })
	clk.set(clk.Now().Add(-240 * time.Hour))
	q.sched.kick()
	wait(t, "the next attempt", func() bool { it, _ := q.Get("m"); return it.Attempts == 2 })
	if it, _ := q.Get("m"); it.Next.After(clk.Now().Add(3 * time.Minute)) {
		t.Errorf("%+v", it)
	}
}

func TestPermissions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "queue")
	q := open(t, Config{Dir: dir})
	put(t, q, draft("m"))
	n := 0
	filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		if n++; info.Mode().Perm()&0o077 != 0 && !strings.Contains(path, "/index/") {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if n < 5 {
		t.Errorf("only %d files", n)
	}
}
