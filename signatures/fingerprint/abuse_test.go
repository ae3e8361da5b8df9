package fingerprint

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/miekg/dns"
)

// What one reporter with a key of his own, who says what he likes, must not be
// able to do; and who only listens, or has no key.

func drawn(r *rand.Rand) Print { return near(Print{Kind: Fuzzy}, 0, r) }

// TestBridge: a made-up fingerprint that is like a good text and a little like a
// spam that others report does not list the good text.
func TestBridge(t *testing.T) {
	s := serve(t, nil)
	r := rand.New(rand.NewPCG(1, 2))
	spam, good := drawn(r), drawn(r)
	bridge := good
	copy(bridge.Bands[:MinBands], spam.Bands[:MinBands])
	s.mustSay("carl", Spam, bridge)
	s.mustSay("anna", Spam, spam)
	s.mustSay("bert", Spam, spam)
	s.want("the good text", good, "")
	s.want("the bridge", bridge, "127.0.1.2") // the three share four bands
	s.want("the spam", spam, "127.0.1.242")
	// A voice that is little like the text does not make it less like the others.
	s.mustSay("carl", Revoke, bridge)
	s.mustSay("carl", Spam, near(spam, MinBands, r))
	s.want("the spam, with a voice that is hardly like it", spam, "127.0.1.242")
}

// TestCrowdingOut: however many fingerprints a reporter makes up that have bands
// of a listed one, it stays listed and can be reported and taken off.
func TestCrowdingOut(t *testing.T) {
	s := serve(t, nil)
	r := rand.New(rand.NewPCG(1, 2))
	spam := drawn(r)
	s.mustSay("anna", Spam, spam)
	s.mustSay("bert", Spam, spam)
	var list []Print
	for i := 0; i < bandCount; i += 3 {
		for range maxPostings {
			p := drawn(r)
			copy(p.Bands[i:min(i+3, bandCount)], spam.Bands[i:])
			list = append(list, p)
		}
	}
	s.mustSay("carl", Spam, list...)
	s.mustSay("carl", Ham, list[:100]...)
	s.want("listed before", spam, "127.0.1.241")
	s.clock.pass(25 * time.Hour)
	s.mustSay("anna", Ham, spam)
	s.mustSay("bert", Ham, spam)
	s.want("the other way round", spam, "127.0.2.241")
	s.mustSay("olga", Delist, spam)
	s.want("taken off", spam, "")
}

// TestPosting: a full list takes a new reporter's posting from who has the most.
func TestPosting(t *testing.T) {
	var list []posting
	for i := range uint64(100) {
		list = post(list, posting{1, i})
	}
	if len(list) != maxOwn || list[0] != (posting{1, 96}) {
		t.Errorf("one reporter: %v", list)
	}
	for owner := uint64(2); owner < 100; owner++ {
		list = post(list, posting{owner, 1000 + owner})
	}
	count := map[uint64]int{}
	for _, p := range list {
		count[p.owner]++
	}
	if len(list) != maxPostings || count[1] != 1 || count[64] != 1 || count[99] != 0 {
		t.Errorf("many reporters: %v", count)
	}
	if again := post(list, list[7]); len(again) != maxPostings {
		t.Errorf("twice: %v", again)
	}
	for i := range uint64(100) { // operators are not crowded out, nor do they take all
		list = post(list, posting{0, i})
	}
	count = map[uint64]int{}
	for _, p := range list {
		count[p.owner]++
	}
	if len(list) != maxPostings || count[0] != maxOperators {
		t.Errorf("operators have %d of %d", count[0], len(list))
	}
}

// codeWords are words of a code any two of which share at most three bands: none is joined to
// another, and lists of bands are as full as they get.
func codeWords(n, constant int) (list []Print) {
	for i := range n {
		p := Print{Kind: Fuzzy}
		a, b, c := i%41, i/41%41, i/41/41%41+constant
		for x := range bandCount {
			p.Bands[x] = uint32((a+x*(b+x*c))%41*1000 + 7)
		}
		list = append(list, p)
	}
	return list
}

