package dnslist_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
)

const (
	six2 = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"
	six1 = "1.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"
)

// TestSelfTest: how a test ends for every kind of list that is none.
func TestSelfTest(t *testing.T) {
	for _, c := range []struct {
		about string
		of    Of
		test  string // Zone.Test
		zone  string // of bl.example.net
		want  string
	}{
		{"a list of addresses", Clients, "", "2.0.0.127 A 127.0.0.2", "good"},
		{"a list of both families", Clients, "", "2.0.0.127 A 127.0.0.2\n" + six2 + " A 127.0.0.2", "good, IPv6"},
		{"whose IPv6 lists the world", Clients, "", "2.0.0.127 A 127.0.0.2\n" + six2 + " A 127.0.0.2\n" + six1 + " A 127.0.0.2", "good"},
		{"whose IPv6 cannot be asked", Clients, "", "2.0.0.127 A 127.0.0.2\n" + six2 + " SERVFAIL", "good, IPv6"},
		{"a list of names", Links, "", "test A 127.0.0.2", "good"},
		{"a list of names with the other entry", Links, "", "2.0.0.127 A 127.0.0.2", "good"},
		{"a list of names that answers addresses with an error", Senders, "", "test A 127.0.1.2\n2.0.0.127 A 127.255.255.1\n1.0.0.127 A 127.255.255.1", "good"},
		{"a list of both", Links | LinkLiterals, "", "2.0.0.127 A 127.0.0.254", "good"},
		{"an entry of its own", Links, "listed.example.org", "listed.example.org A 127.0.1.2", "good"},
		{"an address of its own", Clients, "192.0.2.200", "200.2.0.192 A 127.0.0.2", "good"},
		{"an entry of its own that is gone", Links, "listed.example.org", "test A 127.0.1.2", "suspended: does not list listed.example.org: it is closed, or does not answer us"},
		{"lists the world", Clients, "", "* A 127.0.0.2", "suspended: lists 127.0.0.1, which no list does"},
		{"lists all names", Links, "", "* A 127.0.0.2", "suspended: lists invalid, which no list does"},
		{"lists nobody", Clients, "", "x A 127.0.0.2", "suspended: does not list 127.0.0.2: it is closed, or does not answer us"},
		{"lists no name", Links, "", "x A 127.0.0.2", "suspended: does not list test or 127.0.0.2: it is closed, or does not answer us"},
		{"a public resolver", Clients, "", "* A 127.255.255.254", "suspended: about 127.0.0.1 answers 127.255.255.254, an error code: it was asked through a public resolver"},
		{"an error for the test entry alone", Clients, "", "2.0.0.127 A 127.255.255.252", "suspended: about 127.0.0.2 answers 127.255.255.252, an error code: the zone's name is mistyped"},
		{"too many queries", Clients, "", "2.0.0.127 A 127.255.255.255", "suspended: about 127.0.0.2 answers 127.255.255.255, an error code: too many queries"},
		{"refuses by 127.0.0.1", Links, "", "* A 127.0.0.1", "suspended: about invalid answers 127.0.0.1, which must never mean a listing: the list refuses us, or there is none"},
		{"a parked domain", Clients, "", "* A 203.0.113.7", "suspended: about 127.0.0.1 answers 203.0.113.7, outside 127.0.0.0/8: no list's answer"},
		{"no answer", Clients, "", "* SERVFAIL", "untested: asking 2.0.0.127.bl.example.net: server failure"},
		{"listed, the rest unknown", Clients, "", "2.0.0.127 A 127.0.0.2\n1.0.0.127 SERVFAIL", "untested: asking 1.0.0.127.bl.example.net: server failure"},
		{"not listed, the rest unknown", Clients, "", "2.0.0.127 SERVFAIL", "untested: asking 2.0.0.127.bl.example.net: server failure"},
		{"lists what none does, the rest unknown", Clients, "", "2.0.0.127 SERVFAIL\n1.0.0.127 A 127.0.0.2", "suspended: lists 127.0.0.1, which no list does"},
	} {
		t.Run(c.about, func(t *testing.T) {
			var zone strings.Builder
			for line := range strings.SplitSeq(c.zone, "\n") {
				name, rest, _ := strings.Cut(line, " ")
				fmt.Fprintf(&zone, "%s.bl.example.net. %s\n", name, rest)
			}
			s := newSet(t, lookuptest.Zone(t, zone.String()), Zone{Name: "bl.example.net", Of: c.of, Test: c.test})
			st := s.Test(t.Context())[0]
			got := "good"
			if st.Suspended {
				got = "suspended: " + st.Reason
			} else if st.Untested {
				got = "untested: " + st.Reason
			}
			if got == "good" && st.IPv6 {
				got += ", IPv6"
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if st.Tested.IsZero() {
				t.Error("no time of the test")
			}
		})
	}
}

// A stage is a resolver that can be exchanged while it is used.
type stage struct {
	atomic.Pointer[lookuptest.Fake]
	asked atomic.Int64
}

func (s *stage) Query(ctx context.Context, name string, kind lookup.Kind) (lookup.Answer, error) {
	s.asked.Add(1)
	return s.Load().Query(ctx, name, kind)
}

func (s *stage) play(t *testing.T, zone string) { s.Store(lookuptest.Zone(t, zone)) }

const (
	alive = "2.0.0.127.bl.example.net. A 127.0.0.2\n9.2.0.192.bl.example.net. A 127.0.0.2\n"
	world = "*.bl.example.net. A 127.0.0.2\n"
	mute  = "*.bl.example.net. SILENT\n"
)

func (s *stage) refuses(t *testing.T, set *Set) string {
	t.Helper()
	f := set.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.9"))
	switch {
	case len(f.Listings) == 0 && len(f.Unanswered) > 0:
		return "unanswered"
	case len(f.Listings) == 0:
		return "nothing"
	case f.Listings[0].Refuses():
		return "refuses"
	}
	return "scores"
}

// TestRun: a zone's life hour by hour.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r stage
		r.play(t, alive)
		set := newSet(t, &r, Zone{Name: "bl.example.net"})
		is := func(want, about string) {
			t.Helper()
			if got := r.refuses(t, set); got != want {
				t.Errorf("%s: %s, want %s (%+v)", about, got, want, set.States()[0])
			}
		}
		is("scores", "before the first test")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { set.Run(ctx); close(ended) }()
		synctest.Wait()
		is("refuses", "after the first test")
		if st := set.States()[0]; st.Untested || st.Suspended || !st.Tested.Equal(time.Now()) {
			t.Errorf("%+v", st)
		}

		r.play(t, world)
		time.Sleep(59 * time.Minute)
		is("refuses", "nobody has noticed yet that it lists the world")
		time.Sleep(2 * time.Minute)
		is("nothing", "it lists the world")
		r.play(t, alive)
		is("nothing", "good again, but not tested")
		time.Sleep(time.Hour)
		is("refuses", "good again")

		r.play(t, mute)
		time.Sleep(59*time.Minute + 10*time.Second)
		if st := set.States()[0]; !st.Untested || st.Suspended {
			t.Errorf("after one silent test: %+v", st)
		}
		is("unanswered", "one silent test")
		r.play(t, "9.2.0.192.bl.example.net. A 127.0.0.2\n"+"2.0.0.127.bl.example.net. SILENT\n")
		is("scores", "one silent test; mail is answered")
		time.Sleep(2 * time.Minute)
		is("nothing", "three silent tests")
		if st := set.States()[0]; st.Untested || !strings.Contains(st.Reason, "3 self-tests in a row") {
			t.Errorf("after three silent tests: %+v", st)
		}
		time.Sleep(10 * time.Hour)
		before := r.asked.Load()
		time.Sleep(time.Minute)
		if n := r.asked.Load() - before; n > 2*4 {
			t.Errorf("%d questions a minute to a dead zone", n)
		}
		r.play(t, alive)
		time.Sleep(40 * time.Second)
		is("refuses", "soon after it answers again")

		cancel()
		<-ended
	})
}

