package gateway

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/wire"
	"spamcatcher/queue"
)

// Recipients of one outcome, but of different queues, get a copy each; and each
// copy needs SMTPUTF8 only for what is its own.
func TestLanes(t *testing.T) {
	b := start(t, Config{Domains: withDomains(t,
		domain.Config{Name: ".one.example", Destinations: []string{"192.0.2.1"}},
		domain.Config{Name: "bücher.example", Destinations: []string{"192.0.2.2"}},
		domain.Config{Name: "global.example", Lifetime: time.Hour})})
	c := b.dial()
	c.send("MAIL FROM:<a@example.org> SMTPUTF8", "250")
	for _, to := range []string{"a@one.example", "b@bücher.example", "c@else.example", "d@xn--bcher-kva.example", "e@deep.one.example", "f@global.example", "g@other.example"} {
		c.send("RCPT TO:<"+to+">", "250")
	}
	c.data(testMessage, "250")
	var got []string
	for _, d := range b.store.all() {
		got = append(got, fmt.Sprintf("%s %v %v", strings.Join(d.Recipients, " "), d.UTF8, d.Lifetime))
	}
	want := []string{"a@one.example e@deep.one.example false 0s", "b@bücher.example d@xn--bcher-kva.example true 0s", "c@else.example g@other.example false 0s", "f@global.example false 1h0m0s"}
	if !slices.Equal(got, want) {
		t.Errorf("drafts %q, want %q", got, want)
	}
}

