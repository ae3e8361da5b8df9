package wire

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// scanAll runs a scanner over text cut at random, keeping what it keeps.
func scanAll(text string, cut func() int) (body, rest string, done, flawed bool) {
	var s scanner
	var kept []byte
	for i := 0; i < len(text); {
		n := min(cut(), len(text)-i)
		p := []byte(text[i : i+n])
		k, used, done := s.scan(p)
		if k < 0 {
			kept = kept[:len(kept)+k]
		} else {
			kept = append(kept, p[:k]...)
		}
		i += used
		if done {
			return string(kept), text[i:], true, s.flawed()
		}
	}
	return "", "", false, false
}

// reference does the same one octet at a time. RFC 5321 section 4.5.2
func reference(text string) (body, rest string, done, flawed bool) {
	begin := true
	for i := 0; i < len(text); i++ {
		c := text[i]
		if begin && c == '.' {
			if strings.HasPrefix(text[i:], ".\r\n") {
				return body, text[i+3:], true, flawed
			}
			begin = false
			continue
		}
		flawed = flawed || c == 0 || c == '\n' && (i == 0 || text[i-1] != '\r') || c == '\r' && (i+1 == len(text) || text[i+1] != '\n')
		body += string(c)
		begin = c == '\n' && i > 0 && text[i-1] == '\r'
	}
	return "", "", false, false
}

// TestScanner compares scanner and reference over texts made of little else than
// what matters, cut everywhere.
func TestScanner(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"\r\n", "\r\n", "\r\n", ".", ".", "\r", "\n", "a", "\x00", "\r\n.\r\n", "\r\n..", "bcd"}
	ends, flaws := 0, 0
	for range 300_000 {
		var b strings.Builder
		usual := len(alphabet)
		if rng.IntN(2) == 0 {
			usual = 5 // without flaws
		}
		for range rng.IntN(12) {
			b.WriteString(alphabet[rng.IntN(usual)])
		}
		text := b.String() + []string{"", "\r\n.\r\n", "\r\n.\r\nrest"}[rng.IntN(3)]
		most := 1 + rng.IntN(8)
		body, rest, done, flawed := scanAll(text, func() int { return 1 + rng.IntN(most) })
		body2, rest2, done2, flawed2 := reference(text)
		if body != body2 || rest != rest2 || done != done2 || flawed != flawed2 {
			t.Fatalf("%q: %q %q %v %v, want %q %q %v %v", text, body, rest, done, flawed, body2, rest2, done2, flawed2)
		}
		if done {
			if ends++; flawed {
				flaws++
			}
			if got := flawless([]byte(body)); got != !flawed {
				t.Fatalf("%q: flawless %v", body, got)
			}
		}
	}
	if ends < 100_000 || flaws < 30_000 || flaws > ends-30_000 {
		t.Errorf("%d ends, %d flawed: the texts test too little", ends, flaws)
	}
}

func TestLongLine(t *testing.T) {
	for _, n := range []int{1, 99_998, 99_999, 150_000, 300_000} {
		for _, before := range []int{0, 1, 99_990, 100_000, 250_001} {
			b := strings.Repeat("a\r\n", before/3) + strings.Repeat("x", n) + "\r\n"
			var s scanner
			s.scan([]byte(b + ".\r\n"))
			if want := n+2 > maxTextLine; longLine([]byte(b)) != want || s.long != want {
				t.Errorf("%d octets after %d: longLine %v, scanner %v, want %v", n, before, longLine([]byte(b)), s.long, want)
			}
		}
	}
}

// BenchmarkScan scans a message, plain and with every line stuffed.
func BenchmarkScan(b *testing.B) {
	for name, line := range map[string]string{"plain": strings.Repeat("x", 74) + "\r\n", "stuffed": ".." + strings.Repeat("x", 72) + "\r\n", "short": "x\r\n"} {
		b.Run(name, func(b *testing.B) {
			text := []byte(strings.Repeat(line, 64<<10/len(line)) + ".\r\n")
			want := len(text) - 3
			if name == "stuffed" {
				want -= 64 << 10 / len(line)
			}
			p := make([]byte, len(text))
			b.SetBytes(int64(len(text)))
			for range b.N {
				if name == "stuffed" {
					copy(p, text) // it is changed
				} else {
					p = text
				}
				var s scanner
				if kept, used, done := s.scan(p); kept != want || used != len(text) || !done || s.flawed() {
					b.Fatal(kept, used, done, s.flawed())
				}
			}
		})
	}
}

// TestReplyForm: nothing in a text can make a line of its own.
func TestReplyForm(t *testing.T) {
	for _, test := range []struct {
		r    Reply
		want string
	}{
		{Reply{Code: 550, Text: "a\nb"}, "550-5.0.0 a\r\n550 5.0.0 b\r\n"},
		{Reply{Code: 451, Enhanced: "5.1.1", Text: "a\r\nb\rc\x00ü"}, "451-4.0.0 a\r\n451 4.0.0 b?c???\r\n"},
		{Reply{Code: 354, Enhanced: "3.0.0", Text: "go"}, "354 go\r\n"},
		{Reply{Code: 250, Enhanced: "2.1.0"}, "250 2.1.0 \r\n"},
		{Reply{Code: 250, Text: strings.Repeat("x", 1000)}, "250 2.0.0 " + strings.Repeat("x", maxReplyText) + "\r\n"},
	} {
		if got := string(test.r.append(nil, true)); got != test.want {
			t.Errorf("%+v: %q, want %q", test.r, got, test.want)
		}
	}
	if got := string((&Reply{Code: 501, Text: "as it is"}).append(nil, false)); got != "501 as it is\r\n" {
		t.Errorf("%q", got)
	}
	if r, ok := parseReply([]byte("550-a\r\n550 5.7.1 b\r\n")); !ok || r != (Reply{Code: 550, Enhanced: "5.7.1", Text: "a\nb"}) {
		t.Errorf("%+v %v", r, ok)
	}
	for _, bad := range []string{"", "x\r\n", "99 a\r\n", "abc d\r\n", "650 a\r\n"} {
		if r, ok := parseReply([]byte(bad)); ok {
			t.Errorf("%q is no reply: %+v", bad, r)
		}
	}
	for text, want := range map[string]bool{"5.7.1": true, "2.0.0": true, "4.123.999": true, "5.7": false, "5.7.": false, "55.7.1": false, ".7.1": false, "5..1": false, "5.7.1.": false, "5.7.1234": false, "5.x.1": false, "": false} {
		if isStatus([]byte(text)) != want {
			t.Errorf("isStatus(%q) is %v", text, !want)
		}
	}
	if !bytes.Equal(appendPrintable(nil, "a\tb"), []byte("a?b")) {
		t.Error("control character kept")
	}
}

func TestFitting(t *testing.T) {
	for _, test := range []struct {
		sessions int
		files    uint64
		want     int
	}{{1000, 1 << 20, 1000}, {1000, 256, 192}, {-1, 1024, 768}, {-1, 1<<64 - 1, 3 << 28}, {0, 1024, 0}} {
		if got := fitting(test.sessions, test.files); got != test.want {
			t.Errorf("%d sessions, %d files: %d, want %d", test.sessions, test.files, got, test.want)
		}
	}
}
