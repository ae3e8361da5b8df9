package relay

import (
	"bufio"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestReadReply(t *testing.T) {
	for in, want := range map[string]string{
		"250 ok\r\n": "250 ok", "250\r\n": "250", "250-a\r\n250 b\r\n": "250 a b", "250 ok\n": "250 ok", "250-\r\n250 \r\n": "250",
		"550-5.1.1 no such\r\n550-5.1.1 user\r\n550 5.1.1 here\r\n": "550 5.1.1 no such user here",
		"550 5.1.1 tab\there\x1b[31m\r\n":                           "550 5.1.1 tab?here?[31m",
		"550 caf\xe9\r\n":                                           "550 caf?",
		"250 " + strings.Repeat("x", 600) + "\r\n":                  "250 " + strings.Repeat("x", 496),
		"": "error", "250": "error", "2 0 a\r\n": "error", "150 a\r\n": "error", "650 a\r\n": "error", "250a\r\n": "error", "\r\n": "error",
		"250-a\r\n251 b\r\n": "error", "250-a\r\n": "error", "250_a\r\n": "error", "hello\r\n": "error", "25\r\n": "error",
	} {
		r := bufio.NewReader(strings.NewReader(in + "TAIL"))
		if want == "error" {
			r = bufio.NewReader(strings.NewReader(in))
		}
		rep, err := readReply(r)
		got := rep.String()
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%.40q: %q (%v), want %q", in, got, err, want)
		}
		if rest, _ := io.ReadAll(r); err == nil && string(rest) != "TAIL" {
			t.Errorf("%.40q: rest %q", in, rest)
		}
	}
}

func TestReplyIsBounded(t *testing.T) {
	for _, in := range []string{"250-" + strings.Repeat("x", 1<<20) + "\r\n", strings.Repeat("250-x\r\n", 1<<18), strings.Repeat("x", 1<<20)} {
		src := strings.NewReader(in)
		r := bufio.NewReader(src)
		if _, err := readReply(r); !errors.Is(err, errReplyLong) {
			t.Errorf("%.10q…: %v", in, err)
		}
		if used := len(in) - src.Len(); used > maxReply+8<<10 {
			t.Errorf("%.10q…: %d octets read", in, used)
		}
	}
	rep, err := readReply(bufio.NewReader(strings.NewReader(strings.Repeat("250-x\r\n", 5000) + "250 x\r\n")))
	if err != nil || len(rep.lines) != maxReplyLines {
		t.Errorf("%d lines, %v", len(rep.lines), err)
	}
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "550 5.1.1 x\r\n", "250-\r\n\r\n", "354\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		rep, err := readReply(bufio.NewReader(strings.NewReader(string(in))))
		if err != nil {
			return
		}
		s := rep.String()
		if len(s) < 3 || len(s) > maxReplyText || strings.ContainsAny(s, "\r\n\x00") || rep.code < 200 || rep.code > 599 || len(rep.lines) == 0 {
			t.Fatalf("%q: %q", in, s)
		}
	})
}

// A server that never ends its replies costs a bounded time and memory, and the next server gets the message.
func TestHostileServers(t *testing.T) {
	endless := func(piece string) func(string, io.Writer) bool {
		return func(line string, w io.Writer) bool {
			if !strings.HasPrefix(line, "RCPT") {
				return false
			}
			for {
				if _, err := io.WriteString(w, piece); err != nil {
					return true
				}
			}
		}
	}
	for name, script := range map[string]relaytest.Script{
		"endless multi-line reply": {Stream: endless("250-and another thing\r\n")},
		"endless line":             {Stream: endless("250 and on and on")},
		"1 MB line":                {Answer: answers(map[string]string{"EHLO": "250 " + strings.Repeat("x", 1<<20)})},
		"NUL flood":                {Stream: endless(strings.Repeat("\x00", 1000))},
	} {
		bad, good := relaytest.Start(t, script), relaytest.Start(t, relaytest.Script{})
		got := deliver(t, newRelay(t, nil, bad.Addr, good.Addr), hello, "b@example.org")
		if got[0].State != queue.Delivered || good.Count() != 1 {
			t.Errorf("%s: %+v", name, got)
		}
		alone := relaytest.Start(t, script)
		got = deliver(t, newRelay(t, nil, alone.Addr), hello, "b@example.org")
		if got[0].State != queue.Deferred || !strings.HasPrefix(got[0].Reply, "451 4.4.2 ") {
			t.Errorf("%s alone: %+v", name, got)
		}
		if m := newRelay(t, nil, relaytest.Start(t, script).Addr).Verify(t.Context(), "b@example.org"); m != Unsure {
			t.Errorf("%s: the recipient %v", name, m)
		}
	}
}

