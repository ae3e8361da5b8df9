package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spamcatcher/gateway/relay/relaytest"
)

// What a fresh client may have to wait for, whatever the others do.
const (
	bannerTime  = time.Second
	messageTime = 5 * time.Second // until the server behind has its message
)

// inside runs a function in a goroutine of its own, in the network of the calling
// goroutine, from which alone was called.
func inside(t *testing.T, wg *sync.WaitGroup, f func()) {
	t.Helper()
	network, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	entered := make(chan error)
	wg.Go(func() {
		runtime.LockOSThread()
		err := unix.Setns(network, unix.CLONE_NEWNET)
		unix.Close(network)
		if entered <- err; err == nil {
			f()
		}
	})
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
}

// clientAddress is the address of the i-th client: not this machine's.
func clientAddress(i int) string { return fmt.Sprintf("198.18.%d.%d", 1+i/250, 1+i%250) }

// A witness is a client that comes now and then, to see whether it is served.
type witness struct {
	t            *testing.T
	p            *process
	behind       *relaytest.Server
	visits, sent int
	banner, mail time.Duration // the longest
}

// visit sends a message from a client that was not seen before. What it must not
// wait longer for is an error.
func (w *witness) visit() {
	w.t.Helper()
	if err := w.try(); err != nil {
		w.t.Errorf("a fresh client: %v", err)
	}
}

func (w *witness) try() error {
	w.visits++
	before := w.behind.Count()
	begin := time.Now()
	a, err := connect(w.p.address, fmt.Sprintf("198.19.%d.%d", w.visits/250, 1+w.visits%250))
	if err != nil {
		return err
	}
	defer a.Close()
	a.SetDeadline(begin.Add(2 * messageTime))
	if banner, err := a.hear(); err != nil || banner.code != 220 {
		return fmt.Errorf("banner: %s %q, %v", banner, banner.lines, err)
	}
	banner := time.Since(begin)
	if r, err := deliver(a, "someone@example.net", []string{"b@example.org"}, goodMessage); err != nil || r.code != 250 {
		return fmt.Errorf("message: %s %q, %v", r, r.lines, err)
	}
	for w.behind.Count() == before {
		if time.Since(begin) > 2*messageTime {
			return fmt.Errorf("its message has not arrived after %v", time.Since(begin))
		}
		time.Sleep(time.Millisecond)
	}
	mail := time.Since(begin)
	w.banner, w.mail = max(w.banner, banner), max(w.mail, mail)
	if w.sent++; banner > bannerTime || mail > messageTime {
		return fmt.Errorf("waited %v for the banner and %v for its message", banner, mail)
	}
	return nil
}

func (w *witness) String() string {
	return fmt.Sprintf("%d fresh clients waited at most %v for the banner and %v for the message at the server behind", w.visits,
		w.banner.Round(100*time.Microsecond), w.mail.Round(100*time.Microsecond))
}

// besieged starts a gateway in a network of its own.
func besieged(t *testing.T, config string) (*process, *witness) {
	t.Helper()
	alone(t)
	return startHere(t, config)
}

