package fingerprint

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"spamcatcher/engine/message"
)

// somePrints is one of each kind, of no message.
func somePrints() (list []Print) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, k := range []Kind{Fuzzy, Text, Attachment, Links, Link, Picture} {
		p := Print{Kind: k}
		if k == Fuzzy {
			for i := range p.Bands {
				p.Bands[i] = uint32(r.Uint64() >> (64 - bandBits))
			}
		} else {
			for i := range p.ID {
				p.ID[i] = byte(r.Uint32())
			}
		}
		list = append(list, p)
	}
	return list
}

func TestNames(t *testing.T) {
	zone := strings.Repeat(strings.Repeat("z", 10)+".", 9)[:MaxZone]
	for _, p := range somePrints() {
		name := p.Name(zone)
		if n, ok := dns.IsDomainName(name); !ok || n > len(labelsOf(name)) {
			t.Errorf("%s: %q is no host name", p.Kind, name)
		}
		packed := make([]byte, 300)
		if n, err := dns.PackDomainName(dns.Fqdn(name), packed, 0, nil, false); err != nil || n > 255 || p.Kind == Fuzzy && n != 255 {
			t.Errorf("%s: a name of %d octets in the longest zone, %v; want 255 of fuzzy ones", p.Kind, n, err)
		}
		label := strings.TrimSuffix(name, "."+zone)
		for _, same := range []string{label, strings.ToUpper(label)} {
			back, err := ParseName(same)
			if err != nil || back != p {
				t.Errorf("%s: %q was read as %+v, %v", p.Kind, same, back, err)
			}
		}
		dot := strings.IndexByte(label, '.')
		for _, bad := range []string{
			"", ".", label[1:], "0" + label, label + "x", label + ".x", "x." + label, label[:dot], label[:len(label)-1] + "2", strings.Replace(label, ".", "..", 1),
			"w" + label[1:], label[:5] + "." + label[5:], label[:dot-1] + "v" + label[dot:], strings.Replace(label, label[:1], label[:1]+"\n", 1), label[:dot] + "=" + label[dot:],
		} {
			if got, err := ParseName(bad); !errors.Is(err, ErrName) && got == p {
				t.Errorf("%s: %q is a second name of %q: %v", p.Kind, bad, label, err)
			}
		}
	}
}

func labelsOf(name string) []byte { return []byte(name) }

func TestShort(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range somePrints() {
		s := p.Short()
		if seen[s] || !strings.HasPrefix(s, string(p.Kind)+" ") || len(s) > 40 {
			t.Errorf("short name %q", s)
		}
		seen[s] = true
	}
}

// FuzzParseName: what is read as a name is the only name of its fingerprint.
func FuzzParseName(f *testing.F) {
	for _, p := range somePrints() {
		f.Add(p.label())
	}
	f.Add("t1")
	f.Add("..t1")
	f.Fuzz(func(t *testing.T, label string) {
		p, err := ParseName(label)
		if err != nil {
			if !errors.Is(err, ErrName) {
				t.Fatalf("%q: %v", label, err)
			}
			return
		}
		if !strings.EqualFold(p.label(), label) {
			t.Fatalf("%q is a second name of %q", label, p.label())
		}
	})
}

// FuzzOf: any message has fingerprints, few, the same each time, and names that
// can be read.
func FuzzOf(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\n" + invoice))
	f.Add([]byte("Content-Type: text/html\r\n\r\n<p>https://a.example/b/1 \u4f60\u597d " + strings.Repeat("<a href='http://x.test/q?a=1&b'>y</a>", 9)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list := Of(message.Parse(raw, message.Limits{}))
		again := Of(message.Parse(raw, message.Limits{}))
		if len(list) > maxPrints || len(list) != len(again) {
			t.Fatalf("%d fingerprints, then %d", len(list), len(again))
		}
		for i, p := range list {
			if p != again[i] {
				t.Fatalf("%+v, then %+v", p, again[i])
			}
			q, err := ParseName(p.label())
			if q.Of = p.Of; err != nil || q != p {
				t.Fatalf("%+v was read as %+v, %v", p, q, err)
			}
		}
	})
}

// TestLinearTime: ten times the message takes about ten times as long.
func TestLinearTime(t *testing.T) {
	for name, unit := range map[string]string{
		"words":   "several different words in a row ",
		"one":     "a",
		"digits":  "a1",
		"links":   "http://a.example/b/c?d=e ",
		"tokens":  "x/",
		"dots":    "a.",
		"han":     "你",
		"marks":   "a\u0301",
		"addr":    "a@b ",
		"queries": "http://a.example/?" + strings.Repeat("a&", 50) + " ",
	} {
		took := func(size int) time.Duration {
			best := time.Hour
			for range 3 {
				m := message.Parse([]byte("Content-Type: text/plain; charset=utf-8\r\n\r\n"+strings.Repeat(unit, size/len(unit))), message.Limits{})
				m.Skeleton()
				m.Links()
				begin := time.Now()
				Of(m)
				best = min(best, time.Since(begin))
			}
			return best
		}
		small, large := took(20_000), took(400_000)
		if large > 60*small+20*time.Millisecond {
			t.Errorf("%s: 20 kB take %v, 400 kB %v", name, small, large)
		}
	}
}
