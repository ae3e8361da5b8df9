package engine_test

import (
	"errors"
	"maps"
	"testing"

	. "spamcatcher/engine"
)

// TestAnswers: what was asked once is not asked again, and a replay gives the
// same answers without asking anybody.
func TestAnswers(t *testing.T) {
	asked := 0
	ask := func() (string, error) { asked++; return "127.0.0.2", nil }
	var live Answers
	for range 2 {
		if answer, err := live.Ask("list.example 192.0.2.1", ask); answer != "127.0.0.2" || err != nil {
			t.Errorf("answered %q, %v", answer, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	if _, err := live.Ask("dead.example 192.0.2.1", func() (string, error) { return "x", errors.New("time-out") }); err == nil {
		t.Error("the error was lost")
	}
	want := map[string]string{"list.example 192.0.2.1": "127.0.0.2"}
	if got := live.All(); !maps.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	past := Replay(live.All())
	if answer, err := past.Ask("list.example 192.0.2.1", ask); answer != "127.0.0.2" || err != nil {
		t.Errorf("the replay answered %q, %v", answer, err)
	}
	if _, err := past.Ask("dead.example 192.0.2.1", ask); !errors.Is(err, ErrUnanswered) {
		t.Errorf("the replay of what was not answered: %v", err)
	}
	if asked != 1 {
		t.Error("the replay asked the network")
	}
	var none *Answers
	if answer, err := none.Ask("q", ask); answer != "127.0.0.2" || err != nil || asked != 2 || none.All() != nil {
		t.Errorf("without a place to keep them: %q, %v", answer, err)
	}
}

// TestTell: each fact has its place.
func TestTell(t *testing.T) {
	var m Mail
	for _, f := range [][2]string{{"client", "192.0.2.1"}, {"spf", "fail"}, {"dkim", "pass"}, {"dmarc", "fail reject"}, {"arc", "none"}, {"iprev", "pass"}, {"found", "PTR_MISSING 192.0.2.1"}, {"answer", "a.example b.example => 127.0.0.4"}} {
		if err := m.Tell(f[0], f[1]); err != nil {
			t.Error(err)
		}
	}
	a := m.Auth
	if a.SPF != "fail" || a.DKIM != "pass" || a.DMARC != "fail" || a.Policy != "reject" || a.ARC != "none" || a.IPRev != "pass" {
		t.Errorf("authentication: %+v", a)
	}
	if len(m.Found) != 1 || m.Found[0] != (Hit{Symbol: "PTR_MISSING", Detail: "192.0.2.1"}) {
		t.Errorf("found: %+v", m.Found)
	}
	if answer, err := m.Answers.Ask("a.example b.example", nil); answer != "127.0.0.4" || err != nil {
		t.Errorf("answer %q, %v", answer, err)
	}
	if err := m.Tell("color", "red"); err == nil {
		t.Error("a fact that nobody knows was taken")
	}
}
