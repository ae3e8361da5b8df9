package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// torture reports whether the long form of the attacks was asked for.
func torture() bool { return os.Getenv("SPAMCATCHER_TORTURE") != "" }

// An attacker is a raw SMTP client, which sends what it is told to and believes
// no reply: each must have the form that RFC 5321 and RFC 2034 give it. It
// fails no test by itself, so that thousands of them can run at once.
type attacker struct {
	net.Conn
	in    *bufio.Reader
	heard bytes.Buffer // every octet of the server's
	plain bool         // the next reply has no status codes: banner, EHLO, HELO
}

// An answer is one reply.
type answer struct {
	code   int
	status string // "5.7.1"; "" for none
	lines  []string
}

// String is what a test compares: "550 5.7.1".
func (a answer) String() string {
	if a.status == "" {
		return strconv.Itoa(a.code)
	}
	return strconv.Itoa(a.code) + " " + a.status
}

// attack connects and hears the banner.
func attack(address string) (*attacker, error) {
	a, err := connect(address, "")
	if err != nil {
		return nil, err
	}
	banner, err := a.hear()
	if err == nil && banner.code != 220 {
		err = fmt.Errorf("banner %q", banner.lines)
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// connect connects from a local address, "" for any, and hears nothing yet.
func connect(address, from string) (*attacker, error) {
	d := net.Dialer{Timeout: 20 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	return newAttacker(conn), nil
}

func newAttacker(conn net.Conn) *attacker {
	a := &attacker{Conn: conn, plain: true}
	a.in = bufio.NewReader(io.TeeReader(conn, &a.heard))
	return a
}

var (
	replyForm  = regexp.MustCompile(`^([2345][0-9][0-9])([ -])([ -~]*)\r\n$`)
	statusForm = regexp.MustCompile(`^([245])\.[0-9]{1,3}\.[0-9]{1,3} `)
)

// hear reads one reply. RFC 5321 section 4.2: every line has the same code and at
// most 512 octets of printable ASCII. RFC 2034 section 4: every line of a 2xx, 4xx
// or 5xx reply has a status code of the same class, except in the banner and in
// what HELO and EHLO are answered.
func (a *attacker) hear() (answer, error) {
	var r answer
	plain := a.plain
	a.plain = false
	for {
		line, err := a.in.ReadString('\n')
		if err != nil {
			if line != "" {
				return r, fmt.Errorf("reply cut off after %q: %w", line, err)
			}
			return r, err
		}
		m := replyForm.FindStringSubmatch(line)
		if m == nil || len(line) > 512 {
			return r, fmt.Errorf("no reply: %q", line)
		}
		code, _ := strconv.Atoi(m[1])
		if r.code != 0 && code != r.code {
			return r, fmt.Errorf("reply of two codes, %d and %d", r.code, code)
		}
		r.code = code
		s := statusForm.FindString(m[3])
		switch {
		case s == "" && (plain || code/100 == 3):
		case s == "":
			return r, fmt.Errorf("no status code in %q", line)
		case s[0] != m[1][0]:
			return r, fmt.Errorf("the classes of code and status differ in %q", line)
		case r.status != "" && strings.TrimSpace(s) != r.status:
			return r, fmt.Errorf("reply of two status codes, %s and %s", r.status, s)
		}
		r.status = strings.TrimSpace(s)
		r.lines = append(r.lines, m[3])
		if m[2] == " " {
			return r, nil
		}
	}
}

// send writes octets as they are.
func (a *attacker) send(text string) error {
	_, err := io.WriteString(a.Conn, text)
	return err
}

// ask sends a command and returns its reply.
func (a *attacker) ask(line string) (answer, error) {
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	a.plain = verb == "EHLO" || verb == "HELO"
	if err := a.send(line + "\r\n"); err != nil {
		return answer{}, err
	}
	return a.hear()
}

// must asks several commands, which all must be answered with the code given.
func (a *attacker) must(code int, lines ...string) error {
	for _, line := range lines {
		r, err := a.ask(line)
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		if r.code != code {
			return fmt.Errorf("%s: %d %s, want %d", line, r.code, strings.Join(r.lines, " / "), code)
		}
	}
	return nil
}

// encrypt sends STARTTLS and does the handshake.
func (a *attacker) encrypt() (*attacker, error) {
	if err := a.must(220, "STARTTLS"); err != nil {
		return nil, err
	}
	conn := tls.Client(a.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	return newAttacker(conn), nil
}

// ended returns an error unless the server closes the connection without another
// word.
func (a *attacker) ended() error {
	a.SetReadDeadline(time.Now().Add(10 * time.Second)) // it may take its time to hang up
	rest, err := io.ReadAll(a.in)
	if len(rest) > 0 {
		return fmt.Errorf("more came: %q", rest)
	}
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("the connection is not closed: %w", err)
	}
	return nil
}

// deliver sends one message over a fresh session and returns the reply to it.
func deliver(a *attacker, from string, to []string, message string) (answer, error) {
	if err := a.must(250, "EHLO client.example.net", "MAIL FROM:<"+from+">"); err != nil {
		return answer{}, err
	}
	for _, r := range to {
		if err := a.must(250, "RCPT TO:<"+r+">"); err != nil {
			return answer{}, err
		}
	}
	if err := a.must(354, "DATA"); err != nil {
		return answer{}, err
	}
	if err := a.send(strings.ReplaceAll(message, "\n", "\r\n") + ".\r\n"); err != nil {
		return answer{}, err
	}
	return a.hear()
}

// alone puts the calling goroutine, and every process and connection that it
// makes, into a network of its own, in which all addresses are this machine's:
// so the server sees clients that are not on its own machine, as many as wanted,
// and nothing gets out. Other goroutines stay where they are; a connection may be
// handed to them. It skips the test, loudly, where that is not allowed.
func alone(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		t.Skipf("SKIPPED: a network of its own needs root's rights (%v); clients from other machines are not tested", err)
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"route", "add", "local", "198.18.0.0/15", "dev", "lo"}, // RFC 2544: for tests
		{"-6", "route", "add", "local", "2001:db8::/32", "dev", "lo"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: ip %s: %v: %s; clients from other machines are not tested", strings.Join(args, " "), err, out)
		}
	}
	// Needed for IPv6 alone.
	if err := os.WriteFile("/proc/sys/net/ipv6/ip_nonlocal_bind", []byte("1"), 0); err != nil {
		t.Skipf("SKIPPED: %v; clients from other machines are not tested", err)
	}
}

// resident returns the memory of the process in octets.
func (p *process) resident() int64 { return p.status("VmRSS") }

// peak returns the most memory that the process ever had, in octets.
func (p *process) peak() int64 { return p.status("VmHWM") }

func (p *process) status(key string) int64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatalf("the gateway is gone: %v\n%s", err, p.log())
	}
	m := regexp.MustCompile(`(?m)^` + key + `:\s+(\d+) kB$`).FindSubmatch(text)
	if m == nil {
		p.t.Fatalf("no %s in the status of the gateway", key)
	}
	kib, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kib << 10
}

// faults returns the lines of the log that no input may cause.
func (p *process) faults() (list []string) {
	for line := range strings.Lines(p.log()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "level=ERROR") || strings.Contains(line, "out of step") || strings.Contains(line, "goroutine ") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}
