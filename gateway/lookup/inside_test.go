package lookup

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestResolvConf: the servers of the file, what is known of them when it
// changes, and what holds when it is gone or empty.
func TestResolvConf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	now := time.Unix(1_800_000_000, 0)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
		if err := os.Chtimes(file, now, now); err != nil {
			t.Fatal(err)
		}
	}
	c, err := New(Config{ResolvConf: file})
	if err != nil {
		t.Fatal(err)
	}
	u := c.ups
	addresses := func() (list []string) {
		servers, _, _ := u.current(now)
		for _, s := range servers {
			list = append(list, s.address)
		}
		return list
	}
	if got := addresses(); !slices.Equal(got, []string{"127.0.0.1:53", "[::1]:53"}) {
		t.Errorf("no file: %q", got)
	}
	write("# comment\nnameserver 192.0.2.1\nnameserver 2001:db8::1\nnameserver 192.0.2.1\nnameserver fe80::1%lo\nnameserver rubbish\noptions timeout:2 attempts:9\n")
	if got := addresses(); !slices.Equal(got, []string{"192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%lo]:53"}) {
		t.Errorf("%q", got)
	}
	first, attempt, rounds := u.current(now)
	if attempt != 2*time.Second || rounds != 3 {
		t.Errorf("attempt %v, %d rounds", attempt, rounds)
	}
	write("nameserver 192.0.2.2\nnameserver 192.0.2.1\n")
	now = now.Add(-time.Minute + reread - time.Millisecond)
	if got := addresses(); len(got) != 3 {
		t.Errorf("the file is looked at more often than it should: %q", got)
	}
	now = now.Add(time.Minute)
	second, attempt, _ := u.current(now)
	if got := addresses(); !slices.Equal(got, []string{"192.0.2.2:53", "192.0.2.1:53"}) || second[1] != first[0] || attempt != 0 {
		t.Errorf("%q, %v", got, attempt)
	}
	var many strings.Builder
	for i := range 20 {
		fmt.Fprintf(&many, "nameserver 198.51.100.%d\n", i)
	}
	write(many.String())
	now = now.Add(time.Minute)
	if got := addresses(); len(got) != maxServers {
		t.Errorf("%d servers", len(got))
	}
	write("nameserver 192.0.2.2\nnameserver 192.0.2.1\n")
	now = now.Add(time.Minute)
	addresses()
	os.Remove(file)
	now = now.Add(time.Minute)
	if got := addresses(); len(got) != 2 {
		t.Errorf("the file is gone for a moment: %q", got)
	}
	write("\n")
	now = now.Add(time.Minute)
	if got := addresses(); !slices.Equal(got, []string{"127.0.0.1:53", "[::1]:53"}) {
		t.Errorf("an empty file: %q", got)
	}
}

// TestQueriesDiffer: id and case are thrown anew for each question.
func TestQueriesDiffer(t *testing.T) {
	ids, names := map[uint16]bool{}, map[string]bool{}
	long := strings.Repeat(`\000`, 63) + "." + strings.Repeat(`\000`, 63) + "." + strings.Repeat(`\000`, 63) + ".abcdefghij"
	for range 200 {
		query := newQuery(question{"abcdefghijklmnop.example.org", A}, true, true)
		ids[query.Id], names[query.Question[0].Name] = true, true
		if !strings.EqualFold(query.Question[0].Name, "abcdefghijklmnop.example.org.") {
			t.Fatal(query.Question[0].Name)
		}
		newQuery(question{long, A}, true, true) // longer in this notation than in octets
	}
	if len(ids) < 190 || len(names) < 190 {
		t.Errorf("%d ids, %d spellings of 200", len(ids), len(names))
	}
}

