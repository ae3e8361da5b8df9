package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
)

// A sink is Postfix's smtp-sink, which writes each transaction to a file.
type sink struct {
	address string
	dir     string
}

func startSink(t *testing.T, args ...string) sink {
	t.Helper()
	need(t, "smtp-sink")
	s := sink{address: closedPort(t), dir: t.TempDir()}
	// It gives up root, so that the directory must be anybody's.
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(s.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	all := []string{"-d", filepath.Join(s.dir, "%H%M%S.")}
	if os.Geteuid() == 0 {
		all = append(all, "-u", "nobody")
	}
	cmd := exec.Command("/usr/sbin/smtp-sink", append(append(all, args...), s.address, "100")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	waitFor(t, "smtp-sink", func() bool { return accepts(s.address) })
	return s
}

func accepts(address string) bool {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// messages counts the files that hold a transaction.
func (s sink) messages(t *testing.T) int {
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte("X-Mail-Args:")) {
			n += bytes.Count(text, []byte("X-Mail-Args:"))
		}
	}
	return n
}

// TestRoundRobinWithADeadServer: of three servers two live, and each gets
// half of the mail; the dead one costs nobody anything.
func TestRoundRobinWithADeadServer(t *testing.T) {
	a, b := startSink(t), startSink(t)
	p := start(t, t.TempDir(), "", "--relay", a.address+","+closedPort(t)+","+b.address)
	const total = 30
	for i := range total {
		if err := send(p.address, "a@example.org", []string{"b@example.net"}, fmt.Sprintf("Subject: %d\n\nhello\n", i)); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "all messages", func() bool { return a.messages(t)+b.messages(t) == total })
	if na, nb := a.messages(t), b.messages(t); na < total/4 || nb < total/4 {
		t.Errorf("one server got %d messages, the other %d", na, nb)
	}
}

// TestOneRecipientRefusedDownstream: behind the gateway a real Postfix takes
// one of two recipients. That one gets the mail once; the sender, whose mail
// goes the same way, hears of the other.
func TestOneRecipientRefusedDownstream(t *testing.T) {
	next := relaytest.StartPostfix(t)
	state := t.TempDir()
	p := start(t, state, "", "--relay", next.Addr)
	if err := send(p.address, "sender@example.org", []string{"known@example.org", "unknown@example.org"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	var mail []string
	waitFor(t, "the mail and the bounce in Postfix's mailboxes", func() bool {
		var err error
		if mail, err = next.Mail(); err != nil {
			t.Fatal(err)
		}
		return len(mail) >= 2
	})
	waitFor(t, "an empty queue", func() bool {
		out, _, _ := cli(t, "", "queue", "list", "--state", state)
		return strings.HasSuffix(out, "\n0 in the queue\n")
	})
	if mail, _ = next.Mail(); len(mail) != 2 {
		t.Fatalf("Postfix delivered %d messages, want the mail and the bounce:\n%s", len(mail), strings.Join(mail, "\n=====\n"))
	}
	if strings.Contains(mail[0], "multipart/report") {
		mail[0], mail[1] = mail[1], mail[0]
	}
	if !strings.Contains(mail[0], "X-SpamCatcher-Score: ") || !strings.Contains(mail[0], "the drawings of the second floor") {
		t.Errorf("Postfix delivered\n%s", mail[0])
	}
	if !strings.Contains(mail[1], "Final-Recipient: rfc822; unknown@example.org") || strings.Contains(mail[1], "Final-Recipient: rfc822; known@") {
		t.Errorf("the bounce is\n%s", mail[1])
	}
}

// TestBounce: a recipient that is refused for good makes one notification
// (RFC 3464) to the sender, from the null sender, which does not name the
// server behind.
func TestBounce(t *testing.T) {
	var next *relaytest.Server
	// Not the client's address, which the header of the message shows.
	next = relaytest.StartAt(t, "127.0.0.77:0", relaytest.Script{Answer: func(line string) string {
		if strings.HasPrefix(line, "RCPT") && strings.Contains(line, "gone@") {
			return "550 5.1.1 inner.hidden.example says: no such user at " + next.Addr
		}
		return ""
	}})
	p := start(t, t.TempDir(), "hostname = \"mx.example.net\"\n", "--relay", next.Addr)
	if err := send(p.address, "sender@example.org", []string{"here@example.net", "gone@example.net"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the mail and the bounce", func() bool { return len(next.Messages()) == 2 })
	var bounce relaytest.Message
	for _, m := range next.Messages() {
		if strings.Contains(m.From, "<>") {
			bounce = m
		}
	}
	text := bounce.Text()
	for _, want := range []string{"multipart/report", "message/delivery-status", "Action: failed", "5.1.1", "gone@example.net"} {
		if !strings.Contains(text, want) {
			t.Errorf("the bounce does not contain %q:\n%s", want, text)
		}
	}
	host, port, err := net.SplitHostPort(next.Addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"inner.hidden.example", host + ":" + port, ":" + port, host} {
		if strings.Contains(text, secret) {
			t.Errorf("the bounce names the server behind (%s):\n%s", secret, text)
		}
	}
	if strings.Contains(text, "here@example.net") && strings.Contains(text, "Final-Recipient: rfc822; here") {
		t.Errorf("the bounce reports a recipient that got the mail:\n%s", text)
	}
}

// TestPostfixInFront: Postfix's smtp-source as client, many sessions at one
// time, and smtp-sink behind: everything arrives.
func TestPostfixInFront(t *testing.T) {
	need(t, "smtp-source")
	behind := startSink(t)
	p := start(t, t.TempDir(), "", "--relay", behind.address)
	const total = 200
	out, err := exec.Command("/usr/sbin/smtp-source", "-m", strconv.Itoa(total), "-s", "10", "-l", "4000", "-f", "a@example.org", "-t", "b@example.net", p.address).CombinedOutput()
	if err != nil {
		t.Fatalf("smtp-source: %v\n%s\n%s", err, out, p.log())
	}
	waitFor(t, "all messages", func() bool { return behind.messages(t) == total })
}
