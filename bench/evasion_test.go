package bench_test

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"spamcatcher/bench/evasion"
	"spamcatcher/corpus"
	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// A letter is a message of one of the collections.
type letter struct {
	name string
	raw  []byte
}

// A collection is spam to disguise and good mail to hide behind.
type collection struct {
	name string
	most int      // messages that each trick is tried on
	spam []letter // in an order that looks like chance and is always the same
	ham  []letter // likewise: what becomes of good mail that looks like that
	good evasion.Good
}

// ownMail is the project's own: always there.
func ownMail(t *testing.T) *collection {
	t.Helper()
	c := &collection{name: "own", most: 50}
	files, err := filepath.Glob(filepath.Join("..", "rules", "builtin", "testdata", "spam", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		c.spam = append(c.spam, letter{filepath.Base(f), readMail(t, f)})
	}
	files, err = filepath.Glob(filepath.Join("..", "rules", "builtin", "testdata", "good", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		raw := readMail(t, f)
		c.good.Learn(message.Parse(raw, message.Limits{}))
		c.ham = append(c.ham, letter{filepath.Base(f), raw})
	}
	c.shuffle()
	return c
}

// readMail reads a message that is written with LF for CRLF.
func readMail(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
}

// validationMail is the labelled mail outside of the project.
func validationMail(t *testing.T) *collection {
	t.Helper()
	dir := filepath.Join(sharedDir(t), "corpus")
	list, err := corpus.ReadLabels(filepath.Join(dir, "dev-valid.txt"), filepath.Join(dir, "boundary"))
	if err != nil {
		t.Fatal(err)
	}
	c := &collection{name: "dev-valid", most: 100}
	for _, m := range list {
		raw, err := os.ReadFile(m.Path)
		if err != nil {
			t.Fatal(err)
		}
		if m.Spam {
			c.spam = append(c.spam, letter{m.Name, raw})
		} else if m.Set() != "bounces-sisimai" {
			c.good.Learn(message.Parse(raw, message.Limits{}))
			c.ham = append(c.ham, letter{m.Name, raw})
		}
	}
	c.shuffle()
	return c
}

func (c *collection) shuffle() {
	for _, list := range [][]letter{c.spam, c.ham} {
		slices.SortFunc(list, func(a, b letter) int {
			return cmp.Or(cmp.Compare(hashed(a.name), hashed(b.name)), cmp.Compare(a.name, b.name))
		})
	}
}

func hashed(s string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, s)
	return h.Sum64()
}

// essential are the words that carry what a message says: up to 40 different
// ones of at least 5 letters, in lower case, as a reader of the original sees
// them.
func essential(m *message.Message) (list []string) {
	_, text, _ := strings.Cut(m.Text(), "\n")
	for _, token := range strings.Fields(strings.ToLower(text)) {
		if strings.ContainsAny(token, "@/._") {
			continue
		}
		for _, w := range strings.FieldsFunc(token, func(r rune) bool { return !unicode.IsLetter(r) }) {
			if len([]rune(w)) >= 5 && len(w) < 40 && !slices.Contains(list, w) && len(list) < 40 {
				list = append(list, w)
			}
		}
	}
	return list
}

// readable says how a rewritten message is no longer what it was to a reader.
func readable(trick evasion.Trick, original, rewritten *message.Message) error {
	if trick.Wordless {
		for _, l := range rewritten.Links() {
			if l.Source == "href" && strings.HasPrefix(l.Scheme, "http") {
				return nil
			}
		}
		return fmt.Errorf("no link is left")
	}
	_, text, _ := strings.Cut(rewritten.Text(), "\n")
	if trick.Undo != nil {
		text = trick.Undo(text)
	}
	text = strings.ToLower(text)
	words := essential(original)
	var lost []string
	for _, w := range words {
		// Letters that the trick would have put there may have been there.
		if !strings.Contains(text, w) && (trick.Undo == nil || !strings.Contains(text, strings.ToLower(trick.Undo(w)))) {
			lost = append(lost, w)
		}
	}
	if 10*len(lost) > len(words) {
		return fmt.Errorf("%d of %d words are lost: %q in %.300q", len(lost), len(words), lost[:min(5, len(lost))], text)
	}
	return nil
}

// wellFormed reads a message with another parser than ours, down to the bytes
// of every part.
func wellFormed(raw []byte) error {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return wellFormedPart(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body)
}

func wellFormedPart(contentType, encoding string, body io.Reader) error {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return fmt.Errorf("%q: %w", contentType, err)
	}
	if strings.HasPrefix(kind, "multipart/") {
		r := multipart.NewReader(body, params["boundary"])
		n := 0
		for {
			p, err := r.NextRawPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			n++
			if err := wellFormedPart(cmp.Or(p.Header.Get("Content-Type"), "text/plain"), p.Header.Get("Content-Transfer-Encoding"), p); err != nil {
				return err
			}
		}
		if n == 0 {
			return fmt.Errorf("%s without parts", kind)
		}
		return nil
	}
	if kind == "text/plain" || kind == "text/html" {
		if strings.EqualFold(encoding, "quoted-printable") {
			body = quotedprintable.NewReader(body)
		}
		data, err := io.ReadAll(body)
		if err != nil {
			return fmt.Errorf("%s in %s: %w", kind, encoding, err)
		}
		if len(bytes.TrimSpace(data)) == 0 {
			return fmt.Errorf("%s without content", kind)
		}
	}
	return nil
}

