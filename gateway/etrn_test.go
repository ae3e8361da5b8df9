package gateway

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/wire"
)

var testClient = netip.MustParseAddr("192.0.2.1")

// waiting is a queue in which so many messages wait for each release.
type waiting struct {
	mu    sync.Mutex
	count map[string]int // by "queue domain"
	calls []string
	hook  func(what string) error
}

func (w *waiting) release(_ context.Context, queue, domain string) (int, error) {
	what := queue + " " + domain
	w.mu.Lock()
	w.calls = append(w.calls, what)
	hook := w.hook
	n := w.count[what]
	w.mu.Unlock()
	if hook != nil {
		if err := hook(what); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (w *waiting) set(hook func(string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook = hook
}

// take returns what was released, and forgets it.
func (w *waiting) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.calls
	w.calls = nil
	return calls
}

// identity makes a self-signed certificate of a client, valid from an hour
// before the test's time, and its fingerprint as etrn_from has it.
func identity(t testing.TB, life time.Duration) (*tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: testTime.Add(-time.Hour), NotAfter: testTime.Add(life)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, "sha256:" + hex.EncodeToString(sum[:])
}

// call connects from an address of the loopback network, with TLS and a
// certificate if one is given, and says EHLO.
func (b *bench) call(from, hello string, secure bool, certificate *tls.Certificate) *client {
	b.t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	b.t.Cleanup(func() { conn.Close() })
	c := &client{b.t, conn, bufio.NewReader(conn)}
	c.want("220")
	c.send("EHLO "+hello, "250")
	if !secure {
		return c
	}
	c.send("STARTTLS", "220")
	cfg := &tls.Config{InsecureSkipVerify: true}
	if certificate != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	c.conn = tls.Client(conn, cfg)
	c.r.Reset(c.conn)
	c.send("EHLO "+hello, "250")
	return c
}

func startETRN(t testing.TB, w *waiting, cfg Config, configs ...domain.Config) *bench {
	t.Helper()
	plain := certificate(t)
	cfg.Domains = withDomains(t, configs...)
	cfg.Release = w.release
	cfg.Wire = wire.Config{TLS: func() *tls.Config { return plain }, MaxSessionsPerClient: -1}
	if cfg.ETRNPause == 0 {
		cfg.ETRNPause = -1
	}
	return start(t, cfg)
}

const (
	notAllowed = "not allowed: this client may not ask for it"
	noNode     = "501 5.5.4 ETRN needs one domain"
)

func TestETRN(t *testing.T) {
	right, rightSum := identity(t, time.Hour)
	expired, expiredSum := identity(t, -time.Minute)
	other, _ := identity(t, time.Hour)
	servers := []string{"127.0.0.99:25"}
	w := &waiting{count: map[string]int{"one.example ": 3, "big.example ": 10_001, "full.example ": 10_000,
		"tree .tree.example": 2, "tree ": 5, "xn--bcher-kva.example ": 1}}
	own := []string{"127.0.0.2", rightSum, expiredSum}
	b := startETRN(t, w, Config{},
		domain.Config{Name: "one.example", Destinations: servers, ETRNFrom: own},
		domain.Config{Name: "big.example", Destinations: servers, ETRNFrom: own},
		domain.Config{Name: "full.example", Destinations: servers, ETRNFrom: own},
		domain.Config{Name: "empty.example", Destinations: servers, ETRNFrom: own},
		domain.Config{Name: "bücher.example", Destinations: servers, ETRNFrom: own},
		domain.Config{Name: ".tree.example", Queue: "tree", Destinations: servers, ETRNFrom: own},
		domain.Config{Name: "branch.tree.example", Queue: "tree", Destinations: servers, ETRNFrom: own},
		domain.Config{Name: "other.example", Destinations: servers, ETRNFrom: []string{"127.0.0.9"}},
		domain.Config{Name: "silent.example", Destinations: servers},
	)
	type caller struct {
		from, hello string
		tls         bool
		certificate *tls.Certificate
	}
	server := caller{"127.0.0.2", "mail.one.example", false, nil}
	callers := map[string]caller{
		"server":             server,
		"server in TLS":      {"127.0.0.2", "mail.one.example", true, nil},
		"foreign, its HELO":  {"127.0.0.3", "mail.one.example", false, nil},
		"foreign, in TLS":    {"127.0.0.3", "mail.one.example", true, nil},
		"right certificate":  {"127.0.0.3", "elsewhere.example", true, right},
		"expired":            {"127.0.0.3", "mail.one.example", true, expired},
		"other certificate":  {"127.0.0.3", "mail.one.example", true, other},
		"server and expired": {"127.0.0.2", "mail.one.example", true, expired},
	}
	for _, test := range []struct{ caller, command, reply, released string }{
		{"server", "ETRN one.example", "253 2.0.0 OK, 3 pending messages for node one.example started", "one.example "},
		{"server", "etrn ONE.example", "253 2.0.0 OK, 3 pending messages for node one.example started", "one.example "},
		{"server", "ETRN one.example ", "253 2.0.0 OK, 3 pending messages for node one.example started", "one.example "},
		{"server", "ETRN  one.example.", "253 2.0.0 OK, 3 pending messages for node one.example started", "one.example "},
		{"server", "ETRN @one.example", "253 2.0.0 OK, 3 pending messages for node @one.example started", "one.example "},
		{"server", "ETRN #ONE.example", "253 2.0.0 OK, 3 pending messages for node #one.example started", "one.example "},
		{"server", "ETRN empty.example", "251 2.0.0 OK, no messages waiting for node empty.example", "empty.example "},
		{"server", "ETRN full.example", "253 2.0.0 OK, 10000 pending messages for node full.example started", "full.example "},
		{"server", "ETRN big.example", "252 2.0.0 OK, pending messages for node big.example started", "big.example "},
		{"server", "ETRN xn--bcher-kva.example", "253 2.0.0 OK, 1 pending messages for node xn--bcher-kva.example started", "xn--bcher-kva.example "},
		{"server", "ETRN bücher.example", noNode, ""},
		{"server", "ETRN @tree.example", "252 2.0.0 OK, pending messages for node @tree.example started", "tree .tree.example,tree branch.tree.example"},
		{"server", "ETRN #tree", "253 2.0.0 OK, 5 pending messages for node #tree started", "tree "},
		{"server in TLS", "ETRN one.example", "253 2.0.0", "one.example "},
		{"right certificate", "ETRN one.example", "253 2.0.0", "one.example "},
		{"right certificate", "ETRN @tree.example", "252 2.0.0", "tree .tree.example,tree branch.tree.example"},
		{"server and expired", "ETRN one.example", "253 2.0.0", "one.example "},
		{"foreign, its HELO", "ETRN one.example", "459 4.7.1 Node one.example " + notAllowed, ""},
		{"foreign, its HELO", "ETRN @one.example", "459 4.7.1 Node @one.example " + notAllowed, ""},
		{"foreign, its HELO", "ETRN #tree", "459 4.7.1 Node #tree " + notAllowed, ""},
		{"foreign, its HELO", "ETRN nobody.example", "459 4.7.1 Node nobody.example " + notAllowed, ""},
		{"foreign, its HELO", "ETRN silent.example", "459 4.7.1 Node silent.example " + notAllowed, ""},
		{"foreign, in TLS", "ETRN one.example", "459 4.7.1 Node one.example " + notAllowed, ""},
		{"expired", "ETRN one.example", "459 4.7.1 Node one.example " + notAllowed, ""},
		{"other certificate", "ETRN one.example", "459 4.7.1 Node one.example " + notAllowed, ""},
		{"server", "ETRN other.example", "459 4.7.1 Node other.example " + notAllowed, ""},
		{"server", "ETRN silent.example", "459 4.7.1 Node silent.example " + notAllowed, ""},
		{"server", "ETRN nobody.example", "459 4.7.1 Node nobody.example " + notAllowed, ""},
		{"server", "ETRN @other.example", "459 4.7.1 Node @other.example " + notAllowed, ""},
		{"server", "ETRN #other.example", "459 4.7.1 Node #other.example " + notAllowed, ""},
		{"server", "ETRN", noNode, ""},
		{"server", "ETRN ", noNode, ""},
		{"server", "ETRN @", noNode, ""},
		{"server", "ETRN #", noNode, ""},
		{"server", "ETRN x';--", noNode, ""},
		{"server", "ETRN one.example two.example", noNode, ""},
		{"server", "ETRN " + strings.Repeat("a", 300), noNode, ""},
		{"server", "ETRN " + strings.Repeat("a.", 125) + "example", noNode, ""},
		{"server", "ETRN [127.0.0.2]", noNode, ""},
		{"server", "ETRN ../../etc/passwd", noNode, ""},
		{"server", "ETRN one.example%00", noNode, ""},
		{"server", "ETRN one.example\x00", "501 5.5.2 control character in command", ""},
	} {
		from := callers[test.caller]
		c := b.call(from.from, from.hello, from.tls, from.certificate)
		if got := c.send(test.command, ""); !strings.HasPrefix(got, test.reply) || strings.HasSuffix(test.reply, "started") && got != test.reply {
			t.Errorf("%s: %q: %q, want %q", test.caller, test.command, got, test.reply)
		}
		if got := strings.Join(w.take(), ","); got != test.released {
			t.Errorf("%s: %q: released %q, want %q", test.caller, test.command, got, test.released)
		}
		c.conn.Close()
	}
	for _, line := range b.log.lines("etrn") {
		if strings.Contains(line, "127.0.0.99") || !strings.Contains(line, " session=") || !strings.Contains(line, " client=127.0.0.") {
			t.Errorf("log %q", line)
		}
	}
	if lines := b.log.lines("etrn"); !strings.Contains(lines[0], "level=INFO") || !strings.HasSuffix(lines[0], ` client=127.0.0.2 tls=false node=one.example reply="253 2.0.0" count=3`) {
		t.Errorf("log %q", lines[0])
	}
}

// ETRN stands anywhere in a group of commands, before STARTTLS and after it,
// but not before EHLO and not in a transaction, which it leaves alone.
func TestETRNInItsPlace(t *testing.T) {
	w := &waiting{count: map[string]int{"one.example ": 3}}
	b := startETRN(t, w, Config{}, domain.Config{Name: "one.example", Destinations: []string{"127.0.0.99"}, ETRNFrom: []string{"127.0.0.2"}})
	c := b.call("127.0.0.2", "a.example", false, nil)
	fmt.Fprintf(c.conn, "NOOP\r\nETRN one.example\r\nMAIL FROM:<>\r\nETRN one.example\r\nRCPT TO:<u@one.example>\r\nETRN one.example\r\nDATA\r\n")
	for _, want := range []string{"250 2.0.0 ok", "253 2.0.0", "250 2.1.0", "503 5.5.1", "250 2.1.5", "503 5.5.1", "354"} {
		c.want(want)
	}
	fmt.Fprintf(c.conn, "%s.\r\nETRN one.example\r\nQUIT\r\n", strings.ReplaceAll(testMessage, "\r\n.", "\r\n.."))
	for _, want := range []string{"250 2.0.0 queued as", "253 2.0.0", "221"} {
		c.want(want)
	}
	if got := w.take(); len(got) != 2 {
		t.Errorf("released %q", got)
	}
	for _, secure := range []bool{false, true} {
		c = b.call("127.0.0.2", "a.example", secure, nil)
		if got := c.send("EHLO a.example", "250"); !strings.Contains(got, "\n250-ETRN\r\n") {
			t.Errorf("TLS %v: not offered: %q", secure, got)
		}
		c.send("ETRN one.example", "253 2.0.0")
	}
	conn, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c = &client{t, conn, bufio.NewReader(conn)}
	c.want("220")
	c.send("ETRN one.example", "503 5.5.1")
	if got := len(b.log.lines("etrn")); got != 4 {
		t.Errorf("%d log lines", got)
	}
	// One who asks and asks without sending mail is shown the door.
	c = b.call("127.0.0.3", "a.example", false, nil)
	for range 100 {
		c.send("ETRN one.example", "459 4.7.1")
	}
	c.send("ETRN one.example", "421 4.7.0")
}

// A reload decides whether ETRN is offered, and whether certificates are asked
// for.
func TestETRNFollowsAReload(t *testing.T) {
	mine, sum := identity(t, time.Hour)
	tables := []func() *domain.Table{
		withDomains(t, domain.Config{Name: "one.example", Destinations: []string{"127.0.0.99"}}),
		withDomains(t, domain.Config{Name: "one.example", Destinations: []string{"127.0.0.99"}, ETRNFrom: []string{"127.0.0.9"}}),
		withDomains(t, domain.Config{Name: "one.example", Destinations: []string{"127.0.0.99"}, ETRNFrom: []string{sum}}),
		withDomains(t),
	}
	current := tables[0]
	plain := certificate(t)
	w := &waiting{}
	b := start(t, Config{Release: w.release, ETRNPause: -1, Domains: func() *domain.Table { return current() }, Wire: wire.Config{TLS: func() *tls.Config { return plain }}})
	for i, want := range []struct {
		offered bool
		reply   string
	}{{false, "502 5.5.1"}, {true, "459 4.7.1"}, {true, "251 2.0.0"}, {false, "502 5.5.1"}} {
		current = tables[i]
		c := b.call("127.0.0.2", "a.example", true, mine)
		if got := c.send("EHLO a.example", "250"); strings.Contains(got, "ETRN") != want.offered {
			t.Errorf("table %d: %q", i, got)
		}
		c.send("ETRN one.example", want.reply)
	}
	if plain.ClientAuth != tls.NoClientCert || plain.SessionTicketsDisabled {
		t.Error("the configuration given was changed")
	}
}

// The same mail is not made due twice at a time, nor again at once; nobody is
// kept waiting by what others ask for; and our own faults are said to be ours.
func TestETRNLimits(t *testing.T) {
	now, mu := testTime, sync.Mutex{}
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	advance := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	w := &waiting{count: map[string]int{"one.example ": 3}}
	secret := errors.New("queue on 198.51.100.77: /var/lib/secret")
	b := startETRN(t, w, Config{Now: clock, ETRNPause: 30 * time.Second},
		domain.Config{Name: "one.example", Destinations: []string{"127.0.0.99"}, ETRNFrom: []string{"127.0.0.2", "127.0.0.3"}},
		domain.Config{Name: "two.example", Destinations: []string{"127.0.0.99"}, ETRNFrom: []string{"127.0.0.2"}})
	a, other, foreign := b.call("127.0.0.2", "a.example", false, nil), b.call("127.0.0.3", "b.example", false, nil), b.call("127.0.0.4", "c.example", false, nil)

	release, called := make(chan struct{}), make(chan struct{})
	w.set(func(string) error { close(called); <-release; return nil })
	fmt.Fprint(a.conn, "ETRN one.example\r\n")
	<-called
	other.send("ETRN one.example", "250 2.0.0 OK, queuing for node one.example started")
	foreign.send("ETRN one.example", "459 4.7.1")
	w.set(nil)
	close(release)
	a.want("253 2.0.0")

	const soon = "458 4.7.0 Unable to queue messages for node one.example: asked for a moment ago, try again later"
	foreign.send("ETRN one.example", "459 4.7.1")
	a.send("ETRN one.example", soon)
	a.send("ETRN ONE.EXAMPLE.", soon)
	a.send("ETRN two.example", "251 2.0.0")
	other.send("ETRN one.example", "253 2.0.0")
	advance(29 * time.Second)
	a.send("ETRN one.example", soon)
	advance(time.Second)
	for _, fault := range []func(string) error{
		func(string) error { return secret },
		func(string) error { panic(secret) },
	} {
		w.set(fault)
		a.send("ETRN one.example", "458 4.3.0 Unable to queue messages for node one.example, try again later")
	}
	w.set(nil)
	a.send("ETRN one.example", "253 2.0.0") // what failed may be tried again at once
	if got := w.take(); !slices.Equal(got, []string{"one.example ", "two.example ", "one.example ", "one.example ", "one.example ", "one.example "}) {
		t.Errorf("released %q", got)
	}
	faults := 0
	for _, line := range b.log.lines("etrn") {
		if strings.Contains(line, "level=ERROR") && strings.Contains(line, "198.51.100.77") {
			faults++
		}
	}
	if faults != 2 {
		t.Errorf("%d faults in the log", faults)
	}
}

// One client cannot have any number of releases at the same time.
func TestETRNAtOnce(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	r := newReleases(t.Context(), func(context.Context, string, string) (int, error) { begun <- struct{}{}; <-end; return 1, nil }, 0, func() time.Time { return testTime })
	parts := []domain.Release{{Queue: "q"}}
	var wg sync.WaitGroup
	start := func(node, client string) {
		wg.Go(func() {
			if _, err := r.start(domain.Node{Domain: node}, netip.MustParseAddr(client), parts); err != nil {
				t.Errorf("%s: %v", node, err)
			}
		})
		<-begun
	}
	for i := range maxAtOnce {
		start(fmt.Sprint(i), fmt.Sprintf("2001:db8::%x", i))
	}
	if _, err := r.start(domain.Node{Domain: "x"}, netip.MustParseAddr("2001:db8::77"), parts); !errors.Is(err, errTooSoon) {
		t.Errorf("one more: %v", err)
	}
	start("x", "2001:db8:0:1::77")
	close(end)
	wg.Wait()
	if len(r.atOnce) != 0 || len(r.running) != 0 {
		t.Errorf("left: %v %v", r.atOnce, r.running)
	}
}

// What is remembered of those who asked has a bound.
func TestETRNMemory(t *testing.T) {
	now := testTime
	r := newReleases(t.Context(), func(context.Context, string, string) (int, error) { return 1, nil }, 0, func() time.Time { return now })
	parts := []domain.Release{{Queue: "q"}}
	for i := range maxRemembered + 500 {
		if _, err := r.start(domain.Node{Domain: fmt.Sprint(i)}, testClient, parts); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.last) != maxRemembered || len(r.running) != 0 || len(r.atOnce) != 0 {
		t.Errorf("%d remembered, %d running, %d clients", len(r.last), len(r.running), len(r.atOnce))
	}
	now = now.Add(time.Minute)
	if _, err := r.start(domain.Node{Domain: "x"}, testClient, parts); err != nil || len(r.last) != 1 {
		t.Errorf("%v, %d remembered", err, len(r.last))
	}
	if _, err := r.start(domain.Node{Domain: "x"}, testClient, parts); !errors.Is(err, errTooSoon) {
		t.Errorf("asked again: %v", err)
	}
}

// TestReleasesBesideEachOther: of two clients who may ask for different mail of
// one node, neither is told that the other's release is its own.
func TestReleasesBesideEachOther(t *testing.T) {
	begun, goOn := make(chan bool), make(chan bool)
	r := newReleases(t.Context(), func(_ context.Context, queue, domain string) (int, error) {
		if domain == "a.example" {
			begun <- true
			<-goOn
		}
		return 1, nil
	}, -1, time.Now)
	node, client := domain.Node{Queue: "two"}, func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	first := make(chan error)
	go func() {
		_, err := r.start(node, client(1), []domain.Release{{Queue: "two", Domain: "a.example"}})
		first <- err
	}()
	<-begun
	if n, err := r.start(node, client(2), []domain.Release{{Queue: "two", Domain: "b.example"}}); n != 1 || err != nil {
		t.Errorf("other mail: %d, %v", n, err)
	}
	if _, err := r.start(node, client(3), []domain.Release{{Queue: "two", Domain: "a.example"}}); !errors.Is(err, errUnderWay) {
		t.Errorf("the same mail: %v", err)
	}
	goOn <- true
	if err := <-first; err != nil {
		t.Error(err)
	}
}
