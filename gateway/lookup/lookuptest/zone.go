// Package lookuptest turns a few lines of zone data into a resolver, so that
// tests need no network: a Fake answers in memory, a Server over real sockets
// of loopback, with faults.
package lookuptest

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"spamcatcher/gateway/lookup"
)

// ErrServer is what a name marked SERVFAIL is answered with.
var ErrServer = errors.New("server failure")

// A Fake is a resolver that knows what it was told. It counts the questions.
type Fake struct {
	records map[question][]lookup.Record
	special map[question]string // SERVFAIL or SILENT; kind 0 is any kind
	aliases map[string]string
	names   map[string]bool // that exist, those above others too
	// Delay is how long each answer takes.
	Delay time.Duration

	mu    sync.Mutex
	asked []string
}

type question struct {
	name string
	kind lookup.Kind
}

// Zone reads zone data, a record a line: name, type, data. The types are A,
// AAAA, CNAME, MX (preference and host), NS, PTR and TXT (the rest of the line,
// or quoted strings that are joined). In the place of data, SERVFAIL stands for a
// server failure and SILENT for no answer until the context ends; in the place
// of a type, for all kinds. Names are absolute; a name that begins with *. holds
// for all names below that are not given. Empty lines and those that begin with
// a semicolon say nothing.
func Zone(t testing.TB, text string) *Fake {
	t.Helper()
	f := &Fake{records: map[question][]lookup.Record{}, special: map[question]string{}, aliases: map[string]string{}, names: map[string]bool{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == ';' {
			continue
		}
		if !f.add(line) {
			t.Fatalf("zone data %q cannot be read", line)
		}
	}
	return f
}

var kinds = map[string]lookup.Kind{"A": lookup.A, "AAAA": lookup.AAAA, "CNAME": lookup.CNAME, "MX": lookup.MX, "NS": lookup.NS, "PTR": lookup.PTR, "TXT": lookup.TXT}

func (f *Fake) add(line string) bool {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return false
	}
	name := canonical(fields[0])
	for above := name; ; {
		f.names[above] = true
		_, rest, ok := strings.Cut(above, ".")
		if !ok {
			break
		}
		above = rest
	}
	if fields[1] == "SERVFAIL" || fields[1] == "SILENT" {
		f.special[question{name, 0}] = fields[1]
		return len(fields) == 2
	}
	kind, ok := kinds[fields[1]]
	if !ok || len(fields) < 3 {
		return false
	}
	if fields[2] == "SERVFAIL" || fields[2] == "SILENT" {
		f.special[question{name, kind}] = fields[2]
		return true
	}
	var record lookup.Record
	switch kind {
	case lookup.A, lookup.AAAA:
		a, err := netip.ParseAddr(fields[2])
		if err != nil {
			return false
		}
		record.Addr = a
	case lookup.CNAME:
		f.aliases[name] = fields[2]
		return true
	case lookup.MX:
		n, err := strconv.ParseUint(fields[2], 10, 16)
		if err != nil || len(fields) != 4 {
			return false
		}
		record.Preference, record.Text = uint16(n), strings.TrimSuffix(fields[3], ".")
	case lookup.TXT:
		rest := strings.TrimSpace(line[strings.Index(line, "TXT")+3:])
		if !strings.HasPrefix(rest, `"`) {
			record.Text = rest
			break
		}
		for rest != "" {
			one, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return false
			}
			text, err := strconv.Unquote(one)
			if err != nil {
				return false
			}
			record.Text += text
			rest = strings.TrimSpace(rest[len(one):])
		}
	default:
		record.Text = strings.TrimSuffix(fields[2], ".")
	}
	q := question{name, kind}
	f.records[q] = append(f.records[q], record)
	return true
}

// canonical is a name in lower case without its final dot, its escapes as the
// library writes them.
func canonical(name string) string {
	if strings.Contains(name, `\`) {
		var wire [255]byte
		if end, err := dns.PackDomainName(dns.Fqdn(name), wire[:], 0, nil, false); err == nil {
			name, _, _ = dns.UnpackDomainName(wire[:end], 0)
		}
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// Query answers from the zone data.
func (f *Fake) Query(ctx context.Context, name string, kind lookup.Kind) (lookup.Answer, error) {
	f.mu.Lock()
	f.asked = append(f.asked, canonical(name)+" "+kind.String())
	f.mu.Unlock()
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-ctx.Done():
			return lookup.Answer{}, ctx.Err()
		}
	}
	for range 9 {
		at := f.find(canonical(name))
		switch f.special[question{at, 0}] + f.special[question{at, kind}] {
		case "SERVFAIL":
			return lookup.Answer{}, ErrServer
		case "SILENT":
			<-ctx.Done()
			return lookup.Answer{}, ctx.Err()
		}
		if target, ok := f.aliases[at]; ok {
			if kind == lookup.CNAME {
				return lookup.Answer{Records: []lookup.Record{{Text: strings.TrimSuffix(target, ".")}}, TTL: time.Hour}, nil
			}
			name = target
			continue
		}
		if records := f.records[question{at, kind}]; len(records) > 0 {
			return lookup.Answer{Records: slices.Clone(records), TTL: time.Hour}, nil
		}
		if f.names[at] {
			return lookup.Answer{}, lookup.ErrNoData
		}
		return lookup.Answer{}, lookup.ErrNoName
	}
	return lookup.Answer{}, errors.New("too many aliases")
}

// find returns the name itself or the wildcard that stands for it.
func (f *Fake) find(name string) string {
	if f.names[name] {
		return name
	}
	for above := name; ; {
		_, rest, ok := strings.Cut(above, ".")
		if !ok {
			return name
		}
		if f.names["*."+rest] {
			return "*." + rest
		}
		if f.names[rest] { // RFC 4592 section 3.3.1: the closest encloser decides
			return name
		}
		above = rest
	}
}

// Asked returns the questions so far, "name TYPE", in the order in which they
// came.
func (f *Fake) Asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}
