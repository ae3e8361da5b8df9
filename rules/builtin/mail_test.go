package builtin

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// threshold is the sum of points from which on a message counts as spam: score
// 50 on the scale 100·logistic(ln 2·(points − 5)).
const threshold = 5

// judged is one message of testdata with what the embedded rules say of it.
type judged struct {
	name    string
	points  float64
	symbols []string
}

// judge inspects every message of a folder of testdata, each changed first by
// what is given for that. The files are written with LF for CRLF. It fails when
// there are fewer than atLeast.
func judge(t *testing.T, folder string, atLeast int, change ...func([]byte) []byte) []judged {
	t.Helper()
	rs := compiled(t)
	points := map[string]float64{}
	for _, r := range rs.Rules() {
		points[r.Symbol] = r.Points
	}
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < atLeast {
		t.Fatalf("testdata/%s holds %d messages, at least %d are expected", folder, len(files), atLeast)
	}
	var all []judged
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range change {
			raw = c(raw)
		}
		raw = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
		m := &engine.Mail{Message: message.Parse(raw, message.Limits{})}
		hits, err := rs.Inspect(context.Background(), m)
		if err != nil {
			t.Errorf("%s: %v", f, err)
		}
		hits = append(hits, rs.Combine(m, hits)...)
		j := judged{name: filepath.Base(f)}
		for _, h := range hits {
			strength := h.Strength
			if strength == 0 {
				strength = 1
			}
			j.points += points[h.Symbol] * strength
			j.symbols = append(j.symbols, h.Symbol)
		}
		all = append(all, j)
	}
	return all
}

// TestGoodMail judges kinds of good mail that a spam filter meets every day and
// that use the words of spam: none may come near the threshold.
func TestGoodMail(t *testing.T) {
	for _, j := range append(judge(t, "good", 322), judge(t, "held/good", 103)...) {
		if j.points >= threshold {
			t.Errorf("%s: %.1f points, must be below %d: %s", j.name, j.points, threshold, strings.Join(j.symbols, " "))
		}
		t.Logf("%5.1f %s %s", j.points, j.name, strings.Join(j.symbols, " "))
	}
}

// TestGoodMailOfSmallSenders judges the same mail as senders without much
// machinery send it: not signed, no fields about a list or how to leave it.
func TestGoodMailOfSmallSenders(t *testing.T) {
	for _, j := range append(judge(t, "good", 322, bare), judge(t, "held/good", 103, bare)...) {
		if j.points >= threshold {
			t.Errorf("%s: %.1f points, must be below %d: %s", j.name, j.points, threshold, strings.Join(j.symbols, " "))
		}
	}
}

// bare leaves out the signature and the fields about lists of a message with LF
// line ends.
func bare(raw []byte) []byte {
	header, body, _ := strings.Cut(string(raw), "\n\n")
	var kept []string
	drop := false
	for line := range strings.SplitSeq(header, "\n") {
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			name, _, _ := strings.Cut(strings.ToLower(line), ":")
			drop = name == "dkim-signature" || name == "precedence" || strings.HasPrefix(name, "list-")
		}
		if !drop {
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, "\n") + "\n\n" + body)
}

// The share of spam, in percent, that the rules alone must find above the
// threshold: a little less than they find today.
const (
	floorOwn  = 80 // of spam that the rules were looked at with
	floorHeld = 60 // of spam that served nothing but this test
)

// TestSpamByKind prints for each kind of spam of today how much of it the rules
// alone find, and fails when they find markedly less than they did.
func TestSpamByKind(t *testing.T) {
	for _, set := range []struct {
		folder         string
		atLeast, floor int
	}{{"spam", 126, floorOwn}, {"held/spam", 64, floorHeld}} {
		all := judge(t, set.folder, set.atLeast)
		kinds := map[string][2]int{}
		found := 0
		for _, j := range all {
			k := kinds[kind(j.name)]
			k[1]++
			if j.points > threshold {
				k[0]++
				found++
			}
			kinds[kind(j.name)] = k
			t.Logf("%5.1f %s %s", j.points, j.name, strings.Join(j.symbols, " "))
		}
		for _, name := range slices.Sorted(maps.Keys(kinds)) {
			t.Logf("%s: %2d of %2d of kind %s", set.folder, kinds[name][0], kinds[name][1], name)
		}
		t.Logf("%s: %d of %d above %d points by rules alone", set.folder, found, len(all), threshold)
		if 100*found < set.floor*len(all) {
			t.Errorf("%s: only %d of %d are above %d points, at least %d %% were", set.folder, found, len(all), threshold, set.floor)
		}
	}
}

// kind is the second word of a file's name, NUMBER-KIND-LANGUAGE-WHAT.eml; the
// oldest files, with numbers of two digits, are all of the kind "early".
func kind(name string) string {
	words := strings.Split(name, "-")
	if len(words) < 3 || len(words[0]) < 3 {
		return "early"
	}
	return words[1]
}
