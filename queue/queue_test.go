package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is a wall clock that only tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// deliverFunc is a Deliverer.
type deliverFunc func(ctx context.Context, it *Item, body io.ReadSeeker) []Result

func (f deliverFunc) Deliver(ctx context.Context, it *Item, body io.ReadSeeker) []Result {
	return f(ctx, it, body)
}

// all answers every pending recipient with the same state.
func all(it *Item, s State, reply string) (rs []Result) {
	for _, r := range it.Pending() {
		rs = append(rs, Result{Recipient: r.Address, State: s, Reply: reply, Server: "mx.example.net"})
	}
	return rs
}

// byDomain is a Config.Lane.
func byDomain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// begin notes an attempt of an item as if its job had been chosen.
func begin(t testing.TB, q *Queue, id string) *entry {
	t.Helper()
	now, err := q.get(id)
	if err != nil {
		t.Fatal(err)
	}
	e, err := q.beginAttempt(&job{id: id, due: string(dueKey(now.Item))})
	if err != nil || e == nil {
		t.Fatalf("%s: attempt could not begin: %v", id, err)
	}
	return e
}

// logbook keeps what is logged.
type logbook struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// open opens a queue that needs little free space and closes it at the end of the test.
func open(t testing.TB, cfg Config) *Queue {
	t.Helper()
	if cfg.MinFree == 0 {
		cfg.MinFree = 1 << 20
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	q, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// run runs q until the returned function is called, or the test ends.
func run(t testing.TB, q *Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, ErrBroken) {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// wait waits until ok holds, at most 20 seconds.
func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s in vain: %s", what)
		}
	}
}

func draft(id string) Draft {
	return Draft{ID: id, Sender: "alice@example.org", Recipients: []string{"bob@example.com", "carol@example.net"},
		Body: [][]byte{[]byte("Received: by test\r\n"), []byte("Subject: " + id + "\r\n\r\nhello\r\n")}, UTF8: true, EightBit: true,
		Note: map[string]string{"score": "12.5", "subject": id}}
}

const draftBody = "Received: by test\r\nSubject: %s\r\n\r\nhello\r\n"

func put(t testing.TB, q *Queue, drafts ...Draft) []string {
	t.Helper()
	ids, err := q.Put(context.Background(), drafts...)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func readBody(t testing.TB, q *Queue, id string) string {
	t.Helper()
	r, err := q.Body(id)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func list(t testing.TB, q *Queue, f Filter) (ids []string) {
	t.Helper()
	if err := q.List(context.Background(), f, func(it *Item) bool { ids = append(ids, it.ID); return true }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestPutIsThereAfterReopen(t *testing.T) {
	dir, clk := t.TempDir(), newClock()
	q := open(t, Config{Dir: dir, Now: clk.Now})
	ids := put(t, q, draft("m1"), draft(""))
	put(t, q, Draft{ID: "held", Recipients: []string{"x@example.com"}, Hold: "spam", Body: [][]byte{[]byte("b")}})
	if ids[0] != "m1" || len(ids[1]) != 21 {
		t.Fatalf("ids %q", ids)
	}
	for range 2 {
		if got := fmt.Sprint(list(t, q, Filter{})); got != fmt.Sprint([]string{ids[1], "held", "m1"}) {
			t.Fatalf("list %s", got)
		}
		it, err := q.Get("m1")
		if err != nil {
			t.Fatal(err)
		}
		if it.Sender != "alice@example.org" || len(it.Recipients) != 2 || it.Recipients[1].Address != "carol@example.net" || !it.UTF8 || !it.EightBit ||
			it.Note["score"] != "12.5" || !it.Received.Equal(clk.Now()) || !it.Next.Equal(clk.Now()) || !it.Expires.Equal(clk.Now().Add(192*time.Hour)) {
			t.Fatalf("item %+v", it)
		}
		if got, want := readBody(t, q, "m1"), fmt.Sprintf(draftBody, "m1"); got != want || it.Size != int64(len(want)) {
			t.Fatalf("body %q, size %d", got, it.Size)
		}
		if held, err := q.Get("held"); err != nil || held.Hold != "spam" || !held.Next.IsZero() {
			t.Fatalf("held %+v, %v", held, err)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Put(context.Background(), draft("late")); !errors.Is(err, ErrClosed) {
			t.Fatalf("Put after Close: %v", err)
		}
		q = open(t, Config{Dir: dir, Now: clk.Now})
	}
	if _, err := q.Get("nobody"); !errors.Is(err, ErrNotFound) {
		t.Fatalf("Get of nobody: %v", err)
	}
}

func TestPutRefuses(t *testing.T) {
	q := open(t, Config{Dir: t.TempDir()})
	put(t, q, draft("taken"))
	for name, ds := range map[string][]Draft{
		"id in use":           {draft("new"), draft("taken")},
		"id twice":            {draft("new"), draft("new")},
		"no recipients":       {draft("new"), {Sender: "a@example.org"}},
		"path in id":          {draft("../new")},
		"note too long":       {{Recipients: []string{"a@example.com"}, Note: map[string]string{"x": strings.Repeat("x", maxNote)}}},
		"recipients too long": {{Recipients: []string{strings.Repeat("x", maxRecord)}}},
	} {
		if _, err := q.Put(context.Background(), ds...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := q.Put(ctx, draft("new")); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	} else if err != nil {
		if _, err := q.Get("new"); err == nil {
			t.Error("cancelled Put was done")
		}
	}
	if got := list(t, q, Filter{ID: "taken"}); len(got) != 1 {
		t.Errorf("list %q", got)
	}
}

func TestDeliveryAtOnce(t *testing.T) {
	var got sync.Map
	q := open(t, Config{Dir: t.TempDir(), Deliverer: deliverFunc(func(_ context.Context, it *Item, body io.ReadSeeker) []Result {
		b, _ := io.ReadAll(body)
		got.Store(it.ID, string(b))
		return all(it, Delivered, "250 2.0.0 ok")
	})})
	run(t, q)
	var ids []string
	for i := range 300 {
		ids = append(ids, put(t, q, draft(fmt.Sprintf("m%d", i)))...)
	}
	wait(t, "queue empty", func() bool { return len(list(t, q, Filter{})) == 0 })
	for _, id := range ids {
		if b, _ := got.Load(id); b != fmt.Sprintf(draftBody, id) {
			t.Fatalf("%s: delivered %q", id, b)
		}
	}
}

// TestPutManyWithNotes takes a hundred drafts with long notes at once.
func TestPutManyWithNotes(t *testing.T) {
	q := open(t, Config{Dir: t.TempDir(), Lane: byDomain})
	var ds []Draft
	for i := range 100 {
		ds = append(ds, Draft{Recipients: []string{fmt.Sprintf("a@c%d.example", i)}, Note: map[string]string{"x": strings.Repeat("x", 3<<10)}, Body: [][]byte{[]byte("b")}})
	}
	put(t, q, ds...)
	if n := len(list(t, q, Filter{})); n != 100 || len(q.sched.lanes) != 100 {
		t.Errorf("%d items in %d lanes", n, len(q.sched.lanes))
	}
}
