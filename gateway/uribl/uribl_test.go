package uribl_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/enginetest"
	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
	. "spamcatcher/gateway/uribl"
)

// zones of all kinds, one of them of clients, which the check must not ask.
var zones = []dnslist.Zone{
	{Name: "clients.example.net"},
	{Name: "multi.example.net", Label: "MULTI", Of: dnslist.Links | dnslist.LinkLiterals, Codes: []dnslist.Code{{Match: "&8", Meaning: "PHISH", Points: 3}, {Match: "&64", Meaning: "ABUSE", Points: 2}}},
	{Name: "names.example.net", Label: "NAMES", Of: dnslist.Links | dnslist.LinkHosts | dnslist.Senders, Codes: []dnslist.Code{{Match: "127.0.1.2", Meaning: "SPAM", Points: 4}, {Match: "127.0.1.100-127.0.1.110", Meaning: "ABUSED", Points: 1}}},
	{Name: "hosts.example.net", Label: "HOSTS", Of: dnslist.LinkAddresses},
	{Name: "off.example.net", Of: dnslist.Links | dnslist.Senders, Mode: "off"},
}

func newCheck(t *testing.T, r lookup.Resolver, zones ...dnslist.Zone) (*Check, *dnslist.Set) {
	t.Helper()
	set, err := dnslist.New(dnslist.Config{Resolver: r, Zones: zones})
	if err != nil {
		t.Fatal(err)
	}
	check, err := New(Config{Set: set, Resolver: r, Local: func(domain string) bool { return domain == "ours.example" }})
	if err != nil {
		t.Fatal(err)
	}
	return check, set
}