// A tally is what became of the messages under one trick and one judge.
type tally struct {
	tried, caught int
	lost          map[string]float64 // symbol -> log-odds less than before, over all messages
	missed        []string
}

func (t tally) percent() float64 { return 100 * float64(t.caught) / float64(max(1, t.tried)) }

// A judge is one way to wire the engine.
type judge struct {
	name   string
	engine *engine.Engine
}

func shares(v engine.Verdict) map[string]float64 {
	m := map[string]float64{}
	for _, s := range v.Symbols {
		m[s.Name] += s.Share
	}
	return m
}

// evade tries every trick on the first spams that each judge catches.
func evade(t *testing.T, c *collection, judges []judge) map[string][]tally {
	t.Helper()
	if raced {
		t.Skip("SKIPPED: without the race detector this is quicker by ten, and it is one goroutine")
	}
	type subject struct {
		letter
		parsed *message.Message
		before []map[string]float64 // by judge; nil if not to be counted
	}
	var subjects []*subject
	counts := make([]int, len(judges))
	for _, l := range c.spam {
		s := &subject{letter: l, parsed: message.Parse(l.raw, message.Limits{}), before: make([]map[string]float64, len(judges))}
		if _, err := evasion.Tricks()[0].Rewrite(l.raw, l.name, &c.good); err != nil || wellFormed(l.raw) != nil || len(essential(s.parsed)) < 3 {
			continue // nothing to read, or broken before anybody touched it
		}
		wanted := false
		for i, j := range judges {
			if counts[i] < c.most {
				if v := j.engine.Judge(t.Context(), &engine.Mail{Message: s.parsed}); v.Score > 50 {
					s.before[i] = shares(v)
					counts[i]++
					wanted = true
				}
			}
		}
		if wanted {
			subjects = append(subjects, s)
		}
	}
	t.Logf("%s: %d messages; caught by %v", c.name, len(subjects), counts)
	results := map[string][]tally{}
	for _, trick := range evasion.Tricks() {
		tallies := make([]tally, len(judges))
		for i := range tallies {
			tallies[i].lost = map[string]float64{}
		}
		unreadable := 0
		for _, s := range subjects {
			raw, err := trick.Rewrite(s.raw, s.name, &c.good)
			if err != nil {
				t.Errorf("%s: %v", trick.Name, err)
				continue
			}
			if err := wellFormed(raw); err != nil {
				t.Errorf("%s: %s: not well-formed: %v", trick.Name, s.name, err)
			}
			m := message.Parse(raw, message.Limits{})
			if err := readable(trick, s.parsed, m); err != nil {
				unreadable++
				if unreadable <= 2 {
					t.Logf("%s: %s: %v", trick.Name, s.name, err)
				}
			}
			for i, j := range judges {
				if s.before[i] == nil {
					continue
				}
				v := j.engine.Judge(t.Context(), &engine.Mail{Message: m})
				r := &tallies[i]
				r.tried++
				if v.Score > 50 {
					r.caught++
				} else {
					r.missed = append(r.missed, s.name)
				}
				after := shares(v)
				for name, share := range s.before[i] {
					r.lost[name] += share - after[name]
				}
				for name, share := range after {
					if _, ok := s.before[i][name]; !ok {
						r.lost[name] -= share
					}
				}
			}
		}
		if 20*unreadable > len(subjects) {
			t.Errorf("%s: %d of %d messages are not readable any more", trick.Name, unreadable, len(subjects))
		}
		results[trick.Name] = tallies
	}
	return results
}

// wronged is the percentage of good mail that each judge takes for spam once
// it is rewritten: what it costs honest mail of such a shape that the trick
// does not help spam.
func wronged(t *testing.T, c *collection, judges []judge, trick evasion.Trick) []float64 {
	t.Helper()
	flagged, tried := make([]float64, len(judges)), 0
	for _, l := range c.ham {
		raw, err := trick.Rewrite(l.raw, l.name, &c.good)
		if err != nil {
			continue
		}
		tried++
		m := message.Parse(raw, message.Limits{})
		for i, j := range judges {
			if v := j.engine.Judge(t.Context(), &engine.Mail{Message: m}); v.Score > 50 {
				flagged[i]++
			}
		}
		if tried == 50 {
			break
		}
	}
	for i := range flagged {
		flagged[i] *= 100 / float64(max(1, tried))
	}
	return flagged
}

// evidence names what was lost and gained most.
func (t tally) evidence() string {
	names := slices.SortedFunc(maps.Keys(t.lost), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.lost[b], t.lost[a]), cmp.Compare(a, b))
	})
	var lost, gained []string
	for _, n := range names[:min(8, len(names))] {
		if t.lost[n] > 0.5 {
			lost = append(lost, fmt.Sprintf("%s %.2f", n, t.lost[n]/float64(t.tried)))
		}
	}
	slices.Reverse(names)
	for _, n := range names[:min(4, len(names))] {
		if t.lost[n] < -0.5 {
			gained = append(gained, fmt.Sprintf("%s %.2f", n, -t.lost[n]/float64(t.tried)))
		}
	}
	return "lost " + strings.Join(lost, ", ") + "; gained " + strings.Join(gained, ", ")
}
