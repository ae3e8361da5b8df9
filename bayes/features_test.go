package bayes

import (
	"math"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine/message"
)

func wordsOf(subject, body string) []string {
	f := extract(parse(subject, body))
	defer f.release()
	var list []string
	for _, w := range f.words {
		if w.field == "" || w.field == "subject" || w.field == "link" {
			list = append(list, strings.TrimPrefix(w.field+":"+w.text, ":"))
		}
	}
	return list
}

func TestWords(t *testing.T) {
	for name, c := range map[string]struct {
		subject, body string
		want, not     []string
	}{
		"words":       {"Hello World", "It's a GOOD e-mail.", []string{"subject:Hello", "hello", "it's", "good", "e-mail"}, []string{"e-mail."}},
		"no spaces":   {"x", "発票発行", []string{"発票", "票発", "発行"}, []string{"発票発"}},
		"mixed":       {"x", "VIP会員", []string{"vip", "会員"}, []string{"vip会"}},
		"interrupted": {"x", "中 国", nil, []string{"中国"}},
		"disguised":   {"x", "l\u200bott\u0435ry", []string{"lottery"}, nil},
		"data":        {"x", strings.Repeat("a", 41) + " " + strings.Repeat("b", 40), []string{strings.Repeat("b", 40)}, []string{strings.Repeat("a", 41)}},
		"hosts":       {"x", "see http://www.example.com/path?q", []string{"link:www.example.com"}, nil},
	} {
		got := wordsOf(c.subject, c.body)
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %q is not among %q", name, w, got)
			}
		}
		for _, w := range c.not {
			if slices.Contains(got, w) {
				t.Errorf("%s: %q is among %q", name, w, got)
			}
		}
	}
}

// Words differ by the field that they stand in, not by letter case.
func TestBuckets(t *testing.T) {
	if wordBucket("", "Offer") != wordBucket("", "offer") {
		t.Error("letter case makes another word")
	}
	if wordBucket("", "offer") == wordBucket("subject", "offer") || gramBucket(inText, 7) == gramBucket(inBody, 7) {
		t.Error("the place makes no difference")
	}
	used := map[uint32]bool{}
	for gram := range uint32(1 << 16) {
		b := gramBucket(inText, gram|gram<<16)
		if b >= 1<<gramBits {
			t.Fatalf("bucket %d", b)
		}
		used[b] = true
	}
	// 2^16 balls into 2^18 bins at random hit 57,990 of them.
	if len(used) < 57_000 {
		t.Errorf("65,536 grams share %d buckets", len(used))
	}
}

func TestEachFeatureCountsOnce(t *testing.T) {
	f := extract(parse("again again", strings.Repeat("again ", 100)))
	defer f.release()
	for r, grams := range f.grams {
		sorted := slices.Sorted(slices.Values(grams))
		if len(slices.Compact(sorted)) != len(grams) {
			t.Errorf("region %d: a gram stands twice", r)
		}
	}
	// agai gain ain_ in_a n_ag _aga
	if n := len(f.grams[inText]); n != 6 {
		t.Errorf("%d grams in a text of one word, want 6", n)
	}
}

// A used set of features leaves nothing behind for the next message.
func TestFeaturesAreClean(t *testing.T) {
	first := extract(parse("first", sentence(true, 1)))
	want := first.parts()
	words := first.wordBuckets()
	first.release()
	for n := range 20 {
		other := extract(parse("other", sentence(false, n)+strings.Repeat(" заявка", n)))
		other.release()
	}
	again := extract(parse("first", sentence(true, 1)))
	defer again.release()
	if !slices.EqualFunc(again.parts(), want, slices.Equal) || !slices.Equal(again.wordBuckets(), words) {
		t.Error("the same message has other features the second time")
	}
}

func TestOnlyBeginningAndEndCount(t *testing.T) {
	middle := parse("x", strings.Repeat("filler ", 1000)+"hidden "+strings.Repeat("filler ", 1000)+"closing words")
	f := extract(middle)
	defer f.release()
	has := func(text string) bool {
		return slices.Contains(f.grams[inText], gramBucket(inText, uint32(text[0])|uint32(text[1])<<8|uint32(text[2])<<16|uint32(text[3])<<24))
	}
	if !has("fill") || !has("clos") || has("hidd") {
		t.Errorf("beginning %v, end %v, middle %v", has("fill"), has("clos"), has("hidd"))
	}
}

func TestPack(t *testing.T) {
	for _, list := range [][]uint32{{}, {0}, {0, 1, 127, 128, 255, 16383, 16384, 1<<20 - 1}} {
		if got := unpack(nil, pack(list)); !slices.Equal(got, list) && len(list) > 0 {
			t.Errorf("%v came back as %v", list, got)
		}
	}
}

func TestCombine(t *testing.T) {
	list := []int8{20, -10, 0, 2, 2, -2}
	got, from := combine(len(list), func(i int) int8 { return list[i] })
	if want := 10 * wordStep / math.Sqrt(3); math.Abs(got-want) > 1e-12 || from != 10 {
		t.Errorf("%v from %d, want %v from 10", got, from, want)
	}
	// Only the strongest count.
	many := make([]int8, 500)
	for i := range many {
		many[i] = -5
		if i < telling {
			many[i] = 40
		}
	}
	if got, from := combine(len(many), func(i int) int8 { return many[i] }); got <= 0 || from != 40 {
		t.Errorf("%v from %d: weak words outvoted the strong", got, from)
	}
	if got, _ := combine(0, nil); got != 0 {
		t.Errorf("%v for no words", got)
	}
}

func TestEvidence(t *testing.T) {
	lessons := [2]float64{100, 100}
	if e := evidence([2]float64{0, 0}, lessons, 0); e != 0 {
		t.Errorf("%v for a word that nobody knows", e)
	}
	once, often := evidence([2]float64{0, 1}, lessons, 0), evidence([2]float64{0, 50}, lessons, 0)
	if !(0 < once && once < often) {
		t.Errorf("%v seen once, %v seen often", once, often)
	}
	// Unequal numbers of lessons are no evidence.
	if e := evidence([2]float64{10, 100}, [2]float64{100, 1000}, 0); math.Abs(e) > 0.05 {
		t.Errorf("%v for a word as common here as there", e)
	}
}

func FuzzExtract(f *testing.F) {
	f.Add([]byte("Subject: hello\r\n\r\nworld"))
	f.Add([]byte("Subject: =?utf-8?b?55m656Wo?=\r\nContent-Type: text/html\r\n\r\n<a href=http://example.com/>\u767c\u7968</a> \xff\xfe"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := message.Parse(raw, message.Limits{})
		a := extract(m)
		parts := packAll(a.parts())
		grams, words := slices.Concat(a.parts()...), a.wordBuckets()
		a.release()
		if len(grams) > headerBytes+textBytes+tailBytes+bodyBytes {
			t.Fatalf("%d grams", len(grams))
		}
		for _, part := range parts {
			if !sound(part, gramBits) || !sound(pack(words), wordBits) {
				t.Fatal("features are not sorted buckets")
			}
		}
		b := extract(message.Parse(raw, message.Limits{}))
		defer b.release()
		if !slices.Equal(grams, slices.Concat(b.parts()...)) || !slices.Equal(words, b.wordBuckets()) {
			t.Fatal("other features the second time")
		}
	})
}
