package fingerprint

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/enginetest"
)

const testZone = "fp.example"

func newCheck(t *testing.T, lookup Lookup) *Check {
	t.Helper()
	c, err := New(Config{Zone: testZone, Lookup: lookup})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCases: every symbol fires, and does not when it must not. All answers
// stand in the file; the network is never asked.
func TestCases(t *testing.T) {
	check := newCheck(t, func(_ context.Context, name string) ([]netip.Addr, error) {
		t.Errorf("the network was asked for %s", name)
		return nil, nil
	})
	fired := map[string]bool{}
	enginetest.Run(t, "testdata/*.case", func(t *testing.T, m *engine.Mail) (names []string) {
		hits, err := check.Inspect(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hits {
			names = append(names, h.Symbol)
			fired[h.Symbol] = true
		}
		if t.Failed() || len(names) == 0 {
			for _, p := range Of(m.Message) {
				t.Logf("answer %s %s", testZone, p.Short())
			}
		}
		return names
	})
	for _, s := range check.Symbols() {
		if _, priced := check.Prices()[s.Name]; !fired[s.Name] || !priced {
			t.Errorf("%s: in a case %t, priced %t", s.Name, fired[s.Name], priced)
		}
	}
}

// TestQueries: the queries of a mail run side by side, each names a
// fingerprint, and nothing else leaves.
func TestQueries(t *testing.T) {
	m := &engine.Mail{Message: plainMail("m.fairweather@example.net", invoice+"https://shop.example/spring-garden/rakes.html"), Answers: &engine.Answers{}}
	var mu sync.Mutex
	var asked []string
	all := make(chan struct{})
	want := len(Of(m.Message))
	check := newCheck(t, func(ctx context.Context, name string) ([]netip.Addr, error) {
		mu.Lock()
		if asked = append(asked, name); len(asked) == want {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
			if strings.HasSuffix(name, ".t1."+testZone) {
				return []netip.Addr{netip.MustParseAddr("127.0.1.3")}, nil
			}
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	hits, err := check.Inspect(t.Context(), m)
	if err != nil || len(hits) != 1 || hits[0].Symbol != textSymbol || hits[0].Detail != "level 3" {
		t.Errorf("hits %+v, %v; is one question asked behind the other?", hits, err)
	}
	if len(asked) != want || want != 4 {
		t.Errorf("asked %q, want the names of %d fingerprints", asked, want)
	}
	for _, name := range asked {
		label, ok := strings.CutSuffix(name, "."+testZone)
		if _, err := ParseName(label); err != nil || !ok {
			t.Errorf("asked for %q, which names no fingerprint", name)
		}
	}
	// Judged again by what was answered then.
	again := &engine.Mail{Message: m.Message, Answers: engine.Replay(m.Answers.All())}
	check = newCheck(t, func(context.Context, string) ([]netip.Addr, error) { panic("asked again") })
	replayed, err := check.Inspect(t.Context(), again)
	if err != nil || !slices.Equal(replayed, hits) {
		t.Errorf("hits %+v, then %+v, %v", hits, replayed, err)
	}
}

// TestSilence: a network that does not answer costs the time that is allowed,
// and no points.
func TestSilence(t *testing.T) {
	check, err := New(Config{Zone: testZone, Timeout: 50 * time.Millisecond, Lookup: func(ctx context.Context, _ string) ([]netip.Addr, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	hits, err := check.Inspect(t.Context(), &engine.Mail{Message: plainMail("x@example.net", invoice)})
	if err != nil || len(hits) != 1 || hits[0].Symbol != unansweredSymbol || check.Prices()[unansweredSymbol] != 0 {
		t.Errorf("hits %+v, %v", hits, err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestPanic: a look-up that panics is an unanswered question and a fault, and
// ends nothing.
func TestPanic(t *testing.T) {
	check := newCheck(t, func(_ context.Context, name string) ([]netip.Addr, error) {
		if strings.Contains(name, ".f1.") {
			panic("a bug")
		}
		return []netip.Addr{netip.MustParseAddr("127.0.1.3")}, nil
	})
	hits, err := check.Inspect(t.Context(), &engine.Mail{Message: plainMail("x@example.net", invoice)})
	if err == nil || !strings.Contains(err.Error(), "a bug") || len(hits) != 2 || hits[0].Symbol != textSymbol || hits[1].Symbol != unansweredSymbol {
		t.Errorf("hits %+v, %v", hits, err)
	}
}

// TestStrangeAnswers: what no server of ours says is no listing.
func TestStrangeAnswers(t *testing.T) {
	for _, text := range []string{"203.0.113.1", "127.0.0.2", "127.0.0.1", "127.255.255.254", "127.0.1.0", "127.0.3.1", "127.1.1.1", "::1", "127.0.1.17"} {
		check := newCheck(t, func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr(text)}, nil
		})
		hits, err := check.Inspect(t.Context(), &engine.Mail{Message: plainMail("x@example.net", "Thank you very much for the drawings, I shall have a look at them on Monday morning.")})
		if err != nil || len(hits) != 1 || hits[0].Symbol != unansweredSymbol {
			t.Errorf("%s: hits %+v, %v", text, hits, err)
		}
	}
}

// TestStrength: more reporters and more likeness say more.
func TestStrength(t *testing.T) {
	exact, alike, link := Print{Kind: Text}, Print{Kind: Fuzzy}, Print{Kind: Link}
	for _, c := range []struct {
		less, more float64
	}{
		{strength(exact, answer{level: 1}), strength(exact, answer{level: 4})},
		{strength(alike, answer{level: 3}), strength(alike, answer{level: 3, common: 15})},
		{strength(link, answer{level: 3}), strength(Print{Kind: Links}, answer{level: 3})},
		{strength(alike, answer{level: 15, common: 15}), 1.21},
		{0.59, strength(exact, answer{level: 1})},
	} {
		if !(c.less < c.more) {
			t.Errorf("%.2f is not less than %.2f", c.less, c.more)
		}
	}
}

func TestNew(t *testing.T) {
	ask := func(context.Context, string) ([]netip.Addr, error) { return nil, nil }
	for _, zone := range []string{"", ".", "a b", "a/b", "a..b", strings.Repeat("a.", 60)} {
		if _, err := New(Config{Zone: zone, Lookup: ask}); err == nil {
			t.Errorf("zone %q is taken", zone)
		}
	}
	if _, err := New(Config{Zone: testZone}); err == nil {
		t.Error("a check without a way to ask")
	}
}

func TestTest(t *testing.T) {
	down := errors.New("no answer")
	for name, c := range map[string]struct {
		answer func(name string) (string, error)
		want   string
	}{
		"alive": {func(name string) (string, error) {
			if name == "test."+testZone {
				return "127.0.0.2", nil
			}
			return "", nil
		}, ""},
		"dead":       {func(string) (string, error) { return "", down }, "no answer"},
		"empty":      {func(string) (string, error) { return "", nil }, "test entry"},
		"everything": {func(string) (string, error) { return "127.0.0.2", nil }, "lists everything"},
		"elsewhere":  {func(string) (string, error) { return "203.0.113.9", nil }, "test entry"},
	} {
		check := newCheck(t, func(_ context.Context, name string) ([]netip.Addr, error) {
			text, err := c.answer(name)
			if text == "" || err != nil {
				return nil, err
			}
			return []netip.Addr{netip.MustParseAddr(text)}, nil
		})
		err := check.Test(t.Context())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