func TestSMTPPath(t *testing.T) {
	for in, want := range map[string]string{
		"a@example.com": "a@example.com", "A.b+c=d@Example.COM": "A.b+c=d@Example.COM", "a@[192.0.2.1]": "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]": "a@[IPv6:2001:db8::1]",
		`"a b"@example.com`: `"a b"@example.com`, "a b@example.com": `"a b"@example.com`, `a"b@example.com`: `"a\"b"@example.com`, `a\b@example.com`: `"a\\b"@example.com`,
		"a> SIZE=1 <b@c.example.com": `"a> SIZE=1 <b"@c.example.com`, "victim@third.example@example.com": `"victim@third.example"@example.com`,
		"a..b@example.com": `"a..b"@example.com`, ".a@example.com": `".a"@example.com`, "a.@example.com": `"a."@example.com`, `"a"b"@example.com`: `"\"a\"b\""@example.com`,
		`"a\"b"@example.com`: `"a\"b"@example.com`, `"a\"@example.com`: `"\"a\\\""@example.com`, `""@example.com`: `""@example.com`, `"@example.com`: `"\""@example.com`,
		"jürgen@example.com": "jürgen@example.com", "a@bücher.example": "a@bücher.example", "postmaster": "postmaster", "PostMaster": "PostMaster",
		"": "", "a": "", "@example.com": "", "a@": "", "a@b c": "", "a@b>c": "", "a@b\r\nc": "", "a\nb@example.com": "", "a\x00@example.com": "", "a@[": "", "a@[]": "",
		"a@b]": "", "a@[a b]": "", "a@[1]2": "", "\xff@example.com": "", "a@b@c>": "", strings.Repeat("a", 481) + "@example.com": "", "a@" + strings.Repeat("b", 256): "",
		"a\x7f@example.com": "", "a,b@example.com": `"a,b"@example.com`,
	} {
		got, international, err := smtpPath(in)
		if (err != nil) != (want == "") || got != want && err == nil {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
		if err == nil && international == ascii(in) {
			t.Errorf("%q: international %v", in, international)
		}
	}
}

func FuzzSMTPPath(f *testing.F) {
	for _, s := range []string{"a@example.com", `"a\"b"@c`, "a> <b@c", "a@[::]", `"\@b`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		path, _, err := smtpPath(in)
		if err != nil {
			return
		}
		// Outside a quoted string there is no bracket, space or quote; the path ends where it seems to.
		quoted, out := false, ""
		for i := 0; i < len(path); i++ {
			switch c := path[i]; {
			case c < ' ' || c == 0x7f:
				t.Fatalf("%q: control character in %q", in, path)
			case c == '\\' && quoted:
				i++
			case c == '"':
				quoted = !quoted
			case !quoted:
				out += string(c)
			}
		}
		if quoted || strings.ContainsAny(out, "<> \\,") || strings.Count(out, "@") > 1 {
			t.Fatalf("%q: %q", in, path)
		}
		if again, _, err := smtpPath(path); err != nil && len(path) < maxPath || err == nil && again != path {
			t.Fatalf("%q: %q becomes %q, %v", in, path, again, err)
		}
	})
}
