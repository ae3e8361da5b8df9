package auth

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"

	"spamcatcher/gateway/lookup"
)

// A scenario is one document of the openspf.org test suites.
type scenario struct {
	Description string
	Tests       map[string]struct {
		Helo, Host  string
		MailFrom    string `yaml:"mailfrom"`
		Result      oneOrMore
		Explanation string
		Skip        string
	}
	Zone map[string][]yaml.Node `yaml:"zonedata"`
}

type oneOrMore []string

func (o *oneOrMore) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*o = oneOrMore{n.Value}
		return nil
	}
	return n.Decode((*[]string)(o))
}

// suiteZone is the zone data of a scenario as a resolver.
type suiteZone struct {
	records map[string][]lookup.Record // by kind and name
	alias   map[string]string
	broken  map[string]bool // TIMEOUT or SERVFAIL
	names   map[string]bool
	// names of one label are given a second
	lengthened bool

	mu    sync.Mutex
	asked int
}

func newSuiteZone(t *testing.T, s scenario, lengthened bool) *suiteZone {
	z := &suiteZone{lengthened: lengthened, records: map[string][]lookup.Record{}, alias: map[string]string{}, broken: map[string]bool{}, names: map[string]bool{}}
	for name, nodes := range s.Zone {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if lengthened {
			name = twoLabels(name)
		}
		for above, ok := name, true; ok; _, above, ok = strings.Cut(above, ".") {
			z.names[above] = true
		}
		// Records of type SPF stand for TXT where a name has none: the suite says
		// that its driver copies them.
		var texts, old []lookup.Record
		none := false // nothing is to be copied
		for _, n := range nodes {
			if n.Kind == yaml.ScalarNode {
				z.broken[name] = true // TIMEOUT
				continue
			}
			kind, value := n.Content[0].Value, n.Content[1]
			var list oneOrMore
			if err := value.Decode(&list); err != nil {
				t.Fatalf("%s %s: %v", name, kind, err)
			}
			if lengthened {
				for i, text := range list {
					list[i] = oneLabel.ReplaceAllString(text, "${1}${2}.example${3}")
					if kind == "MX" && i == 1 || kind == "CNAME" || kind == "PTR" {
						list[i] = twoLabels(strings.TrimSuffix(text, "."))
					}
				}
			}
			key := func(k lookup.Kind) string { return k.String() + " " + name }
			switch kind {
			case "TIMEOUT", "SERVFAIL":
				z.broken[name] = true
			case "CNAMELOOP":
				z.alias[name] = name
			case "TXT":
				if len(list) == 1 && list[0] == "NONE" {
					none = true
					continue
				}
				texts = append(texts, lookup.Record{Text: strings.Join(list, "")})
			case "SPF":
				old = append(old, lookup.Record{Text: strings.Join(list, "")})
			case "A", "AAAA":
				k := map[string]lookup.Kind{"A": lookup.A, "AAAA": lookup.AAAA}[kind]
				for _, text := range list {
					z.records[key(k)] = append(z.records[key(k)], lookup.Record{Addr: netip.MustParseAddr(text)})
				}
			case "MX":
				z.records[key(lookup.MX)] = append(z.records[key(lookup.MX)], lookup.Record{Text: strings.TrimSuffix(list[1], ".")})
			case "PTR":
				for _, text := range list {
					z.records[key(lookup.PTR)] = append(z.records[key(lookup.PTR)], lookup.Record{Text: strings.TrimSuffix(text, ".")})
				}
			case "CNAME":
				z.alias[name] = strings.ToLower(strings.TrimSuffix(list[0], "."))
			default:
				t.Fatalf("%s: unknown kind %s", name, kind)
			}
		}
		if len(texts) == 0 && !none {
			texts = old
		}
		if len(texts) > 0 {
			z.records["TXT "+name] = texts
		}
	}
	return z
}

