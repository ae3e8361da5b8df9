package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Two kinds of mail in words that the program cannot know beforehand: what a
// site learns must decide.
func siteMail(i int, spam bool) string {
	word := "quorvish"
	if spam {
		word = "blenfarg"
	}
	return fmt.Sprintf("From: Someone <someone%d@example.org>\nTo: me@example.net\nSubject: the %s number %d\nDate: Mon, 16 Nov 2026 09:12:44 +0100\nMessage-ID: <%d.%s@example.org>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n\nHello,\n\nthis is about %s, version %d, and how a %s is looked after in the evening.\n",
		i, word, i, i, word, word, i, word)
}

// site writes n messages of each kind and returns the directory.
func site(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for _, class := range []string{"spam", "ham"} {
		if err := os.MkdirAll(filepath.Join(dir, class), 0o700); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := os.WriteFile(filepath.Join(dir, class, fmt.Sprintf("%03d.eml", i)), []byte(siteMail(i, class == "spam")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func ran(t *testing.T, want int, stdin string, args ...string) (stdout string) {
	t.Helper()
	out, errs, code := cli(t, stdin, args...)
	if code != want {
		t.Fatalf("%v: exit code %d, %s%s", args, code, out, errs)
	}
	return out
}

// siteScore returns the score of a message by the state.
func siteScore(t *testing.T, state, text string) float64 {
	t.Helper()
	var v struct{ Score float64 }
	if err := json.Unmarshal([]byte(ran(t, 0, text, "score", "--json", "--state", state, "-")), &v); err != nil {
		t.Fatal(err)
	}
	return v.Score
}

func TestTrain(t *testing.T) {
	state, dir := t.TempDir(), site(t, 60)
	freshSpam, freshHam := siteMail(777, true), siteMail(777, false)
	before := siteScore(t, state, freshSpam) - siteScore(t, state, freshHam)

	out := ran(t, 0, "", "train", "--state", state, dir)
	wantText(t, "the first training", out, "learned 60 spam and 60 ham", "knows 60 spam and 60 ham")
	after := siteScore(t, state, freshSpam) - siteScore(t, state, freshHam)
	if after < before+40 {
		t.Errorf("spam and ham are %.1f apart after the training, %.1f before", after, before)
	}
	out = ran(t, 0, "", "train", "--state", state, "-j", "1", dir)
	wantText(t, "the same again", out, "learned 0 spam and 0 ham", "120 were known", "knows 60 spam and 60 ham")

	// The model does not depend on the number of workers, nor on order.
	other := t.TempDir()
	ran(t, 0, "", "train", "--state", other, "-j", "3", filepath.Join(dir, "spam"))
	ran(t, 0, "", "train", "--state", other, "-j", "1", filepath.Join(dir, "ham"))
	a, errA := os.ReadFile(filepath.Join(state, "bayes", "model"))
	b, errB := os.ReadFile(filepath.Join(other, "bayes", "model"))
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("trained otherwise, the model differs (%v, %v)", errA, errB)
	}

	// With labels turned round, the messages move.
	list := write(t, "labels.txt", "spam ham/000.eml\nham ham/nothing.eml\n")
	out, errs, code := cli(t, "", "train", "--state", state, "--base", dir, "--labels", list)
	if code != 0 {
		t.Fatal(errs)
	}
	wantText(t, "a message that moved", out, "learned 1 spam and 0 ham", "knows 61 spam and 59 ham")
	wantText(t, "standard error", errs, "labels.txt:2: ", "nothing.eml", "1 messages could not be read")

	out = ran(t, 0, "", "train", "--state", state, "--replace", "--exclude", "05?.eml", dir)
	wantText(t, "--replace", out, "learned 50 spam and 50 ham", "knows 50 spam and 50 ham")
}

func TestTrainOutput(t *testing.T) {
	state, dir := t.TempDir(), site(t, 20)
	file := filepath.Join(t.TempDir(), "model.bin")
	out := ran(t, 0, "", "train", "--state", state, "--output", file, dir)
	wantText(t, "the report", out, "a model of 20 spam and 20 ham")
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(state, "bayes")); err == nil {
		t.Error("the site's state was touched")
	}
	ran(t, exitUsage, "", "train", "--state", state, "--output", file, "--replace", dir)
	ran(t, exitUsage, "", "train", "--state", state, "--anchors", file, dir)

	// A model of anchors and other mail knows both.
	anchors, second := filepath.Join(t.TempDir(), "anchors.bin"), filepath.Join(t.TempDir(), "model.bin")
	out = ran(t, 0, "", "train", "--state", state, "--lessons", anchors, dir)
	wantText(t, "the lessons", out, "20 spam and 20 ham")
	out = ran(t, 0, "", "train", "--state", state, "--anchors", anchors, "--output", second, labelled(t, 6))
	wantText(t, "a model with anchors", out, "12 spam and 12 ham")
	ran(t, exitUsage, "", "train", "--state", state, "--anchors", file, "--output", second, dir) // a model is no list of lessons
}

func TestLearn(t *testing.T) {
	state, dir := t.TempDir(), site(t, 30)
	ran(t, 0, "", "train", "--state", state, dir)
	one := siteMail(500, true)
	file := write(t, "one.eml", one)
	wantText(t, "a new message", ran(t, 0, "", "learn", "--state", state, "--spam", file), "learned 1 of 1")
	wantText(t, "the same on standard input", ran(t, 0, one, "learn", "--state", state, "--spam", "-"), "learned 0 of 1")
	wantText(t, "the other class", ran(t, 0, one, "learn", "--state", state, "--ham", "-"), "learned 1 of 1")
	wantText(t, "forgetting", ran(t, 0, "", "learn", "--state", state, "--forget", file), "forgot 1 of 1")
	wantText(t, "forgetting twice", ran(t, 0, "", "learn", "--state", state, "--forget", file), "forgot 0 of 1")
	wantText(t, "what is known", ran(t, 0, "", "train", "--state", state, dir), "knows 30 spam and 30 ham")

	// Each message of an mbox is one.
	box := write(t, "archive", "From a@example.org Mon Nov 16 09:00:00 2026\n"+siteMail(600, true)+"\nFrom a@example.org Mon Nov 16 09:00:00 2026\n"+siteMail(601, true)+"\n")
	wantText(t, "an mbox", ran(t, 0, "", "learn", "--state", state, "--spam", box), "learned 2 of 2")
	ran(t, exitUsage, "", "learn", "--state", state, "--spam", filepath.Join(dir, "none"))
	ran(t, exitFailure, "", "learn", "--state", state, "--spam", "-")
	ran(t, exitUsage, "", "learn", "--state", state, file)
}

// TestGatewayTakesUpModel: what is learned while the gateway runs changes the
// scores of the mail that comes next, without a word to it.
func TestGatewayTakesUpModel(t *testing.T) {
	state, dir := t.TempDir(), site(t, 60)
	p := start(t, state, "")
	score := func() string {
		if err := send(p.address, "a@example.org", []string{"me@example.net"}, siteMail(888, true)); err != nil {
			t.Fatal(err)
		}
		n := len(delivered(t, state))
		waitFor(t, "the message", func() bool { n = len(delivered(t, state)); return n > 0 })
		last := ""
		for _, m := range delivered(t, state) {
			last = m.Header.Get("X-SpamCatcher-Score")
		}
		for _, name := range must(filepath.Glob(filepath.Join(state, "maildir", "new", "*"))) {
			os.Remove(name)
		}
		return last
	}
	before := score()
	ran(t, 0, "", "train", "--state", state, dir)
	waitFor(t, "the reload", func() bool { return strings.Contains(p.log(), "msg=reloaded") })
	if after := score(); after == before {
		t.Errorf("score %s before and after the training\n%s", after, p.log())
	}
}

func must(list []string, err error) []string {
	if err != nil {
		panic(err)
	}
	return list
}
