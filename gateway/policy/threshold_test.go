package policy

import (
	"math"
	"testing"

	"spamcatcher/engine"
)

// odds returns the log-odds of a score in per cent.
func odds(score float64) float64 { return math.Log(score / (100 - score)) }

func parse(t *testing.T, v any) Threshold {
	t.Helper()
	th, err := ParseThreshold(v)
	if err != nil {
		t.Fatal(err)
	}
	return th
}

func TestThresholdInScore(t *testing.T) {
	for _, c := range []struct {
		threshold any
		score     float64
		want      bool
	}{
		{50, 50.0, false},
		{50, math.Nextafter(50, 100), true},
		{50, 50.0000001, true},
		{50, 49.9999999, false},
		{"50", 50, false},
		{"50", 50.0000001, true},
		{0, 0, false},
		{0, 1e-12, true},
		{100, 100, false},
		{"100.0", 100, false},
		{99.9, 100, true},
		{99.9, 99.9, false},
		{nil, 100, false},
	} {
		if got := parse(t, c.threshold).Reached(c.score, odds(c.score)); got != c.want {
			t.Errorf("threshold %v reached by score %v: %v, want %v", c.threshold, c.score, got, c.want)
		}
	}
}

func TestThresholdInPoints(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		threshold string
		logOdds   float64
		want      bool
	}{
		{"5 points", 0, true}, // a score of 50, and at is enough
		{"5 points", -1e-6, false},
		{"6 points", engine.Point, true}, // odds of 2
		{"6 points", engine.Point - 1e-6, false},
		{"4.5 points", -engine.Point / 2, true},
		{"25 points", 20 * engine.Point, true},
		{"25 points", 20*engine.Point - 1e-6, false},
		{"25 points", 19.99 * engine.Point, false},
		// From here on the score is 100 to the last bit.
		{"70 points", 65 * engine.Point, true},
		{"70 points", 64 * engine.Point, false},
		{"-3 points", -8 * engine.Point, true},
		{"1000 points", inf, true},
		{"-1000 points", -inf, false},
	} {
		score := 100 * engine.Logistic(c.logOdds)
		if got := parse(t, c.threshold).Reached(score, c.logOdds); got != c.want {
			t.Errorf("%s reached by log-odds %v (score %v): %v, want %v", c.threshold, c.logOdds, score, got, c.want)
		}
	}
}

// A message's points are added up as prices, in any order and with other bits
// lost than those of the threshold's own product.
func TestThresholdInPointsIsMetBySums(t *testing.T) {
	sum := -5 * engine.Point
	for range 250 {
		sum += 0.1 * engine.Point
	}
	if sum == 20*engine.Point {
		t.Log("the sum is exact on this machine")
	}
	if !parse(t, "25 points").Reached(100*engine.Logistic(sum), sum) {
		t.Errorf("250 times 0.1 points do not reach 25 points: %v below %v", sum, 20*engine.Point)
	}
}

func TestParseThreshold(t *testing.T) {
	for _, c := range []struct {
		in   any
		want string
	}{
		{"85", "85"}, {" 85 ", "85"}, {85, "85"}, {int64(7), "7"}, {62.5, "62.5"}, {"62.5", "62.5"}, {"0", "0"}, {"100", "100"},
		{"25 points", "25 points"}, {"25 Points", "25 points"}, {"1 point", "1 points"}, {"7.5points", "7.5 points"}, {"  -2  points ", "-2 points"},
	} {
		if got := parse(t, c.in); got.String() != c.want || !got.Set() {
			t.Errorf("ParseThreshold(%v) = %v, want %v", c.in, got, c.want)
		}
	}
	if th := parse(t, nil); th.Set() || th.String() != "100" {
		t.Errorf("missing threshold is %v", th)
	}
	for _, in := range []any{"", " ", "x", "101", "-1", "NaN", "inf", "1e1", "0x10", "50,5", "50%", "points", "five points", "nan points", "inf points", "1_0",
		"1.2.3", "--1", 100.1, -0.1, math.NaN(), math.Inf(1), -1, int64(101), true, []any{50}} {
		got, err := ParseThreshold(in)
		if err == nil {
			t.Errorf("ParseThreshold(%#v) gave no error", in)
		}
		if got.Reached(100, math.Inf(1)) || !got.Set() {
			t.Errorf("ParseThreshold(%#v) = %#v, want one that never acts", in, got)
		}
	}
}
