package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// TestBackupWhileWorking makes backups while mail comes, is attempted, held, deleted, and moved by tidy: each opens, and
// nothing is missing in it that was there before it began and is not finished; what was held is held, and every body is whole.
func TestBackupWhileWorking(t *testing.T) {
	dir := t.TempDir()
	var done sync.Map
	q := open(t, Config{Dir: filepath.Join(dir, "q"), Lane: byDomain, Retry: func(int) time.Duration { return 5 * time.Millisecond },
		Deliverer: deliverFunc(func(_ context.Context, it *Item, b io.ReadSeeker) []Result {
			if it.Attempts%3 != 0 {
				return all(it, Deferred, "450 later")
			}
			done.Store(it.ID, true)
			return all(it, Delivered, "250 ok")
		})})
	q.spool.size = 64 << 10
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	var known sync.Map // acknowledged
	var n atomic.Int64
	for range 4 {
		work.Go(func() {
			for ctx.Err() == nil {
				id := fmt.Sprintf("m%06d", n.Add(1))
				d := Draft{ID: id, Sender: "s@sender.example", Recipients: []string{"a@a.example"}, Body: [][]byte{victimBody(id)}}
				if n.Load()%10 == 0 {
					d.Hold = "spam"
				}
				if _, err := q.Put(context.Background(), d); err != nil {
					t.Error(err)
					return
				}
				known.Store(id, d.Hold)
				time.Sleep(time.Millisecond)
			}
		})
	}
	work.Go(func() {
		for ctx.Err() == nil {
			if err := q.tidy(ctx, 1); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
	})
	run(t, q)
	time.Sleep(300 * time.Millisecond)
	for i := range 4 {
		must := map[string]string{}
		known.Range(func(id, hold any) bool { must[id.(string)] = hold.(string); return true })
		to := filepath.Join(dir, fmt.Sprint("backup", i))
		sum, err := q.Backup(context.Background(), to)
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, Config{Dir: to, Lane: byDomain})
		there := map[string]bool{}
		for _, id := range list(t, b, Filter{}) {
			there[id] = true
			it, _ := b.Get(id)
			if hold, ok := must[id]; ok && hold != it.Hold || it.Sender != "s@sender.example" || readBody(t, b, id) != string(victimBody(id)) {
				t.Errorf("%+v", it)
			}
		}
		missing := 0
		for id := range must {
			if _, ok := done.Load(id); !ok && !there[id] {
				missing++
			}
		}
		if missing > 0 || len(there) != sum.Items || sum.Items == 0 || sum.Damaged > 0 {
			t.Errorf("backup %d: %d of %d missing; %v, found %d", i, missing, len(must), sum, len(there))
		}
		if c, err := b.Check(context.Background(), func(f Finding) { t.Error(f) }); err != nil || c.Items != sum.Items {
			t.Error(c, err)
		}
		b.Close()
		if _, err := q.Backup(context.Background(), to); err == nil {
			t.Error("a backup was overwritten")
		}
		time.Sleep(100 * time.Millisecond)
	}
	cancel()
	work.Wait()
	if sum, err := q.Check(context.Background(), func(f Finding) { t.Error(f) }); err != nil {
		t.Error(err)
	} else {
		t.Log(n.Load(), "put; at the end", sum)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.partial")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestBackupKeepsState: attempts, recipients, history, warning and times are those of the item.
func TestBackupKeepsState(t *testing.T) {
	dir, clk := filled(t, 20), newClock()
	clk.set(time.Now())
	q := open(t, Config{Dir: dir})
	to := filepath.Join(t.TempDir(), "b")
	if _, err := q.Backup(context.Background(), to); err != nil {
		t.Fatal(err)
	}
	b := open(t, Config{Dir: to})
	for _, id := range list(t, q, Filter{}) {
		want, _ := q.Get(id)
		got, err := b.Get(id)
		if err != nil {
			t.Error(err)
			continue
		}
		if want.Hold == "" && want.Next.Before(got.Next) {
			want.Next = got.Next // that was past
		}
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%+v\nis not %+v", got, want)
		}
	}
}

// TestBackupOfDamage copies the segment of an item whose body is damaged.
func TestBackupOfDamage(t *testing.T) {
	q := open(t, Config{Dir: t.TempDir()})
	put(t, q, draft("a"), draft("b"))
	e, _ := q.get("a")
	flip(t, q.spool.path(e.place.seg), e.place.off+e.place.len-sector+200)
	to := filepath.Join(t.TempDir(), "b")
	sum, err := q.Backup(context.Background(), to)
	if err != nil || sum.Items != 1 || sum.Damaged != 1 {
		t.Errorf("%v, %v", sum, err)
	}
	files(t, to, "damaged/*.seg")
}

// TestCheckFinds every sort of damage, and names it.
func TestCheckFinds(t *testing.T) {
	type damage func(t *testing.T, q *Queue, p place)
	in := func(off int64) damage {
		return func(t *testing.T, q *Queue, p place) { flip(t, q.spool.path(p.seg), p.off+off) }
	}
	update := func(f func(txn *badger.Txn) error) damage {
		return func(t *testing.T, q *Queue, p place) {
			if err := q.db.Update(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		do       damage
		id, want string
		doubtful bool
	}{
		"body":     {in(headerSize + 3 + 100), "m", "is damaged", false},
		"header":   {in(20), "m", "header of its record is damaged", false},
		"envelope": {in(headerSize + 3 + 5), "m", "envelope in its record is damaged", false},
		"segment gone": {func(t *testing.T, q *Queue, p place) {
			if err := os.Remove(q.spool.path(p.seg)); err != nil {
				t.Fatal(err)
			}
		}, "m", "segment with its record is missing", false},
		"segment cut": {func(t *testing.T, q *Queue, p place) {
			if err := os.Truncate(q.spool.path(p.seg), p.off+10); err != nil {
				t.Fatal(err)
			}
		}, "m", "segment ends before it", false},
		"item lost":     {nil, "m", "the index does not know it", true},
		"schedule lost": {nil, "m", "scheduled nowhere", false},
		"schedule left": {update(func(txn *badger.Txn) error {
			return txn.Set(dueKey(&Item{ID: "ghost", Next: time.Now()}), dueOf(&Item{}).encode())
		}), "ghost", "no such item", true},
		"scheduled twice": {update(func(txn *badger.Txn) error {
			return txn.Set(dueKey(&Item{ID: "m", Next: time.Now().Add(time.Hour)}), dueOf(&Item{}).encode())
		}), "m", "scheduled twice", true},
		"item damaged": {update(func(txn *badger.Txn) error { return txn.Set(itemKey("m"), []byte("nonsense")) }), "m", "entry in the index is damaged", false},
	} {
		t.Run(name, func(t *testing.T) {
			q := open(t, Config{Dir: t.TempDir()})
			put(t, q, draft("before"), draft("gone"), draft("m"))
			if err := q.Delete("gone"); err != nil {
				t.Fatal(err)
			}
			if sum, err := q.Check(context.Background(), func(f Finding) { t.Error(f) }); err != nil || sum.Items != 2 || sum.Records != 3 || sum.Segments != 1 {
				t.Errorf("%v, %v", sum, err)
			}
			e, err := q.get("m")
			if err != nil {
				t.Fatal(err)
			}
			if name == "item lost" {
				c.do = update(func(txn *badger.Txn) error { return errors.Join(txn.Delete(itemKey("m")), txn.Delete(dueKey(e.Item))) })
			} else if c.do == nil {
				c.do = update(func(txn *badger.Txn) error { return txn.Delete(dueKey(e.Item)) })
			}
			c.do(t, q, e.place)
			hit := 0
			sum, err := q.Check(context.Background(), func(f Finding) {
				if f.ID == c.id && strings.Contains(f.Problem, c.want) && f.Doubtful == c.doubtful {
					hit++
				} else if c.id == f.ID {
					t.Errorf("%+v", f)
				}
			})
			if err != nil || hit != 1 || c.doubtful && sum.Damaged != 0 || !c.doubtful && sum.Damaged == 0 {
				t.Errorf("found %d times; %v, %v", hit, sum, err)
			}
			if name == "body" || name == "header" {
				files(t, q.cfg.Dir, "damaged/*.seg")
			}
		})
	}
}

// TestRebuild sets the index aside and makes a new one, but not while the queue is open.
func TestRebuild(t *testing.T) {
	dir := filled(t, 30)
	q := open(t, Config{Dir: dir})
	if _, err := Rebuild(Config{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("while it is open: %v", err)
	}
	files(t, dir, "index/MANIFEST")
	q.Close()
	n, err := Rebuild(Config{Dir: dir, MinFree: 1 << 20})
	if n != 27 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	files(t, dir, "index.replaced-*/MANIFEST")
	q = open(t, Config{Dir: dir})
	if got := len(list(t, q, Filter{})); got != 27 {
		t.Errorf("%d items", got)
	}
}