// TestErrorInMail: an error code in an answer to mail suspends till the next
// test.
func TestErrorInMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r stage
		r.play(t, alive)
		set := newSet(t, &r, Zone{Name: "bl.example.net"})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go set.Run(ctx)
		synctest.Wait()
		r.play(t, "9.2.0.192.bl.example.net. A 127.255.255.255\n2.0.0.127.bl.example.net. A 127.0.0.2")
		if got := r.refuses(t, set); got != "unanswered" {
			t.Errorf("an error code: %s", got)
		}
		r.play(t, alive)
		if got := r.refuses(t, set); got != "nothing" {
			t.Errorf("after an error code: %s", got)
		}
		time.Sleep(time.Hour + time.Second)
		if got := r.refuses(t, set); got != "refuses" {
			t.Errorf("after the next test: %s", got)
		}
	})
}

// TestErrorAboutName: whoever sends mail chooses the names that lists are asked
// about, and takes no list out of use by one that is a host of the list's own. The
// list is tested at once instead.
func TestErrorAboutName(t *testing.T) {
	const good = "2.0.0.127.dbl.example.net. A 127.0.1.2\nbad.example.dbl.example.net. A 127.0.1.2\nns.dns.dbl.example.net. A 192.0.2.53\n"
	synctest.Test(t, func(t *testing.T) {
		var r stage
		r.play(t, good)
		set := newSet(t, &r, Zone{Name: "dbl.example.net", Of: Links | Senders})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go set.Run(ctx)
		synctest.Wait()
		ask := func(name string) string {
			f := set.Domain(t.Context(), Senders, name)
			synctest.Wait()
			return fmt.Sprint(len(f.Listings), len(f.Unanswered))
		}
		time.Sleep(time.Minute)
		before := r.asked.Load()
		for range 100 {
			if got := ask("ns.dns"); got != "0 1" {
				t.Errorf("a host of the list's own: %s", got)
			}
		}
		if n := r.asked.Load() - before - 100; n == 0 || n > 5 {
			t.Errorf("%d questions to test the zone", n)
		}
		if st := set.States()[0]; st.Suspended || st.Untested || !st.Tested.Equal(time.Now()) {
			t.Errorf("%+v", st)
		}
		if got := ask("bad.example"); got != "1 0" {
			t.Errorf("after that: %s", got)
		}

		r.play(t, "*.dbl.example.net. A 203.0.113.80\n")
		ask("bad.example")
		if st := set.States()[0]; st.Suspended {
			t.Errorf("tested too soon after a test: %+v", st)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if st := set.States()[0]; !st.Suspended {
			t.Errorf("it is somebody else's, but: %+v", st)
		}

		r.play(t, good)
		time.Sleep(2 * time.Hour)
		r.play(t, "*.dbl.example.net. A 127.255.255.254\n")
		ask("bad.example")
		if st := set.States()[0]; !st.Suspended {
			t.Errorf("it refuses us, but: %+v", st)
		}
	})
}

// TestFresh: a test asks the zone, not what is remembered of it.
func TestFresh(t *testing.T) {
	remembers, fresh := lookuptest.Zone(t, alive), lookuptest.Zone(t, "*.bl.example.net. SERVFAIL")
	set, err := New(Config{Resolver: remembers, Fresh: fresh, Zones: []Zone{{Name: "bl.example.net"}}})
	if err != nil {
		t.Fatal(err)
	}
	if st := set.Test(t.Context())[0]; !st.Untested || len(remembers.Asked()) > 0 {
		t.Errorf("%+v, asked %q", st, remembers.Asked())
	}
}

// TestPanic: a panic is an error of one question.
func TestPanic(t *testing.T) {
	set := newSet(t, panics{}, Zone{Name: "bl.example.net"}, Zone{Name: "dbl.example.net", Of: Links})
	if f := set.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.9")); len(f.Unanswered) != 1 {
		t.Errorf("%+v", f)
	}
	if st := set.Test(t.Context())[1]; !st.Untested || !strings.Contains(st.Reason, "panic: test") {
		t.Errorf("%+v", st)
	}
}

