package domain

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func tableOf(t testing.TB, configs ...Config) *Table {
	t.Helper()
	table, err := New(configs)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func recipients(t testing.TB, text string) *List {
	t.Helper()
	l, errs := ParseRecipients("list", []byte(text))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return l
}

var servers = []string{"192.0.2.25"}

func TestFind(t *testing.T) {
	table := tableOf(t,
		Config{Name: "Example.ORG", Destinations: servers},
		Config{Name: ".example.net", Destinations: servers, Queue: "Big"},
		Config{Name: ".deep.example.net"},
		Config{Name: "one.example.net", Destinations: servers, Queue: "big"},
		Config{Name: "bücher.example", Destinations: servers},
		Config{Name: ".xn--caf-dma.example", Destinations: servers},
		Config{Name: "root.example."},
	)
	for address, want := range map[string]struct{ name, lane string }{
		"a@example.org":           {"example.org", "example.org"},
		"a@EXAMPLE.org":           {"example.org", "example.org"},
		"a@example.org.":          {"example.org", "example.org"},
		"example.org":             {"example.org", "example.org"},
		"a@b@example.org":         {"example.org", "example.org"},
		"a@sub.example.org":       {},
		"a@xexample.org":          {},
		"a@example.net":           {".example.net", "big"},
		"a@x.Example.net":         {".example.net", "big"},
		"a@y.x.example.net":       {".example.net", "big"},
		"a@one.example.net":       {"one.example.net", "big"},
		"a@x.one.example.net":     {".example.net", "big"},
		"a@deep.example.net":      {".deep.example.net", ""},
		"a@x.deep.example.net":    {".deep.example.net", ""},
		"a@xdeep.example.net":     {".example.net", "big"},
		"a@bücher.example":        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
		"a@BÜCHER.example":        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
		"a@xn--bcher-kva.example": {"xn--bcher-kva.example", "xn--bcher-kva.example"},
		"a@XN--BCHER-KVA.EXAMPLE": {"xn--bcher-kva.example", "xn--bcher-kva.example"},
		"a@kleiner.café.example":  {".xn--caf-dma.example", ".xn--caf-dma.example"},
		"a@root.example":          {"root.example", ""},
		"a@":                      {},
		"":                        {},
		"a@[192.0.2.1]":           {},
		"a@exa mple.org":          {},
		"a@.example.org":          {},
		"a@" + strings.Repeat("x.", 127) + "example.net": {},
	} {
		d, ok := table.Find(address)
		if d.Name != want.name || ok != (want.name != "") || table.Lane(address) != want.lane {
			t.Errorf("%q: %q %v, lane %q; want %+v", address, d.Name, ok, table.Lane(address), want)
		}
	}
	if all := table.All(); len(all) != 7 || all[0].Name != ".deep.example.net" || all[6].Name != "xn--bcher-kva.example" {
		t.Errorf("all: %+v", all)
	}
	var none *Table
	if _, ok := none.Find("a@example.org"); ok || none.Lane("a@example.org") != "" || none.All() != nil || none.Releases(Node{Domain: "example.org"}, netip.Addr{}, nil, testTime) != nil {
		t.Error("the empty table is not empty")
	}
	if offered, certificates := none.ETRN(); offered || certificates {
		t.Error("the empty table offers ETRN")
	}
}

func TestQueueIsTheWidestDomain(t *testing.T) {
	table := tableOf(t, Config{Name: "a.example", Queue: "q", Destinations: servers, Concurrency: 2}, Config{Name: "b.example", Queue: "q", Destinations: servers, Concurrency: 7},
		Config{Name: "c.example", Queue: "q", Destinations: servers}, Config{Name: "d.example", Destinations: servers})
	if d, ok := table.Queue("q"); !ok || d.Concurrency != 7 {
		t.Errorf("%+v %v", d, ok)
	}
	if d, ok := table.Queue("d.example"); !ok || d.Name != "d.example" {
		t.Errorf("%+v %v", d, ok)
	}
	if _, ok := table.Queue(""); ok {
		t.Error("a queue without a name")
	}
}

// Errors name the domain and what is wrong with it.
func TestBadConfigs(t *testing.T) {
	good := Config{Name: "good.example", Destinations: servers, TLS: "verify", Pins: []string{"SHA256:" + strings.Repeat("Ab:", 31) + "ab"}, Source: netip.MustParseAddr("192.0.2.1"),
		Concurrency: 3, ETRNFrom: []string{"192.0.2.7", "2001:db8::/32", "::ffff:192.0.2.0/120", "sha256:" + strings.Repeat("0f", 32)}, Verify: "off", Unverified: "accept"}
	if d, _ := tableOf(t, good).Find("good.example"); d.Pins[0] != strings.Repeat("ab", 32) || !d.Own() {
		t.Errorf("%+v", d)
	}
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"name":         {func(c *Config) { c.Name = "no domain" }, `"no domain": not a domain`},
		"no name":      {func(c *Config) { c.Name = "" }, "not a domain"},
		"literal":      {func(c *Config) { c.Name = "[192.0.2.1]" }, "not a domain"},
		"two dots":     {func(c *Config) { c.Name = "..example.org" }, "not a domain"},
		"queue":        {func(c *Config) { c.Queue = "a b" }, `queue "a b"`},
		"long queue":   {func(c *Config) { c.Queue = strings.Repeat("x", 256) }, `queue "xxx`},
		"destination":  {func(c *Config) { c.Destinations = []string{"host name"} }, `destination "host name"`},
		"destination2": {func(c *Config) { c.Destinations = []string{""} }, `destination ""`},
		"tls":          {func(c *Config) { c.TLS = "always" }, `tls "always"`},
		"pin":          {func(c *Config) { c.Pins = []string{"12"} }, `pin "12"`},
		"pin, no tls":  {func(c *Config) { c.TLS = "may" }, `pins with tls "may"`},
		"lifetime":     {func(c *Config) { c.Lifetime = -1 }, "lifetime -1ns"},
		"concurrency":  {func(c *Config) { c.Concurrency = -1 }, "concurrency -1"},
		"etrn name":    {func(c *Config) { c.ETRNFrom = []string{"mail.example.org"} }, `etrn_from "mail.example.org"`},
		"etrn zone":    {func(c *Config) { c.ETRNFrom = []string{"fe80::1%eth0"} }, `etrn_from "fe80::1%eth0"`},
		"etrn sum":     {func(c *Config) { c.ETRNFrom = []string{"sha256:" + strings.Repeat("0f", 31)} }, `etrn_from "sha256:0f`},
		"etrn net":     {func(c *Config) { c.ETRNFrom = []string{"192.0.2.0/33"} }, `etrn_from "192.0.2.0/33"`},
		"etrn v4 net":  {func(c *Config) { c.ETRNFrom = []string{"::ffff:0:0/95"} }, `etrn_from "::ffff:0:0/95"`},
		"verify":       {func(c *Config) { c.Verify = "vrfy" }, `verify "vrfy"`},
		"no list":      {func(c *Config) { c.Verify = "list" }, "no list of recipients"},
		"empty list":   {func(c *Config) { c.Verify, c.Recipients = "", &List{} }, "the list of recipients is empty"},
		"both":         {func(c *Config) { c.Verify, c.Recipients = "callout", recipients(t, "a") }, "callout"},
		"unverified":   {func(c *Config) { c.Unverified = "refuse" }, `unverified "refuse"`},
		"no servers":   {func(c *Config) { c.Destinations = nil }, "tls without destinations"},
		"no servers 2": {func(c *Config) { *c = Config{Name: "x.example", ETRNFrom: []string{"192.0.2.7"}} }, `"x.example": etrn_from without destinations`},
		"no servers 3": {func(c *Config) { *c = Config{Name: "x.example", Queue: "q"} }, "queue without destinations"},
	} {
		c := good
		test.change(&c)
		if _, err := New([]Config{c}); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), c.Name) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	for name, second := range map[string]Config{
		"twice":        {Name: "GOOD.example."},
		"destinations": {Name: "other.example", Queue: "Good.Example", Destinations: []string{"192.0.2.26"}, TLS: good.TLS, Pins: good.Pins, Source: good.Source},
		"tls":          {Name: "other.example", Queue: "good.example", Destinations: servers, Source: good.Source},
		"pins":         {Name: "other.example", Queue: "good.example", Destinations: servers, TLS: good.TLS, Source: good.Source},
		"source":       {Name: "other.example", Queue: "good.example", Destinations: servers, TLS: good.TLS, Pins: good.Pins},
	} {
		if _, err := New([]Config{good, second}); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "good.example") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRecipientLists(t *testing.T) {
	l := recipients(t, "\xEF\xBB\xBF# people\r\njoe\r\n Ann.Smith@Example.ORG # comment\nsales+north@example.org\ngrüße@bücher.example\n@all.example\n\n")
	if l.Len() != 5 {
		t.Errorf("%d entries", l.Len())
	}
	d, _ := tableOf(t, Config{Name: "example.org", Recipients: l}).Find("example.org")
	if d.Verify != VerifyList {
		t.Errorf("verify is %q", d.Verify)
	}
	for address, want := range map[string]bool{
		"joe@example.org": true, "JOE@EXAMPLE.org": true, "joe@other.example": true, "joe+x@example.org": true, "joe+@example.org": true, "+joe@example.org": false,
		"joey@example.org": false, "ann.smith@example.org": true, "ann.smith+a+b@example.org": true, "ann.smith@other.example": false,
		"sales@example.org": false, "sales+north@example.org": true, "sales+south@example.org": false, "Sales+North+x@example.org": false,
		"grüße@xn--bcher-kva.example": true, "GRÜSSE@bücher.example": false, "anyone@all.example": true, "anyone@sub.all.example": false,
		"postmaster@example.org": true, "PostMaster@example.org": true, "postmaster+x@example.org": false, "@example.org": false, "example.org": false, "": false, "joe@no domain": false,
	} {
		if got := d.Knows(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
	if !recipients(t, "@").match("anyone@anywhere.example") || (*List)(nil).match("a@example.org") {
		t.Error("everybody is not everybody, or nobody is somebody")
	}
	_, errs := ParseRecipients("people.txt", []byte("a b\njoe\n@\n@@\njoe@\njoe@no domain\n<joe@example.org>\n\xff\n"+strings.Repeat("x", 65)+"\n"))
	var lines []string
	for _, err := range errs {
		lines = append(lines, strings.SplitN(err.Error(), " ", 2)[0])
	}
	if got, want := strings.Join(lines, " "), "people.txt:1: people.txt:4: people.txt:5: people.txt:6: people.txt:7: people.txt:8: people.txt:9:"; got != want {
		t.Errorf("errors at %s, want %s", got, want)
	}
}

func FuzzRecipients(f *testing.F) {
	f.Add("joe\nann@example.org # x\n@\n@example.org\ngrüße@bücher.example")
	f.Add("@@\n\xff\na@\n+\n+@example.org\n@xn--a")
	f.Fuzz(func(t *testing.T, text string) {
		l, errs := ParseRecipients("f", []byte(text))
		if n := strings.Count(text, "\n") + 1; l.Len()+len(errs) > n {
			t.Fatalf("%d entries and %d errors from %d lines", l.Len(), len(errs), n)
		}
		for entry := range l.entries {
			address := entry
			switch {
			case !strings.Contains(entry, "@"):
				address += "@example.org"
			case strings.HasPrefix(entry, "@"):
				address = "x" + strings.TrimSuffix(entry, "@") + map[bool]string{true: "@example.org"}[entry == "@"]
			}
			if !l.match(address) {
				t.Fatalf("entry %q does not match %q", entry, address)
			}
		}
	})
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"example.org.", "BÜCHER.example", "xn--bcher-kva.example", "[IPv6:::1]", "[192.0.2.1]", "a..b", "\u2024.example", "ｅxample.org"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		folded, ok := Fold(name)
		if again, ok2 := Fold(folded); ok && (!ok2 || again != folded) {
			t.Fatalf("%q folds to %q and that to %q", name, folded, again)
		}
		if n, ok := ParseNode(name); ok {
			text := n.String()
			if again, ok := ParseNode(text); !ok || again != n || len(text) > 256 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Fatalf("node %q is written %q", name, text)
			}
		}
	})
}