// One message is not copied without bound; who has more customers to write to
// sends the rest later. RFC 5321 section 4.5.3.1.10
func TestManyLanes(t *testing.T) {
	var configs []domain.Config
	for i := range maxLanes + 5 {
		configs = append(configs, domain.Config{Name: fmt.Sprintf("d%d.example", i), Destinations: []string{"192.0.2.1"}})
	}
	q, err := queue.Open(queue.Config{Dir: t.TempDir(), MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	b := start(t, Config{Queue: q, Domains: withDomains(t, configs...), Report: true})
	c := b.dial()
	c.send("MAIL FROM:<a@example.org>", "250")
	for i := range maxLanes {
		c.send(fmt.Sprintf("RCPT TO:<a@d%d.example>", i), "250")
	}
	c.send(fmt.Sprintf("RCPT TO:<a@d%d.example>", maxLanes), "452 4.5.3")
	c.send("RCPT TO:<b@d7.example>", "250")
	c.data("Subject: "+strings.Repeat("x", 900)+"\r\n"+testMessage, "250 2.0.0")
	items := 0
	if err := q.List(t.Context(), queue.Filter{}, func(*queue.Item) bool { items++; return true }); err != nil || items != maxLanes {
		t.Errorf("%d items, %v", items, err)
	}
}

// The largest envelope that is taken is one that the queue can keep: as many
// recipients in as many queues as there may be, with addresses and all that is
// noted of the message as long as can be.
func TestLargestEnvelope(t *testing.T) {
	var configs []domain.Config
	settings := map[string]policy.Settings{}
	long := strings.Repeat(strings.Repeat("x", 58)+".", 3)
	for i := range maxLanes {
		name := fmt.Sprintf("%s%d.example", long, i)
		configs = append(configs, domain.Config{Name: name, Destinations: []string{"192.0.2.1"}})
		settings[name] = policy.Settings{Quarantine: above(t, float64(i)/2)}
	}
	var symbols []engine.Scored
	for i := range 200 {
		symbols = append(symbols, engine.Scored{Name: fmt.Sprintf("SYMBOL_%s_%d", strings.Repeat("X", 60), i), Share: 1})
	}
	q, err := queue.Open(queue.Config{Dir: t.TempDir(), MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	b := start(t, Config{Queue: q, Domains: withDomains(t, configs...), Policy: withPolicy(t, policy.Config{Domains: settings}),
		Judge: judge(func(context.Context, *engine.Mail) engine.Verdict { return engine.Verdict{Score: 70, Symbols: symbols} })})
	for _, local := range []string{"%02d" + strings.Repeat("u", 58), "%d"} {
		c := b.dial()
		c.send("MAIL FROM:<"+strings.Repeat("a", 60)+"@"+long+"example>", "250")
		taken := 0
		for i := range 3000 {
			if reply := c.send(fmt.Sprintf("RCPT TO:<"+local+"@%s%d.example>", i/maxLanes, long, i%maxLanes), ""); strings.HasPrefix(reply, "452 4.5.3") {
				break
			}
			taken++
		}
		if taken < 500 || taken > 900 {
			t.Errorf("%d recipients taken", taken)
		}
		field := strings.Repeat("y", 500)
		c.data("From: a@example.org "+field+"\r\nSubject: "+field+"\r\nDate: "+field+"\r\nMessage-ID: <"+field+"@x>\r\n\r\nText\r\n", "250 2.0.0")
	}
	recipients, items := 0, 0
	if err := q.List(t.Context(), queue.Filter{}, func(it *queue.Item) bool {
		items++
		recipients += len(it.Recipients)
		if it.Note["symbols"] != "" || it.Note["id"] == "" || it.Note["client"] == "" || it.Note["score"] == "" {
			t.Errorf("note %v", it.Note)
		}
		return true
	}); err != nil || items != 2*maxLanes || recipients < 1200 {
		t.Errorf("%d recipients in %d items, %v", recipients, items, err)
	}
}

// Notes of few copies are kept as they are, those of many lose what is needed
// least.
func TestShorten(t *testing.T) {
	for _, test := range []struct {
		copies, symbols, subject int
		want                     string
	}{
		{10, 2000, 200, "id score subject symbols"}, {100, 2000, 200, "id score subject"}, {700, 2000, 200, "id score"}, {700, 10, 10, "id score subject symbols"},
	} {
		var drafts []queue.Draft
		for range test.copies {
			drafts = append(drafts, queue.Draft{Note: map[string]string{"id": "x", "score": "1.0", "symbols": strings.Repeat("s", test.symbols), "subject": strings.Repeat("u", test.subject)}})
		}
		shorten(drafts)
		for _, d := range drafts {
			if got := strings.Join(slices.Sorted(maps.Keys(d.Note)), " "); got != test.want {
				t.Fatalf("%+v: %s", test, got)
			}
		}
	}
}

// Nor are large messages copied as often as small ones, whatever their size was
// said to be.
func TestLargeCopies(t *testing.T) {
	var configs []domain.Config
	for i := range 30 {
		configs = append(configs, domain.Config{Name: fmt.Sprintf("d%d.example", i), Destinations: []string{"192.0.2.1"}})
	}
	b := start(t, Config{Domains: withDomains(t, configs...), Wire: wire.Config{MaxMessageBytes: 300 << 20, Memory: 1 << 30}})
	c := b.dial()
	c.send("MAIL FROM:<a@example.org> SIZE=52428800", "250")
	for i := range 20 {
		c.send(fmt.Sprintf("RCPT TO:<a@d%d.example>", i), "250")
	}
	c.send("RCPT TO:<a@d20.example>", "452 4.5.3")
	c.send("RCPT TO:<b@d7.example>", "250")
	c.data(testMessage, "250")
	c.send("MAIL FROM:<a@example.org> SIZE=1000", "250")
	for i := range 30 {
		c.send(fmt.Sprintf("RCPT TO:<a@d%d.example>", i), "250")
	}
	line := strings.Repeat("x", 998) + "\r\n"
	c.data(testMessage+strings.Repeat(line, (maxCopied+maxCopied/2)/30/len(line)+1), "552 5.3.4 message too large for so many domains")
	if drafts := b.store.all(); len(drafts) != 20 {
		t.Errorf("%d drafts", len(drafts))
	}
	// One recipient can always be named.
	b = start(t, Config{Domains: withDomains(t, configs...), Wire: wire.Config{MaxMessageBytes: 2 << 30, Memory: 4 << 30}})
	c = b.dial()
	c.send("MAIL FROM:<a@example.org> SIZE=2000000000", "250")
	c.send("RCPT TO:<a@d0.example>", "250")
	c.send("RCPT TO:<a@d1.example>", "452 4.5.3")
}

// A flood of recipients costs the same for each of them.
func TestRecipientFlood(t *testing.T) {
	list, _ := domain.ParseRecipients("list", []byte("a"))
	asked := 0
	b := start(t, Config{
		Wire:    wire.Config{MaxJunk: -1, MaxRecipients: -1},
		Policy:  withPolicy(t, policy.Config{Relay: []string{"example.com", "list.example"}}),
		Domains: withDomains(t, domain.Config{Name: "example.com", Verify: "callout"}, domain.Config{Name: "list.example", Recipients: list}),
		Verify:  func(context.Context, string) error { asked++; return nil },
	})
	c := b.dial()
	c.send("MAIL FROM:<a@example.org>", "250")
	const flood = 20_000
	go func() {
		for i := range flood {
			fmt.Fprintf(c.conn, "RCPT TO:<u%d@list.example>\r\nRCPT TO:<u@d%d.example>\r\nRCPT TO:<u@example.com>\r\n", i, i)
		}
		io.WriteString(c.conn, "NOOP\r\n")
	}()
	count := map[string]int{}
	for range 3 * flood {
		count[c.read()]++
	}
	c.want("250 2.0.0 ok")
	if count["550 5.1.1 no such mailbox"] != flood || count["550 5.7.1 relay not permitted"] != flood || count["250 2.1.5 recipient ok"] != flood || asked != 1 {
		t.Errorf("replies %v, %d callouts", count, asked)
	}
}
