package bayes

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

func parse(subject, body string) *message.Message {
	raw := "From: A <a@example.org>\r\nSubject: " + subject + "\r\nMessage-ID: <" + subject + "@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + body + "\r\n"
	return message.Parse([]byte(raw), message.Limits{})
}

// vocabulary of two kinds of mail that share half of their words.
func sentence(isSpam bool, n int) string {
	own := []string{"meeting", "agenda", "minutes", "review", "patch", "release"}
	if isSpam {
		own = []string{"winner", "lottery", "transfer", "million", "beneficiary", "urgent"}
	}
	both := []string{"please", "read", "the", "following", "and", "answer", "today", "with", "regards"}
	var list []string
	for k := range 12 {
		list = append(list, both[(n*7+k*3)%len(both)], own[(n*5+k)%len(own)])
	}
	return strings.Join(list, " ")
}

func trained(tb testing.TB, base *Model, spam, ham int) *Trainer {
	tb.Helper()
	t := NewTrainer(base)
	for n := range spam {
		t.Learn(parse(fmt.Sprint("offer ", n), sentence(true, n)), true, -1)
	}
	for n := range ham {
		t.Learn(parse(fmt.Sprint("notes ", n), sentence(false, n)), false, -3)
	}
	return t
}

func compiled(tb testing.TB, t *Trainer) *Model {
	tb.Helper()
	m, err := t.Compile()
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func strengths(tb testing.TB, m *Model, msg *message.Message) map[string]float64 {
	tb.Helper()
	hits, err := m.Inspect(tb.Context(), &engine.Mail{Message: msg})
	if err != nil {
		tb.Fatal(err)
	}
	found := map[string]float64{}
	for _, h := range hits {
		found[h.Symbol] = h.Strength
	}
	return found
}

// evidence is what the model adds to a message's log-odds.
func (m *Model) evidence(msg *message.Message) float64 {
	f := extract(msg)
	defer f.release()
	text, _ := m.judgeText(f)
	words, _ := m.judgeWords(f)
	return m.fusion.bias + m.fusion.text*text + m.fusion.words*words
}

func TestModelTellsClassesApart(t *testing.T) {
	m := compiled(t, trained(t, nil, 60, 60))
	for n := 100; n < 120; n++ {
		for _, isSpam := range []bool{true, false} {
			got := strengths(t, m, parse(fmt.Sprint("new ", n), sentence(isSpam, n)))
			for _, symbol := range []string{TextSymbol, WordsSymbol} {
				if got[symbol] > 0 != isSpam {
					t.Errorf("message %d, spam %v: %s is %+.2f", n, isSpam, symbol, got[symbol])
				}
			}
		}
	}
	if m.fusion.text <= 0 || m.fusion.words < 0 {
		t.Errorf("weights %+v of learners that are always right", m.fusion)
	}
}

func TestWordsAreNamed(t *testing.T) {
	m := compiled(t, trained(t, nil, 60, 60))
	hits, err := m.Inspect(t.Context(), &engine.Mail{Message: parse("hello", "The lottery and a winner; nothing else.")})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hits {
		if h.Symbol == WordsSymbol && strings.Contains(h.Detail, "+lottery") && strings.Contains(h.Detail, "+winner") {
			return
		}
	}
	t.Errorf("the words are not named in %+v", hits)
}

func TestOrderOfLearningMakesNoDifference(t *testing.T) {
	forward, backward := NewTrainer(nil), NewTrainer(nil)
	type lesson struct {
		m    *message.Message
		spam bool
	}
	var list []lesson
	for n := range 40 {
		list = append(list, lesson{parse(fmt.Sprint(n), sentence(n%2 == 0, n)), n%2 == 0})
	}
	for _, l := range list {
		forward.Learn(l.m, l.spam, 0)
	}
	slices.Reverse(list)
	for _, l := range list {
		// Learned as the wrong class first: only the last word counts.
		backward.Learn(l.m, !l.spam, 0)
		if !backward.Learn(l.m, l.spam, 0) {
			t.Fatal("a lesson of the other class changed nothing")
		}
		if backward.Learn(l.m, l.spam, 0) {
			t.Fatal("the same lesson again changed something")
		}
	}
	extra := parse("extra", "to be forgotten")
	backward.Learn(extra, true, 0)
	if !backward.Forget(extra) || backward.Forget(extra) {
		t.Fatal("forgetting says something else than whether there was something")
	}
	a, b := compiled(t, forward), compiled(t, backward)
	if a.Digest() != b.Digest() {
		t.Errorf("models %s and %s of the same lessons", a.Digest(), b.Digest())
	}
	if spam, ham := backward.Len(); spam != 20 || ham != 20 {
		t.Errorf("%d and %d lessons", spam, ham)
	}
}

func TestTracesOfRelaysMakeNoOtherLesson(t *testing.T) {
	raw := "From: A <a@example.org>\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n\r\ntext\r\n"
	passed := "X-SpamCatcher-Score: 7\r\nReceived: from x by y; Sun, 22 Nov 2026 10:00:00 +0000\r\n" + strings.Replace(raw, "Subject: ", "Subject: "+tag, 1)
	a, b := message.Parse([]byte(raw), message.Limits{}), message.Parse([]byte(passed), message.Limits{})
	tr := NewTrainer(nil)
	if !tr.Learn(a, true, 0) || tr.Learn(b, true, 0) {
		t.Error("a message that came through the gateway is another lesson")
	}
	if p, q := Prepare(a, true, 0), Prepare(b, true, 0); !slices.EqualFunc(p.parts, q.parts, slices.Equal) || !slices.Equal(p.words, q.words) {
		t.Error("the gateway's own traces are features")
	}
}

func TestTooFewLessons(t *testing.T) {
	if _, err := trained(t, nil, 60, 2).Compile(); err != ErrOneSided {
		t.Errorf("error %v", err)
	}
	base := compiled(t, trained(t, nil, 60, 60))
	if got := compiled(t, trained(t, base, 3, 3)); got != base {
		t.Error("three lessons replaced the base")
	}
}

func TestSiteOutweighsBase(t *testing.T) {
	base := compiled(t, trained(t, nil, 100, 100))
	// The site's people do discuss lotteries, and get spam about patches.
	learn := func(n int) *Model {
		tr := NewTrainer(base)
		for k := range n {
			tr.Learn(parse(fmt.Sprint("our ", k), sentence(true, k)), false, -3)
			tr.Learn(parse(fmt.Sprint("their ", k), sentence(false, k)), true, -3)
		}
		return compiled(t, tr)
	}
	msg := parse("new", sentence(true, 500))
	before := base.evidence(msg)
	few, many := learn(5).evidence(msg), learn(100).evidence(msg)
	if !(before > 0 && few < before && many < few && many < 0) {
		t.Errorf("evidence %+.2f by the base, %+.2f after 10 lessons that say the contrary, %+.2f after 200", before, few, many)
	}
}

// A handful of lessons says nothing about words that every message has.
func TestFewLessonsMoveFewWords(t *testing.T) {
	base := compiled(t, trained(t, nil, 100, 100))
	tr := NewTrainer(base)
	for n := range 8 {
		tr.Learn(parse(fmt.Sprint("s", n), sentence(true, n)+" with regards"), true, 0)
		tr.Learn(parse(fmt.Sprint("h", n), "quite other words altogether "+fmt.Sprint(n)), false, 0)
	}
	m := compiled(t, tr)
	before, after := base.words[wordBucket("", "regards")], m.words[wordBucket("", "regards")]
	if after > before+5 {
		t.Errorf("a common word went from %+d steps to %+d by 16 lessons", before, after)
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	m := compiled(t, trained(t, nil, 200, 200))
	m.gramStep *= 1e6
	got := strengths(t, m, parse("winner", sentence(true, 1)))
	if got[TextSymbol] > textLimit || got[TextSymbol] < textLimit-0.01 || math.Abs(got[WordsSymbol]) > wordsLimit {
		t.Errorf("strengths %v", got)
	}
}

// A paragraph of spam among good ones is found, whether it comes first or last.
func TestWorstPart(t *testing.T) {
	m := compiled(t, trained(t, nil, 100, 100))
	good, bad := strings.Repeat(sentence(false, 1)+" ", 12), strings.Repeat(sentence(true, 7)+" ", 5)
	alone := strengths(t, m, parse("notes", good))[TextSymbol]
	for name, body := range map[string]string{"first": bad + good, "last": good + bad} {
		if hidden := strengths(t, m, parse("notes", body))[TextSymbol]; !(hidden > alone+0.8) {
			t.Errorf("%s: %+.2f with the paragraph, %+.2f without", name, hidden, alone)
		}
	}
}

func TestMargins(t *testing.T) {
	// Header, body, two pieces; the second says spam.
	whole, worst := margins([]float64{1, -20, -20, 40}, []int{99, 300, 300, 300}, 0.5)
	if want := 1/math.Sqrt(1000) + 0.5; math.Abs(whole-want) > 1e-12 {
		t.Errorf("whole %v, want %v", whole, want)
	}
	if want := 41/math.Sqrt(400) + 0.5; math.Abs(worst-want) > 1e-12 {
		t.Errorf("worst %v, want %v", worst, want)
	}
	// What is left of a text is no piece by itself.
	if whole, worst := margins([]float64{0, 0, 0, 40}, []int{99, 300, 300, minGrams - 1}, 0); worst != whole {
		t.Errorf("whole %v, worst %v", whole, worst)
	}
}

// A site that has shown only its good plain text and its spam about meetings
// does not unlearn what the anchors say.
func TestAnchors(t *testing.T) {
	base := compiled(t, trained(t, nil, 60, 60))
	anchors := NewTrainer(nil)
	for n := range 40 {
		anchors.Learn(parse(fmt.Sprint("digest ", n), "quarterly newsletter with offers and savings "+sentence(false, n)), false, -1)
		anchors.Learn(parse(fmt.Sprint("lure ", n), "verify your mailbox "+sentence(true, n)), true, -1)
	}
	judge := func(data []byte) float64 {
		tr := NewTrainer(base)
		if err := tr.Anchor(data); err != nil {
			t.Fatal(err)
		}
		for n := range 100 {
			tr.Learn(parse(fmt.Sprint("s", n), "newsletter with offers and savings "+sentence(true, n)), true, -1)
			tr.Learn(parse(fmt.Sprint("h", n), sentence(false, n)), false, -1)
		}
		return compiled(t, tr).evidence(parse("digest 99", "quarterly newsletter with offers and savings "+sentence(false, 99)))
	}
	with, without := judge(anchors.Lessons()), judge(NewTrainer(nil).Lessons())
	if !(with < without-0.1) {
		t.Errorf("%+.2f with anchors, %+.2f without", with, without)
	}
	if err := NewTrainer(nil).Anchor([]byte("nonsense")); err == nil {
		t.Error("nonsense was taken for lessons")
	}
}

func TestEmptyMessage(t *testing.T) {
	m := compiled(t, trained(t, nil, 20, 20))
	if hits, err := m.Inspect(t.Context(), &engine.Mail{Message: message.Parse(nil, message.Limits{})}); err != nil || len(hits) != 0 {
		t.Errorf("hits %v, error %v on an empty message", hits, err)
	}
}

func TestEmbedded(t *testing.T) {
	m, err := Embedded()
	if err != nil {
		t.Fatal(err)
	}
	if spam, ham := m.Lessons(); spam < 1000 || ham < 1000 {
		t.Errorf("the model in the binary rests on %d and %d lessons", spam, ham)
	}
	if tr := NewTrainer(m); len(tr.anchors) < 200 {
		t.Errorf("%d anchors in the binary", len(tr.anchors))
	}
	spam := m.evidence(parse("URGENT business proposal", "I am the attorney of a late client who left the sum of 8.5 million dollars in our bank. Kindly send your full name and telephone number to claim it."))
	ham := m.evidence(parse("Re: build fails on arm64", "Thanks for the patch. I applied it and the test suite passes now; will push it to master tomorrow.\n\nOn Monday you wrote:\n> does this fix it?"))
	if !(spam > ham+2) {
		t.Errorf("evidence %+.2f for an advance fee fraud, %+.2f for an answer about a patch", spam, ham)
	}
}