func inspect(t *testing.T, c *Check, m *engine.Mail) []engine.Hit {
	t.Helper()
	hits, err := c.Inspect(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

func TestCases(t *testing.T) {
	fake := lookuptest.Zone(t, "")
	check, _ := newCheck(t, fake, zones...)
	seen := map[string]bool{}
	enginetest.Run(t, "testdata/*.case", func(t *testing.T, m *engine.Mail) []string {
		if m.Answers == nil {
			m.Answers = engine.Replay(nil)
		}
		var names []string
		for _, h := range inspect(t, check, m) {
			names = append(names, h.Symbol)
			seen[h.Symbol] = true
		}
		return names
	})
	for _, s := range check.Symbols() {
		if !seen[s.Name] && s.Name != "LIST_OFF_EXAMPLE_NET" {
			t.Errorf("no case fires %s", s.Name)
		}
	}
	if asked := fake.Asked(); len(asked) > 0 {
		t.Errorf("a replay asked the network: %v", asked)
	}
}

// TestPlan: the symbols and prices make a plan, beside a check with those of
// the clients, and a listing of 5 points makes a score of 50.
func TestPlan(t *testing.T) {
	fake := lookuptest.Zone(t, "bad.example.five.example.net. A 127.0.0.2\n")
	check, _ := newCheck(t, fake, append(slices.Clone(zones), dnslist.Zone{Name: "five.example.net", Of: dnslist.Links, Points: 5})...)
	plan, err := engine.NewPlan(engine.PlanConfig{Checks: []engine.Check{check}, Prices: check.Prices()})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Symbols() {
		if s.Name == Unanswered && s.Share != 0 {
			t.Errorf("%s costs %v", s.Name, s.Share)
		}
		if s.Name == "LIST_CLIENTS_EXAMPLE_NET" {
			t.Error("a symbol of clients is declared here")
		}
	}
	e, err := engine.New(plan, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	v := e.Judge(t.Context(), enginetest.Mail(t, "Subject: x\n\nhttp://bad.example/"))
	if math.Abs(v.Score-50) > 1e-9 || len(v.Symbols) != 1 || v.Symbols[0].Detail != "bad.example" {
		t.Errorf("%+v", v)
	}
	for _, c := range []Config{{}, {Resolver: fake}, {Set: nil, Resolver: fake, MaxQueries: 1}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v: accepted", c)
		}
	}
}

// TestBudget: whatever a message holds, it causes at most so many questions,
// and the visible links have the first of them.
func TestBudget(t *testing.T) {
	var body strings.Builder
	body.WriteString("From: a@sender.example\nMIME-Version: 1.0\nContent-Type: text/html\n\n")
	for i := range 500 {
		fmt.Fprintf(&body, "<img src=http://img%d.pictures%d.example/x.png>", i, i)
	}
	for i := range 10_000 {
		fmt.Fprintf(&body, "<a href=http://www%d.site%d.example/>x</a> <a href=http://192.0.2.%d/>y</a>", i, i, i%250)
	}
	for _, max := range []int{1, 2, 7, 20, 60, 100_000} {
		fake := lookuptest.Zone(t, "*.example. A 198.51.100.7\nnames.example.net. A 198.51.100.1\nhosts.example.net. A 198.51.100.1\nmulti.example.net. A 198.51.100.1\n")
		r := manyAddresses{fake}
		set, err := dnslist.New(dnslist.Config{Resolver: r, Zones: zones})
		if err != nil {
			t.Fatal(err)
		}
		check, err := New(Config{Set: set, Resolver: r, MaxQueries: max})
		if err != nil {
			t.Fatal(err)
		}
		m := enginetest.Mail(t, body.String(), "from b@envelope.example", "helo helo.example")
		inspect(t, check, m)
		asked := fake.Asked()
		if len(asked) > max || len(asked) < min(max, 500)-2 || len(asked) > 3000 {
			t.Errorf("%d questions of %d", len(asked), max)
		}
		distinct := slices.Compact(slices.Sorted(slices.Values(asked)))
		if len(distinct) != len(asked) {
			t.Errorf("a question was asked twice: %v", asked)
		}
		for _, q := range asked {
			if strings.Contains(q, "pictures") && max <= 60 {
				t.Errorf("asked about a picture: %s", q)
			}
		}
		if max == 20 {
			for suffix, least := range map[string]int{"sender.example.names.example.net A": 1, "envelope.example.names.example.net A": 1, ".multi.example.net A": 4, ".names.example.net A": 7, ".hosts.example.net A": 3} {
				n := 0
				for _, q := range asked {
					if strings.HasSuffix(q, suffix) {
						n++
					}
				}
				if n < least {
					t.Errorf("%d questions about %s, want %d", n, suffix, least)
				}
			}
		}
	}
}

// TestManyAddresses: of a host with a hundred addresses 16 are looked at.
func TestManyAddresses(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "many.example. A 198.51.100.%d\n", 100+i)
	}
	fake := lookuptest.Zone(t, text.String()+"100.100.51.198.hosts.example.net. A 127.0.0.2\n")
	set, err := dnslist.New(dnslist.Config{Resolver: fake, Zones: []dnslist.Zone{{Name: "hosts.example.net", Of: dnslist.LinkAddresses}}})
	if err != nil {
		t.Fatal(err)
	}
	check, err := New(Config{Set: set, Resolver: fake, MaxQueries: 90})
	if err != nil {
		t.Fatal(err)
	}
	m := enginetest.Mail(t, "Subject: x\n\nhttp://many.example/")
	m.Answers = &engine.Answers{}
	hits := inspect(t, check, m)
	if n := len(fake.Asked()); n != 17 || len(hits) != 1 {
		t.Errorf("%d questions, %v", n, hits)
	}
	if kept := m.Answers.All()["address many.example"]; len(strings.Fields(kept)) != 16 {
		t.Errorf("kept %q", kept)
	}
}

// manyAddresses gives each www host five addresses, some of which links name,
// and other hosts have, too.
type manyAddresses struct{ *lookuptest.Fake }

func (m manyAddresses) Query(ctx context.Context, name string, kind lookup.Kind) (lookup.Answer, error) {
	answer, err := m.Fake.Query(ctx, name, kind)
	var n int
	if _, found := fmt.Sscanf(name, "www%d.", &n); found == nil && !strings.HasSuffix(name, ".net") {
		answer.Records = nil
		for k := range 5 {
			answer.Records = append(answer.Records, lookup.Record{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte((3*n + k) % 250)})})
		}
	}
	return answer, err
}