// TestCacheCounts: what replaces something, or goes, is counted once.
func TestCacheCounts(t *testing.T) {
	c, err := newCache(3, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	q := question{"www.example.org", TXT}
	c.put(q, []Record{{Text: "one"}}, time.Minute, nil, now)
	once := c.bytes
	for range 100 {
		c.put(q, []Record{{Text: "two"}}, time.Minute, nil, now)
	}
	if c.bytes != once || once <= 0 {
		t.Errorf("%d octets, then %d", once, c.bytes)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		c.put(question{name + "ww.example.org", TXT}, []Record{{Text: "one"}}, time.Minute, nil, now)
	}
	if c.bytes != 3*once {
		t.Errorf("%d octets for three entries of %d", c.bytes, once)
	}
	c.fail(q, errSilent, now)
	c.forget()
	if _, _, ok := c.get(q, now); ok || c.bytes != 2*once {
		t.Errorf("%d octets for two entries of %d", c.bytes, once)
	}
}

// FuzzReply: whatever packet comes as the reply to a question, nothing panics,
// and what is found was asked for: each record stands in the packet under the
// name or under one to which aliases in the packet lead.
func FuzzReply(f *testing.F) {
	query := new(dns.Msg)
	query.SetQuestion("wWw.eXample.org.", dns.TypeA)
	query.Id = 0x1234
	seed := func(edit func(m *dns.Msg)) {
		m := new(dns.Msg)
		m.SetReply(query)
		header := dns.RR_Header{Name: "www.example.org.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}
		alias := header
		alias.Rrtype = dns.TypeCNAME
		m.Answer = []dns.RR{&dns.A{Hdr: header, A: []byte{192, 0, 2, 1}}, &dns.CNAME{Hdr: alias, Target: "other.example.org."}}
		edit(m)
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
	}
	seed(func(m *dns.Msg) {})
	seed(func(m *dns.Msg) { m.Answer = m.Answer[1:] })
	seed(func(m *dns.Msg) { m.Answer[0].Header().Name = "other.example.org." })
	seed(func(m *dns.Msg) { m.Answer, m.Rcode = nil, dns.RcodeNameError })
	seed(func(m *dns.Msg) { m.Question = nil })
	seed(func(m *dns.Msg) { m.Question[0].Name = "other.example.org." })
	seed(func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX })
	seed(func(m *dns.Msg) { m.Question[0].Name = "www.example.org." })
	seed(func(m *dns.Msg) { m.Truncated, m.Compress = true, true })
	seed(func(m *dns.Msg) {
		m.Ns = []dns.RR{&dns.SOA{Hdr: dns.RR_Header{Name: "org.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: ".", Mbox: ".", Minttl: 5}}
		m.SetEdns0(1232, true)
	})
	f.Fuzz(func(t *testing.T, packet []byte) {
		if len(packet) > 1 {
			packet[0], packet[1] = 0x12, 0x34 // the id is not what is to be found out
		}
		reply, how := compare(packet, query)
		if how == stranger {
			return
		}
		if reply == nil {
			t.Fatal("a reply that fits but is none")
		}
		if how != bare && (len(reply.Question) != 1 || !strings.EqualFold(reply.Question[0].Name, "www.example.org.") || reply.Question[0].Qtype != dns.TypeA) {
			t.Fatalf("the question was %v", reply.Question)
		}
		if how == fits && reply.Question[0].Name != "wWw.eXample.org." {
			t.Fatalf("the case of %q is believed", reply.Question[0].Name)
		}
		found, err := understand(reply, question{"www.example.org", A}, nil)
		if err != nil {
			return
		}
		mine := map[string]bool{"www.example.org": true}
		for range maxChain {
			for _, record := range reply.Answer {
				if alias, ok := record.(*dns.CNAME); ok && mine[inReply(alias.Hdr.Name)] {
					mine[inReply(alias.Target)] = true
				}
			}
		}
		theirs := map[netip.Addr]bool{}
		for _, record := range reply.Answer {
			if a, ok := record.(*dns.A); ok && mine[inReply(a.Hdr.Name)] && a.Hdr.Class == dns.ClassINET {
				addr, _ := netip.AddrFromSlice(a.A.To4())
				theirs[addr] = true
			}
		}
		for _, record := range found.records {
			if !theirs[record.Addr] || record.Text != "" {
				t.Fatalf("%v was not asked for", record)
			}
		}
		switch {
		case found.ttl < minTTL || found.ttl > maxTTL:
			t.Fatalf("TTL %v", found.ttl)
		case len(found.records) > maxRecords || len(found.seen) > maxChain:
			t.Fatalf("%d records, %d aliases", len(found.records), len(found.seen))
		case len(found.records) == 0 && found.missing == nil && found.next == "":
			t.Fatal("nothing found, nothing missing")
		}
	})
}

// FuzzName: what canonical takes can be sent, and is its own canonical form.
func FuzzName(f *testing.F) {
	for _, name := range []string{"www.example.org", "WWW.Example.org.", `a\.b.org`, `\097.org`, "bücher.example", "..", `a\`, `a\.`, "a b", strings.Repeat("a.", 127), `'@;()".org`, "xn--a.org", "."} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		one, err := canonical(name)
		if err != nil {
			return
		}
		query := newQuery(question{one, A}, true, true)
		packed, err := query.Pack()
		if err != nil {
			t.Fatalf("%q became %q, which cannot be sent: %v", name, one, err)
		}
		back := new(dns.Msg)
		if err := back.Unpack(packed); err != nil || inReply(back.Question[0].Name) != one {
			t.Fatalf("%q became %q, and came as %q: %v", name, one, back.Question[0].Name, err)
		}
		if one != "" {
			if two, err := canonical(one); err != nil || two != one {
				t.Fatalf("%q: %q, then %q, %v", name, one, two, err)
			}
		}
	})
}
