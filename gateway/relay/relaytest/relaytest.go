// Package relaytest turns a script into an SMTP server on loopback that answers as the script says and records every octet
// it is sent. It believes nothing: what breaks the rules of a client is recorded as an offence.
package relaytest

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Answers with a meaning of their own.
const (
	Drop = "\x00drop" // close the connection
	Hang = "\x00hang" // say nothing until the client has gone
)

// A Script says how a server behaves. Its zero value is a server that takes everything and offers PIPELINING and 8BITMIME.
type Script struct {
	Greeting   string      // ("220 relaytest ESMTP")
	Extensions []string    // EHLO keywords (PIPELINING, 8BITMIME); an empty, non-nil list offers none
	TLS        *tls.Config // not nil: STARTTLS is offered
	// Answer returns the reply to a command line, with or without CRLF; "" = the usual one. The octets after Drop are sent first.
	Answer func(line string) string
	// Stream takes over the connection for a command if it returns true; the connection is closed afterwards.
	Stream func(line string, w io.Writer) bool
	// Begin runs after 354; what it returns is sent at once, before the message is read. Drop closes the connection.
	Begin func(w io.Writer) string
	// End returns the reply to the end of data; "" = the usual one.
	End func(m Message) string
	// Quiet: messages are counted, but not kept.
	Quiet bool
}

// A Message is what came in one transaction.
type Message struct {
	From string   // the MAIL command line
	To   []string // the accepted RCPT command lines
	Data []byte   // as sent: dots stuffed, with the dot line
	TLS  bool
}

// Text returns the message without stuffed dots and without the dot line.
func (m Message) Text() string {
	s := "\r\n" + strings.TrimSuffix(string(m.Data), ".\r\n")
	return strings.ReplaceAll(s, "\r\n.", "\r\n")[2:]
}

// A Server is a running script. All methods may be called while it runs.
type Server struct {
	Addr string // "127.0.0.1:port"

	script   Script
	listener net.Listener
	conns    atomic.Int64
	count    atomic.Int64
	groups   atomic.Int64

	mu       sync.Mutex
	open     map[net.Conn]bool
	lines    []string
	messages []Message
	offences []string
	closed   bool
	wg       sync.WaitGroup
}

// Start starts a server on a loopback port of the kernel's choice. It ends with the test.
func Start(t testing.TB, script Script) *Server {
	t.Helper()
	return StartAt(t, "127.0.0.1:0", script)
}

// StartAt starts a server on the given address.
func StartAt(t testing.TB, address string, script Script) *Server {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("relaytest: %v", err)
	}
	s := &Server{Addr: l.Addr().String(), script: script, listener: l, open: map[net.Conn]bool{}}
	s.wg.Go(s.accept)
	t.Cleanup(s.Close)
	return s
}

// Close ends the server and all its connections.
func (s *Server) Close() {
	s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Messages returns the messages whose end was seen, whatever the reply was.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Count returns how many messages were answered 250.
func (s *Server) Count() int { return int(s.count.Load()) }

// Conns returns how many connections were made.
func (s *Server) Conns() int { return int(s.conns.Load()) }

// Pipelined returns how many commands came with the next one right behind.
func (s *Server) Pipelined() int { return int(s.groups.Load()) }

// Lines returns all command lines of all connections in the order of arrival.
func (s *Server) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// Offences returns what the client did that no client may do: a bare CR, a bare LF, NUL, a command without its turn.
func (s *Server) Offences() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.offences...)
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.conns.Add(1)
		s.mu.Lock()
		if s.closed {
			c.Close()
		} else {
			s.open[c] = true
		}
		s.mu.Unlock()
		s.wg.Go(func() {
			x := &session{server: s, tcp: c, conn: c, in: bufio.NewReaderSize(c, 32<<10), out: bufio.NewWriter(c)}
			x.serve()
			c.Close()
			s.mu.Lock()
			delete(s.open, c)
			s.mu.Unlock()
		})
	}
}

func (s *Server) offence(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offences = append(s.offences, fmt.Sprintf(format, args...))
}

type session struct {
	server *Server
	tcp    net.Conn
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	tls    bool
	from   string
	to     []string
}

// say sends a reply and reports whether the session goes on.
func (x *session) say(reply string) bool {
	switch {
	case strings.HasPrefix(reply, Drop):
		x.out.WriteString(strings.TrimPrefix(reply, Drop))
		x.out.Flush()
		return false
	case reply == Hang:
		x.out.Flush()
		io.Copy(io.Discard, x.in)
		return false
	}
	if !strings.HasSuffix(reply, "\n") {
		reply += "\r\n"
	}
	x.out.WriteString(reply)
	// RFC 2920 section 3.2: replies to a group of commands go out together.
	if x.in.Buffered() == 0 {
		return x.out.Flush() == nil
	}
	return true
}

func (x *session) serve() {
	greeting := x.server.script.Greeting
	if greeting == "" {
		greeting = "220 relaytest ESMTP"
	}
	if !x.say(greeting) {
		return
	}
	for x.command() {
	}
}

