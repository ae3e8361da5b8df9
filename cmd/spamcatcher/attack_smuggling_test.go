package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
)

// Ends of data that some server takes for one: before the dot, and after it.
// SEC Consult, December 2023.
var (
	beforeDot = []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n\x00", "\r\x00\n", "\n\n", "\r\n\n"}
	afterDot  = []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\x00\n", " \r\n", "\x00\r\n"}
)

const (
	outerText    = "Subject: outer\r\n\r\nouter"
	smuggledText = "MAIL FROM:<smuggled@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"
)

// cuts are the places at which a message with a dubious end is cut into what is
// sent at a time.
var cuts = map[string]func(before, after string) []string{
	"in one piece": func(before, after string) []string {
		return []string{outerText + before + "." + after + smuggledText + ".\r\n"}
	},
	"before the end": func(before, after string) []string {
		return []string{outerText, before + "." + after + smuggledText + ".\r\n"}
	},
	"inside": func(before, after string) []string {
		return []string{outerText + before[:1], before[1:] + "." + after[:1], after[1:] + smuggledText + ".\r\n"}
	},
	"after the dot": func(before, after string) []string {
		return []string{outerText + before + ".", after + smuggledText + ".\r\n"}
	},
}

// TestSmuggling sends every dubious end of data with a second message behind it
// through the whole product, cut in four ways, in the clear and through TLS.
// Only CRLF.CRLF ends a message; the others are refused, or are plain data (CRLF
// . SP CRLF), and the server behind never sees a second message nor a bare CR,
// LF or NUL. RFC 5321 section 2.3.8 and 4.1.1.4
func TestSmuggling(t *testing.T) {
	behind := relaytest.Start(t, relaytest.Script{})
	p := start(t, t.TempDir(), "", "--relay", behind.Addr)
	cases, refused, kept := 0, 0, 0
	for _, secure := range []bool{false, true} {
		for _, before := range beforeDot {
			for _, after := range afterDot {
				if before == "\r\n" && after == "\r\n" {
					continue // the true end
				}
				for how, cut := range cuts {
					cases++
					name := fmt.Sprintf("%q, sent %s, TLS %v", before+"."+after, how, secure)
					switch r, err := smuggle(p.address, secure, cut(before, after)); {
					case err != nil:
						t.Errorf("%s: %v", name, err)
					case r.String() == "550 5.5.2":
						refused++
					case r.String() == "250 2.0.0" && before == "\r\n" && after == " \r\n":
						kept++
					default:
						t.Errorf("%s: %s %q", name, r, r.lines)
					}
				}
			}
		}
	}
	t.Logf("FIGURES %d cases: %d refused, %d kept as data", cases, refused, kept)
	if cases != 2*284 || refused != 2*280 || kept != 2*4 {
		t.Errorf("%d cases, %d refused, %d kept; want 568, 560 and 8", cases, refused, kept)
	}
	// The dot at the beginning of a line is the client's stuffing: RFC 5321
	// section 4.5.2.
	onlyOuter(t, p, behind, kept, "\r\n \r\nMAIL FROM:<smuggled")
}

// smuggle sends a message in pieces and returns the only reply to it.
func smuggle(address string, secure bool, pieces []string) (answer, error) {
	a, err := attack(address)
	if err != nil {
		return answer{}, err
	}
	defer func() { a.Close() }()
	if err = a.must(250, "EHLO client.example.net"); err == nil && secure {
		if a, err = a.encrypt(); err == nil {
			err = a.must(250, "EHLO client.example.net")
		}
	}
	if err == nil {
		err = a.must(250, "MAIL FROM:<outer@example.org>", "RCPT TO:<b@example.net>")
	}
	if err == nil {
		err = a.must(354, "DATA")
	}
	if err != nil {
		return answer{}, err
	}
	for i, piece := range pieces {
		if i > 0 {
			time.Sleep(2 * time.Millisecond)
		}
		if err := a.send(piece); err != nil {
			return answer{}, err
		}
	}
	return lastWord(a)
}