// TestDecoys: who puts harmless links in front cannot know which are asked
// about.
func TestDecoys(t *testing.T) {
	fake := lookuptest.Zone(t, "bad.example.multi.example.net. A 127.0.0.8\n")
	check, _ := newCheck(t, fake, dnslist.Zone{Name: "multi.example.net", Label: "MULTI", Of: dnslist.Links})
	var body strings.Builder
	for i := range 40 {
		fmt.Fprintf(&body, "http://harmless%d.example/ ", i)
	}
	body.WriteString("http://bad.example/")
	found := 0
	for second := range 300 {
		at := time.Date(2026, 3, 10, 9, 30, second, 0, time.UTC).Format(time.RFC3339)
		m := enginetest.Mail(t, "Subject: x\n\n"+body.String(), "time "+at)
		hits := inspect(t, check, m)
		if fmt.Sprint(hits) != fmt.Sprint(inspect(t, check, m)) {
			t.Fatal("another draw for the same mail")
		}
		found += len(hits)
	}
	if found < 100 || found > 200 { // 20 of 41
		t.Errorf("found in %d of 300 messages", found)
	}
}

// TestImportance: a host has the rank of its best link, and a suspended zone
// costs no question.
func TestImportance(t *testing.T) {
	fake := lookuptest.Zone(t, "2.0.0.127.multi.example.net. A 127.255.255.255\ntest.names.example.net. A 127.0.1.2\n2.0.0.127.hosts.example.net. A 127.0.0.2\nb.example.names.example.net. A 127.0.1.2\n")
	set, err := dnslist.New(dnslist.Config{Resolver: fake, Zones: zones})
	if err != nil {
		t.Fatal(err)
	}
	set.Test(t.Context())
	check, err := New(Config{Set: set, Resolver: fake, MaxQueries: 2})
	if err != nil {
		t.Fatal(err)
	}
	before := len(fake.Asked())
	m := enginetest.Mail(t, `Subject: x
MIME-Version: 1.0
Content-Type: text/html

<img src="http://a.example/x.png"><img src="http://b.example/x.png"><a href="http://c.example/">c</a><a href="http://b.example/">b</a>`)
	m.Answers = &engine.Answers{}
	first := fmt.Sprint(inspect(t, check, m))
	asked := slices.Sorted(slices.Values(fake.Asked()[before:]))
	if !slices.Equal(asked, []string{"b.example.names.example.net A", "c.example.names.example.net A"}) {
		t.Errorf("asked %v", asked)
	}
	set, err = dnslist.New(dnslist.Config{Resolver: fake, Zones: zones}) // nothing is suspended any more
	if err != nil {
		t.Fatal(err)
	}
	if check, err = New(Config{Set: set, Resolver: fake, MaxQueries: 2}); err != nil {
		t.Fatal(err)
	}
	m.Answers = engine.Replay(m.Answers.All())
	if again := fmt.Sprint(inspect(t, check, m)); again != first || !strings.Contains(first, "LIST_NAMES_SPAM b.example") {
		t.Errorf("first  %s\nreplay %s", first, again)
	}
}

