package message

import (
	"os"
	"testing"
)

// Real good mail is never ambiguous.
func TestCorpusHam(t *testing.T) {
	_, train := corpusList(t, "dev-train.txt")
	_, valid := corpusList(t, "dev-valid.txt")
	kinds := map[string]int{}
	flagged := 0
	for _, path := range append(train, valid...) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := Parse(raw, Limits{})
		for _, d := range m.Defects() {
			kinds[d.Kind]++
			if d.Kind == Ambiguous {
				flagged++
				t.Logf("%s: %q", path, d.Detail)
			}
		}
	}
	n := len(train) + len(valid)
	if n < 1000 {
		t.Fatalf("only %d messages", n)
	}
	t.Logf("%d good messages, %d ambiguous; messages with a defect: %v", n, flagged, kinds)
	if flagged > n/200 {
		t.Errorf("%d of %d good messages are called ambiguous", flagged, n)
	}
}

func BenchmarkCorpus(b *testing.B) {
	spam, ham := corpusList(b, "dev-valid.txt")
	var raws [][]byte
	total := 0
	for _, path := range append(spam, ham...) {
		raw, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		raws = append(raws, raw)
		total += len(raw)
	}
	want := 0
	for _, raw := range raws {
		want += touch(Parse(raw, Limits{}))
	}
	b.ReportAllocs()
	b.SetBytes(int64(total / len(raws)))
	b.ResetTimer()
	got, n := 0, 0
	for i := 0; b.Loop(); i++ {
		got += touch(Parse(raws[i%len(raws)], Limits{}))
		if n++; n == len(raws) {
			if got != want {
				b.Fatalf("the views add up to %d, expected %d", got, want)
			}
			got, n = 0, 0
		}
	}
}