// command serves one command.
func (x *session) command() bool {
	raw, err := x.in.ReadString('\n')
	if err != nil {
		return false
	}
	line := strings.TrimSuffix(strings.TrimSuffix(raw, "\n"), "\r")
	if !strings.HasSuffix(raw, "\r\n") || strings.ContainsAny(line, "\r\x00") {
		x.server.offence("command %q", raw)
	}
	sc := &x.server.script
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	if x.in.Buffered() > 0 {
		x.server.groups.Add(1)
		// RFC 2920 section 3.1: a client may send several commands only if PIPELINING was offered, and these only as the last.
		if last := verb == "EHLO" || verb == "HELO" || verb == "DATA" || verb == "STARTTLS" || verb == "QUIT"; last || !x.pipelining() {
			x.server.offence("more than %q at once", line)
		}
	}
	if !sc.Quiet {
		x.server.mu.Lock()
		x.server.lines = append(x.server.lines, line)
		x.server.mu.Unlock()
	}
	if sc.Stream != nil && sc.Stream(line, x.conn) {
		return false
	}
	answer := ""
	if sc.Answer != nil {
		answer = sc.Answer(line)
	}
	usual := x.usual(verb)
	good := answer == "" || answer[0] == '2' || answer[0] == '3'
	if answer == "" {
		answer = usual
	}
	if !x.say(answer) {
		return false
	}
	if !good || answer[0] == '5' {
		return true
	}
	switch verb {
	case "MAIL":
		x.from, x.to = line, nil
	case "RCPT":
		x.to = append(x.to, line)
	case "RSET", "EHLO", "HELO":
		x.from, x.to = "", nil
	case "QUIT":
		return false
	case "STARTTLS":
		return x.startTLS()
	case "DATA":
		return x.data()
	}
	return true
}

func (x *session) pipelining() bool {
	return x.server.script.Extensions == nil || slices.Contains(x.server.script.Extensions, "PIPELINING")
}

// usual returns the answer of a server that is in good health.
func (x *session) usual(verb string) string {
	switch verb {
	case "EHLO":
		lines := x.server.script.Extensions
		if lines == nil {
			lines = []string{"PIPELINING", "8BITMIME"}
		}
		if x.server.script.TLS != nil && !x.tls {
			lines = append(lines[:len(lines):len(lines)], "STARTTLS")
		}
		reply := ""
		for i, l := range append([]string{"relaytest"}, lines...) {
			reply += "250" + map[bool]string{false: "-", true: " "}[i == len(lines)] + l + "\r\n"
		}
		return reply
	case "MAIL":
		if x.from != "" {
			x.server.offence("MAIL inside a transaction")
		}
		return "250 2.1.0 sender ok"
	case "RCPT":
		if x.from == "" {
			return "503 5.5.1 no MAIL"
		}
		return "250 2.1.5 recipient ok"
	case "DATA":
		if len(x.to) == 0 {
			x.server.offence("DATA without recipients")
			return "503 5.5.1 no recipients"
		}
		return "354 go on"
	case "STARTTLS":
		return "220 2.0.0 go on"
	case "HELO", "RSET", "NOOP":
		return "250 2.0.0 ok"
	case "QUIT":
		return "221 2.0.0 bye"
	}
	return "500 5.5.1 unknown command"
}

func (x *session) startTLS() bool {
	x.out.Flush()
	if x.in.Buffered() > 0 {
		x.server.offence("octets after STARTTLS")
	}
	t := tls.Server(x.tcp, x.server.script.TLS)
	t.SetDeadline(time.Now().Add(10 * time.Second))
	if err := t.Handshake(); err != nil {
		return false
	}
	t.SetDeadline(time.Time{})
	x.tls, x.conn = true, t
	x.in, x.out = bufio.NewReaderSize(t, 32<<10), bufio.NewWriter(t)
	return true
}

// data reads the message after 354.
func (x *session) data() bool {
	sc := &x.server.script
	x.out.Flush()
	if sc.Begin != nil {
		if answer := sc.Begin(x.conn); answer != "" && !x.say(answer) {
			return false
		}
		x.out.Flush()
	}
	var all []byte
	start := true
	for {
		piece, err := x.in.ReadSlice('\n')
		if !sc.Quiet {
			all = append(all, piece...)
		}
		if err == bufio.ErrBufferFull {
			start = false
			continue
		}
		if err != nil {
			return false
		}
		if start && len(piece) == 3 && string(piece) == ".\r\n" {
			break
		}
		start = bytes.HasSuffix(piece, []byte("\r\n"))
	}
	if !sc.Quiet {
		x.check(all)
	}
	m := Message{From: x.from, To: x.to, Data: all, TLS: x.tls}
	x.from, x.to = "", nil
	answer := ""
	if sc.End != nil {
		answer = sc.End(m)
	}
	if answer == "" {
		answer = "250 2.0.0 ok queued"
	}
	if !sc.Quiet {
		x.server.mu.Lock()
		x.server.messages = append(x.server.messages, m)
		x.server.mu.Unlock()
	}
	if answer[0] == '2' {
		x.server.count.Add(1)
	}
	return x.say(answer)
}

// check records octets that no client may send.
func (x *session) check(data []byte) {
	rest := bytes.ReplaceAll(data, []byte("\r\n"), nil)
	if i := bytes.IndexAny(rest, "\r\n\x00"); i >= 0 {
		x.server.offence("bare CR, bare LF or NUL in data near %q", rest[max(0, i-10):min(len(rest), i+10)])
	}
}

// Certificate returns a server configuration with a fresh self-signed certificate for the given names and addresses, and a
// pool in which it is trusted.
func Certificate(t testing.TB, names ...string) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relaytest"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}
