package corpus

import (
	"math"
	"strings"
	"testing"
)

func results(scores string) []Result {
	var list []Result
	// One letter a message from the highest score to the lowest, s for spam,
	// h for ham; a group in brackets shares a score.
	score, group := 100.0, false
	for _, c := range scores {
		switch c {
		case '(':
			group = true
		case ')':
			group = false
			score--
		default:
			list = append(list, Result{Message: Message{Spam: c == 's'}, Score: score})
			if !group {
				score--
			}
		}
	}
	return list
}

func TestAreaUnderROC(t *testing.T) {
	for scores, want := range map[string]float64{
		"sshh":   1,
		"hhss":   0,
		"shsh":   0.75,
		"(sh)":   0.5,
		"s(sh)h": 0.875,
		"(sshh)": 0.5,
	} {
		if got := Evaluate(results(scores)).AUC; got != want {
			t.Errorf("%s: AUC %v, want %v", scores, got, want)
		}
	}
}

func TestRecall(t *testing.T) {
	for _, c := range []struct {
		scores string
		fp     float64
		want   float64
	}{
		{"sssshhhh", 0, 1},
		{"sshsshhh", 0, 0.5},
		{"sshsshhh", 0.25, 1},
		{"sshsshhh", 0.24, 0.5},
		{"s(sh)sshhh", 0, 0.25}, // a tie with ham is no catch
		{"sh", 1, 1},
	} {
		if got := Evaluate(results(c.scores)).Recall(c.fp); got != c.want {
			t.Errorf("%s: recall at %v is %v, want %v", c.scores, c.fp, got, c.want)
		}
	}
}

func TestErrorsAtFifty(t *testing.T) {
	at := func(spam bool, score float64) Result { return Result{Message: Message{Spam: spam}, Score: score} }
	e := Evaluate([]Result{at(true, 50), at(true, 50.0001), at(false, 50), at(false, 50.0001), at(true, 100)})
	if e.Missed != 1 || e.Flagged != 1 || e.Spam != 3 || e.Ham != 2 {
		t.Errorf("missed %d, flagged %d of %d and %d", e.Missed, e.Flagged, e.Spam, e.Ham)
	}
}

func TestRankBreaksTies(t *testing.T) {
	e := Evaluate([]Result{
		{Message: Message{Spam: true}, Score: 100, Rank: 90},
		{Message: Message{Spam: false}, Score: 100, Rank: 80},
	})
	if e.AUC != 1 {
		t.Errorf("AUC %v, want 1", e.AUC)
	}
}

func TestCalibration(t *testing.T) {
	var list []Result
	for i := range 100 {
		list = append(list, Result{Message: Message{Spam: i < 80}, Score: 80})
	}
	if e := Evaluate(list); math.Abs(e.Calibration) > 1e-9 {
		t.Errorf("80 %% spam at a score of 80: error %v, want 0", e.Calibration)
	}
	if b := Evaluate(list).Bins[8]; b.Messages != 100 || b.Spam != 80 || math.Abs(b.Score-0.8) > 1e-9 {
		t.Errorf("bin %+v", b)
	}
	for i := range list {
		list[i].Score = 30
	}
	if e := Evaluate(list); math.Abs(e.Calibration-0.5) > 1e-9 {
		t.Errorf("80 %% spam at a score of 30: error %v, want 0.5", e.Calibration)
	}
}

func TestEmptyClass(t *testing.T) {
	e := Evaluate(results("sss"))
	if !math.IsNaN(e.AUC) || strings.Contains(e.String(), "NaN") || e.Recall(0.01) != 1 {
		t.Errorf("%v, recall %v", e, e.Recall(0.01))
	}
}