// startHere starts a gateway on every address of the network that alone has made.
func startHere(t *testing.T, config string) (*process, *witness) {
	t.Helper()
	behind := relaytest.Start(t, relaytest.Script{})
	p := start(t, t.TempDir(), fmt.Sprintf("hostname = 'mx.example.org'\nlisten = ['[::]:0']\nrelay_domains = ['example.org']\noutgoing_smtp = [%q]\n%s", behind.Addr, config))
	_, port, err := net.SplitHostPort(p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.address = "198.18.0.1:" + port
	w := &witness{t: t, p: p, behind: behind}
	w.visit() // what is made at the first message is made
	return p, w
}

// files is the number of the process's open files.
func (p *process) files() int {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(list)
}

// recovered checks, after an attack, that nothing of it is left.
func (p *process) recovered(files int) {
	p.t.Helper()
	end := time.Now().Add(15 * time.Second)
	for p.files() > files+10 && time.Now().Before(end) {
		time.Sleep(50 * time.Millisecond)
	}
	if n := p.files(); n > files+10 {
		p.t.Errorf("%d files are open after the attack, %d were before", n, files)
	}
	for _, f := range p.faults() {
		p.t.Error(f)
	}
}

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

// TestFloods has clients that send as much as they can of what costs them
// nothing, for a few seconds each.
func TestFloods(t *testing.T) {
	p, w := besieged(t, "[limits]\nsessions_per_client = 100\n")
	files := p.files()
	often := 400 * time.Millisecond
	if torture() {
		often = 20 * time.Second
	}
	head := "EHLO client.example.net\r\n"
	for _, flood := range []struct {
		name string
		do   func(a *attacker)
	}{
		{"NOOP", func(a *attacker) { a.send(strings.Repeat("NOOP\r\n", 20_000)); io.Copy(io.Discard, a) }},
		{"unknown commands", func(a *attacker) { a.send(strings.Repeat("X\r\n", 50_000)); io.Copy(io.Discard, a) }},
		{"MAIL and RSET", func(a *attacker) {
			a.send("HELO x\r\n")
			a.hear()
			a.hear()
			a.send(strings.Repeat("MAIL FROM:<a@example.net>\r\nRSET\r\n", 5_000))
			io.Copy(io.Discard, a)
		}},
		{"recipients who are not ours", func(a *attacker) {
			a.send(head)
			a.hear()
			a.plain = true
			a.hear()
			a.send("MAIL FROM:<a@example.net>\r\n" + strings.Repeat("RCPT TO:<b@elsewhere.example>\r\n", 10_000))
			io.Copy(io.Discard, a)
		}},
		{"the whole session at once", func(a *attacker) {
			a.send(head + "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
			a.hear()
			a.plain = false
			if r, err := a.hear(); err != nil || r.String() != "503 5.5.1" {
				t.Errorf("the whole session at once: %s, %v", r, err)
			}
		}},
		{"connect and reset", func(a *attacker) { a.Conn.(*net.TCPConn).SetLinger(0) }},
		{"reset inside a message", func(a *attacker) {
			a.Conn.(*net.TCPConn).SetLinger(0)
			a.hear()
			a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>", "RCPT TO:<b@example.org>")
			a.must(354, "DATA")
			a.send("Subject: never\r\n\r\nnever")
		}},
		{"reset inside a handshake", func(a *attacker) {
			a.Conn.(*net.TCPConn).SetLinger(0)
			a.hear()
			a.must(250, "EHLO client.example.net")
			a.must(220, "STARTTLS")
			a.send("\x16\x03\x01\x02\x00\x01")
		}},
		{"handshakes", func(a *attacker) {
			a.hear()
			a.must(250, "EHLO client.example.net")
			a.encrypt()
		}},
		{"closed after DATA", func(a *attacker) {
			a.hear()
			a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>", "RCPT TO:<b@example.org>")
			a.must(354, "DATA")
		}},
	} {
		var wg sync.WaitGroup
		var attacks atomic.Int64
		begin := time.Now()
		for i := range 8 {
			inside(t, &wg, func() {
				for n := 0; time.Since(begin) < often; n++ {
					a, err := connect(p.address, clientAddress(i))
					if err != nil {
						continue // its own ports are used up
					}
					a.SetDeadline(time.Now().Add(20 * time.Second))
					flood.do(a)
					a.Close()
					attacks.Add(1)
				}
			})
		}
		own := &witness{t: t, p: p, behind: w.behind, visits: w.visits}
		first := own.visits
		for time.Since(begin) < often {
			own.visit()
			time.Sleep(50 * time.Millisecond)
		}
		w.visits = own.visits
		own.visits -= first
		wg.Wait()
		t.Logf("FIGURES %s: %d sessions; %v", flood.name, attacks.Load(), own)
	}
	t.Logf("FIGURES %d MiB of memory at most", p.peak()>>20)
	if p.peak() > 200<<20 {
		t.Errorf("%d MiB of memory", p.peak()>>20)
	}
	p.recovered(files)
}

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
