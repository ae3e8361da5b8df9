package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spamcatcher/gateway/relay/relaytest"
)

// A slowKind is a kind of client that takes its time. It gets a fresh connection,
// and has all the time there is.
type slowKind struct {
	name string
	do   func(a *attacker)
}

var slowKinds = []slowKind{
	{"says nothing", func(a *attacker) {}},
	{"half a command", func(a *attacker) {
		a.hear()
		a.must(250, "EHLO client.example.net")
		a.send("MAIL FROM:<")
	}},
	{"a command octet by octet", func(a *attacker) {
		a.hear()
		for range 1000 {
			if a.send("N") != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	}},
	{"a message that stops", func(a *attacker) {
		a.hear()
		a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>", "RCPT TO:<b@example.org>")
		a.must(354, "DATA")
		a.send("Subject: slow\r\n\r\nand then")
	}},
	{"a message octet by octet", func(a *attacker) {
		a.hear()
		a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>", "RCPT TO:<b@example.org>")
		a.must(354, "DATA")
		for range 1000 {
			if a.send("x") != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	}},
	{"a chunk that stops", func(a *attacker) {
		a.hear()
		a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>", "RCPT TO:<b@example.org>")
		a.send("BDAT 1000000\r\nSubject: slow\r\n\r\n")
	}},
	{"a handshake that stops", func(a *attacker) {
		a.hear()
		a.must(250, "EHLO client.example.net")
		a.must(220, "STARTTLS")
		a.send("\x16\x03\x01\x02\x00\x01")
	}},
	{"never reads", func(a *attacker) {
		a.send("EHLO " + strings.Repeat("x", 200) + "\r\n")
		time.Sleep(500 * time.Millisecond)
		for range 1000 {
			if a.send(strings.Repeat("NOOP\r\n", 20)) != nil {
				return
			}
			time.Sleep(500 * time.Millisecond)
		}
	}},
}

// TestSlowClients has 1,000 slow clients of eight kinds (5,000 in the long form)
// from 100 addresses: fresh clients are served meanwhile, memory is bounded, and
// the slow ones are gone in time. In the long form there are also 5,000 that stand
// in the middle of a command, as most slow clients do: 150 MiB are enough for them.
func TestSlowClients(t *testing.T) {
	t.Parallel() // it mostly waits
	if !torture() {
		slowSiege(t, 1000, 150<<20, slowKinds)
		return
	}
	slowSiege(t, 5000, 150<<20, slowKinds[1:2])
	slowSiege(t, 5000, 250<<20, slowKinds)
}

func slowSiege(t *testing.T, n int, most int64, kinds []slowKind) {
	t.Helper()
	const deadline = 5 * time.Second // the longest of the limits below
	p, w := besieged(t, fmt.Sprintf("[limits]\nsessions = %d\nsessions_per_client = 100\ncommand_timeout = 3\nblock_timeout = 3\nhandshake_timeout = 3\nsession_timeout = 5\n", n+100))
	files, resident := p.files(), p.resident()
	var wg sync.WaitGroup
	var gone atomic.Int64
	var last atomic.Int64
	begin := time.Now()
	for i := range n {
		a, err := connect(p.address, clientAddress(i*100/n))
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		wg.Go(func() {
			defer a.Close()
			done := make(chan struct{})
			go func() {
				kinds[i%len(kinds)].do(a)
				close(done)
			}()
			time.Sleep(deadline / 4)
			waitClosed(a.Conn)
			gone.Add(1)
			last.Store(int64(time.Since(begin)))
			a.Close()
			<-done
		})
	}
	opened := time.Since(begin)
	w.visit()
	full := p.resident()
	for gone.Load() < int64(n) && time.Since(begin) < opened+deadline+10*time.Second {
		w.visit()
		time.Sleep(100 * time.Millisecond)
	}
	if left := int64(n) - gone.Load(); left > 0 {
		t.Errorf("%d slow clients are still there after %v", left, time.Since(begin))
		p.kill()
	}
	wg.Wait()
	t.Logf("FIGURES %d slow clients of %d kinds, opened in %v; memory %d MiB before, %d with them, %d at most; %v; the last was gone %v after the last came (limit %v)", n, len(kinds), opened.Round(time.Millisecond),
		resident>>20, full>>20, p.peak()>>20, w, time.Duration(last.Load()-int64(opened)).Round(time.Millisecond), deadline)
	if p.peak() > most {
		t.Errorf("%d MiB of memory, want at most %d", p.peak()>>20, most>>20)
	}
	p.recovered(files)
	p.kill()
}

// waitClosed returns when the peer has closed the connection, whatever lies in
// it unread.
func waitClosed(conn net.Conn) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return
	}
	for {
		closed := false
		if err := raw.Control(func(fd uintptr) {
			list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
			unix.Poll(list, 0)
			closed = list[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
		}); err != nil || closed {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestOneClientIsNotAll: a client has 50 connections at most, an IPv6 /64 is one
// client, and others are served.
func TestOneClientIsNotAll(t *testing.T) {
	p, w := besieged(t, "")
	_, port, _ := net.SplitHostPort(p.address)
	for _, c := range []struct {
		name    string
		address string
		from    func(i int) string
	}{
		{"IPv4", p.address, func(int) string { return "198.18.7.7" }},
		{"IPv6", "[2001:db8::1]:" + port, func(i int) string { return fmt.Sprintf("2001:db8:7:7::%x", i+1) }},
	} {
		welcome, refused := 0, 0
		for i := range 200 {
			a, err := connect(c.address, c.from(i))
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			switch banner, err := a.hear(); {
			case err == nil && banner.code == 220:
				welcome++
			case err == nil && banner.String() == "421 4.7.0" && a.ended() == nil:
				refused++
			default:
				t.Errorf("%s: %s, %v", c.name, banner, err)
			}
		}
		if welcome != 50 || refused != 150 {
			t.Errorf("%s: %d connections, %d refused; want 50 and 150", c.name, welcome, refused)
		}
		w.visit()
	}
	t.Logf("FIGURES %v", w)
}

// TestFullHouse takes all the sessions that a gateway has, with clients of one
// slow kind that hold them as long as they can: others are let in after a little
// while. There is a gateway for each kind.
func TestFullHouse(t *testing.T) {
	t.Parallel() // it mostly waits
	const sessions, patience = 100, 15 * time.Second
	type house struct {
		p     *process
		w     *witness
		begin time.Time
		kind  string
	}
	alone(t)
	var closed []house
	var wg sync.WaitGroup
	defer wg.Wait()
	kinds := slowKinds
	if !torture() {
		kinds = []slowKind{kinds[0], kinds[4], kinds[6]} // a command, a message, a handshake
	}
	for _, kind := range kinds {
		p, w := startHere(t, fmt.Sprintf("[limits]\nsessions = %d\n", sessions))
		defer p.kill()
		time.Sleep(100 * time.Millisecond) // the visitor leaves
		for i := range sessions {
			a, err := connect(p.address, clientAddress(i/50))
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			wg.Go(func() { kind.do(a) })
		}
		closed = append(closed, house{p, w, time.Now(), kind.name})
	}
	for len(closed) > 0 {
		closed = slices.DeleteFunc(closed, func(h house) bool {
			err := h.w.try()
			waited := time.Since(h.begin)
			switch {
			case err == nil:
				t.Logf("FIGURES %d clients, each %s: a fresh one was served after %v", sessions, h.kind, waited.Round(10*time.Millisecond))
				for range 5 {
					h.w.visit()
				}
			case waited > patience:
				t.Errorf("%d clients, each %s: others are shut out for %v: %v", sessions, h.kind, waited, err)
			}
			return err == nil || waited > patience
		})
		time.Sleep(100 * time.Millisecond)
	}
}

// TestHangingCallouts has 200 clients at once name recipients whose server never
// says whether they exist: others are served, and those who ask hear 450 in time.
func TestHangingCallouts(t *testing.T) {
	t.Parallel() // it mostly waits
	const n, patience = 200, 40 * time.Second
	alone(t)
	silent := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		if strings.HasPrefix(line, "RCPT") {
			return relaytest.Hang
		}
		return ""
	}})
	p, w := startHere(t, fmt.Sprintf("[[domain]]\nname = 'silent.example.org'\ndestinations = [%q]\nverify = 'callout'\nunverified = 'defer'\n", silent.Addr))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer p.kill()
	var answered atomic.Int64
	var last atomic.Int64
	begin := time.Now()
	for i := range n {
		inside(t, &wg, func() {
			a, err := connect(p.address, clientAddress(i/40))
			if err != nil {
				t.Error(err)
				return
			}
			defer a.Close()
			if _, err := a.hear(); err != nil {
				t.Error(err)
				return
			}
			if err := a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>"); err != nil {
				t.Error(err)
				return
			}
			r, err := a.ask(fmt.Sprintf("RCPT TO:<someone%d@silent.example.org>", i))
			switch {
			case err == nil && r.String() == "450 4.1.1":
				answered.Add(1)
				last.Store(int64(time.Since(begin)))
			case err == nil || torture(): // in the short form it is not waited for
				t.Errorf("%s %q, %v", r, r.lines, err)
			}
		})
	}
	long := 2 * time.Second
	if torture() {
		long = patience
	}
	for time.Since(begin) < long && answered.Load() < n {
		w.visit()
		time.Sleep(100 * time.Millisecond)
	}
	if torture() && answered.Load() < n {
		t.Errorf("%d of %d have an answer after %v", answered.Load(), n, patience)
	}
	t.Logf("FIGURES %d of %d were answered, the last after %v; the silent server had %d connections; %v", answered.Load(), n, time.Duration(last.Load()).Round(time.Millisecond), silent.Conns(), w)
	for _, f := range p.faults() {
		t.Error(f)
	}
}
