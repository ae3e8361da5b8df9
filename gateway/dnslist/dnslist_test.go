package dnslist_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
)

func newSet(t *testing.T, r lookup.Resolver, zones ...Zone) *Set {
	t.Helper()
	s, err := New(Config{Resolver: r, Zones: zones})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// symbols of all listings, in their order.
func symbols(f Findings) []string {
	var list []string
	for _, l := range f.Listings {
		list = append(list, l.Symbols...)
	}
	return list
}

func TestCodes(t *testing.T) {
	for _, c := range []struct {
		match string
		yes   []string
		no    []string
	}{
		{"127.0.0.2", []string{"127.0.0.2"}, []string{"127.0.0.3", "127.0.1.2", "127.1.0.2"}},
		{"127.0.0.4-127.0.0.7", []string{"127.0.0.4", "127.0.0.7"}, []string{"127.0.0.3", "127.0.0.8", "127.0.1.5"}},
		{"127.0.0.250-127.0.1.3", []string{"127.0.0.250", "127.0.1.0", "127.0.1.3"}, []string{"127.0.0.249", "127.0.1.4"}},
		{"127.0.1.0/24", []string{"127.0.1.0", "127.0.1.255"}, []string{"127.0.0.255", "127.0.2.0"}},
		{"127.0.0.8/30", []string{"127.0.0.8", "127.0.0.11"}, []string{"127.0.0.7", "127.0.0.12"}},
		{"127.0.0.0/8", []string{"127.0.0.2", "127.254.255.255", "127.255.254.255"}, []string{"127.255.255.3", "126.0.0.1", "128.0.0.2", "::2"}},
		{"127.0.*.3", []string{"127.0.0.3", "127.0.255.3"}, []string{"127.0.5.2", "127.1.5.3"}},
		{"127.0.2-15.1", []string{"127.0.2.1", "127.0.15.1"}, []string{"127.0.1.1", "127.0.16.1", "127.0.9.2"}},
		{"&4", []string{"127.0.0.4", "127.0.0.6", "127.0.0.255", "127.9.9.12"}, []string{"127.0.0.3", "127.0.0.8"}},
		{"&6", []string{"127.0.0.6", "127.0.0.14"}, []string{"127.0.0.2", "127.0.0.4"}},
	} {
		s := newSet(t, lookuptest.Zone(t, ""), Zone{Name: "bl.example.net", Codes: []Code{{Match: c.match}}})
		z := s.Zones(Clients)[0]
		for _, a := range c.yes {
			if _, ok := s.Read(z, "x", []netip.Addr{netip.MustParseAddr(a)}); !ok {
				t.Errorf("%s does not match %s", c.match, a)
			}
		}
		for _, a := range c.no {
			if _, ok := s.Read(z, "x", []netip.Addr{netip.MustParseAddr(a)}); ok {
				t.Errorf("%s matches %s", c.match, a)
			}
		}
	}
}

// TestNewRefuses what makes no sense.
func TestNewRefuses(t *testing.T) {
	good := Zone{Name: "bl.example.net"}
	for what, zones := range map[string][]Zone{
		"no name":              {{}},
		"an odd name":          {{Name: "bl example.net"}},
		"a long name":          {{Name: strings.Repeat("a.", 90) + "net"}},
		"an odd label":         {{Name: "bl.example.net", Label: "zen"}},
		"one label twice":      {good, {Name: "other.example.net", Label: "BL_EXAMPLE_NET"}},
		"a symbol of two":      {{Name: "a.example.net", Label: "A", Codes: []Code{{Match: "127.0.0.2", Meaning: "B_C"}}}, {Name: "b.example.net", Label: "A_B", Codes: []Code{{Match: "127.0.0.2", Meaning: "C"}}}},
		"clients and links":    {{Name: "bl.example.net", Of: Clients | Links}},
		"an unknown mode":      {{Name: "bl.example.net", Mode: "refuse"}},
		"refusing the good":    {{Name: "wl.example.net", Points: -3, Mode: "enforce"}},
		"a symbol, two prices": {{Name: "bl.example.net", Codes: []Code{{Match: "127.0.0.2", Points: 1}, {Match: "127.0.0.3", Points: 2}}}},
		"points without end":   {{Name: "bl.example.net", Points: math.Inf(1)}},
		"an odd test":          {{Name: "bl.example.net", Test: "a b"}},
		"a response in lines":  {{Name: "bl.example.net", Response: "go\r\n250 away"}},
		"a low meaning":        {{Name: "bl.example.net", Codes: []Code{{Match: "127.0.0.2", Meaning: "x"}}}},
	} {
		if _, err := New(Config{Resolver: lookup.System{}, Zones: zones}); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	for _, match := range []string{"", "127", "127.0.0", "127.0.0.256", "127.0.0.02", "10.0.0.1", "126.0.0.1-127.0.0.1", "127.0.0.5-127.0.0.4", "0.0.0.0/0", "127.0.0.0/7", "*.0.0.1", "127.0.5-3.1", "&0", "&256", "&", "&x", "::1", "127.0.0.2/33", "127.0.0.-3"} {
		if _, err := New(Config{Resolver: lookup.System{}, Zones: []Zone{{Name: "bl.example.net", Codes: []Code{{Match: match}}}}}); err == nil {
			t.Errorf("code %q: accepted", match)
		}
	}
	if _, err := New(Config{Zones: []Zone{good}}); err == nil {
		t.Error("no resolver: accepted")
	}
	if _, err := New(Config{Resolver: lookup.System{}, Zones: []Zone{good}}); err != nil {
		t.Error(err)
	}
}

const three = `
	2.0.0.127.a.example.net. A 127.0.0.2
	9.2.0.192.a.example.net. A 127.0.0.4
	9.2.0.192.a.example.net. A 127.0.0.2
	9.2.0.192.a.example.net. A 127.0.0.99
	9.2.0.192.a.example.net. TXT "192.0.2.9 sends spam, see https://a.example.net/192.0.2.9"
	1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.a.example.net. A 127.0.0.2
	2.0.0.127.b.example.net. A 127.0.0.2
	9.2.0.192.b.example.net. A 127.0.0.24
	bad.example.org.c.example.net. A 127.0.1.4
	test.c.example.net. A 127.0.1.2
`

// TestListings: which zones list an entry and what they mean, in the order of
// zones whatever the order of answers.
func TestListings(t *testing.T) {
	zones := []Zone{
		{Name: "a.example.net", Label: "A", Codes: []Code{{Match: "127.0.0.2", Meaning: "SPAM", Points: 3}, {Match: "127.0.0.4-127.0.0.7", Meaning: "BOT", Points: 1}, {Match: "127.0.0.0/24", Meaning: "OTHER", Points: 0.5}, {Match: "127.0.0.4", Meaning: "NEVER"}}},
		{Name: "b.example.net.", Codes: []Code{{Match: "&8", Meaning: "EIGHT"}, {Match: "&4", Meaning: "FOUR"}, {Match: "&16"}}},
		{Name: "C.example.net", Of: Links | Senders},
		{Name: "off.example.net", Mode: "off"},
	}
	fake := lookuptest.Zone(t, three)
	s := newSet(t, fake, zones...)
	f := s.Address(t.Context(), Clients, netip.MustParseAddr("::ffff:192.0.2.9"))
	want := []string{"LIST_A_SPAM", "LIST_A_BOT", "LIST_A_OTHER", "LIST_B_EXAMPLE_NET_EIGHT", "LIST_B_EXAMPLE_NET"}
	if got := symbols(f); !slices.Equal(got, want) || len(f.Unanswered) > 0 {
		t.Errorf("found %v, unanswered %v; want %v", got, f.Unanswered, want)
	}
	if l := f.Listings[0]; l.Points != 4.5 || l.Detail != "192.0.2.9" || l.Zone.Name != "a.example.net" || fmt.Sprint(l.Codes) != "[127.0.0.2 127.0.0.4 127.0.0.99]" {
		t.Errorf("%+v", l)
	}
	if l := f.Listings[1]; l.Points != 2*DefaultPoints {
		t.Errorf("%v points for two codes without their own", l.Points)
	}
	if f := s.Address(t.Context(), Clients, netip.MustParseAddr("2001:db8::1%eth0")); !slices.Equal(symbols(f), []string{"LIST_A_SPAM"}) || f.Listings[0].Detail != "2001:db8::1" {
		t.Errorf("IPv6: %+v", f)
	}
	if f := s.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.10")); len(f.Listings)+len(f.Unanswered) > 0 {
		t.Errorf("an address that nobody lists: %+v", f)
	}
	if f := s.Domain(t.Context(), Links, "BAD.example.org."); !slices.Equal(symbols(f), []string{"LIST_C_EXAMPLE_NET"}) || f.Listings[0].Detail != "bad.example.org" {
		t.Errorf("a domain: %+v", f)
	}
	if f := s.Domain(t.Context(), LinkHosts, "bad.example.org"); len(f.Listings) > 0 {
		t.Errorf("a zone that is not asked about whole hosts: %+v", f)
	}
	asked := len(fake.Asked())
	for _, odd := range []string{"", ".", "a..b", strings.Repeat("a", 64) + ".example.org", strings.Repeat("a.", 120) + "example.org", "a b.example.org", "a\x00.example.org", "bücher.example"} {
		if f := s.Domain(t.Context(), Links, odd); len(f.Listings)+len(f.Unanswered) > 0 {
			t.Errorf("%q: %+v", odd, f)
		}
	}
	if n := len(fake.Asked()); n != asked {
		t.Errorf("asked about names that DNS cannot hold: %v", fake.Asked()[asked:])
	}
	for _, name := range fake.Asked() {
		if strings.Contains(name, "off.example.net") {
			t.Error("a zone that is off was asked")
		}
	}
}

func TestSymbols(t *testing.T) {
	s := newSet(t, lookuptest.Zone(t, ""),
		Zone{Name: "a.example.net", Label: "A", Codes: []Code{{Match: "127.0.0.2", Meaning: "SPAM", Points: 3}, {Match: "127.0.0.3", Meaning: "SPAM", Points: 3}, {Match: "127.0.0.4"}}},
		Zone{Name: "c.example.net", Label: "C", Of: Links, Points: 1},
		Zone{Name: "d.example.net", Label: "D", Of: LinkAddresses, Mode: "off"})
	got := fmt.Sprint(s.Symbols(Clients), s.Symbols(Contents))
	want := "[{LIST_A_SPAM the client's address is listed by a.example.net as spam 3} {LIST_A the client's address is listed by a.example.net 2}] " +
		"[{LIST_C the host of a link is listed by c.example.net 1} {LIST_D the address of a link is listed by d.example.net 2}]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestWrongAnswers: what no list answers is no listing, not even beside a good
// answer, and suspends the zone at once.
func TestWrongAnswers(t *testing.T) {
	for _, answers := range []string{"127.0.0.1", "127.255.255.1", "127.255.255.252", "127.255.255.254", "127.255.255.255", "192.0.2.1", "0.0.0.0", "128.0.0.2", "127.255.255.254 127.0.0.2", "127.0.0.2 203.0.113.9"} {
		var zone strings.Builder
		for _, a := range strings.Fields(answers) {
			fmt.Fprintf(&zone, "9.2.0.192.a.example.net. A %s\n", a)
		}
		zone.WriteString("8.2.0.192.a.example.net. A 127.0.0.2\n")
		fake := lookuptest.Zone(t, zone.String())
		s := newSet(t, fake, Zone{Name: "a.example.net"})
		if f := s.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.9")); len(f.Listings) > 0 || !slices.Equal(f.Unanswered, []string{"a.example.net"}) {
			t.Errorf("%s: %+v", answers, f)
		}
		if st := s.States()[0]; !st.Suspended || st.Untested || !strings.Contains(st.Reason, "192.0.2.9") {
			t.Errorf("%s: %+v", answers, st)
		}
		if f := s.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.8")); len(f.Listings)+len(f.Unanswered) > 0 || len(fake.Asked()) != 1 {
			t.Errorf("%s: the suspended zone was asked: %+v", answers, f)
		}
	}
}

