package gateway

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
	"spamcatcher/queue"
)

// The real queue keeps what the session was told is kept.
func TestRealQueue(t *testing.T) {
	q, err := queue.Open(queue.Config{Dir: t.TempDir(), MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	b := start(t, Config{Queue: q, Judge: scores(70), Policy: withPolicy(t, policy.Config{
		Domains: map[string]policy.Settings{"strict.example": {Reject: above(t, 50)}, "discard.example": {Discard: above(t, 50)}},
	})})
	reply := b.dial().message(testMessage, "250 2.0.0 queued as ", "a@plain.example", "b@strict.example", "c@discard.example", "d@plain.example")
	id := strings.TrimPrefix(reply, "250 2.0.0 queued as ")
	item, err := q.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	if item.Sender != "a@example.org" || item.Hold != "" || item.Note["score"] != "70.0" || item.Note["subject"] != "Hello" {
		t.Errorf("item %+v", item)
	}
	var items []*queue.Item
	if err := q.List(t.Context(), queue.Filter{}, func(it *queue.Item) bool { items = append(items, it); return true }); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range items {
		text, err := q.Body(it.ID)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(text)
		text.Close()
		if err != nil || !strings.HasPrefix(string(raw), "Received: ") || !strings.HasSuffix(string(raw), "\r\n"+testMessage) {
			t.Errorf("body of %s: %v\n%s", it.ID, err, raw)
		}
		for _, r := range it.Recipients {
			got = append(got, r.Address+" "+it.Hold)
		}
	}
	slices.Sort(got)
	want := []string{"a@plain.example ", "b@strict.example would be refused, but other recipients accept it: score 70.0 above spam_reject 50", "d@plain.example "}
	if !slices.Equal(got, want) {
		t.Errorf("in the queue: %q, want %q", got, want)
	}
}

func TestRealQueueThatIsClosed(t *testing.T) {
	q, err := queue.Open(queue.Config{Dir: t.TempDir(), MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, Config{Queue: q})
	q.Close()
	c := b.dial()
	c.message(testMessage, "421 4.3.2 ")
	if line, err := c.r.ReadString('\n'); err == nil {
		t.Errorf("the session went on: %q", line)
	}
}

// A customer's servers are down for all that is known; each may come back.
type customersServers struct {
	mu   sync.Mutex
	up   bool
	got  []string
	asks map[string]int
}

func (d *customersServers) Deliver(_ context.Context, it *queue.Item, _ io.ReadSeeker) []queue.Result {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asks[it.Lane]++
	var results []queue.Result
	for _, r := range it.Pending() {
		res := queue.Result{Recipient: r.Address, State: queue.Deferred, Reply: "421 4.4.1 down", Down: true}
		if d.up {
			res = queue.Result{Recipient: r.Address, State: queue.Delivered, Reply: "250 2.0.0 ok"}
			d.got = append(d.got, r.Address)
		}
		results = append(results, res)
	}
	return results
}

// ETRN brings a customer all the mail that waits for it, at once, and nothing of
// another customer's is touched.
func TestETRNWithRealQueue(t *testing.T) {
	servers := &customersServers{asks: map[string]int{}}
	domains := withDomains(t,
		domain.Config{Name: "one.example", Destinations: []string{"192.0.2.1"}, ETRNFrom: []string{"127.0.0.2"}},
		domain.Config{Name: "two.example", Destinations: []string{"192.0.2.2"}, ETRNFrom: []string{"127.0.0.3"}},
		domain.Config{Name: ".tree.example", Destinations: []string{"192.0.2.3"}, ETRNFrom: []string{"127.0.0.3"}})
	hour := func(int) time.Duration { return time.Hour }
	q, err := queue.Open(queue.Config{Dir: t.TempDir(), MinFree: 1, Deliverer: servers, Retry: hour, LaneRetry: hour,
		Lane: func(address string) string { return domains().Lane(address) }, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- q.Run(ctx) }()
	defer func() { cancel(); <-ran }()
	b := start(t, Config{Queue: q, Domains: domains, ETRNPause: -1,
		Release: func(_ context.Context, lane, domain string) (int, error) {
			return q.Flush(queue.Filter{Lane: &lane, Domain: domain})
		}})
	c := b.dial()
	const each = 40
	for i := range each {
		c.message(testMessage, "250", fmt.Sprintf("u%d@one.example", i), fmt.Sprintf("u%d@two.example", i), fmt.Sprintf("u%d@a.tree.example", i))
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			servers.mu.Lock()
			ok := done()
			servers.mu.Unlock()
			if ok {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: asked %v, delivered %d", what, servers.asks, len(servers.got))
			}
		}
	}
	until("all lanes are tried", func() bool { return len(servers.asks) == 3 })
	until("all lanes are down", func() bool {
		down := 0
		for _, l := range q.Lanes() {
			if !l.Until.IsZero() && l.Running == 0 {
				down++
			}
		}
		return down == 3
	})
	servers.mu.Lock()
	servers.up = true
	asked := maps.Clone(servers.asks)
	servers.mu.Unlock()

	foreign, one, two := b.call("127.0.0.9", "one.example", false, nil), b.call("127.0.0.2", "one.example", false, nil), b.call("127.0.0.3", "two.example", false, nil)
	foreign.send("ETRN one.example", "459 4.7.1")
	two.send("ETRN one.example", "459 4.7.1")
	two.send("ETRN b.tree.example", "251 2.0.0")
	one.send("ETRN one.example", fmt.Sprintf("253 2.0.0 OK, %d pending messages", each))
	until("one's mail is delivered", func() bool { return len(servers.got) == each })
	time.Sleep(100 * time.Millisecond)
	servers.mu.Lock()
	for _, to := range servers.got {
		if !strings.HasSuffix(to, "@one.example") {
			t.Errorf("%s was delivered", to)
		}
	}
	if servers.asks["two.example"] != asked["two.example"] || servers.asks[".tree.example"] != asked[".tree.example"] {
		t.Errorf("asked %v, before %v", servers.asks, asked)
	}
	servers.mu.Unlock()
	one.send("ETRN one.example", "251 2.0.0")
	two.send("ETRN @tree.example", fmt.Sprintf("253 2.0.0 OK, %d pending messages", each))
	two.send("ETRN #two.example", fmt.Sprintf("253 2.0.0 OK, %d pending messages", each))
	until("all is delivered", func() bool { return len(servers.got) == 3*each })
}
