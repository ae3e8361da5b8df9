package policy

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

func newPolicy(t testing.TB, cfg Config) *Policy {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func verdict(score float64) engine.Verdict {
	return engine.Verdict{Score: score, LogOdds: odds(score)}
}

func mail(header, from string, to ...string) *engine.Mail {
	raw := strings.ReplaceAll(header, "\n", "\r\n") + "\r\n\r\nHello\r\n"
	return &engine.Mail{
		Envelope: engine.Envelope{Known: true, From: from, To: to},
		Message:  message.Parse([]byte(raw), message.Limits{}),
	}
}

// show writes a decision on one line: refuse, or the outcomes.
func show(d Decision) string {
	if d.Refuse {
		return fmt.Sprintf("REFUSE %.1f", d.Score)
	}
	var all []string
	for _, o := range d.Outcomes {
		s := fmt.Sprintf("%s %.1f", o.Action, o.Score)
		if o.Tag {
			s += " tag"
		}
		if o.Flag {
			s += " flag"
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

func set(t testing.TB, pairs ...any) Settings {
	t.Helper()
	var s Settings
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == "virus" {
			action, err := ParseVirusAction(pairs[i+1].(string))
			if err != nil {
				t.Fatal(err)
			}
			s.Virus = action
			continue
		}
		th, err := ParseThreshold(pairs[i+1])
		if err != nil {
			t.Fatal(err)
		}
		*map[string]*Threshold{"reject": &s.Reject, "subject": &s.Subject, "flag": &s.Flag, "quarantine": &s.Quarantine, "discard": &s.Discard}[pairs[i].(string)] = th
	}
	return s
}

func TestThresholdsDecide(t *testing.T) {
	graded := set(t, "flag", 40, "subject", 50, "quarantine", 60, "discard", 70, "reject", 80)
	above50 := math.Nextafter(50, 100)
	for _, c := range []struct {
		name string
		set  Settings
		v    engine.Verdict
		want string
	}{
		{"nothing set", Settings{}, verdict(99.99), "deliver 100.0"},
		{"nothing reached", graded, verdict(40), "deliver 40.0"},
		{"flag", graded, verdict(40.1), "deliver 40.1 flag"},
		{"at subject", graded, verdict(50), "deliver 50.0 flag"},
		{"a hair above subject", graded, verdict(above50), "deliver 50.0 tag flag"},
		{"quarantine", graded, verdict(61), "hold 61.0 tag flag"},
		{"discard", graded, verdict(71), "discard 71.0 tag flag"},
		{"at reject", graded, verdict(80), "discard 80.0 tag flag"},
		{"reject", graded, verdict(80.001), "REFUSE 80.0"},
		{"refusing comes before discarding", set(t, "reject", 50, "discard", 20), verdict(60), "REFUSE 60.0"},
		{"discarding comes before holding", set(t, "discard", 50, "quarantine", 50), verdict(60), "discard 60.0"},
		{"at 25 points", set(t, "reject", "25 points"), engine.Verdict{Score: 100 * engine.Logistic(20*engine.Point), LogOdds: 20 * engine.Point}, "REFUSE 100.0"},
		{"below 25 points", set(t, "reject", "25 points"), engine.Verdict{Score: 100 * engine.Logistic(19.9*engine.Point), LogOdds: 19.9 * engine.Point}, "deliver 100.0"},

		{"malware is refused", Settings{}, engine.Verdict{Score: 100, Virus: "EICAR"}, "REFUSE 100.0"},
		{"malware is refused though thresholds are 100", set(t, "reject", 100), engine.Verdict{Score: 100, Virus: "EICAR"}, "REFUSE 100.0"},
		{"malware is held", set(t, "virus", "hold", "reject", 50, "discard", 50), engine.Verdict{Score: 100, Virus: "EICAR"}, "hold 100.0"},
		{"malware goes to the quarantine", set(t, "virus", "quarantine", "reject", 50), engine.Verdict{Score: 100, Virus: "EICAR"}, "hold 100.0"},
		{"malware is discarded", set(t, "virus", "discard", "reject", 50), engine.Verdict{Score: 100, Virus: "EICAR"}, "discard 100.0"},
		{"malware passes", set(t, "virus", "pass"), engine.Verdict{Score: 100, Virus: "EICAR"}, "deliver 100.0"},
		{"malware passes, flagged by threshold", set(t, "virus", "pass", "flag", 99), engine.Verdict{Score: 100, Virus: "EICAR"}, "deliver 100.0 flag"},
		{"malware passes to the thresholds", set(t, "virus", "pass", "reject", 99), engine.Verdict{Score: 100, Virus: "EICAR"}, "REFUSE 100.0"},
		{"malware with threshold 100", set(t, "virus", "pass", "reject", 100, "flag", 100), engine.Verdict{Score: 100, Virus: "EICAR"}, "deliver 100.0"},
		{"malware reaches any points", set(t, "virus", "pass", "quarantine", "900 points"), engine.Verdict{Score: 100, LogOdds: -2, Virus: "EICAR"}, "hold 100.0"},
		{"malware is tagged", set(t, "virus", "tag"), engine.Verdict{Score: 100, Virus: "EICAR"}, "deliver 100.0 tag flag"},
	} {
		d := newPolicy(t, Config{Settings: c.set}).Decide(mail("From: a@example.org", "a@example.org", "u@example.com"), c.v)
		if got := show(d); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestScopes(t *testing.T) {
	p := newPolicy(t, Config{
		Settings: set(t, "reject", 90, "flag", 50),
		Domains: map[string]Settings{
			"Example.com":       set(t, "reject", 60),
			".example.net":      set(t, "reject", 70, "subject", 20),
			".mail.example.net": set(t, "reject", 80),
			"off.example":       set(t, "reject", 100),
		},
		Recipients: map[string]Settings{"VIP@example.com": set(t, "reject", 100, "quarantine", "5 points")},
	})
	for _, c := range []struct{ to, want string }{
		{"u@example.org", "deliver 75.0 flag"},
		{"u@example.com", "REFUSE 75.0"},
		{"u@EXAMPLE.COM", "REFUSE 75.0"},
		{"u@sub.example.com", "deliver 75.0 flag"},
		{"vip@example.com", "hold 75.0 flag"},
		{"u@example.net", "REFUSE 75.0"},
		{"u@a.example.net", "REFUSE 75.0"},
		{"u@a.mail.example.net", "deliver 75.0 tag flag"},
		{"u@off.example", "deliver 75.0 flag"},
	} {
		if got := show(p.Decide(mail("From: a@example.org", "a@example.org", c.to), verdict(75))); got != c.want {
			t.Errorf("%s: %s, want %s", c.to, got, c.want)
		}
	}
}

func TestRecipientsTogether(t *testing.T) {
	p := newPolicy(t, Config{
		Settings: set(t, "reject", 90),
		Domains: map[string]Settings{
			"strict.example":  set(t, "reject", 50),
			"lax.example":     set(t, "reject", 100, "flag", 10),
			"discard.example": set(t, "discard", 30),
			"hold.example":    set(t, "quarantine", 30),
		},
	})
	for _, c := range []struct{ to, want string }{
		{"a@strict.example b@strict.example", "REFUSE 70.0"},
		{"a@strict.example b@lax.example", "hold 70.0, deliver 70.0 flag"},
		{"a@lax.example b@strict.example", "deliver 70.0 flag, hold 70.0"},
		{"a@strict.example b@discard.example", "hold 70.0, discard 70.0"},
		{"a@lax.example b@hold.example c@discard.example d@other.example", "deliver 70.0 flag, hold 70.0, discard 70.0, deliver 70.0"},
	} {
		d := p.Decide(mail("From: a@example.org", "a@example.org", strings.Fields(c.to)...), verdict(70))
		if got := show(d); got != c.want {
			t.Errorf("%s: %s, want %s", c.to, got, c.want)
		}
		if !d.Refuse && strings.Contains(c.to, "strict") && !strings.Contains(strings.Join(d.Reasons, " "), "would be refused, but other recipients accept it: score 70.0 above spam_reject 50") {
			t.Errorf("%s: reasons %q", c.to, d.Reasons)
		}
	}
	if d := p.Decide(mail("From: a@example.org", "a@example.org", "a@strict.example", "b@lax.example"), engine.Verdict{Score: 100, Virus: "X"}); !d.Refuse {
		t.Errorf("malware: %s", show(d))
	}
	if d := p.Decide(mail("From: a@example.org", "a@example.org"), verdict(95)); !d.Refuse || len(d.Outcomes) != 0 {
		t.Errorf("no recipients: %+v", d)
	}
}

func TestSenderLists(t *testing.T) {
	lists := Settings{
		Approved: listOf(t, "good@example.com good@a.co.uk example.org both.example .trust.example ok@blocked.example both@both.example up.bad.example"),
		Blocked:  listOf(t, "bad@example.com example.net both.example blocked.example no@example.org both@both.example .bad.example sub.trust.example"),
		Reject:   Threshold{aboveScore, 99}, Flag: Threshold{aboveScore, 1},
	}
	type auth = engine.Auth
	for _, c := range []struct {
		name     string
		envelope string
		header   string
		auth     auth
		want     string
	}{
		{"unknown", "x@example.com", "From: x@example.com", auth{}, "deliver 60.0 flag"},
		{"approved address", "good@example.com", "From: x@example.com", auth{}, "deliver 0.0"},
		{"approved address, forged", "good@example.com", "From: x@example.com", auth{SPF: "fail"}, "deliver 60.0 flag"},
		{"approved address, perhaps forged", "good@example.com", "From: x@example.com", auth{SPF: "softfail"}, "deliver 0.0"},
		{"approved address, SPF does not count", "good@example.com", "From: x@example.com", auth{SPF: "fail", SPFExempt: true}, "deliver 0.0"},
		{"blocked address, forged", "bad@example.com", "From: x@example.com", auth{SPF: "fail"}, "REFUSE 100.0"},
		{"approved address, forged, From proved", "good@example.com", "From: good@example.com", auth{SPF: "fail", DMARC: "pass", From: "example.com", Organization: "example.com"}, "deliver 0.0"},
		{"in another case", "GOOD@Example.Com", "From: x@example.com", auth{}, "deliver 0.0"},
		{"approved domain", "x@example.org", "From: x@example.com", auth{}, "deliver 0.0"},
		{"subdomain of a plain domain", "x@sub.example.org", "From: x@example.com", auth{}, "deliver 60.0 flag"},
		{"subdomain of .domain", "x@a.b.trust.example", "From: x@example.com", auth{}, "deliver 0.0"},
		{"blocked address", "bad@example.com", "From: x@example.com", auth{}, "REFUSE 100.0"},
		{"blocked domain", "x@example.net", "From: x@example.com", auth{}, "REFUSE 100.0"},
		{"blocked address in approved domain", "no@example.org", "From: x@example.com", auth{}, "REFUSE 100.0"},
		{"approved address in blocked domain", "ok@blocked.example", "From: x@example.com", auth{}, "deliver 0.0"},
		{"domain in both", "x@both.example", "From: x@example.com", auth{}, "deliver 0.0"},
		{"address in both", "both@both.example", "From: x@example.com", auth{}, "deliver 0.0"},
		{"blocked domain in an approved tree", "x@sub.trust.example", "From: x@example.com", auth{}, "REFUSE 100.0"},
		{"approved domain in a blocked tree", "x@up.bad.example", "From: x@example.com", auth{}, "deliver 0.0"},

		{"null sender, blocked From", "", "From: Bad <bad@example.com>", auth{}, "REFUSE 100.0"},
		{"blocked From", "x@example.com", "From: Bad <bad@example.com>", auth{}, "REFUSE 100.0"},
		{"second From blocked", "x@example.com", "From: x@example.com\nFrom: bad@example.com", auth{}, "REFUSE 100.0"},
		{"From approved by nothing", "x@example.com", "From: good@example.com", auth{}, "deliver 60.0 flag"},
		{"From approved, DMARC failed", "x@example.com", "From: good@example.com", auth{DMARC: "fail", SPF: "none"}, "deliver 60.0 flag"},
		{"From approved, DMARC passed", "x@example.com", "From: good@example.com", auth{DMARC: "pass"}, "deliver 0.0"},
		{"From approved, SPF of another domain", "x@example.test", "From: good@example.com", auth{SPF: "pass", SPFDomain: "example.test"}, "deliver 60.0 flag"},
		{"From approved, SPF of the null sender", "", "From: good@example.com", auth{SPF: "pass", SPFDomain: "mail.example.test", SPFHello: true}, "deliver 60.0 flag"},
		{"From approved, SPF of the same domain, told by nobody", "x@example.com", "From: good@example.com", auth{SPF: "pass"}, "deliver 60.0 flag"},
		{"From approved, aligned SPF", "x@example.com", "From: good@example.com", auth{SPF: "pass", SPFDomain: "example.com", From: "example.com", Aligned: true}, "deliver 0.0"},
		{"From approved, by SPF of a neighbour under a public suffix", "x@b.co.uk", "From: good@a.co.uk", auth{DMARC: "pass", SPF: "pass", SPFDomain: "b.co.uk", From: "a.co.uk", Organization: "co.uk", Aligned: true}, "deliver 60.0 flag"},
		{"From approved, by DKIM of a neighbour under a public suffix", "x@b.co.uk", "From: good@a.co.uk", auth{DMARC: "pass", From: "a.co.uk", Organization: "co.uk", Aligned: true, Signatures: []engine.Signature{{Domain: "b.co.uk", Result: "pass", Aligned: true}}}, "deliver 60.0 flag"},
		{"From approved, by SPF of its own under a public suffix", "x@b.a.co.uk", "From: good@a.co.uk", auth{DMARC: "pass", SPF: "pass", SPFDomain: "b.a.co.uk", From: "a.co.uk", Organization: "co.uk", Aligned: true}, "deliver 0.0"},
		{"From approved, by DKIM of its own under a public suffix", "x@b.co.uk", "From: good@a.co.uk", auth{DMARC: "pass", From: "a.co.uk", Organization: "co.uk", Aligned: true, Signatures: []engine.Signature{{Domain: "a.co.uk", Result: "pass", Aligned: true}}}, "deliver 0.0"},
		{"From approved, its own signature broken, a neighbour's SPF", "x@b.co.uk", "From: good@a.co.uk", auth{DMARC: "pass", SPF: "pass", SPFDomain: "b.co.uk", From: "a.co.uk", Organization: "co.uk", Aligned: true, Signatures: []engine.Signature{{Domain: "a.co.uk", Result: "fail"}}}, "deliver 60.0 flag"},
		{"From approved, DKIM of another domain", "x@example.test", "From: good@example.com", auth{DKIM: "pass", Signatures: []engine.Signature{{Domain: "example.test", Result: "pass"}}}, "deliver 60.0 flag"},
		{"From approved, aligned DKIM", "x@example.test", "From: good@example.com", auth{DKIM: "pass", From: "example.com", Aligned: true, Signatures: []engine.Signature{{Domain: "example.test", Result: "pass"}, {Domain: "mail.example.com", Result: "pass", Aligned: true}}}, "deliver 0.0"},
		{"From approved, a signature of the author's domain that failed", "x@example.test", "DKIM-Signature: v=1; d=example.com; s=a\nFrom: good@example.com", auth{DKIM: "fail", From: "example.com", Signatures: []engine.Signature{{Domain: "example.com", Result: "fail"}}}, "deliver 60.0 flag"},
		{"two From fields, aligned all the same", "x@example.test", "From: good@example.com\nFrom: x@example.test", auth{Aligned: true}, "deliver 60.0 flag"},
		{"two From fields, one approved", "x@example.test", "From: good@example.com\nFrom: x@example.test", auth{DMARC: "pass"}, "deliver 60.0 flag"},
		{"two addresses in From", "x@example.test", "From: good@example.com, x@example.test", auth{DMARC: "pass"}, "deliver 60.0 flag"},

		{"envelope approved by domain, From blocked by address", "x@example.org", "From: bad@example.com", auth{}, "REFUSE 100.0"},
		{"envelope approved by address, From blocked by domain", "good@example.com", "From: x@example.net", auth{}, "deliver 0.0"},
		{"envelope approved by domain, From blocked by domain", "x@example.org", "From: x@example.net", auth{}, "deliver 0.0"},
		{"envelope blocked by domain, From approved by domain", "x@example.net", "From: x@example.org", auth{DMARC: "pass"}, "deliver 0.0"},
		{"From blocked by a deeper domain", "x@example.org", "From: x@a.b.c.bad.example", auth{}, "deliver 0.0"},
		{"unproved approval does not hide a block", "x@example.test", "From: both@both.example", auth{}, "REFUSE 100.0"},
	} {
		m := mail(c.header, c.envelope, "u@example.com")
		m.Auth = c.auth
		if got := show(newPolicy(t, Config{Settings: lists}).Decide(m, verdict(60))); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestClassicApproval(t *testing.T) {
	p := newPolicy(t, Config{Settings: Settings{Approved: listOf(t, "good@example.com")}, ApproveForgeable: true})
	for header, want := range map[string]string{
		"From: good@example.com":                         "deliver 0.0",
		"From: good@example.com\nFrom: x@example.test":   "deliver 0.0",
		"From: x@example.test\nFrom: good@example.com":   "deliver 60.0",
		"From: \"good@example.com\" <x@example.test>":    "deliver 60.0",
		"Sender: good@example.com\nFrom: x@example.test": "deliver 60.0",
	} {
		if got := show(p.Decide(mail(header, "x@example.test", "u@example.com"), verdict(60))); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	forged := mail("From: x@example.test", "good@example.com", "u@example.com")
	forged.Auth.SPF = "fail"
	if got := show(p.Decide(forged, verdict(60))); got != "deliver 0.0" {
		t.Errorf("a forged envelope: %s", got)
	}
}

func TestApprovalDoesNotOverrideMalware(t *testing.T) {
	p := newPolicy(t, Config{Settings: Settings{Approved: listOf(t, "good@example.com"), Virus: VirusHold}})
	d := p.Decide(mail("From: good@example.com", "good@example.com", "u@example.com"), engine.Verdict{Score: 100, Virus: "EICAR"})
	if got := show(d); got != "hold 100.0" || d.Reasons[0] != "malware EICAR" {
		t.Errorf("%s, reasons %q", got, d.Reasons)
	}
}

func TestWhatTheListsSaidIsTold(t *testing.T) {
	p := newPolicy(t, Config{Settings: Settings{Approved: listOf(t, "good@example.com"), Blocked: listOf(t, ".example.net"), Reject: Threshold{aboveScore, 100}}})
	for from, want := range map[string]string{
		"GOOD@example.com":    "approved:good@example.com sender approved by good@example.com",
		"x@mail.example.net":  "blocked:.example.net sender blocked by .example.net",
		"x@other.example.com": " ",
	} {
		o := p.Decide(mail("From: x@example.test", from, "u@example.com"), verdict(60)).Outcomes[0]
		if got := o.Listed + " " + o.Reason; got != want {
			t.Errorf("%s: %q, want %q", from, got, want)
		}
	}
}

// A threshold of 100 means never, for a blocked sender too.
func TestBlockedSenderAndThresholdOf100(t *testing.T) {
	for reject, want := range map[float64]string{99: "REFUSE 100.0", 99.999: "REFUSE 100.0", 100: "deliver 100.0"} {
		p := newPolicy(t, Config{Settings: Settings{Blocked: listOf(t, "example.com"), Reject: Threshold{aboveScore, reject}}})
		if got := show(p.Decide(mail("From: x@example.com", "x@example.com", "u@example.com"), verdict(1))); got != want {
			t.Errorf("reject %v: %s, want %s", reject, got, want)
		}
	}
}

func TestListsOfScopes(t *testing.T) {
	p := newPolicy(t, Config{
		Settings: Settings{Approved: listOf(t, "example.com"), Blocked: listOf(t, "x@example.net")},
		Domains: map[string]Settings{
			"own.example": {Blocked: listOf(t, "example.com"), Approved: listOf(t, "example.net")},
		},
		Recipients: map[string]Settings{"me@own.example": {Approved: listOf(t, "x@example.com")}},
	})
	for _, c := range []struct{ from, to, want string }{
		{"x@example.com", "u@example.org", "deliver 0.0"},
		{"x@example.com", "u@own.example", "deliver 100.0"},
		{"x@example.com", "me@own.example", "deliver 0.0"},
		{"y@example.com", "me@own.example", "deliver 100.0"},
		{"x@example.net", "u@example.org", "deliver 100.0"},
		{"x@example.net", "u@own.example", "deliver 0.0"},
	} {
		if got := show(p.Decide(mail("From: z@example.test", c.from, c.to), verdict(60))); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

func TestAccepts(t *testing.T) {
	if !newPolicy(t, Config{}).Accepts("anyone%there@example.test") {
		t.Error("without relay domains a recipient is refused")
	}
	p := newPolicy(t, Config{Relay: []string{"example.com", ".example.net"}})
	for _, to := range []string{"u@example.com", "U@EXAMPLE.COM", "u@example.com.", "u+tag@example.com", "u@example.net", "u@a.b.example.net", `"a b"@example.com`} {
		if !p.Accepts(to) {
			t.Errorf("%s is refused", to)
		}
	}
	for _, to := range []string{"u@example.org", "u@sub.example.com", "u@example.com.example.org", "u@notexample.net", "u", "u@", "@example.com", "",
		"u%example.org@example.com", "example.org!u@example.com", `"u@example.org"@example.com`, "u@example.org@example.com", "@example.com:u@example.org",
		"a:b@example.com", "a,b@example.com", "u@[192.0.2.5]", "u@192.0.2.5", "u@example.com,u@example.org", "u@example.com@example.org", `"u\@example.org"@example.com`, "u\x00@example.com", "u@example.org\x00@example.com"} {
		if p.Accepts(to) {
			t.Errorf("%q is accepted", to)
		}
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Domains: map[string]Settings{"no domain": {}}}, `"no domain"`},
		{Config{Recipients: map[string]Settings{"example.com": {}}}, `"example.com"`},
		{Config{Relay: []string{"example.com", "u@example.com"}}, "an address"},
		{Config{Relay: []string{"example.com", "a b"}}, `"a b"`},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v does not name %s", err, c.want)
		}
	}
}

func TestParseVirusAction(t *testing.T) {
	for in, want := range map[string]VirusAction{"refuse": VirusRefuse, "Quarantine": VirusHold, "HOLD": VirusHold, "discard": VirusDiscard, " tag ": VirusTag, "pass": VirusPass} {
		if a, err := ParseVirusAction(in); err != nil || a != want {
			t.Errorf("%q: %q, %v", in, a, err)
		}
	}
	if a, err := ParseVirusAction("keep"); err == nil || a != VirusRefuse {
		t.Errorf("unknown action: %q, %v", a, err)
	}
}

// TestScopeGivenTwice: two spellings of one name are an error, or the order
// of a map would say which settings count.
func TestScopeGivenTwice(t *testing.T) {
	for _, c := range []Config{
		{Domains: map[string]Settings{"example.org": {}, "EXAMPLE.org.": {}}},
		{Domains: map[string]Settings{".example.org": {}, ".Example.org": {}}},
		{Recipients: map[string]Settings{"a@example.org": {}, "A@EXAMPLE.ORG": {}}},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%v: error %v", c, err)
		}
	}
	if _, err := New(Config{Domains: map[string]Settings{"example.org": {}, ".example.org": {}}}); err != nil {
		t.Errorf("a domain and its subdomains: %v", err)
	}
}

// TestOwnPostmaster: RFC 5321 section 4.5.1. Nobody else of our name is taken.
func TestOwnPostmaster(t *testing.T) {
	p, err := New(Config{Relay: []string{"example.org"}, Hostname: "mx.example.net"})
	if err != nil {
		t.Fatal(err)
	}
	for recipient, want := range map[string]struct{ accepts, serves bool }{
		"postmaster@mx.example.net":   {true, false},
		"PostMaster@MX.example.NET":   {true, false},
		"root@mx.example.net":         {false, false},
		"postmaster@example.net":      {false, false},
		"postmaster@a.mx.example.net": {false, false},
		"postmaster@example.org":      {true, true},
	} {
		if a, s := p.Accepts(recipient), p.Serves(recipient); a != want.accepts || s != want.serves {
			t.Errorf("%s: accepted %v, served %v", recipient, a, s)
		}
	}
}