// lastWord returns the reply to a message, behind which there must be no other:
// the server ends the session after a refusal, and waits otherwise.
func lastWord(a *attacker) (answer, error) {
	r, err := a.hear()
	if err != nil {
		return r, err
	}
	if r.code == 250 {
		if err := a.must(221, "QUIT"); err != nil {
			return r, err
		}
	}
	return r, a.ended()
}

// TestSmugglingInChunks has the same in a BDAT body, where a dot means nothing:
// the true end of data is legal there, and is no end where it is sent on.
func TestSmugglingInChunks(t *testing.T) {
	behind := relaytest.Start(t, relaytest.Script{})
	p := start(t, t.TempDir(), "", "--relay", behind.Addr)
	cases, refused, kept := 0, 0, 0
	for _, before := range beforeDot {
		for _, after := range afterDot {
			for how, cut := range cuts {
				cases++
				name := fmt.Sprintf("%q, sent %s", before+"."+after, how)
				a, err := attack(p.address)
				if err != nil {
					t.Fatal(err)
				}
				if err := a.must(250, "EHLO client.example.net", "MAIL FROM:<outer@example.org>", "RCPT TO:<b@example.net>"); err != nil {
					t.Fatal(err)
				}
				var r answer
				pieces := cut(before, after)
				for i, piece := range pieces {
					if i < len(pieces)-1 {
						if err = a.send(chunk(piece, false)); err == nil {
							r, err = a.hear()
						}
						if err == nil && r.String() != "250 2.0.0" {
							err = fmt.Errorf("chunk %d: %s %q", i+1, r, r.lines)
						}
					} else if err = a.send(chunk(piece, true)); err == nil {
						r, err = lastWord(a)
					}
					if err != nil {
						break
					}
				}
				legal := before == "\r\n" && (after == "\r\n" || after == " \r\n")
				switch {
				case err != nil:
					t.Errorf("%s: %v", name, err)
				case r.String() == "550 5.5.2" && !legal:
					refused++
				case r.String() == "250 2.0.0" && legal:
					kept++
				default:
					t.Errorf("%s: %s %q", name, r, r.lines)
				}
				a.Close()
			}
		}
	}
	t.Logf("FIGURES %d cases: %d refused, %d kept as data", cases, refused, kept)
	if cases != 288 || refused != 280 || kept != 8 {
		t.Errorf("%d cases, %d refused, %d kept; want 288, 280 and 8", cases, refused, kept)
	}
	onlyOuter(t, p, behind, kept, "\r\n.", "\r\nMAIL FROM:<smuggled", "smuggled\r\n.\r\n")
}

// chunk is a chunk with its command.
func chunk(text string, last bool) string {
	word := ""
	if last {
		word = " LAST"
	}
	return fmt.Sprintf("BDAT %d%s\r\n%s", len(text), word, text)
}

// onlyOuter checks what the server behind got: so many messages, all from the
// outer sender, all with the texts, and nothing that could be read in two ways.
func onlyOuter(t *testing.T, p *process, behind *relaytest.Server, n int, texts ...string) {
	t.Helper()
	waitFor(t, "the messages that were kept", func() bool { return behind.Count() >= n })
	for _, m := range behind.Messages() {
		if !strings.Contains(m.From, "outer@") {
			t.Errorf("the server behind got a message from %s", m.From)
		}
		for _, text := range texts {
			if !strings.Contains(m.Text(), text) {
				t.Errorf("the server behind got a message without %q:\n%q", text, m.Text())
			}
		}
	}
	if got := behind.Count(); got != n {
		t.Errorf("the server behind got %d messages, want %d", got, n)
	}
	for _, offence := range behind.Offences() {
		t.Errorf("the server behind saw %s", offence)
	}
	for _, f := range p.faults() {
		t.Error(f)
	}
}
