package relay

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// With a real queue: what is put arrives once, a refused recipient's sender is told, a deferred one is tried again, and a message
// that can never be sent is held.
func TestWithQueue(t *testing.T) {
	var mu sync.Mutex
	busy := 0
	s := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		switch {
		case strings.HasPrefix(line, "RCPT TO:<no@"):
			return "550 5.1.1 no such user at hidden.example.test"
		case strings.HasPrefix(line, "RCPT TO:<busy@"):
			mu.Lock()
			defer mu.Unlock()
			if busy++; busy < 3 {
				return "450 4.2.0 mailbox busy"
			}
		}
		return ""
	}})
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	var q *queue.Queue
	r := newRelay(t, func(c *Config) {
		c.Hold = func(id, reason string) {
			if err := q.Hold(reason, id); err != nil {
				t.Error(err)
			}
		}
	}, deadAddress(t), s.Addr)
	q, err := queue.Open(queue.Config{Dir: t.TempDir(), Deliverer: r, Notify: Notify("gate.example.net"), MinFree: 1 << 20, Log: log,
		Retry: func(int) time.Duration { return 10 * time.Millisecond }})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()

	put := func(text string, to ...string) string {
		ids, err := q.Put(ctx, queue.Draft{Sender: "a@example.com", Recipients: to, Body: [][]byte{[]byte(text)}, Note: map[string]string{"subject": "hello"}})
		if err != nil {
			t.Fatal(err)
		}
		return ids[0]
	}
	for i := range 30 {
		put(fmt.Sprintf("Subject: %d\r\n\r\ntext\r\n", i), "b@example.org")
	}
	put(hello, "no@example.org", "busy@example.org", "b@example.org")
	poison := put("Subject: x\r\n\r\na\n.\r\n", "b@example.org")

	left := func() (items []*queue.Item) {
		if err := q.List(ctx, queue.Filter{}, func(it *queue.Item) bool { items = append(items, it); return true }); err != nil {
			t.Fatal(err)
		}
		return items
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		items := left()
		if len(items) == 1 && items[0].Hold != "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d items left: %+v", len(items), items)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if it := left()[0]; it.ID != poison || !strings.Contains(it.Hold, "not transmissible") || it.Recipients[0].State.Final() {
		t.Errorf("left: %+v", it)
	}
	cancel()
	if err := <-done; err != nil && err != context.Canceled {
		t.Error(err)
	}
	count := map[string]int{}
	for _, m := range s.Messages() {
		text := m.Text()
		switch {
		case strings.Contains(text, "report-type=delivery-status"):
			if m.From != "MAIL FROM:<>" || m.To[0] != "RCPT TO:<a@example.com>" || strings.Contains(text, "hidden") || !strings.Contains(text, "no@example.org") ||
				!strings.Contains(text, "text/rfc822-headers\r\n\r\nFrom: <a@example.com>\r\nSubject: hello\r\n\r\n--") {
				t.Errorf("notification from %q to %q:\n%s", m.From, m.To, text)
			}
			count["notification"]++
		case text == hello:
			for _, to := range m.To {
				count[to]++
			}
		default:
			count["plain"]++
		}
	}
	want := map[string]int{"plain": 30, "notification": 1, "RCPT TO:<b@example.org>": 1, "RCPT TO:<busy@example.org>": 1}
	for k, n := range want {
		if count[k] != n {
			t.Errorf("%s: %d, want %d", k, count[k], n)
		}
	}
	innocent(t, s)
}

// A dead destination costs one attempt per pause, however much mail waits for it, and its mail comes when it is back; a message that
// is deferred by a living one does not make it dead.
func TestDeadLaneWithQueue(t *testing.T) {
	var mu sync.Mutex
	dead := true
	s := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case dead && strings.HasPrefix(line, "EHLO"):
			return "421 4.3.2 not now"
		case strings.HasPrefix(line, "RCPT TO:<busy@"):
			return "450 4.2.0 mailbox busy"
		}
		return ""
	}})
	live := relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, func(c *Config) {
		c.Route = routes(map[string]Route{"dead.example": {Name: "dead.example", Servers: []string{s.Addr}}, "live.example": {Name: "live.example", Servers: []string{live.Addr}}})
	})
	q, err := queue.Open(queue.Config{Dir: t.TempDir(), Deliverer: r, Notify: Notify("gate.example.net"), MinFree: 1 << 20, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Lane:      func(address string) string { return r.cfg.Route(address).Name },
		LaneRetry: func(int) time.Duration { return 200 * time.Millisecond }, Retry: func(int) time.Duration { return time.Hour }})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	put := func(to string) {
		if _, err := q.Put(ctx, queue.Draft{Sender: "a@example.com", Recipients: []string{to}, Body: [][]byte{[]byte(hello)}}); err != nil {
			t.Fatal(err)
		}
	}
	const n = 200
	put("busy@dead.example")
	for range n {
		put("b@dead.example")
	}
	time.Sleep(500 * time.Millisecond)
	first := s.Conns()
	put("b@live.example")
	time.Sleep(time.Second)
	// What found out at the same time, before anything was known, is not counted.
	if probes := s.Conns() - first; probes < 2 || probes > 8 {
		t.Errorf("%d connections to a dead destination in 5 pauses", probes)
	}
	if live.Count() != 1 {
		t.Error("mail to the living destination was not delivered")
	}
	mu.Lock()
	dead = false
	mu.Unlock()
	for deadline := time.Now().Add(20 * time.Second); s.Count() < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d messages after the destination came back", s.Count(), n)
		}
	}
	cancel()
	if err := <-done; err != nil && err != context.Canceled {
		t.Error(err)
	}
}
