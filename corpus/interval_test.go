package corpus

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
)

func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		a, b int
		want float64
	}{
		{0, 0, 1},
		{1, 0, 1},
		{5, 0, 2.0 / 32},            // 2·(1/2)^5
		{1, 6, 2 * (1.0 + 7) / 128}, // 2·(C(7,0)+C(7,1))/2^7
		{6, 1, 2 * (1.0 + 7) / 128},
		{4, 4, 1},
	} {
		if got := mcNemar(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%d against %d: %v, want %v", c.a, c.b, got, c.want)
		}
	}
	if p := mcNemar(2000, 1500); !(p > 0 && p < 1e-10) {
		t.Errorf("2000 against 1500: %v", p)
	}
}

func TestBootstrap(t *testing.T) {
	sample := results(strings.Repeat("s", 40) + "hs" + strings.Repeat("h", 40) + strings.Repeat("s", 3))
	e, f := Bootstrap(sample, 500, 1)
	_, again := Bootstrap(sample, 500, 1)
	if f != again {
		t.Errorf("the same seed gave %+v and %+v", f, again)
	}
	if _, other := Bootstrap(sample, 500, 2); f == other {
		t.Error("another seed gave the same")
	}
	if f.AUC.Value != e.AUC || !(f.AUC.Low < f.AUC.Value && f.AUC.Value < f.AUC.High && f.AUC.High <= 1) {
		t.Errorf("AUC %v, interval %+v", e.AUC, f.AUC)
	}
	// Three of 44 spams are below all ham: the standard error of that share
	// is 3.8 %, so the interval of the AUC is some 15 % wide.
	if width := f.AUC.High - f.AUC.Low; width < 0.08 || width > 0.25 {
		t.Errorf("the interval is %v wide", width)
	}
	// Without mistakes there is nothing to vary.
	if _, f := Bootstrap(results("sssshhhh"), 50, 1); f.AUC != (Interval{1, 1, 1}) || f.Recall1 != (Interval{1, 1, 1}) {
		t.Errorf("perfect scores: %+v", f)
	}
	_, one := Bootstrap(results("sss"), 20, 1)
	text, err := json.Marshal(one)
	if err != nil || !strings.Contains(string(text), `"auc":null`) || !strings.Contains(string(text), `"missed_at_50":{`) {
		t.Errorf("one class: %s, %v", text, err)
	}
}

func TestCompare(t *testing.T) {
	at := func(spam bool, score float64) Result { return Result{Message: Message{Spam: spam}, Score: score} }
	a := []Result{at(true, 90), at(true, 40), at(true, 30), at(false, 60), at(false, 10), at(false, 20)}
	b := []Result{at(true, 95), at(true, 80), at(true, 30), at(false, 20), at(false, 55), at(false, 5)}
	c := Compare(a, b, 200, 1)
	if c.OnlyA != 2 || c.OnlyB != 1 || c.McNemar != 1 {
		t.Errorf("%+v", c)
	}
	// A: of nine pairs (40, 60) and (30, 60) are wrong; B: (30, 55).
	if math.Abs(c.AUC.Value-1.0/9) > 1e-12 {
		t.Errorf("difference %v, want 1/9", c.AUC.Value)
	}
	if same := Compare(a, a, 50, 1); same.OnlyA+same.OnlyB != 0 || same.AUC.Value != 0 || same.P != 1 {
		t.Errorf("with itself: %+v", same)
	}
	// Many messages that all get better leave no doubt.
	var worse, better []Result
	for i := range 60 {
		worse = append(worse, at(i%2 == 0, float64(i*37%100)))
		better = append(better, at(i%2 == 0, float64(100*(1-i%2))))
	}
	if clear := Compare(worse, better, 200, 1); clear.P > 0.01 || clear.McNemar > 0.01 || clear.OnlyB != 0 {
		t.Errorf("clear case: %+v", clear)
	}
}

func TestROC(t *testing.T) {
	want := []Point{{0, 0}, {0, 0.5}, {0.5, 1}, {1, 1}}
	got := Evaluate(results("s(sh)h")).ROC()
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("corner %d: %v, want %v", i, got[i], want[i])
		}
	}
}

func TestWilson(t *testing.T) {
	// 8 of 10, textbook value: 0.490 to 0.943.
	low, high := wilson(8, 10)
	near(t, "low", low, 0.490, 0.001)
	near(t, "high", high, 0.943, 0.001)
}

// TestPicture: every picture is well-formed XML without a number that is
// none, whatever classes there are.
func TestPicture(t *testing.T) {
	for _, scores := range []string{"sshsshh(sh)h", "sss", "hh", "", strings.Repeat("s", 300) + strings.Repeat("h", 300)} {
		sample := results(scores)
		for i := range sample {
			sample[i].Score = max(0, sample[i].Score)
		}
		e, f := Bootstrap(sample, 10, 1)
		var b bytes.Buffer
		Picture(&b, "a <title> & more", e, f)
		d := xml.NewDecoder(&b)
		text := b.String()
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%.20q: %v", scores, err)
			}
		}
		if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") || !strings.Contains(text, "Reliability") {
			t.Errorf("%.20q: %s", scores, text)
		}
	}
}