// TestStarved: names that nobody minds, which the sender may take for himself or
// link to, do not use up the questions that the one that matters needs.
func TestStarved(t *testing.T) {
	fake := lookuptest.Zone(t, "bad.example.dbl.example.net. A 127.0.1.2\nbad.example.surbl.example.net. A 127.0.0.8\nbad.example.uribl.example.net. A 127.0.0.8\n")
	set, err := dnslist.New(dnslist.Config{Resolver: fake, Zones: []dnslist.Zone{
		{Name: "sbl.example.net", Of: dnslist.LinkAddresses},
		{Name: "dbl.example.net", Label: "DBL", Of: dnslist.Links | dnslist.LinkHosts | dnslist.Senders},
		{Name: "surbl.example.net", Label: "SURBL", Of: dnslist.Links | dnslist.LinkLiterals},
		{Name: "uribl.example.net", Label: "URIBL", Of: dnslist.Links},
		{Name: "rhs.example.net", Label: "RHS", Of: dnslist.Senders},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, max := range []int{16, 20} {
		check, err := New(Config{Set: set, Resolver: fake, MaxQueries: max})
		if err != nil {
			t.Fatal(err)
		}
		for _, where := range []string{"http://bad.example/ http://d1.web.app/ http://d2.pages.dev/", "http://d1.web.app/ http://d2.pages.dev/ http://bad.example/"} {
			m := enginetest.Mail(t, "From: a@q1.github.io\nFrom: b@q2.pages.dev\nSubject: x\n\n"+where)
			m.Envelope.From, m.Session.Hello, m.Session.PTR = "a@q3.netlify.app", "q4.blogspot.com", "q5.herokuapp.com"
			before := len(fake.Asked())
			if got := fmt.Sprint(inspect(t, check, m)); got != "[{LIST_DBL bad.example 0} {LIST_SURBL bad.example 0} {LIST_URIBL bad.example 0}]" {
				t.Errorf("%d questions: %s: %s\nasked %q", max, where, got, fake.Asked()[before:])
			}
			if n := len(fake.Asked()) - before; n > max {
				t.Errorf("%d questions asked, not %d", n, max)
			}
		}
	}
	// Without links the sender has all questions.
	check, err := New(Config{Set: set, Resolver: fake, MaxQueries: 8})
	if err != nil {
		t.Fatal(err)
	}
	m := enginetest.Mail(t, "From: a@q1.example\nSubject: x\n\nhello")
	m.Envelope.From, m.Session.Hello, m.Session.PTR = "a@q3.example", "q4.example", "bad.example"
	if got := fmt.Sprint(inspect(t, check, m)); got != "[{LIST_DBL bad.example 0}]" {
		t.Errorf("without links: %s", got)
	}
}

// TestPanic: a panic is an error of one question.
func TestPanic(t *testing.T) {
	check, _ := newCheck(t, panics{}, zones...)
	m := enginetest.Mail(t, fourLinks)
	if got := fmt.Sprint(inspect(t, check, m)); got != "[{LIST_UNANSWERED multi.example.net, names.example.net, hosts.example.net 0}]" {
		t.Errorf("got %s", got)
	}
}

type panics struct{}

func (panics) Query(context.Context, string, lookup.Kind) (lookup.Answer, error) { panic("test") }

// A shuffled resolver answers after delays that are drawn anew each time.
type shuffled struct{ lookup.Resolver }

func (s shuffled) Query(ctx context.Context, name string, kind lookup.Kind) (lookup.Answer, error) {
	time.Sleep(rand.N(900 * time.Millisecond))
	return s.Resolver.Query(ctx, name, kind)
}

const listed = `
	a.example.multi.example.net. A 127.0.0.8
	b.example.multi.example.net. A 127.0.0.72
	c.example.multi.example.net. A 127.0.0.8
	d.example.multi.example.net. A 127.0.0.8
	b.example.names.example.net. A 127.0.1.2
	c.example.names.example.net. A 127.0.1.104
	d.example.names.example.net. SERVFAIL
	e.example.multi.example.net. A 127.0.0.64
	a.example. A 198.51.100.9
	a.example. A 198.51.100.7
	b.example. A 198.51.100.8
	7.100.51.198.hosts.example.net. A 127.0.0.2
	8.100.51.198.hosts.example.net. A 127.0.0.2
`

const fourLinks = "From: x@b.example\nSubject: x\n\nhttp://a.example/ http://b.example/ http://c.example/ http://d.example/ http://e.example/"

// TestOrder: the order in which answers come changes nothing, not a byte, and
// neither does judging again from the answers that were kept, after the zones
// have changed their minds and states.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := "[{LIST_MULTI_PHISH a.example, b.example, c.example and 1 more 0} {LIST_MULTI_ABUSE b.example, e.example 0} {LIST_NAMES_SPAM b.example 0} {LIST_NAMES_ABUSED c.example 0} {LIST_HOSTS 198.51.100.7, 198.51.100.8 0} {LIST_UNANSWERED names.example.net 0}]"
		for range 50 {
			fake := lookuptest.Zone(t, listed)
			check, _ := newCheck(t, shuffled{fake}, zones...)
			m := enginetest.Mail(t, fourLinks)
			m.Answers = &engine.Answers{}
			if got := fmt.Sprint(inspect(t, check, m)); got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
			// The world later: all zones list everything, one is suspended.
			later := lookuptest.Zone(t, "*.multi.example.net. A 127.0.0.72\n*.names.example.net. A 127.255.255.254\n*.hosts.example.net. A 127.0.0.2\n2.0.0.127.hosts.example.net. A 127.0.0.2\n")
			again, set := newCheck(t, later, zones...)
			set.Test(t.Context())
			asked := len(later.Asked())
			replay := enginetest.Mail(t, fourLinks)
			replay.Answers = engine.Replay(m.Answers.All())
			if got := fmt.Sprint(inspect(t, again, replay)); got != want {
				t.Fatalf("replay: got  %s\nwant %s", got, want)
			}
			if n := len(later.Asked()); n != asked {
				t.Fatalf("the replay asked %v", later.Asked()[asked:])
			}
		}
	})
}

