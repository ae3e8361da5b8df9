package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
)

// TestManyRecipients names 100,000 recipients in one transaction: a client that
// goes on regardless of being told to send the rest later has to go, one that
// heeds it gets its message to all who were accepted.
func TestManyRecipients(t *testing.T) {
	const n = 100_000
	p, w := besieged(t, "")
	open := func() *attacker {
		t.Helper()
		a, err := connect(p.address, clientAddress(0))
		if err == nil {
			_, err = a.hear()
		}
		if err == nil {
			err = a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>")
		}
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	name := func(a *attacker, n int) map[string]int {
		t.Helper()
		go func() {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, "RCPT TO:<recipient%d@example.org>\r\n", i)
			}
			a.send(b.String())
		}()
		got := map[string]int{}
		for range n {
			r, err := a.hear()
			if err != nil {
				t.Fatal(err)
			}
			if got[r.String()]++; r.code == 421 {
				break
			}
		}
		return got
	}
	resident := p.resident()
	begin := time.Now()
	got := name(open(), n)
	took := time.Since(begin)
	w.visit()
	if want := map[string]int{"250 2.1.5": 1000, "452 4.5.3": 1000, "421 4.7.0": 1}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	t.Logf("FIGURES %d recipients: %v in %v, %d MiB more memory; %v", n, got, took.Round(time.Millisecond), (p.peak()-resident)>>20, w)
	if took > 10*time.Second {
		t.Errorf("the answers took %v", took)
	}

	const polite = 1500
	a := open()
	got = name(a, polite)
	if want := map[string]int{"250 2.1.5": 1000, "452 4.5.3": polite - 1000}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	before := named(w.behind)
	if err := a.must(354, "DATA"); err != nil {
		t.Fatal(err)
	}
	begin = time.Now()
	if err := a.must(250, "Subject: to all\r\n\r\nall\r\n."); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the message to 1,000", func() bool { return named(w.behind)-before >= 1000 })
	t.Logf("FIGURES 1,000 recipients had the message after %v", time.Since(begin).Round(time.Millisecond))
	for _, f := range slices.Concat(p.faults(), w.behind.Offences()) {
		t.Error(f)
	}
}

// named counts the recipients that a server has got messages for.
func named(s *relaytest.Server) (n int) {
	for _, m := range s.Messages() {
		n += len(m.To)
	}
	return n
}

// TestManyDestinations names recipients of 250 domains with servers of their own
// in one transaction, in one group: those who are beyond what one message may
// have are sent later, and the others get it now.
func TestManyDestinations(t *testing.T) {
	const n = 250
	behind := relaytest.Start(t, relaytest.Script{})
	config := ""
	for i := range n {
		config += fmt.Sprintf("[[domain]]\nname = 'customer%d.example.org'\ndestinations = [%q]\n", i, behind.Addr)
	}
	p := start(t, t.TempDir(), config)
	arrived := map[string]bool{}
	for round := 1; len(arrived) < n; round++ {
		if round > 5 {
			t.Fatalf("after %d rounds %d recipients were accepted", round-1, len(arrived))
		}
		a, err := attack(p.address)
		if err == nil {
			err = a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>")
		}
		if err != nil {
			t.Fatal(err)
		}
		var group strings.Builder
		var names []string
		for i := range n {
			if to := fmt.Sprintf("someone@customer%d.example.org", i); !arrived[to] {
				names = append(names, to)
				group.WriteString("RCPT TO:<" + to + ">\r\n")
			}
		}
		if err := a.send(group.String() + "DATA\r\n"); err != nil {
			t.Fatal(err)
		}
		for _, to := range names {
			switch r, err := a.hear(); {
			case err != nil:
				t.Fatal(err)
			case r.code == 250:
				arrived[to] = true
			case r.String() != "452 4.5.3":
				t.Fatalf("%s, round %d: %s %q", to, round, r, r.lines)
			}
		}
		if r, err := a.hear(); err != nil || r.code != 354 {
			t.Fatalf("DATA: %s %q, %v", r, r.lines, err)
		}
		if err := a.must(250, "Subject: to all\r\n\r\nall\r\n."); err != nil {
			t.Fatal(err)
		}
		t.Logf("FIGURES round %d: %d of %d", round, len(arrived), n)
		a.Close()
	}
	waitFor(t, "the messages", func() bool { return named(behind) >= n })
	if got := named(behind); got != n {
		t.Errorf("%d recipients got it, want %d", got, n)
	}
}

