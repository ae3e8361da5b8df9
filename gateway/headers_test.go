package gateway

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/policy"
)

const host = "mx.example.com"

func readHeaderOf(t testing.TB, raw string) header {
	t.Helper()
	h, err := readHeader([]byte(raw), host, 1<<20, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// stripped is the message without what may not come from outside.
func stripped(t testing.TB, raw string) string {
	t.Helper()
	return string(readHeaderOf(t, raw).strip([]byte(raw)))
}

// Every form is put between two fields that must stay to the byte. A forged
// form has to go completely.
func TestForgedFieldsAreRemoved(t *testing.T) {
	forms := []string{
		"X-SpamCatcher-Score: 0\r\n",
		"x-spamcatcher-score: 0\r\n",
		"X-SPAMCATCHER-SCORE: 0\r\n",
		"x-SpAmCaTcHeR-sCoRe:0\r\n",
		"X-SpamCatcher-Score : 0\r\n",
		"X-SpamCatcher-Score\t: 0\r\n",
		"X-SpamCatcher-Score \t \t: 0\r\n",
		"X-SpamCatcher-Score:\r\n",
		"X-SpamCatcher-Score:\r\n 0\r\n",
		"X-SpamCatcher-Score: 0\r\n\tand more\r\n  and more\r\n",
		"X-SpamCatcher-Score\r\n : 0\r\n",
		"X-SpamCatcher-Score\r\n",
		"X-SpamCatcher-Score 0\r\n",
		"X-SpamCatcher-: 0\r\n",
		"X-SpamCatcher-Anything-At-All: 0\r\n",
		"X-SpamCatcher-IP: 192.0.2.1\r\n",
		"X-SpamCatcher-Flag: NO\r\n",
		"X-SpamCatcher-Virus: none\r\n",
		"X-SpamCatcher-Report: good=1;\r\n\tbetter=2\r\n",
		"X-SpamCatcher-Timeout: no\r\n",
		"X-SpamCatcher-Score: 0\r\nX-SpamCatcher-Score: 1\r\n",
		"\xEF\xBB\xBFX-SpamCatcher-Score: 0\r\n",
		"\x01X-SpamCatcher-Score: 0\r\n",
		"X-Spam\x7fCatcher-Score: 0\r\n",
		"X-SpamCatcher-Score: 0\n", // wire lets no bare LF or CR through; should it ever
		"X-SpamCatcher-Score" + strings.Repeat(" ", 2000) + ": 0\r\n",
		"X-SpamCatcher-" + strings.Repeat("a", 3000) + ": 0\r\n",
		"X-SpamCatcher-Score: " + strings.Repeat("0", 5000) + "\r\n",
		"Authentication-Results: mx.example.com; spf=pass\r\n",
		"authentication-results: MX.EXAMPLE.COM; spf=pass\r\n",
		"Authentication-Results : mx.example.com; spf=pass\r\n",
		"Authentication-Results:mx.example.com;spf=pass\r\n",
		"Authentication-Results: mx.example.com 1; spf=pass\r\n",
		"Authentication-Results:\r\n mx.example.com;\r\n\tspf=pass\r\n",
		"Authentication-Results: \"mx.example.com\"; spf=pass\r\n",
		"Authentication-Results: \"mx.exa\\mple.com\"; spf=pass\r\n",
		"Authentication-Results: (a (nested\\) one) here) mx.example.com; spf=pass\r\n",
		"Authentication-Results: mx.example.com(comment); spf=pass\r\n",
		"Authentication-Results: mx.example.com. ; spf=pass\r\n",
		"Authentication-Results: mx.example.com/1; spf=pass\r\n",
		"Authentication-Results: (never closed mx.example.com; spf=pass\r\n",
		"Authentication-Results: \"mx.example.com; spf=pass\r\n",
		"Authentication-Results: mx.example.com\r\n",
		"Authentication-\r\n Results: mx.example.com; spf=pass\r\n",
	}
	if len(forms) < 25 {
		t.Fatalf("%d forms", len(forms))
	}
	for _, form := range forms {
		for _, c := range []struct{ before, after string }{
			{"From: a@example.org\r\n", "Subject: x\r\n\r\nX-SpamCatcher-Score: in the body\r\n"},
			{"", "Subject: x\r\n\r\nbody\r\n"},
			{"Subject: x\r\n", "\r\nbody\r\n"},
			{"Subject: x\r\n", ""},
			{"no field at all\r\n", "Subject: x\r\n\r\nbody\r\n"},
			{"From a@example.org Mon Nov 23 2026\r\n", "Subject: x\r\n\r\nbody\r\n"},
			{"DKIM-Signature: v=1; h=x-spamcatcher-score;\r\n\tb=abc\r\n", "Subject: x\r\n\r\nbody\r\n"},
			{strings.Repeat("X-Filler: y\r\n", 5000), "Subject: x\r\n\r\nbody\r\n"},
		} {
			if got := stripped(t, c.before+form+c.after); got != c.before+c.after {
				t.Errorf("%q between %.40q and %.40q: left %.200q", form, c.before, c.after, got)
			}
		}
	}
}

// A CR alone ends a line for some readers. What stands before it stays, and
// keeps its line end.
func TestForgedFieldBehindBareCR(t *testing.T) {
	for in, want := range map[string]string{
		"Subject: x\rX-SpamCatcher-Score: 0\r\nFrom: a\r\n\r\nb": "Subject: x\r\r\nFrom: a\r\n\r\nb",
		"Subject: x\rX-SpamCatcher-Score: 0\rTo: b\r\n\r\nb":     "Subject: x\r\rTo: b\r\n\r\nb",
		"Subject: x\r\r\nX-SpamCatcher-Score: 0\r\n\r\nb":        "Subject: x\r\r\n\r\nb",
		"Subject: x\nX-SpamCatcher-Score: 0\n\nb":                "Subject: x\n\nb",
	} {
		if got := stripped(t, in); got != want {
			t.Errorf("%q: left %q, want %q", in, got, want)
		}
	}
}

func TestOtherFieldsStay(t *testing.T) {
	for _, field := range []string{
		"X-SpamCatcher: 0\r\n", // the prefix ends with a hyphen
		"X-Spam-Score: 0\r\n",
		"Subject: X-SpamCatcher-Score: 0\r\n",
		"Subject: x\r\n X-SpamCatcher-Score: 0\r\n",
		"Old-X-SpamCatcher-Score: 0\r\n",
		"Authentication-Results: other.example.com; spf=pass\r\n",
		"Authentication-Results: notmx.example.com; spf=pass\r\n",
		"Authentication-Results: mx.example.com.example.org; spf=pass\r\n",
		"Authentication-Results: other.example.com; spf=pass smtp.mailfrom=mx.example.com\r\n",
		"Authentication-Results: (mx.example.com) other.example.com; spf=pass\r\n",
		"Authentication-Results: \"other.example.com\"; x=mx.example.com\r\n",
		"ARC-Authentication-Results: i=1; mx.example.com; spf=pass\r\n",
		"Authentication-Results-Original: mx.example.com; spf=pass\r\n",
		": no name\r\n",
		"no field\r\n",
	} {
		raw := "From: a@example.org\r\n" + field + "\r\nbody\r\n"
		if got := stripped(t, raw); got != raw {
			t.Errorf("%q: left %q", field, got)
		}
	}
}

func TestStripCopiesNothingWithoutNeed(t *testing.T) {
	raw := []byte("From: a@example.org\r\n\r\nbody\r\n")
	h, err := readHeader(raw, host, 1<<20, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	if out := h.strip(raw); &out[0] != &raw[0] {
		t.Error("copied")
	}
	pieces := h.compose([]byte("A: b\r\n"), raw, false)
	if len(pieces) != 2 || &pieces[1][0] != &raw[0] {
		t.Error("composing copied")
	}
}

func TestSubjectTag(t *testing.T) {
	long := strings.Repeat("abcdefghi ", 98) + "end" // 983
	for _, c := range []struct{ in, want string }{
		{"Subject: Hello\r\n", "Subject: [spamcatcher] Hello\r\n"},
		{"Subject:Hello\r\n", "Subject: [spamcatcher] Hello\r\n"},
		{"subject:  Hello \r\n", "subject:  [spamcatcher] Hello \r\n"},
		{"SUBJECT :\tHello\r\n", "SUBJECT :\t[spamcatcher] Hello\r\n"},
		{"Subject:\r\n", "Subject: [spamcatcher]\r\n"},
		{"Subject: \r\n", "Subject: [spamcatcher]\r\n"},
		{"Subject:\r\n Hello\r\n\tthere\r\n", "Subject: [spamcatcher]\r\n Hello\r\n\tthere\r\n"},
		{"Subject: Hello\r\n there\r\n", "Subject: [spamcatcher] Hello\r\n there\r\n"},
		{"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n", "Subject: [spamcatcher] =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n"},
		{"Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n =?utf-8?B?IHp1?=\r\n", "Subject: [spamcatcher] =?utf-8?B?R3LDvMOfZQ==?=\r\n =?utf-8?B?IHp1?=\r\n"},
		{"Subject: =?utf-8?Q?" + strings.Repeat("a", 50) + "?=\r\n", "Subject: [spamcatcher]\r\n =?utf-8?Q?" + strings.Repeat("a", 50) + "?=\r\n"},
		{"Subject: Gr\xfc\xdfe\r\n", "Subject: [spamcatcher] Gr\xfc\xdfe\r\n"},
		{"Subject: " + long + "\r\n", "Subject: [spamcatcher]\r\n " + long + "\r\n"},
		{"Subject: [spamcatcher] twice\r\n", "Subject: [spamcatcher] [spamcatcher] twice\r\n"},
		{"Subject: one\r\nX: y\r\nSubject: two\r\n", "Subject: [spamcatcher] one\r\nX: y\r\nSubject: [spamcatcher] two\r\n"},
		{"Subject: x\n", "Subject: [spamcatcher] x\n"},
		{"Subject:", "Subject: [spamcatcher]"},
	} {
		raw := "From: a@example.org\r\n" + c.in
		want := "Added: 1\r\nFrom: a@example.org\r\n" + c.want
		if strings.HasSuffix(c.in, "\n") {
			raw, want = raw+"\r\nSubject: body\r\n", want+"\r\nSubject: body\r\n"
		}
		h := readHeaderOf(t, raw)
		if got := string(bytes.Join(h.compose([]byte("Added: 1\r\n"), []byte(raw), true), nil)); got != want {
			t.Errorf("%q:\n got %q\nwant %q", c.in, got, want)
		}
		if got := string(bytes.Join(h.compose([]byte("Added: 1\r\n"), []byte(raw), false), nil)); got != "Added: 1\r\n"+raw {
			t.Errorf("%q: changed without a tag: %q", c.in, got)
		}
	}
}

func TestSubjectTagWithoutSubject(t *testing.T) {
	for _, raw := range []string{"From: a@example.org\r\n\r\nSubject: body\r\n", "\r\nbody\r\n", "", "no header\r\n"} {
		got := string(bytes.Join(readHeaderOf(t, raw).compose([]byte("Added: 1\r\n"), []byte(raw), true), nil))
		if want := "Added: 1\r\nSubject: [spamcatcher]\r\n" + raw; got != want {
			t.Errorf("%q: %q", raw, got)
		}
	}
}

// A message that begins with a continuation line must not continue one of our
// fields.
func TestLeadingContinuationLine(t *testing.T) {
	raw := " 99\r\nSubject: x\r\n\r\n"
	got := string(bytes.Join(readHeaderOf(t, raw).compose([]byte("X-SpamCatcher-Score: 0\r\n"), []byte(raw), false), nil))
	if want := "X-SpamCatcher-Score: 0\r\nX-SpamCatcher-Defect: continuation line\r\n" + raw; got != want {
		t.Errorf("%q", got)
	}
	forged := " X-SpamCatcher-Score: 0\r\nSubject: x\r\n\r\n"
	if got := stripped(t, forged); got != "Subject: x\r\n\r\n" {
		t.Errorf("forged field in a leading continuation line: %q", got)
	}
}

func TestHeaderLimits(t *testing.T) {
	received := "Received: from a by b.example.org; Mon, 23 Nov 2026 10:00:00 +0000\r\n"
	own := "Received: from a (by somebody)\r\n\tby MX.example.com with ESMTP id 1; Mon, 23 Nov 2026 10:00:00 +0000\r\n"
	for _, c := range []struct {
		name, raw string
		want      error
	}{
		{"100 hops", strings.Repeat(received, 100) + "\r\n", nil},
		{"101 hops", strings.Repeat(received, 101) + "\r\n", errLoop},
		{"hops in the body", strings.Repeat(received, 60) + "\r\n" + strings.Repeat(received, 60), nil},
		{"in any case", strings.Repeat(strings.ToUpper(received), 101) + "\r\n", errLoop},
		{"three times here", strings.Repeat(own, 3) + "\r\n", nil},
		{"four times here", strings.Repeat(own, 4) + "\r\n", errLoop},
		{"largest block", "A: " + strings.Repeat("x", 1<<20-5) + "\r\n\r\nbody", nil},
		{"larger block", "A: " + strings.Repeat("x", 1<<20-4) + "\r\n\r\nbody", errHeader},
		{"no end of block", strings.Repeat("xxxxxxxxxxxxxxx\r\n", 1<<17), errFields},
		{"10,000 fields", strings.Repeat("A:\r\n", 10_000) + "\r\n", nil},
		{"10,001 fields", strings.Repeat("A:\r\n", 10_001) + "\r\n", errFields},
	} {
		if _, err := readHeader([]byte(c.raw), host, 1<<20, 10_000); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// What costs time in proportion to the square of the block takes minutes here.
func TestHeaderIsReadInLinearTime(t *testing.T) {
	const size = 1 << 20
	for _, piece := range []string{"\r", " ", "\t:", "a:\r ", "Received: (((", "x-spamcatcher-:\r", "Authentication-Results: (\"\\", "\r \r\n "} {
		for _, start := range []string{"", "A: ", "Received: ", "Authentication-Results: "} {
			raw := []byte(start + strings.Repeat(piece, size/len(piece)))
			began := time.Now()
			h, err := readHeader(raw, host, 2*size, size)
			if err != nil && err != errLoop {
				t.Fatal(err)
			}
			h.strip(raw)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%q and then %q: %v", start, piece, took)
			}
		}
	}
}

func TestWrittenBy(t *testing.T) {
	for value, want := range map[string]bool{
		" from a by mx.example.com; date":               true,
		" from a (b [192.0.2.1]) by MX.EXAMPLE.COM.; d": true,
		" from by by mx.example.com with SMTP":          false, // "by" was the client's name
		" from a (by mx.example.com) by b with SMTP":    false,
		" from mx.example.com by b with SMTP":           false,
		"by":                                            false,
		"":                                              false,
	} {
		if got := writtenBy(value, host); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

// FuzzStrip: whatever the message, nothing forged is left, nothing but whole
// lines go, the body is untouched, and stripping twice is stripping once.
func FuzzStrip(f *testing.F) {
	for _, s := range []string{
		"X-SpamCatcher-Score: 0\r\nSubject: x\r\n\r\nbody", "Subject: x\rX-SpamCatcher-Score: 0\r\n\r\n", "\r\n\r\n", " a\r\n", "X-SpamCatcher-\r\n :\r\n",
		"Authentication-Results: (\"mx.example.com\r\n\r\n", "a\r\r\n\nb\r", "Subject:\r\n \r\n\t\r\nSubject:\n\n", "X-SpamCatcher-a\rX-SpamCatcher-b\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		raw := []byte(s)
		h, err := readHeader(raw, host, 1<<20, 10_000)
		if err != nil {
			return
		}
		clean := h.strip(raw)
		again, err := readHeader(clean, host, 1<<20, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if len(again.forged) > 0 {
			t.Fatalf("%q: still forged: %q", s, clean)
		}
		if !bytes.HasSuffix(clean, raw[h.size:]) {
			t.Fatalf("%q: the body changed: %q", s, clean)
		}
		if len(h.forged) == 0 && !bytes.Equal(clean, raw) {
			t.Fatalf("%q: changed without need: %q", s, clean)
		}
		for _, tag := range []bool{false, true} {
			out := bytes.Join(again.compose([]byte("A: 1\r\n"), clean, tag), nil)
			bare := bytes.ReplaceAll(out, []byte(" "+subjectTag), nil)
			if !tag && len(clean) > 0 && !bytes.HasSuffix(out, clean) {
				t.Fatalf("%q: composed %q", s, out)
			}
			n := bytes.Count(out, []byte(subjectTag)) - bytes.Count(clean, []byte(subjectTag))
			want := max(1, len(again.subjects))
			if again.late { // a subject of ours besides, before what some readers take for the end of the header
				want++
			}
			if tag && n != want {
				t.Fatalf("%q: %d tags added, want %d: %q", s, n, want, bare)
			}
			end, err := readHeader(out, host, 1<<21, 20_000)
			if err != nil {
				return
			}
			if tag && len(end.subjects) < max(1, len(again.subjects)) {
				t.Fatalf("%q: a subject was lost: %q", s, out)
			}
			if fmt.Sprint(len(out)-end.size) != fmt.Sprint(len(clean)-again.size) {
				t.Fatalf("%q: the body begins elsewhere: %q", s, out)
			}
		}
	})
}

// BenchmarkHeader is what the gateway itself adds to the cost of a message:
// reading the header block, writing ours, putting the pieces together.
func BenchmarkHeader(b *testing.B) {
	var block strings.Builder
	for i := range 6 {
		fmt.Fprintf(&block, "Received: from a%d.example.org (a%d.example.org [192.0.2.%d])\r\n\tby b%d.example.net with ESMTPS id abc%d\r\n\tfor <u@example.com>; Mon, 23 Nov 2026 09:08:07 +0100\r\n", i, i, i, i, i)
	}
	block.WriteString("DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; h=from:to:subject;\r\n\tbh=" + strings.Repeat("x", 44) + ";\r\n\tb=" + strings.Repeat("y", 340) + "\r\n")
	block.WriteString("From: A <a@example.org>\r\nTo: u@example.com\r\nSubject: Hello\r\nDate: Mon, 23 Nov 2026 09:08:07 +0100\r\nMessage-ID: <x@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n")
	raw := []byte(block.String() + strings.Repeat("Some text of sixty characters, which is about what mail has.\r\n", 250))
	tr := baseTrace()
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		h, err := readHeader(raw, host, 1<<20, 10_000)
		if err != nil || h.hops != 6 || len(h.forged) != 0 {
			b.Fatalf("%+v, %v", h, err)
		}
		if out := h.compose(tr.write(policy.Outcome{Score: 3, Tag: true}), raw, true); len(out) != 4 {
			b.Fatalf("%d pieces", len(out))
		}
	}
}