// TestReplayOfSuspension: what was suspended then is so in the replay, though it
// is well now.
func TestReplayOfSuspension(t *testing.T) {
	fake := lookuptest.Zone(t, listed+"test.names.example.net. A 127.0.1.2\n2.0.0.127.hosts.example.net. A 127.0.0.2\n")
	check, set := newCheck(t, fake, zones...)
	set.Test(t.Context()) // multi.example.net has no test entry
	m := enginetest.Mail(t, fourLinks+" http://[2001:db8::7]/")
	m.Answers = &engine.Answers{}
	first := fmt.Sprint(inspect(t, check, m))
	if strings.Contains(first, "MULTI") || !strings.Contains(first, "{LIST_UNANSWERED multi.example.net, names.example.net 0}") {
		t.Errorf("a suspended zone was asked: %s", first)
	}
	for _, q := range fake.Asked() {
		if strings.Contains(q, "8.b.d.0.1.0.0.2.hosts") {
			t.Errorf("a zone without IPv6 was asked: %s", q)
		}
	}
	again, _ := newCheck(t, lookuptest.Zone(t, ""), zones...)
	replay := enginetest.Mail(t, fourLinks+" http://[2001:db8::7]/")
	replay.Answers = engine.Replay(m.Answers.All())
	if second := fmt.Sprint(inspect(t, again, replay)); second != first {
		t.Errorf("first  %s\nreplay %s", first, second)
	}
}

// TestTime: silent zones cost their time once, side by side, never the verdict.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := lookuptest.Zone(t, "*.names.example.net. SILENT\n*.hosts.example.net. SILENT\n"+strings.NewReplacer(".names.", ".none.", ".hosts.", ".none.").Replace(listed))
		check, _ := newCheck(t, fake, zones...)
		start := time.Now()
		hits := fmt.Sprint(inspect(t, check, enginetest.Mail(t, fourLinks)))
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		if !strings.Contains(hits, "LIST_MULTI_PHISH") || !strings.Contains(hits, "{LIST_UNANSWERED names.example.net, hosts.example.net 0}") {
			t.Error(hits)
		}

		plan, err := engine.NewPlan(engine.PlanConfig{Checks: []engine.Check{check}, Prices: check.Prices()})
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.New(plan, engine.Config{Timeout: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		start = time.Now()
		v := e.Judge(t.Context(), enginetest.Mail(t, fourLinks))
		if took := time.Since(start); took > time.Second || v.TimedOut {
			t.Errorf("took %v of a second, timed out: %t", took, v.TimedOut)
		}
		if !slices.ContainsFunc(v.Symbols, func(s engine.Scored) bool { return s.Name == "LIST_MULTI_PHISH" }) {
			t.Errorf("what was known in time is lost: %+v", v)
		}
	})
}
