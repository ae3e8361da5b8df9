package domain

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var testTime = time.Date(2026, 11, 23, 9, 8, 7, 0, time.UTC)

// certificate makes a self-signed one that ends after so long.
func certificate(t testing.TB, life time.Duration) (*x509.Certificate, string) {
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
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return c, "sha256:" + strings.ToUpper(hex.EncodeToString(sum[:]))
}

func TestParseNode(t *testing.T) {
	for argument, want := range map[string]string{
		"example.org": "example.org", "EXAMPLE.org.": "example.org", "@Example.org": "@example.org", "#Big_1": "#big_1", "#.example.org": "#.example.org",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "bücher.example": "xn--bcher-kva.example",
		"": "", "@": "", "#": "", "@@example.org": "", "x';--": "", "[192.0.2.1]": "", "a@example.org": "", ".example.org": "", "#a b": "", "#a'": "",
		"-": "-", strings.Repeat("a", 64): "", "#" + strings.Repeat("a", 256): "",
	} {
		n, ok := ParseNode(argument)
		if ok != (want != "") || ok && n.String() != want {
			t.Errorf("%q: %q %v, want %q", argument, n, ok, want)
		}
	}
}

// Who may ask for what: and nobody learns anything from what he may not.
func TestReleases(t *testing.T) {
	valid, validSum := certificate(t, time.Hour)
	expired, expiredSum := certificate(t, -time.Minute)
	other, _ := certificate(t, time.Hour)
	table := tableOf(t,
		Config{Name: "one.example", Destinations: servers, ETRNFrom: []string{"192.0.2.1", "2001:db8:1::/48", validSum, expiredSum}},
		Config{Name: "two.example", Destinations: servers, ETRNFrom: []string{"192.0.2.2"}},
		Config{Name: ".tree.example", Destinations: servers, Queue: "tree", ETRNFrom: []string{"192.0.2.0/29"}},
		Config{Name: "own.tree.example", Destinations: servers, Queue: "own", ETRNFrom: []string{"192.0.2.2"}},
		Config{Name: ".more.tree.example", Destinations: servers, Queue: "tree", ETRNFrom: []string{"192.0.2.1"}},
		Config{Name: "silent.example", Destinations: servers},
		Config{Name: "bücher.example", Destinations: servers, Queue: "books", ETRNFrom: []string{"192.0.2.3"}},
		Config{Name: ".buch.example", Destinations: servers, Queue: "books", ETRNFrom: []string{"192.0.2.3"}},
		Config{Name: "global.example"},
	)
	for i, test := range []struct {
		node, client string
		certificate  *x509.Certificate
		want         string
	}{
		{"one.example", "192.0.2.1", nil, "[{one.example }]"},
		{"ONE.example", "::ffff:192.0.2.1", nil, "[{one.example }]"},
		{"one.example", "2001:db8:1:2::3", nil, "[{one.example }]"},
		{"one.example", "2001:db8:2::3", nil, "[]"},
		{"one.example", "198.51.100.1", valid, "[{one.example }]"},
		{"one.example", "198.51.100.1", expired, "[]"},
		{"one.example", "198.51.100.1", other, "[]"},
		{"one.example", "198.51.100.1", nil, "[]"},
		{"one.example", "192.0.2.2", nil, "[]"},
		{"sub.one.example", "192.0.2.1", nil, "[]"},
		{"unknown.example", "192.0.2.1", valid, "[]"},
		{"silent.example", "192.0.2.1", valid, "[]"},
		{"global.example", "192.0.2.1", valid, "[]"},
		{"a.tree.example", "192.0.2.5", nil, "[{tree a.tree.example}]"},
		{"tree.example", "192.0.2.5", nil, "[{tree tree.example}]"},
		{"own.tree.example", "192.0.2.5", nil, "[]"}, // its own table says who
		{"own.tree.example", "192.0.2.2", nil, "[{own }]"},
		{"x.own.tree.example", "192.0.2.5", nil, "[{tree x.own.tree.example}]"},
		{"more.tree.example", "192.0.2.5", nil, "[]"},
		{"@one.example", "192.0.2.1", nil, "[{one.example }]"},
		{"@one.example", "::ffff:192.0.2.1", nil, "[{one.example }]"},
		{"@one.example", "198.51.100.1", valid, "[{one.example }]"},
		{"@one.example", "192.0.2.2", nil, "[]"},
		{"@tree.example", "192.0.2.5", nil, "[{tree .tree.example}]"},
		{"@tree.example", "192.0.2.1", nil, "[{tree .more.tree.example} {tree .tree.example}]"},
		{"@tree.example", "192.0.2.2", nil, "[{tree .tree.example} {own }]"},
		{"@a.tree.example", "192.0.2.5", nil, "[{tree .a.tree.example}]"},
		{"@x.more.tree.example", "192.0.2.5", nil, "[]"}, // a smaller tree comes between
		{"@x.more.tree.example", "192.0.2.1", nil, "[{tree .x.more.tree.example}]"},
		{"@example", "192.0.2.1", nil, "[{tree .more.tree.example} {tree .tree.example} {one.example }]"},
		{"@example", "198.51.100.1", nil, "[]"},
		{"@xample", "192.0.2.1", nil, "[]"},
		{"#tree", "192.0.2.1", nil, "[{tree }]"},
		{"#tree", "192.0.2.5", nil, "[{tree .tree.example}]"}, // .more is not this client's
		{"#own", "192.0.2.5", nil, "[]"},
		{"#One.Example", "198.51.100.1", valid, "[{one.example }]"},
		{"xn--bcher-kva.example", "192.0.2.3", nil, "[{books xn--bcher-kva.example} {books bücher.example}]"},
		{"@example", "192.0.2.3", nil, "[{books .buch.example} {tree .tree.example} {books xn--bcher-kva.example} {books bücher.example}]"},
		{"@xn--bcher-kva.buch.example", "192.0.2.3", nil, "[{books .xn--bcher-kva.buch.example} {books .bücher.buch.example}]"},
		{"#books", "192.0.2.3", nil, "[{books }]"},
		{"#nothing", "192.0.2.1", nil, "[]"},
	} {
		n, ok := ParseNode(test.node)
		if !ok {
			t.Errorf("%q is no node", test.node)
		}
		if got := fmt.Sprint(table.Releases(n, netip.MustParseAddr(test.client), test.certificate, testTime)); got != test.want {
			t.Errorf("%d: %s from %s, certificate %v: %s, want %s", i, test.node, test.client, test.certificate != nil, got, test.want)
		}
	}
	if n, _ := ParseNode("one.example"); table.Releases(n, netip.Addr{}, valid, testTime.Add(2*time.Hour)) != nil || table.Releases(n, netip.Addr{}, valid, testTime.Add(-2*time.Hour)) != nil {
		t.Error("a certificate counts outside of its time")
	}
	if offered, certificates := table.ETRN(); !offered || !certificates {
		t.Error("nothing is offered")
	}
	if offered, certificates := tableOf(t, Config{Name: "a.example", Destinations: servers}).ETRN(); offered || certificates {
		t.Error("offered to nobody")
	}
}
