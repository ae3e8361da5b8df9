package bayes

import (
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine/message"
)

func tokens(subject, body string) []string {
	raw := "Subject: " + subject + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + body + "\r\n"
	return Tokens(message.Parse([]byte(raw), message.Limits{}))
}

func TestTokens(t *testing.T) {
	for name, c := range map[string]struct {
		subject, body string
		want          []string
	}{
		"words":       {"Hello World", "It's a GOOD e-mail.", []string{"s:hello", "s:world", "it's", "good", "e-mail"}},
		"no spaces":   {"x", "発票発行", []string{"発票", "票発", "発行"}},
		"mixed":       {"x", "VIP会員", []string{"vip", "会員"}},
		"accents":     {"x", "Größe ÉTÉ", []string{"größe", "été"}},
		"data":        {"x", strings.Repeat("a", 41) + " " + strings.Repeat("b", 40), []string{strings.Repeat("b", 40)}},
		"hosts":       {"x", "see http://www.example.com/path?q", []string{"see", "h:www.example.com"}},
		"interrupted": {"x", "中 国", nil},
	} {
		got := tokens(c.subject, c.body)
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %q is not among %q", name, w, got)
			}
		}
	}
	if got := tokens("x", "中 国"); slices.Contains(got, "中国") {
		t.Errorf("characters of two words became a pair: %q", got)
	}
}

func TestOnlyTheBeginningCounts(t *testing.T) {
	got := tokens("x", strings.Repeat("filler ", MaxBytes/7+10)+"afterwards")
	if slices.Contains(got, "afterwards") || !slices.Contains(got, "filler") {
		t.Errorf("%d tokens, the last %q", len(got), got[len(got)-1])
	}
}
