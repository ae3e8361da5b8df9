package wire_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"spamcatcher/gateway/wire"
)

// A recorder is a backend that takes mail for example.com and remembers what
// go-smtp told it.
type recorder struct {
	mu       sync.Mutex
	calls    []string // "mail X", "rcpt Y", "data N", "reset"
	messages []received
	sessions int

	onData func(c *wire.Conn) error // called in Data, if not nil
	onRcpt func(c *wire.Conn, to string) error
	onMail func(c *wire.Conn, from string) error
}

type received struct {
	from string
	to   []string
	body string
	tls  bool
}

func (r *recorder) NewSession(c *smtp.Conn) (smtp.Session, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions++
	if strings.HasPrefix(c.Hostname(), "refused.") {
		return nil, &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not you"}
	}
	return &session{r: r, c: c.Conn().(*wire.Conn)}, nil
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
}

// take returns what was received so far and forgets it.
func (r *recorder) take() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.messages
	r.messages, r.calls = nil, nil
	return m
}

func (r *recorder) log() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.calls...)
}

type session struct {
	r    *recorder
	c    *wire.Conn
	from string
	to   []string
}

func (s *session) Reset()        { s.from, s.to = "", nil; s.r.note("reset") }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	s.r.note("mail %s", from)
	s.from = from
	if s.r.onMail != nil {
		return s.r.onMail(s.c, from)
	}
	return nil
}

func (s *session) Rcpt(to string, o *smtp.RcptOptions) error {
	s.r.note("rcpt %s", to)
	if s.r.onRcpt != nil {
		return s.r.onRcpt(s.c, to)
	}
	_, domain, _ := strings.Cut(to, "@")
	switch domain = strings.ToLower(domain); {
	case strings.HasPrefix(to, "unknown"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	case domain != "example.com" && domain != "mx.example.com" && domain != "bücher.example":
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "relay not permitted"}
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
		s.r.note("BODY %q %v", b, err)
	}
	s.r.note("data %d", len(s.c.Message()))
	if s.r.onData != nil {
		if err := s.r.onData(s.c); err != nil {
			return err
		}
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	s.r.messages = append(s.r.messages, received{s.from, s.to, string(s.c.Message()), s.c.TLS() != nil})
	return nil
}

// A server is a go-smtp server above a Listener.
type server struct {
	*wire.Listener
	*recorder
	t      testing.TB
	served chan error
}

// serve starts a server above inner.
func serve(t testing.TB, inner net.Listener, cfg wire.Config, r *recorder) *server {
	t.Helper()
	if cfg.Hostname == "" {
		cfg.Hostname = "mx.example.com"
	}
	l, err := wire.New(inner, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, r)
}

// serveOn serves what l accepts.
func serveOn(t testing.TB, l *wire.Listener, r *recorder) *server {
	t.Helper()
	s := smtp.NewServer(r)
	s.EnableSMTPUTF8 = true
	s.ErrorLog = log.New(io.Discard, "", 0)
	srv := &server{Listener: l, recorder: r, t: t, served: make(chan error, 1)}
	go func() { srv.served <- s.Serve(l) }()
	t.Cleanup(func() {
		l.Close()
		<-srv.served
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Drain(ctx); err != nil {
			t.Errorf("sessions that do not end: %v", err)
		}
		if st := l.Stats(); st.Open != 0 || st.Memory != 0 {
			t.Errorf("left after all sessions: %+v", st)
		}
	})
	return srv
}

// listen starts a server on loopback.
func listen(t testing.TB, cfg wire.Config, r *recorder) *server {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, inner, cfg, r)
}

// pipes is a listener whose connections stay in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

// dial connects from an address.
func (p *pipes) dial(from string) net.Conn {
	near, far := net.Pipe()
	p.conns <- pipeEnd{far, &net.TCPAddr{IP: net.ParseIP(from), Port: 40000}}
	return near
}

type pipeEnd struct {
	net.Conn
	remote net.Addr
}

func (p pipeEnd) RemoteAddr() net.Addr { return p.remote }