// A hundred thousand domains are found as quickly as ten.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		var configs []Config
		for i := range n {
			configs = append(configs, Config{Name: fmt.Sprintf("customer%d.example", i), Destinations: servers}, Config{Name: fmt.Sprintf(".tree%d.example", i), Destinations: servers})
		}
		table := tableOf(b, configs...)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if table.Lane("someone@customer7.example") != "customer7.example" || table.Lane("someone@a.b.tree7.example") != ".tree7.example" || table.Lane("someone@nobody.example") != "" {
					b.Fatal("wrong lane")
				}
			}
		})
	}
}

// The table is built anew at every reload.
func BenchmarkNew(b *testing.B) {
	var configs []Config
	for i := range 100_000 {
		configs = append(configs, Config{Name: fmt.Sprintf("customer%d.example", i), Destinations: servers, ETRNFrom: []string{fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}})
	}
	b.ReportAllocs()
	for b.Loop() {
		if table := tableOf(b, configs...); len(table.all) != len(configs) {
			b.Fatal("domains are missing")
		}
	}
}

// A client's own domains are found without looking at those of others.
func BenchmarkReleases(b *testing.B) {
	var configs []Config
	for i := range 100_000 {
		configs = append(configs, Config{Name: fmt.Sprintf("customer%d.example", i), Destinations: servers, ETRNFrom: []string{fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}})
	}
	table := tableOf(b, configs...)
	for client, want := range map[string]int{"10.0.0.7": 1, "192.0.2.1": 0} {
		b.Run(client, func(b *testing.B) {
			for b.Loop() {
				if got := table.Releases(Node{Domain: "example", Tree: true}, netip.MustParseAddr(client), nil, testTime); len(got) != want {
					b.Fatal(got)
				}
			}
		})
	}
}