type panics struct{}

func (panics) Query(context.Context, string, lookup.Kind) (lookup.Answer, error) { panic("test") }

// TestReload: the set that takes another's place knows what that one knew, and
// tests only what is new.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r stage
		r.play(t, alive+"*.world.example.net. A 127.0.0.2\n2.0.0.127.new.example.net. A 127.0.0.2\n")
		old := newSet(t, &r, Zone{Name: "world.example.net"}, Zone{Name: "bl.example.net"})
		old.Test(t.Context())
		set, err := New(Config{Resolver: &r, Previous: old, Zones: []Zone{{Name: "bl.example.net", Label: "OTHER"}, {Name: "new.example.net"}, {Name: "world.example.net", Of: Links}, {Name: "world.example.net", Label: "W", Points: 3}}})
		if err != nil {
			t.Fatal(err)
		}
		states := func() string {
			var list []string
			for _, st := range set.States() {
				list = append(list, fmt.Sprintf("%s %t %t", st.Label, st.Suspended, st.Untested))
			}
			return strings.Join(list, ", ")
		}
		want := "OTHER false false, NEW_EXAMPLE_NET false true, WORLD_EXAMPLE_NET false true, W true false"
		if got := states(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		before := r.Load().Asked()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go set.Run(ctx)
		synctest.Wait()
		if got, want := states(), "OTHER false false, NEW_EXAMPLE_NET false false, WORLD_EXAMPLE_NET true false, W true false"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		for _, q := range r.Load().Asked()[len(before):] {
			if strings.Contains(q, ".bl.example.net") {
				t.Errorf("tested again at once: %s", q)
			}
		}
	})
}

// TestGoodSenders: nobody is refused because a list praises him.
func TestGoodSenders(t *testing.T) {
	fake := lookuptest.Zone(t, alive)
	set := newSet(t, fake, Zone{Name: "bl.example.net", Points: -2})
	if st := set.Test(t.Context())[0]; st.Untested || st.Suspended {
		t.Fatalf("%+v", st)
	}
	f := set.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.9"))
	if len(f.Listings) != 1 || f.Listings[0].Refuses() || f.Listings[0].Zone.Mode != "score" {
		t.Errorf("%+v", f)
	}
}

// TestIPv4OnlyZone is not asked about IPv6 once that is known.
func TestIPv4OnlyZone(t *testing.T) {
	fake := lookuptest.Zone(t, alive)
	set := newSet(t, fake, Zone{Name: "bl.example.net"})
	set.Test(t.Context())
	n := len(fake.Asked())
	if f := set.Address(t.Context(), Clients, netip.MustParseAddr("2001:db8::9")); len(f.Listings)+len(f.Unanswered) > 0 {
		t.Errorf("%+v", f)
	}
	if asked := fake.Asked()[n:]; len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
	if f := set.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.9")); !slices.Equal(symbols(f), []string{"LIST_BL_EXAMPLE_NET"}) || !f.Listings[0].Refuses() {
		t.Errorf("%+v", f)
	}
}