// TestTrouble: no answer is unknown, keeps one deadline for all zones, and
// suspends nobody.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := lookuptest.Zone(t, `
			9.2.0.192.a.example.net. SILENT
			9.2.0.192.b.example.net. SERVFAIL
			9.2.0.192.c.example.net. A 127.0.0.2
			9.2.0.192.d.example.net. SILENT
		`)
		s := newSet(t, fake, Zone{Name: "a.example.net"}, Zone{Name: "b.example.net"}, Zone{Name: "c.example.net"}, Zone{Name: "d.example.net"})
		start := time.Now()
		f := s.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.9"))
		if !slices.Equal(symbols(f), []string{"LIST_C_EXAMPLE_NET"}) || !slices.Equal(f.Unanswered, []string{"a.example.net", "b.example.net", "d.example.net"}) {
			t.Errorf("%+v", f)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		for _, st := range s.States() {
			if st.Suspended || !st.Untested {
				t.Errorf("%+v", st)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start = time.Now()
		s.Address(ctx, Clients, netip.MustParseAddr("192.0.2.9"))
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("took %v after the caller's time was over", took)
		}
	})
}

func TestText(t *testing.T) {
	fake := lookuptest.Zone(t, three+`
		9.2.0.192.t.example.net. A 127.0.0.2
		9.2.0.192.t.example.net. TXT "second"
		9.2.0.192.t.example.net. TXT "first\r\n250 ok\t\x00 \xff here"
		9.2.0.192.t.example.net. TXT "\n"
		9.2.0.192.t.example.net. TXT "third"
		9.2.0.192.l.example.net. A 127.0.0.2
		9.2.0.192.l.example.net. TXT `+strings.Repeat("long ", 3000)+`
		9.2.0.192.s.example.net. A 127.0.0.2
		9.2.0.192.s.example.net. TXT SILENT
	`)
	s := newSet(t, fake, Zone{Name: "a.example.net"}, Zone{Name: "b.example.net"}, Zone{Name: "t.example.net"}, Zone{Name: "l.example.net"}, Zone{Name: "s.example.net"},
		Zone{Name: "a.example.net", Label: "R", Response: "<IP> is not welcome: <IP>"})
	synctest.Test(t, func(t *testing.T) {
		var got []string
		for _, l := range s.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.9")).Listings {
			got = append(got, l.Text(t.Context()))
		}
		if len(got) != 6 || len(got[3]) > 400 || len(got[3]) < 390 || !strings.HasPrefix(got[3], "long long") {
			t.Fatalf("%q", got)
		}
		got[3] = "long"
		want := []string{"192.0.2.9 sends spam, see https://a.example.net/192.0.2.9", "192.0.2.9 is listed by b.example.net", "first 250 ok here", "long", "192.0.2.9 is listed by s.example.net", "192.0.2.9 is not welcome: 192.0.2.9"}
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// TestForeignZone: a zone of another set has no place in this one.
func TestForeignZone(t *testing.T) {
	fake := lookuptest.Zone(t, three)
	a, b := newSet(t, fake, Zone{Name: "a.example.net"}), newSet(t, fake, Zone{Name: "a.example.net"})
	z := a.Zones(Clients)[0]
	if _, err := b.Ask(t.Context(), z, "192.0.2.9"); err == nil || len(fake.Asked()) > 0 {
		t.Errorf("asked: %v", err)
	}
	if _, ok := b.Read(z, "192.0.2.9", []netip.Addr{netip.MustParseAddr("127.0.0.2")}); ok {
		t.Error("read")
	}
	if _, err := a.Ask(t.Context(), z, "not a name"); !errors.Is(err, ErrNoEntry) {
		t.Error(err)
	}
}

func TestKnown(t *testing.T) {
	s := newSet(t, lookup.System{}, Known()...)
	off := 0
	for _, st := range s.States() {
		if st.Off {
			off++
		}
	}
	if off != 4 {
		t.Errorf("%d zones are off, want the four that are closed", off)
	}
	read := func(name string, codes ...string) string {
		for _, z := range s.Zones(Clients | Contents) {
			if z.Name != name {
				continue
			}
			var list []netip.Addr
			for _, c := range codes {
				list = append(list, netip.MustParseAddr(c))
			}
			l, _ := s.Read(z, "x", list)
			return fmt.Sprint(l.Symbols, " ", l.Points)
		}
		return "no such zone"
	}
	for _, c := range []struct{ zone, codes, want string }{
		{"zen.spamhaus.org", "127.0.0.2 127.0.0.9", "[LIST_ZEN_SBL LIST_ZEN_DROP] 5"},
		{"zen.spamhaus.org", "127.0.0.4", "[LIST_ZEN_XBL] 3"},
		{"zen.spamhaus.org", "127.0.0.11", "[LIST_ZEN_PBL] 2.5"},
		{"dbl.spamhaus.org", "127.0.1.4", "[LIST_DBL_PHISH] 4"},
		{"dbl.spamhaus.org", "127.0.1.255", "[] 0"}, // asked about an address
		{"multi.surbl.org", "127.0.0.80", "[LIST_SURBL_MALWARE LIST_SURBL_ABUSE] 5.5"},
		{"multi.surbl.org", "127.0.0.32", "[] 0"},
		{"multi.uribl.com", "127.0.0.1", "[] 0"}, // refused
		{"multi.uribl.com", "127.0.0.2", "[LIST_URIBL_BLACK] 2.5"},
		{"list.dnswl.org", "127.0.15.3", "[LIST_DNSWL_HIGH] -4"},
		{"list.dnswl.org", "127.0.0.255", "[] 0"}, // refused
		{"bl.mailspike.net", "127.0.0.10", "[LIST_MAILSPIKE_WORST] 2.5"},
		{"dul.dnsbl.sorbs.net", "127.0.0.10", "no such zone"},
	} {
		if got := read(c.zone, strings.Fields(c.codes)...); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.zone, c.codes, got, c.want)
		}
	}
}

// TestKeysStayAtHome: what stands in a header or a reply names no zone whose
// name is a secret.
func TestKeysStayAtHome(t *testing.T) {
	const key = "abcdefghijklmnop0123456789"
	fake := lookuptest.Zone(t, "9.2.0.192."+key+".zen.dq.example.net. A 127.0.0.2\n8.2.0.192."+key+".zen.dq.example.net. SERVFAIL")
	s := newSet(t, fake, Zone{Name: key + ".zen.dq.example.net"})
	f := s.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.9"))
	g := s.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.8"))
	if len(f.Listings) != 1 || len(g.Unanswered) != 1 {
		t.Fatalf("%+v, %+v", f, g)
	}
	got := fmt.Sprint(f.Listings[0].Symbols, f.Listings[0].Text(t.Context()), s.Symbols(Clients), g.Unanswered)
	if want := "[LIST_ZEN_DQ_EXAMPLE_NET]192.0.2.9 is listed by zen.dq.example.net[{LIST_ZEN_DQ_EXAMPLE_NET the client's address is listed by zen.dq.example.net 2}] [zen.dq.example.net]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for name, want := range map[string]string{
		"zen.spamhaus.org":                           "zen.spamhaus.org",
		"a-very-long-name-with-words.bl.example.net": "a-very-long-name-with-words.bl.example.net",
		"abcdefghijklmnopqrstuvwxyz.org":             "abcdefghijklmnopqrstuvwxyz.org",
		key + ".example.net":                         "example.net",
		"dul." + key + ".dnsbl.example.net":          "dul.dnsbl.example.net",
		"net":                                        "net",
	} {
		if got := (&Zone{Name: name}).Public(); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestLoggedOnce: a list that answers a thousand mails with an error code is one
// line of the log.
func TestLoggedOnce(t *testing.T) {
	synctest.Test(t, loggedOnce)
}

func loggedOnce(t *testing.T) {
	fake := lookuptest.Zone(t, "*.a.example.net. A 127.255.255.255\n")
	fake.Delay = 100 * time.Millisecond // so that all are asked before the first is answered
	var log strings.Builder
	s, err := New(Config{Resolver: fake, Zones: []Zone{{Name: "a.example.net"}}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			s.Address(t.Context(), Clients, netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}))
		})
	}
	all.Wait()
	s.Test(t.Context())
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "zone=a.example.net") || !strings.Contains(log.String(), "too many queries") {
		t.Errorf("%d lines: %s", n, log.String())
	}
}
