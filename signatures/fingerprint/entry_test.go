package fingerprint

import (
	"reflect"
	"strings"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

func mailOf(m *message.Message) *engine.Mail { return &engine.Mail{Message: m} }

// keysOf counts the records of a kind.
func keysOf(t *testing.T, s *store, prefix byte) (n int) {
	t.Helper()
	err := s.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.DefaultIteratorOptions)
		defer it.Close()
		for it.Seek([]byte{prefix}); it.ValidForPrefix([]byte{prefix}); it.Next() {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const week = 7 * 24 * time.Hour

// TestVerdict: how many must say what, and when.
func TestVerdict(t *testing.T) {
	begin := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	type said struct {
		day, reporter int
		word          word
	}
	daily := func(reporter int, w word, days int) (all []said) {
		for d := range days {
			all = append(all, said{d, reporter, w})
		}
		return all
	}
	for name, c := range map[string]struct {
		said         []said
		on           int // the day asked
		class, level int
	}{
		"nobody":                                 {nil, 0, 0, 0},
		"one":                                    {[]said{{0, 1, saySpam}}, 0, 0, 0},
		"one, for a week":                        {[]said{{0, 1, saySpam}, {1, 1, saySpam}, {2, 1, saySpam}, {3, 1, saySpam}, {4, 1, saySpam}}, 4, 0, 0},
		"two":                                    {[]said{{0, 1, saySpam}, {0, 2, saySpam}}, 0, classSpam, 1},
		"two, one of them a week ago":            {[]said{{0, 1, saySpam}, {7, 2, saySpam}}, 7, classSpam, 1},
		"two, one three weeks ago":               {[]said{{0, 1, saySpam}, {21, 2, saySpam}}, 21, 0, 0},
		"eight":                                  {[]said{{0, 1, saySpam}, {0, 2, saySpam}, {0, 3, saySpam}, {0, 4, saySpam}, {0, 5, saySpam}, {0, 6, saySpam}, {0, 7, saySpam}, {0, 8, saySpam}}, 0, classSpam, 3},
		"three against one":                      {[]said{{0, 1, saySpam}, {0, 2, saySpam}, {0, 3, saySpam}, {0, 4, sayHam}}, 0, classSpam, 2},
		"two against one":                        {[]said{{0, 1, saySpam}, {0, 2, saySpam}, {0, 4, sayHam}}, 0, 0, 0},
		"two for it":                             {[]said{{0, 1, sayHam}, {0, 2, sayHam}}, 0, classHam, 1},
		"two, one of them revoked":               {[]said{{0, 1, saySpam}, {0, 2, saySpam}, {0, 2, sayNothing}}, 0, 0, 0},
		"two who said the opposite":              {[]said{{0, 1, sayHam}, {0, 2, sayHam}, {0, 1, saySpam}, {0, 2, saySpam}}, 0, classSpam, 1},
		"a revocation of nothing":                {[]said{{0, 1, saySpam}, {0, 2, sayNothing}}, 0, 0, 0},
		"again and again on one day":             {[]said{{0, 1, saySpam}, {0, 2, saySpam}, {0, 2, saySpam}, {0, 2, saySpam}, {0, 2, saySpam}}, 0, classSpam, 1},
		"one each day, for four days":            {[]said{{0, 1, saySpam}, {0, 2, saySpam}, {1, 2, saySpam}, {2, 2, saySpam}, {3, 2, saySpam}}, 3, classSpam, 1},
		"many against one who says it every day": {append(daily(1, sayHam, 40), said{40, 2, saySpam}, said{40, 3, saySpam}, said{40, 4, saySpam}), 40, classSpam, 2},
		"two of whom one says it every day":      {append(daily(1, saySpam, 40), said{40, 2, saySpam}), 40, classSpam, 1},
		"two who were wrong every day, and two":  {append(append(daily(1, saySpam, 40), daily(2, saySpam, 40)...), said{40, 3, sayHam}, said{40, 4, sayHam}), 40, 0, 0},
	} {
		e := &entry{kind: Text, created: begin}
		for _, s := range c.said {
			e.say(s.word, uint64(s.reporter), begin.AddDate(0, 0, s.day), week)
		}
		if class, level := e.verdict(begin.AddDate(0, 0, c.on), week, 2); class != c.class || level != c.level {
			t.Errorf("%s: class %d level %d, want %d and %d", name, class, level, c.class, c.level)
		}
	}
}

// TestVoices: an entry is bounded, and those who have long been silent make
// room.
func TestVoices(t *testing.T) {
	e := &entry{kind: Text}
	now := time.Unix(1_800_000_000, 0)
	for i := range 100 {
		if did := e.say(saySpam, uint64(i), now, week); did != (i < maxVoices) {
			t.Errorf("voice %d: %t", i, did)
		}
	}
	if _, level := e.verdict(now, week, 2); level != 6 {
		t.Errorf("level %d of 64 reports, want 6", level)
	}
	later := now.Add(5 * week)
	if !e.say(saySpam, 1000, later, week) || len(e.voices) != 1 {
		t.Errorf("%d voices", len(e.voices))
	}
	if e.over(later.Add(3*week), week, 60*24*time.Hour) || !e.over(later.Add(4*week), week, 60*24*time.Hour) || !e.over(later.Add(2*week), 100*week, week) {
		t.Error("an entry vanishes too early or too late")
	}
}

func TestEntryCodec(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, p := range somePrints() {
		e := &entry{kind: p.Kind, bands: p.Bands, created: now, touched: now.Add(time.Hour)}
		e.say(saySpam, 7, now, week)
		e.say(sayHam, 8, now, week)
		e.touched = now.Add(time.Hour)
		b := e.encode()
		back, err := decodeEntry(p.Kind, b)
		if err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("%s: %+v became %+v, %v", p.Kind, e, back, err)
		}
		for n := range len(b) {
			if back, err := decodeEntry(p.Kind, b[:n]); err == nil && len(back.voices) > 1 {
				t.Errorf("%s: %d of %d bytes were read as %+v", p.Kind, n, len(b), back)
			}
		}
	}
	if _, err := decodeEntry(Text, (&entry{kind: Fuzzy}).encode()); err == nil {
		t.Error("a fuzzy entry was read as an exact one")
	}
}

func TestKeys(t *testing.T) {
	k, err := NewKey("Mail.Example.Org.", Reporter)
	if err != nil || len(k.Secret) != 32 || k.Name != "mail.example.org" {
		t.Fatalf("%+v, %v", k, err)
	}
	o, err := NewKey("boss.example.org", Operator)
	if err != nil || string(o.Secret) == string(k.Secret) {
		t.Fatalf("%v", err)
	}
	back, err := ReadKeys(strings.NewReader("# reporters\n\n" + k.String() + "\n" + o.String() + "\n"))
	if err != nil || !reflect.DeepEqual(back, []Key{k, o}) {
		t.Errorf("%+v, %v", back, err)
	}
	for text, want := range map[string]string{
		"a.example reporter":                          "line 1: 2 words",
		"\na.example reporter ???":                    "line 2: key a.example: the secret is not base64",
		"a.example boss AAAAAAAAAAAAAAAAAAAAAAAAAAA=": "role",
		"a.example reporter AAAA":                     "too short",
		k.String() + "\n" + strings.ToUpper(k.Name) + k.String()[len(k.Name):]: "line 2: key mail.example.org is there twice",
		"a;b reporter AAAAAAAAAAAAAAAAAAAAAAAAAAAA":                            "name",
	} {
		_, err := ReadKeys(strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		} else if strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%q: the error holds the secret: %v", text, err)
		}
	}
}
