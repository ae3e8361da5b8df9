package gateway

import (
	"io"
	"slices"
	"strings"
	"testing"

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