// A client speaks to a server octet by octet.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func newClient(t testing.TB, c net.Conn) *client {
	return &client{t, c, bufio.NewReader(c)}
}

func (s *server) dial(t testing.TB) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return newClient(t, c)
}

// session dials, reads the banner and says EHLO.
func (s *server) session(t testing.TB) *client {
	t.Helper()
	c := s.dial(t)
	c.expect("220 mx.example.com ESMTP")
	c.do("EHLO client.example.net", "250")
	return c
}

func (c *client) send(b string) {
	c.t.Helper()
	if _, err := io.WriteString(c, b); err != nil {
		c.t.Fatalf("sending %.60q: %v", b, err)
	}
}

// reply reads one reply, its lines joined by "\n". "" means that the server
// has closed the connection.
func (c *client) reply() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			if errors.Is(err, io.EOF) && line == "" && lines == nil {
				return ""
			}
			c.t.Fatalf("reading a reply: %v, after %q %q", err, lines, line)
		}
		if !strings.HasSuffix(line, "\r\n") || len(line) > 512 {
			c.t.Fatalf("malformed reply line %q", line)
		}
		line = line[:len(line)-2]
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// expect reads a reply that begins with want; want "" means the end.
func (c *client) expect(want string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, want) || want == "" && got != "" {
		c.t.Fatalf("reply %q, want %q", got, want)
	}
	return got
}

func (c *client) do(command, want string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	got := c.reply()
	if !strings.HasPrefix(got, want) || want == "" && got != "" {
		c.t.Fatalf("%.80q: reply %q, want %q", command, got, want)
	}
	return got
}

// envelope begins a transaction.
func (c *client) envelope() {
	c.t.Helper()
	c.do("MAIL FROM:<a@example.net>", "250 2.1.0")
	c.do("RCPT TO:<b@example.com>", "250 2.1.5")
}

var testTLS = sync.OnceValue(func() *tls.Config { return certificate("mx.example.com") })

// certificate makes a self-signed one.
func certificate(name string) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// startTLS encrypts the connection and says EHLO again.
func (c *client) startTLS() *client {
	c.t.Helper()
	n := c.encrypt()
	n.do("EHLO client.example.net", "250")
	return n
}

// encrypt encrypts the connection.
func (c *client) encrypt() *client {
	c.t.Helper()
	c.do("STARTTLS", "220 2.0.0")
	if c.r.Buffered() > 0 {
		c.t.Fatal("plaintext behind the reply to STARTTLS")
	}
	t := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := t.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return newClient(c.t, t)
}

func TestSession(t *testing.T) {
	s := listen(t, wire.Config{TLS: testTLS, ETRN: func(*wire.Conn, string) *wire.Reply { return nil }}, &recorder{})
	c := s.dial(t)
	c.expect("220 mx.example.com ESMTP")
	ehlo := c.do("EHLO client.example.net", "250-mx.example.com\n")
	want := "250-mx.example.com\n250-PIPELINING\n250-SIZE 52428800\n250-STARTTLS\n250-ETRN\n250-ENHANCEDSTATUSCODES\n250-8BITMIME\n250-SMTPUTF8\n250 CHUNKING"
	if ehlo != want {
		t.Errorf("EHLO:\n%s\nwant\n%s", ehlo, want)
	}
	c.envelope()
	c.do("DATA", "354 ")
	c.do("Subject: hello\r\n\r\nfirst\r\n..dot\r\n...\r\n.", "250 2.0.0")
	c = c.startTLS()
	c.envelope()
	c.send("BDAT 7\r\nA: b\r\n\r")
	c.expect("250 2.0.0 go on")
	c.send("BDAT 6 LAST\r\n\nbody.")
	c.expect("250 2.0.0 OK: queued")
	c.do("QUIT", "221 2.0.0")
	c.expect("")
	got := s.take()
	if len(got) != 2 || got[0].body != "Subject: hello\r\n\r\nfirst\r\n.dot\r\n..\r\n" || got[1].body != "A: b\r\n\r\nbody.\r\n" || got[0].tls || !got[1].tls {
		t.Errorf("received %+v", got)
	}
}

func smtpError(code, class, subject, detail int, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}
