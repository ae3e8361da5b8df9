package bench_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"spamcatcher/corpus"
	"spamcatcher/engine/message"
	"spamcatcher/signatures/fingerprint"
)

// fuzzyOf is the fuzzy fingerprint of a message, nil if it is too short for one.
func fuzzyOf(m *message.Message) *fingerprint.Print {
	for _, p := range fingerprint.Of(m) {
		if p.Kind == fingerprint.Fuzzy {
			return &p
		}
	}
	return nil
}

func TestExperiment(t *testing.T) {
	dir := filepath.Join(sharedDir(t), "corpus")
	var lists [2][]*fingerprint.Print
	var names [2][]string
	var texts [2][]string
	var parsed []*message.Message
	var noise []string
	var total, digested [2]int
	bySet := map[string][2]int{}
	for i, file := range []string{"dev-train.txt", "dev-valid.txt"} {
		list, err := corpus.ReadLabels(filepath.Join(dir, file), filepath.Join(dir, "boundary"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			raw, err := os.ReadFile(m.Path)
			if err != nil {
				t.Fatal(err)
			}
			p := message.Parse(raw, message.Limits{})
			total[i]++
			c := bySet[m.Set()]
			c[0]++
			if f := fuzzyOf(p); f != nil {
				c[1]++
				digested[i]++
				lists[i] = append(lists[i], f)
				names[i] = append(names[i], m.Name)
				texts[i] = append(texts[i], p.Skeleton())
				parsed = append(parsed, p)
			}
			bySet[m.Set()] = c
			if len(noise) < 500 && !m.Spam {
				for _, l := range splitLines(p.Text()) {
					noise = append(noise, l)
				}
			}
		}
	}
	t.Logf("total %v digested %v %v", total, digested, bySet)
	var hist [65]int

	for i, a := range lists[0] {
		for k, b := range lists[1] {
			c := a.Bands.Common(b.Bands)
			hist[c]++
			if c >= 99 {

				t.Logf("%d %s (%s) %s (%s)", c, names[0][i], a.Of, names[1][k], b.Of)
			}
		}
	}
	t.Logf("cross pairs %d: %v", len(lists[0])*len(lists[1]), hist)
	var inner [65]int
	for l := range lists {
		for i, a := range lists[l] {
			for _, b := range lists[l][:i] {
				inner[a.Bands.Common(b.Bands)]++
			}
		}
	}
	t.Logf("pairs within lists %v", inner)
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(parsed), func(i, k int) { parsed[i], parsed[k] = parsed[k], parsed[i] })
	for _, mut := range mutations() {
		var h [65]int
		lost := 0
		for _, p := range parsed[:1000] {
			f := fuzzyOf(p)
			g := fuzzyOf(message.Parse(mut.copyOf(r, p, noise), message.Limits{}))
			if g == nil {
				lost++
				continue
			}
			h[f.Bands.Common(g.Bands)]++
		}
		cum := 0
		var at [16]float64
		for i := 64; i >= 0; i-- {
			cum += h[i]
			if i < 16 {
				at[i] = float64(cum) / 10
			}
		}
		t.Logf("%-12s lost %d; match%% at threshold 1..8: %.1f; hist %v", mut.name, lost, at[1:15], h)
	}
}

func splitLines(s string) (out []string) {
	for i, j := 0, 0; j <= len(s); j++ {
		if j == len(s) || s[j] == '\n' {
			if j-i > 40 {
				out = append(out, s[i:j])
			}
			i = j + 1
		}
	}
	return
}