// TestHousekeeping: lists of bands as full as they get stop neither reports nor
// sweeping.
func TestHousekeeping(t *testing.T) {
	s := serve(t, nil)
	// Sixteen reporters with four postings in each list.
	for who := range uint64(maxPostings / maxOwn) {
		var reports []report
		for _, p := range codeWords(41*maxOwn, int(who)) {
			reports = append(reports, report{p, saySpam})
		}
		if n, err := s.store.tell(reports, who+1, fmt.Appendf(nil, "%16d", who), s.clock.now(), s.clock.now()); n != len(reports) || err != nil {
			t.Fatalf("%d of %d reports are taken: %v", n, len(reports), err)
		}
	}
	s.mustSay("anna", Spam, codeWords(64, 30)...)
	s.mustSay("olga", Delist, codeWords(64, 9)...)
	if n := s.Stats().Entries; n < 2000 {
		t.Fatalf("%d entries", n)
	}
	// A record that cannot be read is in the way of nothing.
	if err := s.store.db.Update(func(txn *badger.Txn) error { return txn.Set(fuzzyKey(3), []byte("damaged")) }); err != nil {
		t.Fatal(err)
	}
	s.clock.pass(61 * 24 * time.Hour)
	if n, err := s.Sweep(); err != nil || s.Stats().Entries != 0 {
		t.Errorf("%d dropped, %v, %d are left", n, err, s.Stats().Entries)
	}
	if n := keysOf(t, s.store, macPrefix) + keysOf(t, s.store, entryPrefix); n != 0 {
		t.Errorf("%d records are left", n)
	}
	s.mustSay("anna", Spam, codeWords(64, 1)...)
}

// TestReplayedAllowance: who sends a captured report again and again takes
// nothing from its reporter's allowance.
func TestReplayedAllowance(t *testing.T) {
	s := serve(t, func(c *ServerConfig) { c.Rate = 20 })
	var list []Print
	for i := range 10 {
		list = append(list, Print{Kind: Text, ID: ID{byte(i), 1}})
	}
	n := Network{Zone: testZone}
	m, err := n.message(Spam, list)
	if err != nil {
		t.Fatal(err)
	}
	packed, _, err := s.keys["anna"].sign(m, "", s.clock.now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		if r := s.exchangeRaw(packed); (r.Rcode == dns.RcodeSuccess) != (i == 0) {
			t.Errorf("time %d: %v", i, r)
		}
	}
	s.mustSay("anna", Spam, Print{Kind: Text, ID: ID{77}})
}

// TestRefusedLog: whoever sends what is refused writes few lines of the log.
func TestRefusedLog(t *testing.T) {
	var log bytes.Buffer
	s := serve(t, func(c *ServerConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	m, _ := Network{Zone: testZone}.message(Spam, somePrints())
	packed, _ := m.Pack()
	for range 50 {
		s.exchangeRaw(packed)
	}
	s.clock.pass(refusedEvery)
	s.exchangeRaw(packed)
	s.stop()
	text := log.String()
	if n := strings.Count(text, "refused"); strings.Count(text, "msg=\"fingerprints: reports are refused\"") != 2 || !strings.Contains(text, "refused=50") {
		t.Errorf("%d times refused:\n%s", n, text)
	}
}

// TestHonestDelisting: two reporters who say that a text is wanted take it off
// the list on which two others have put texts like it, day for day.
func TestHonestDelisting(t *testing.T) {
	s := serve(t, nil)
	r := rand.New(rand.NewPCG(5, 6))
	good := drawn(r)
	for range 10 {
		s.mustSay("anna", Spam, near(good, 12, r))
		s.mustSay("bert", Spam, near(good, 12, r))
		s.clock.pass(24 * time.Hour)
	}
	if s.listed(good) == "" {
		t.Fatal("two reporters list nothing")
	}
	s.mustSay("carl", Ham, near(good, 30, r))
	s.mustSay("olga", Ham, near(good, 30, r))
	s.want("two against two", good, "")
}

// TestRevokeAll: a word taken back is taken back for all texts that are like it.
func TestRevokeAll(t *testing.T) {
	s := serve(t, nil)
	r := rand.New(rand.NewPCG(8, 9))
	p := drawn(r)
	for i := range 8 { // each has five bands of p, not the same ones
		q := drawn(r)
		copy(q.Bands[5*i:5*i+5], p.Bands[5*i:])
		s.mustSay("anna", Spam, q)
		s.mustSay("bert", Spam, q)
	}
	if s.listed(p) == "" {
		t.Fatal("not listed")
	}
	s.mustSay("anna", Revoke, p)
	if n := s.Stats().Entries; n != 8 {
		t.Errorf("%d entries, want bert's 8", n)
	}
	s.want("taken back", p, "")
}
