package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
	"spamcatcher/queue"
)

// memory is a queue that keeps drafts in memory.
type memory struct {
	mu     sync.Mutex
	calls  int
	drafts []queue.Draft
	fail   func() error // asked before anything is kept
}

func (m *memory) Put(_ context.Context, drafts ...queue.Draft) ([]string, error) {
	m.mu.Lock()
	fail := m.fail
	m.mu.Unlock()
	if fail != nil {
		if err := fail(); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	var ids []string
	for _, d := range drafts {
		if d.ID == "" {
			d.ID = queue.NewID()
		}
		ids = append(ids, d.ID)
		m.drafts = append(m.drafts, d)
	}
	return ids, nil
}

func (m *memory) set(fail func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *memory) all() []queue.Draft {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drafts
}

func body(d queue.Draft) string { return string(bytes.Join(d.Body, nil)) }

// judge is a Judge made of a function.
type judge func(ctx context.Context, m *engine.Mail) engine.Verdict

func (j judge) Judge(ctx context.Context, m *engine.Mail) engine.Verdict { return j(ctx, m) }

// scores gives every mail the same score.
func scores(score float64) judge {
	return func(context.Context, *engine.Mail) engine.Verdict {
		return engine.Verdict{Score: score, LogOdds: 1, Plan: "plan1", Symbols: []engine.Scored{{Name: "A_SYMBOL", Share: 1.5, Detail: "x"}, {Name: "B_SYMBOL", Share: -0.5}}}
	}
}

// logged collects log lines.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// lines returns the log's lines that have msg=name.
func (l *logged) lines(name string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, " msg="+name+" ") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// bench is a server on loopback with its surroundings.
type bench struct {
	*Server
	t     testing.TB
	addr  string
	store *memory
	log   *logged
}

func start(t testing.TB, cfg Config) *bench {
	t.Helper()
	b := &bench{t: t, store: &memory{}, log: &logged{}}
	cfg.Hostname = host
	cfg.Log = slog.New(slog.NewTextHandler(b.log, nil))
	if cfg.Queue == nil {
		cfg.Queue = b.store
	}
	if cfg.Judge == nil {
		cfg.Judge = scores(12.3)
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return testTime }
	}
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.Server, b.addr = srv, l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error("Serve:", err)
		}
	})
	return b
}

func withPolicy(t testing.TB, cfg policy.Config) func() *policy.Policy {
	t.Helper()
	p, err := policy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return func() *policy.Policy { return p }
}

func withDomains(t testing.TB, configs ...domain.Config) func() *domain.Table {
	t.Helper()
	table, err := domain.New(configs)
	if err != nil {
		t.Fatal(err)
	}
	return func() *domain.Table { return table }
}

func above(t testing.TB, score float64) policy.Threshold {
	t.Helper()
	th, err := policy.ParseThreshold(score)
	if err != nil {
		t.Fatal(err)
	}
	return th
}

// client is an SMTP client that shows every reply.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func (b *bench) dial() *client {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	b.t.Cleanup(func() { conn.Close() })
	c := &client{b.t, conn, bufio.NewReader(conn)}
	c.want("220")
	c.send("EHLO client.example.org", "250")
	return c
}

func (c *client) read() string {
	c.t.Helper()
	all := ""
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("reading a reply: %v after %q", err, all)
		}
		all += line
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimSuffix(all, "\r\n")
		}
	}
}

func (c *client) want(prefix string) string {
	c.t.Helper()
	got := c.read()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("reply %q, want %q", got, prefix)
	}
	return got
}

func (c *client) send(line, reply string) string {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.conn, "%s\r\n", line); err != nil {
		c.t.Fatal(err)
	}
	return c.want(reply)
}

const testMessage = "From: a@example.org\r\nSubject: Hello\r\n\r\nText\r\n..\r\n"

// message sends a message, to u@example.com if no recipients are given, and
// wants a reply.
func (c *client) message(raw, reply string, to ...string) string {
	c.t.Helper()
	c.begin(to...)
	return c.data(raw, reply)
}

func (c *client) begin(to ...string) {
	c.t.Helper()
	if len(to) == 0 {
		to = []string{"u@example.com"}
	}
	c.send("MAIL FROM:<a@example.org>", "250 2.1.0")
	for _, r := range to {
		c.send("RCPT TO:<"+r+">", "250 2.1.5")
	}
}

func (c *client) data(raw, reply string) string {
	c.t.Helper()
	c.send("DATA", "354")
	stuffed := strings.ReplaceAll(raw, "\r\n.", "\r\n..")
	if strings.HasPrefix(stuffed, ".") {
		stuffed = "." + stuffed
	}
	return c.send(stuffed+".", reply)
}

// certificate makes a certificate for the test host.
func certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}