func (z *suiteZone) Query(_ context.Context, name string, kind lookup.Kind) (lookup.Answer, error) {
	z.mu.Lock()
	z.asked++
	z.mu.Unlock()
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	name = strings.NewReplacer(`\032`, " ", `\"`, `"`, `\(`, "(", `\)`, ")").Replace(name)
	for range 10 {
		if target, ok := z.alias[name]; ok {
			name = target
			continue
		}
		// A name that times out does so for what the suite gives no records of.
		records := z.records[kind.String()+" "+name]
		switch {
		case len(records) > 0:
			return lookup.Answer{Records: records}, nil
		case z.broken[name]:
			return lookup.Answer{}, errors.New("timed out")
		case z.names[name]:
			return lookup.Answer{}, lookup.ErrNoData
		}
		return lookup.Answer{}, lookup.ErrNoName
	}
	return lookup.Answer{}, errors.New("alias loop")
}

// deviations are the cases whose result is not the suite's, with the result
// that there is and why.
var deviations = map[string][2]string{
	"test.yml default-modifier":                     {Neutral, "default= was dropped before RFC 4408"},
	"test.yml default-modifier-harsh":               {Neutral, "default= was dropped before RFC 4408; the suite wants a word of pyspf's own"},
	"blitirispf-tests.yml mx-resolution-10-terms":   {PermError, "ten mx terms of several hosts each ask more than maxSPFQueries"},
	"blitirispf-tests.yml broken-ptr-forward":       {TempError, "a softfail beside a dead DNS, which RFC 7208 section 5.5 allows; see SPF"},
	"blitirispf-tests.yml ptr-reverse-lookup-error": {TempError, "the same"},
	"pyspf-tests.yml default-modifier":              {Neutral, "the same file"},
	"pyspf-tests.yml default-modifier-harsh":        {Neutral, "the same file"},
}

// oneLabel finds names of one label in records. The RFC has none; blitiri's
// suite is full of them. They are given a second label.
var oneLabel = regexp.MustCompile(`((?:include|exists|a|mx|ptr|redirect)[:=])([A-Za-z0-9\-]+)( |/|$)`)

func twoLabels(name string) string {
	if name == "" || strings.Contains(name, ".") {
		return name
	}
	return name + ".example"
}

// TestSPFSuites runs the suites of openspf.org and of the libraries pyspf and
// blitiri.
func TestSPFSuites(t *testing.T) {
	for _, c := range []struct {
		file  string
		cases int
	}{
		{"pyspf/rfc7208-tests.yml", 203},
		{"pyspf/rfc4408-tests.yml", 191},
		{"pyspf/test.yml", 16},
		{"blitiri-go/rfc7208-tests.yml", 203},
		{"blitiri-go/rfc4408-tests.yml", 191},
		{"blitiri-go/pyspf-tests.yml", 16},
		{"blitiri-go/blitirispf-tests.yml", 83},
	} {
		t.Run(c.file, func(t *testing.T) {
			input, err := os.Open(filepath.Join(suite(t, "spf"), filepath.FromSlash(c.file)))
			if err != nil {
				t.Fatal(err)
			}
			defer input.Close()
			cases, passed, deviating, most := 0, 0, 0, 0
			for documents := yaml.NewDecoder(input); ; {
				var s scenario
				if err := documents.Decode(&s); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				for name, test := range s.Tests {
					cases++
					zone := newSuiteZone(t, s, c.file == "blitiri-go/blitirispf-tests.yml")
					if local, domain, ok := strings.Cut(test.MailFrom, "@"); ok && zone.lengthened {
						test.MailFrom = local + "@" + twoLabels(domain)
					}
					v, err := New(Config{Resolver: zone})
					if err != nil {
						t.Fatal(err)
					}
					client, _ := netip.ParseAddr(test.Host)
					got := v.SPF(t.Context(), client, test.Helo, test.MailFrom)
					most = max(most, zone.asked)
					id := filepath.Base(c.file) + " " + name
					want, known := deviations[id]
					switch {
					case known && got.Result == want[0] && !slices.Contains(test.Result, got.Result):
						deviating++
					case slices.Contains(test.Result, got.Result) && !known:
						passed++
					default:
						t.Errorf("%q: %s (%s), want %v; %s %s", id, got.Result, got.Reason, test.Result, test.Host, test.MailFrom)
					}
				}
			}
			if cases != c.cases {
				t.Errorf("%d cases, want %d", cases, c.cases)
			}
			t.Logf("FIGURES spf %s: %d cases, %d as the suite has it, %d otherwise for a known reason; at most %d questions", c.file, cases, passed, deviating, most)
		})
	}
}
