package gateway

import (
	"strings"
	"testing"
)

var markKey = []byte("0123456789abcdef")

// fieldOf returns a field of a message, unfolded, with its name; "" for none.
func fieldOf(text, name string) string {
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	for field := range strings.SplitSeq(unfold(head), "\r\n") {
		if strings.HasPrefix(field, name+":") {
			return field
		}
	}
	return ""
}

// A message that comes back is known, though what is behind us removes every
// Received field and our name has changed; and it carries one mark only.
func TestLoopByMark(t *testing.T) {
	b := start(t, Config{Mark: markKey})
	text := "From: a@example.org\r\nSubject: round\r\n\r\nText\r\n"
	for pass := range maxOwnHops + 1 {
		c := b.dial()
		c.message(text, "250 2.0.0")
		sent := body(b.store.all()[pass])
		mark := fieldOf(sent, "X-SpamCatcher-Mark")
		if want := "X-SpamCatcher-Mark: " + string(rune('1'+pass)) + " " + b.store.all()[pass].ID + " "; !strings.HasPrefix(mark, want) || strings.Count(sent, "X-SpamCatcher-Mark") != 1 {
			t.Fatalf("pass %d: mark %q, want %q", pass, mark, want)
		}
		text = mark + "\r\nX-SpamCatcher-Score: 0\r\nFrom: a@example.org\r\nSubject: round\r\n\r\nText\r\n"
	}
	b.dial().message(text, "554 5.4.6 mail loop")
	if s := b.Stats(); s.Refused != 1 || s.Accepted != maxOwnHops+1 {
		t.Errorf("stats %+v", s)
	}
	// Another installation's key makes it anybody's field; so does no key.
	for _, key := range [][]byte{[]byte("another key of ours"), nil} {
		other := start(t, Config{Mark: key})
		other.dial().message(text, "250 2.0.0")
		sent := body(other.store.all()[0])
		if got, want := strings.HasPrefix(fieldOf(sent, "X-SpamCatcher-Mark"), "X-SpamCatcher-Mark: 1 "), key != nil; got != want || strings.Contains(sent, "Mark: 4") {
			t.Errorf("with key %q:\n%s", key, sent)
		}
	}
}

// Nobody without the key can count a message up.
func TestForgedMarks(t *testing.T) {
	id := "0abc"
	good := markOf(markKey, 4, id)
	words := strings.Fields(good)
	for _, test := range []struct {
		head string
		want int
	}{
		{"X-SpamCatcher-Mark: " + good + "\r\n", 4},
		{"x-spamcatcher-MARK :\r\n\t4\r\n 0abc\t" + words[2] + "\r\n", 4},
		{"X-SpamCatcher-Mark: " + markOf(markKey, 2, id) + "\r\nX-SpamCatcher-Mark: " + good + "\r\nX-SpamCatcher-Mark: 1 x y\r\n", 4},
		{"X-SpamCatcher-Mark: 9 0abc " + words[2] + "\r\n", 0},
		{"X-SpamCatcher-Mark: 4 0abd " + words[2] + "\r\n", 0},
		{"X-SpamCatcher-Mark: 4 0abc " + words[2][:31] + "\r\n", 0},
		{"X-SpamCatcher-Mark: 4 0abc\r\n", 0},
		{"X-SpamCatcher-Mark: 4 0abc " + words[2] + " x\r\n", 0},
		{"X-SpamCatcher-Mark: 4 0abc " + strings.ToUpper(words[2]) + "x\r\n", 0},
		{"X-SpamCatcher-Mark:\r\n", 0},
		{"X-SpamCatcher-Mark\r\n", 0},
		{"X-SpamCatcher-Marks: " + good + "\r\n", 0},
		{"X-SpamCatcher-Mark: " + strings.Repeat("4", 400) + "\r\n", 0},
	} {
		raw := test.head + testMessage
		h := readHeaderOf(t, raw)
		if got := passesOf(markKey, []byte(raw), h.forged); got != test.want {
			t.Errorf("%q: %d, want %d", test.head, got, test.want)
		}
		if strings.Contains(string(h.strip([]byte(raw))), "Mark") {
			t.Errorf("%q stays", test.head)
		}
		if got := passesOf(nil, []byte(raw), h.forged); got != 0 {
			t.Errorf("%q: %d without a key", test.head, got)
		}
	}
	if _, err := New(Config{Judge: scores(1), Queue: &memory{}, Mark: []byte("short")}); err == nil {
		t.Error("a short key is taken")
	}
}