// TestOversizedEverything sends too much of everything, 16 clients at a time.
func TestOversizedEverything(t *testing.T) {
	p, w := besieged(t, "[limits]\nmessage = 10485760\nmemory = 67108864\n")
	files, resident := p.files(), p.resident()
	open := "MAIL FROM:<a@example.net>"
	for _, c := range []struct {
		name, want string // what the last line is answered; or, of what could be kept, 451 4.3.1 for want of memory
		command    string // in place of DATA
		body       func(w io.Writer)
	}{
		{"command of 100 MB", "500 5.5.2", strings.Repeat("x", 4096), func(w io.Writer) { pour(w, "xxxxxxxx", 100_000_000) }},
		{"message of 11 MiB", "552 5.3.4", "DATA", func(w io.Writer) {
			pour(w, "seventy-six octets of text, and a line end, so that it looks like a message\r\n", 11<<20)
			io.WriteString(w, "\r\n.\r\n")
		}},
		{"message without end", "552 5.3.4", "DATA", func(w io.Writer) {
			pour(w, "seventy-six octets of text, and a line end, so that it looks like a message\r\n", 200<<20)
		}},
		{"line of 5 MB", "554 5.6.0", "DATA", func(w io.Writer) { pour(w, "xxxxxxxx", 5_000_000); io.WriteString(w, "\r\n.\r\n") }},
		{"field of 2 MB", "552 5.3.4", "DATA", func(w io.Writer) {
			io.WriteString(w, "To: x")
			pour(w, ",\r\n <b@example.org>", 2_000_000)
			io.WriteString(w, "\r\n\r\nx\r\n.\r\n")
		}},
		{"100,000 fields", "552 5.3.4|554 5.6.0", "DATA", func(w io.Writer) { pour(w, "X: y\r\n", 600_000); io.WriteString(w, "\r\nx\r\n.\r\n") }},
		{"500,000 fields", "552 5.3.4|554 5.6.0", "DATA", func(w io.Writer) { pour(w, "To: <b@example.org>\r\n", 10_000_000); io.WriteString(w, "\r\nx\r\n.\r\n") }},
		{"chunk of 11 MiB", "552 5.3.4", "BDAT 11534336 LAST", func(w io.Writer) { pour(w, "text\r\n\r\n", 11<<20) }},
		{"chunk of 100 GB", "552 5.3.4", "BDAT 100000000000", func(w io.Writer) { pour(w, "text\r\n\r\n", 50<<20) }},
	} {
		var wg sync.WaitGroup
		got := make(chan string, 16)
		begin := time.Now()
		for i := range cap(got) {
			inside(t, &wg, func() {
				r, err := func() (r answer, err error) {
					a, err := connect(p.address, clientAddress(i))
					if err != nil {
						return r, err
					}
					defer a.Close()
					if _, err := a.hear(); err != nil {
						return r, err
					}
					if err := a.must(250, "EHLO client.example.net", open, "RCPT TO:<b@example.org>"); err != nil {
						return r, err
					}
					if c.command == "DATA" {
						if err := a.must(354, "DATA"); err != nil {
							return r, err
						}
					} else if err := a.send(c.command + "\r\n"); err != nil {
						return r, err
					}
					go func() { c.body(a) }()
					return a.hear()
				}()
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				got <- r.String()
			})
		}
		w.visit()
		wg.Wait()
		close(got)
		count := map[string]int{}
		for r := range got {
			if count[r]++; !slices.Contains(strings.Split(c.want, "|"), r) && r != "451 4.3.1" {
				t.Errorf("%s: %s, want %s", c.name, r, c.want)
			}
		}
		if n := count["451 4.3.1"]; n == 16 {
			t.Errorf("%s: all were refused for want of memory", c.name)
		}
		t.Logf("FIGURES %s: %v in %v", c.name, count, time.Since(begin).Round(time.Millisecond))
		w.visit()
	}
	t.Logf("FIGURES memory: %d MiB before, %d at most (64 for messages); %v", resident>>20, p.peak()>>20, w)
	// While a buffer grows, the old one is there as well; and the collector comes
	// when what it left has doubled.
	if p.peak() > 400<<20 {
		t.Errorf("%d MiB of memory", p.peak()>>20)
	}
	p.recovered(files)
}

// TestMemoryHogs has one client that begins messages, big ones and small ones,
// until it has all the memory that one client can get, and ends none: others are
// served all the same.
func TestMemoryHogs(t *testing.T) {
	p, w := besieged(t, "[limits]\nmessage = 10485760\nmemory = 67108864\n")
	var wg sync.WaitGroup
	refused := 0
	sizes := slices.Repeat([]int{10 << 20}, 8)
	for size := 8 << 20; size >= 16<<10; size /= 2 {
		sizes = append(sizes, size, size, size)
	}
	for i, size := range sizes {
		a, err := connect(p.address, clientAddress(0))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if _, err := a.hear(); err != nil {
			t.Fatal(err)
		}
		if err := a.must(250, "EHLO client.example.net", fmt.Sprintf("MAIL FROM:<a@example.net> SIZE=%d", size)); err != nil {
			t.Fatal(err)
		}
		if err := a.must(250, "RCPT TO:<b@example.org>"); err != nil {
			t.Fatal(err)
		}
		// Half of them in chunks, of which the last never comes.
		if i%2 == 0 {
			if err := a.must(354, "DATA"); err != nil {
				t.Fatal(err)
			}
			pour(a, "this message has no end, because nobody ends it....\r\n", size-1024)
		} else {
			a.send(fmt.Sprintf("BDAT %d\r\n", size-1024))
			pour(a, "this message has no end, because nobody ends it....\r\n", size-1024)
			if r, err := a.hear(); err != nil || r.code != 250 {
				refused++
			}
		}
		wg.Go(func() {
			for a.send(".") == nil { // it stays slow, not silent
				time.Sleep(time.Second)
			}
		})
	}
	for range 10 {
		w.visit()
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("FIGURES %d messages without end, %d refused for want of memory; %v; %d MiB at most", len(sizes), refused, w, p.peak()>>20)
	p.kill()
	wg.Wait()
}

// pour writes text until n octets are written or nobody takes them.
func pour(w io.Writer, text string, n int) {
	block := []byte(strings.Repeat(text, 1+(64<<10)/len(text)))
	for n > 0 {
		b := block[:min(n, len(block))]
		if _, err := w.Write(b); err != nil {
			return
		}
		n -= len(b)
	}
}
