package relay

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// sink starts Postfix's smtp-sink on a free loopback port and returns its address. Its mail goes one message a file into dir,
// if that is not "".
func sink(t *testing.T, dir string, options ...string) string {
	t.Helper()
	path, err := exec.LookPath("smtp-sink")
	if err != nil {
		path = "/usr/sbin/smtp-sink"
		if _, err := os.Stat(path); err != nil {
			t.Skip("SKIPPED: smtp-sink is not installed (Debian: postfix); it was to be the next hop")
		}
	}
	var args []string
	if os.Getuid() == 0 {
		if _, err := user.Lookup("nobody"); err != nil {
			t.Skip("SKIPPED: run by root, and there is no user nobody to run smtp-sink as")
		}
		args = append(args, "-u", "nobody")
	}
	if dir != "" {
		args = append(args, "-d", filepath.Join(dir, "%M."))
	}
	address := deadAddress(t)
	cmd := exec.Command(path, append(append(args, options...), address, "100")...)
	cmd.Dir = "/"
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("smtp-sink does not listen: %v %s", err, log.String())
		}
	}
}

// openDir returns a directory into which user nobody can write.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "relay-sink-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// 500 messages, with lines that begin with dots, arrive each exactly once and unchanged.
func TestPostfixSink(t *testing.T) {
	dir := openDir(t)
	address := sink(t, dir)
	r := newRelay(t, nil, address)
	const n = 500
	var wg sync.WaitGroup
	start := time.Now()
	for w := range 10 {
		wg.Go(func() {
			for i := w; i < n; i += 10 {
				text := fmt.Sprintf("Subject: test\r\nX-Id: %d\r\n\r\n.\r\n..two\r\n%s.end", i, strings.Repeat("A line of text.\r\n", i))
				if g := deliver(t, r, text, "b@example.org", "c@example.org"); g[0].State != queue.Delivered || g[1].State != queue.Delivered {
					t.Errorf("%+v", g)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d messages in %v", n, time.Since(start))
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != n {
		t.Fatalf("%d messages arrived, want %d; %v", len(entries), n, err)
	}
	id := regexp.MustCompile(`(?m)^X-Id: (\d+)$`)
	seen := map[string]bool{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m := id.FindSubmatch(text)
		if m == nil || seen[string(m[1])] {
			t.Fatalf("%s: no id, or one for the second time: %.300q", e.Name(), text)
		}
		seen[string(m[1])] = true
		var i int
		fmt.Sscan(string(m[1]), &i)
		if want := "\n\n.\n..two\n" + strings.Repeat("A line of text.\n", i) + ".end\n"; !strings.Contains(string(text), want) {
			t.Fatalf("message %d is not what was sent: %.300q", i, text)
		}
	}
}

func TestPostfixSinkThatFails(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []string
		state   queue.State
		reply   string // begins with
	}{
		{"4xx to CONNECT", []string{"-Q", "CONNECT"}, queue.Deferred, "4"},
		{"5xx to CONNECT", []string{"-f", "CONNECT"}, queue.Deferred, "4"},
		{"4xx to RCPT", []string{"-r", "RCPT"}, queue.Deferred, "450"},
		{"5xx to RCPT", []string{"-f", "RCPT"}, queue.Failed, "500"},
		{"4xx to MAIL", []string{"-r", "MAIL"}, queue.Deferred, "450"},
		{"5xx to DATA", []string{"-f", "DATA"}, queue.Failed, "500"},
		{"4xx to the dot", []string{"-r", "."}, queue.Deferred, "450"},
		{"5xx to the dot", []string{"-f", "."}, queue.Failed, "500"},
		{"closes after MAIL", []string{"-q", "MAIL"}, queue.Deferred, "451 4.4.2"},
		{"closes after DATA", []string{"-q", "DATA"}, queue.Deferred, "451 4.4.2"},
		{"closes after the dot", []string{"-q", "."}, queue.Deferred, "451 4.4.2"},
		{"421 to RCPT", []string{"-Q", "RCPT"}, queue.Deferred, "421"},
		{"550 instead of reading", []string{"-A", "0"}, queue.Failed, "550"},
		{"no ESMTP", []string{"-e"}, queue.Delivered, "250"},
		{"no PIPELINING", []string{"-p"}, queue.Delivered, "250"},
		{"no 8BITMIME", []string{"-8"}, queue.Delivered, "250"},
	} {
		address := sink(t, "", c.options...)
		r := newRelay(t, nil, address)
		for range 2 {
			if g := deliver(t, r, hello, "b@example.org"); g[0].State != c.state || !strings.HasPrefix(g[0].Reply, c.reply) {
				t.Errorf("%s: %+v", c.name, g)
			}
		}
		if c.state != queue.Deferred {
			continue
		}
		// With a healthy server beside it nothing is deferred, unless the server refused the transaction or may have the message.
		r = newRelay(t, nil, address, sink(t, ""))
		g := deliver(t, r, hello, "b@example.org")
		answered := strings.HasPrefix(c.reply, "45") && c.reply != "451 4.4.2" || c.name == "closes after the dot"
		if (g[0].State == queue.Delivered) == answered {
			t.Errorf("%s, with another server: %+v", c.name, g)
		}
	}
}

// library is go-smtp's server as the next hop: another reading of the protocol.
type library struct {
	mu   sync.Mutex
	got  []string
	from []string
}

func (l *library) NewSession(*smtp.Conn) (smtp.Session, error) { return &librarySession{l: l}, nil }

type librarySession struct {
	l    *library
	from string
}

func (s *librarySession) Reset()                                          {}
func (s *librarySession) Logout() error                                   { return nil }
func (s *librarySession) Mail(from string, _ *smtp.MailOptions) error     { s.from = from; return nil }
func (s *librarySession) Rcpt(to string, options *smtp.RcptOptions) error { return nil }
func (s *librarySession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.l.got, s.l.from = append(s.l.got, string(text)), append(s.l.from, s.from)
	return err
}

func TestGoSMTPServer(t *testing.T) {
	backend := &library{}
	server := smtp.NewServer(backend)
	server.Domain = "sink.example.net"
	server.EnableSMTPUTF8 = true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	r := newRelay(t, nil, l.Addr().String())
	texts := []string{hello, "A: b\r\n\r\n.\r\n..\r\n...\r\n", "A: b\r\n\r\n" + strings.Repeat(".x\r\n", 50000), "A: ö\r\n\r\nß\r\n"}
	for _, text := range texts {
		it := item(text, "b@example.org", `"b c"@example.org`, "jürgen@example.org")
		it.UTF8 = true
		for _, g := range r.Deliver(context.Background(), it, strings.NewReader(text)) {
			if g.State != queue.Delivered {
				t.Errorf("%+v", g)
			}
		}
	}
	backend.mu.Lock()
	defer backend.mu.Unlock()
	if len(backend.got) != len(texts) {
		t.Fatalf("%d messages, want %d", len(backend.got), len(texts))
	}
	for i, text := range texts {
		if backend.got[i] != text || backend.from[i] != "a@example.com" {
			t.Errorf("message %d: from %q, %.100q", i, backend.from[i], backend.got[i])
		}
	}
}

// A real Postfix as the next hop, in its default configuration, which takes a bare LF for a line end: it gets what was sent, with
// the answers for each recipient, over TLS as it offers it; and nothing that could be smuggled through it leaves.
func TestPostfix(t *testing.T) {
	p := relaytest.StartPostfix(t)
	r := newRelay(t, nil, p.Addr)
	wanted := map[string]bool{}
	for i := range 50 {
		text := fmt.Sprintf("Subject: %d\r\n\r\n.\r\n..x\r\n%s.\r\nend of %d\r\n", i, strings.Repeat("A line of text.\r\n", 10*i), i)
		_, body, _ := strings.Cut(text, "\r\n\r\n")
		wanted[strings.ReplaceAll(body, "\r\n", "\n")] = true
		g := deliver(t, r, text, "b@example.org", "unknown@example.org", "busy@example.org", "d@example.com")
		if o := outcome(g); !strings.HasPrefix(o[0], "delivered 250 2.0.0 Ok: queued as ") || !strings.HasPrefix(o[1], "failed 550 5.1.1 ") ||
			!strings.HasPrefix(o[2], "deferred 450 4.2.0 ") || !strings.HasPrefix(o[3], "deferred 454 4.7.1 ") {
			t.Fatalf("%q", o)
		}
	}
	for _, a := range smugglePrefixes {
		for _, z := range smuggleSuffixes {
			text := "Subject: outer\r\n\r\nbody" + a + "." + z + "MAIL FROM:<x@example.test>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nhello\r\n.\r\n"
			deliver(t, r, text, "b@example.org")
		}
	}
	const all = 50 + 2
	var mail []string
	for deadline := time.Now().Add(15 * time.Second); len(mail) < all; time.Sleep(50 * time.Millisecond) {
		var err error
		if mail, err = p.Mail(); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages of %d\n%s", len(mail), all, p.Log())
		}
	}
	outer := 0
	for _, text := range mail {
		head, body, _ := strings.Cut(text, "\n\n")
		if strings.Contains(head, "Subject: smuggled") {
			t.Errorf("smuggled: %q", text)
		}
		if strings.Contains(head, "Subject: outer") {
			outer++
			continue
		}
		if !wanted[body] {
			t.Errorf("not what was sent: %.200q", text)
		}
		delete(wanted, body)
	}
	if outer != 2 || len(wanted) != 0 {
		t.Errorf("%d of the 72 variants, want 2; %d messages missing", outer, len(wanted))
	}
	if log := p.Log(); strings.Contains(log, "<y@example.org>") || strings.Contains(log, "<x@example.test>") {
		t.Errorf("a smuggled recipient:\n%s", log)
	}
}

// What a real Postfix says of its recipients.
func TestVerifyWithPostfix(t *testing.T) {
	p := relaytest.StartPostfix(t)
	r := newRelay(t, nil, p.Addr)
	for recipient, want := range map[string]Mailbox{"b@example.org": Exists, "unknown@example.org": Missing, "busy@example.org": Unsure, "d@example.com": Unsure} {
		if got := r.Verify(t.Context(), recipient); got != want {
			t.Errorf("%s: %v, want %v", recipient, got, want)
		}
	}
	got := r.Probe(t.Context(), Route{Servers: []string{p.Addr}, TLS: TLSMay}, "example.org")[0]
	if got.Reply != "" || got.Greeting != "220 next.example.net ESMTP Postfix" || got.Recipients != Exists || !slices.Contains(got.Extensions, "PIPELINING") {
		t.Errorf("%+v", got)
	}
	if mail, err := p.Mail(); err != nil || len(mail) != 0 {
		t.Errorf("callouts made %d messages, %v", len(mail), err)
	}
}

// A real Postfix with a certificate of its own making gets mail that is authenticated by a pin, and none when the pin is another's.
func TestPostfixByPin(t *testing.T) {
	conf, _ := relaytest.Certificate(t, "other.example.com")
	certificate, key := pinsOf(t, conf)
	private, err := x509.MarshalPKCS8PrivateKey(conf.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	chain := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conf.Certificates[0].Certificate[0]})...)
	file := filepath.Join(openDir(t), "chain.pem")
	if err := os.WriteFile(file, chain, 0o600); err != nil {
		t.Fatal(err)
	}
	p := relaytest.StartPostfix(t, "smtpd_tls_chain_files = "+file, "smtpd_tls_security_level = encrypt", "smtpd_tls_loglevel = 1")
	for _, pin := range []string{certificate, key} {
		r := newRelayTo(t, nil, Route{Servers: []string{p.Addr}, TLS: TLSVerify, Pins: []string{pin}})
		if got := deliver(t, r, hello, "b@example.org"); got[0].State != queue.Delivered {
			t.Fatalf("%+v\n%s", got, p.Log())
		}
	}
	for name, route := range map[string]Route{"another pin": {TLS: TLSVerify, Pins: []string{strings.Repeat("0", 64)}}, "no pin": {TLS: TLSVerify}} {
		route.Servers = []string{p.Addr}
		if got := deliver(t, newRelayTo(t, nil, route), hello, "b@example.org"); got[0].State != queue.Deferred || !got[0].Down || !strings.HasPrefix(got[0].Reply, "451 4.7.5 ") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := newRelay(t, nil).Probe(t.Context(), Route{Servers: []string{p.Addr}}, "")[0]
	if got.Reply != "" || got.TLS == "" || got.Certificate == "" || !slices.Equal(got.Pins, []string{certificate, key}) {
		t.Errorf("%+v", got)
	}
	if n := strings.Count(p.Log(), "TLS connection established"); n < 3 {
		t.Errorf("%d encrypted connections in Postfix's log\n%s", n, p.Log())
	}
}
