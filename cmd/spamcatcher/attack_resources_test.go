package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
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
