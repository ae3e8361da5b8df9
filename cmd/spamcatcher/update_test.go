package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/policy"
	"spamcatcher/rules/builtin"
	"spamcatcher/rules/update"
	"spamcatcher/signatures/yara"
)

// wordRule is a rule file with a rule about one pattern.
func wordRule(symbol, points, pattern, hit string) string {
	return fmt.Sprintf("[[rule]]\nsymbol = %q\ndescription = \"a rule of the channel\"\npoints = %s\nbody = '''%s'''\nhit = [%q]\nmiss = [\"Zzz.\"]\n", symbol, points, pattern, hit)
}

// plainMessage says little for or against itself; each has a number.
func plainMessage(n int, text string) string {
	return fmt.Sprintf("From: Ann <ann@example.org>\nTo: Tom <tom@example.net>\nSubject: A word about Thursday\nDate: Mon, 16 Nov 2026 09:12:44 +0100\nMessage-ID: <number.%d@example.org>\n\n%s\n", n, text)
}

// bundleTree writes the files of a bundle; the rules inside the program are among
// them where own is set.
func bundleTree(t *testing.T, own bool, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if own {
		names, err := filepath.Glob("../../rules/builtin/*.toml")
		if err != nil || len(names) < 10 {
			t.Fatalf("%d rule files, %v", len(names), err)
		}
		files = copied(files)
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files["rules/"+filepath.Base(name)] = string(text)
		}
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func copied(m map[string]string) map[string]string {
	c := map[string]string{}
	for k, v := range m {
		c[k] = v
	}
	return c
}

// defaults is a configuration without a file, its state in a new directory.
func defaults(t *testing.T) *Config {
	t.Helper()
	c, err := loadConfig(&global{state: t.TempDir()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRehearsal tries good bundles and harmful ones that are well signed.
func TestRehearsal(t *testing.T) {
	c := defaults(t)
	model, err := os.ReadFile("../../bayes/model.bin")
	if err != nil {
		t.Fatal(err)
	}
	plainYara := "rule marker { strings: $a = \"an odd marker nobody writes\" condition: $a }\n"
	for _, test := range []struct {
		name  string
		own   bool
		files map[string]string
		want  string // in the refusal; "" for none
		cgo   bool   // needs YARA
		again bool   // not surely the bundle's fault
	}{
		{name: "one rule alone", files: map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "0.1", "(?i)xylophonic wombat", "a xylophonic wombat")}, want: "no longer finds"},
		{name: "a test message is good", own: true, files: map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "-10", "GTUBE-", "GTUBE-") + wordRule("CHANNEL_B", "-10", "GTUBE-", "GTUBE-") + wordRule("CHANNEL_C", "-10", "GTUBE-", "GTUBE-") + wordRule("CHANNEL_D", "-10", "GTUBE-", "GTUBE-")}, want: "GTUBE"},
		{name: "one more rule", own: true, files: map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "3", "(?i)xylophonic wombat", "a xylophonic wombat")}},
		{name: "a model", files: map[string]string{"model.bin": string(model)}},
		{name: "prices alone", files: map[string]string{"rules/prices.toml": "[points]\nSUBJ_SHORT = 0.5\n"}},
		{name: "signatures alone", files: map[string]string{"signatures/a.yar": plainYara}, cgo: true},
		{name: "hashes alone", files: map[string]string{"signatures/a.hdb": strings.Repeat("0", 32) + ":1234:Test.Nothing\n"}},

		{name: "no TOML", own: true, files: map[string]string{"rules/zz.toml": "[[rule\n"}, want: "zz.toml"},
		{name: "an unknown key", own: true, files: map[string]string{"rules/zz.toml": "[[rul]]\n"}, want: "unknown key"},
		{name: "a pattern that does not compile", own: true, files: map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "3", "(", "x")}, want: "zz.toml"},
		{name: "a symbol that is there already", own: true, files: map[string]string{"rules/zz.toml": wordRule("SUBJ_SHORT", "3", "x", "x")}, want: "SUBJ_SHORT"},
		{name: "the symbol of another check", own: true, files: map[string]string{"rules/zz.toml": wordRule("BAYES_TEXT", "3", "x", "x")}, want: "BAYES_TEXT"},
		{name: "a sample that does not hit", own: true, files: map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "3", "wombat", "a koala")}, want: "must hit but does not"},
		{name: "points beyond all", own: true, files: map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "inf", "wombat", "a wombat")}, want: "points"},
		{name: "prices that are none", files: map[string]string{"rules/prices.toml": "[points]\nSUBJ_SHORT = \"x\"\n"}, want: "prices.toml"},
		{name: "a model that is none", files: map[string]string{"model.bin": "model"}, want: "model"},
		{name: "a model cut short", files: map[string]string{"model.bin": string(model[:len(model)/2])}, want: "model"},
		{name: "signatures that do not compile", files: map[string]string{"signatures/a.yar": plainYara, "signatures/b.yar": "rule x { condition: nonsense }\n"}, want: "b.yar", cgo: true},

		{name: "good mail is spam", own: true, files: map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "9", "(?i)the", "the")}, want: "good messages for spam"},
		{name: "good mail is a virus", files: map[string]string{"signatures/a.yar": "rule everything { strings: $a = \"the \" nocase condition: $a }\n"}, want: "virus in", cgo: true},
		{name: "signatures that take for ever", files: map[string]string{"signatures/a.yar": "rule slow { condition: for all i in (1..filesize) : (for all j in (1..filesize) : (for all k in (1..filesize) : (uint8(i % 7) + uint8(j % 7) + k >= 0))) }\n"}, want: "times as long", cgo: true, again: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := yara.Available(); test.cgo && err != nil {
				t.Skipf("SKIPPED: %v", err)
			}
			r := &rehearsal{config: func() *Config { return c }}
			begin := time.Now()
			err := r.try(t.Context(), bundleTree(t, test.own, test.files))
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v; want a refusal with %q", err, test.want)
			case errors.Is(err, update.ErrAgain) != test.again:
				t.Errorf("not the bundle's fault: %t; want %t: %v", !test.again, test.again, err)
			}
			if err != nil {
				t.Logf("%v: %.300s", time.Since(begin).Round(time.Millisecond), err)
			}
		})
	}
}

// TestRehearsalOfRecentMail: a bundle that harms more than the share of recent
// messages is refused, for the time being, and names some; one message alone, a
// smaller share, or any share of few messages, does not refuse it.
func TestRehearsalOfRecentMail(t *testing.T) {
	c := defaults(t)
	c.UpdateShare = 5
	dir := bundleTree(t, true, map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "9", "(?i)xylophonic wombat", "a xylophonic wombat")})
	for _, test := range []struct {
		wombats, all int
		refused      bool
	}{{1, 3, false}, {20, 49, false}, {5, 100, false}, {6, 100, true}} {
		r := &rehearsal{config: func() *Config { return c }, recent: &recent{}}
		for i := range test.all {
			text := "Will you come to the meeting then?"
			if i < test.wombats {
				text = "The xylophonic wombat will come to the meeting."
			}
			r.recent.add(mailOf(plainMessage(i, text)))
		}
		err := r.try(t.Context(), dir)
		if (err != nil) != test.refused {
			t.Errorf("%d of %d changed: %v", test.wombats, test.all, err)
		} else if test.refused && (!strings.Contains(err.Error(), fmt.Sprintf("%d of %d recent messages", test.wombats, test.all)) || !strings.Contains(err.Error(), "<number.0@example.org>")) {
			t.Errorf("the refusal does not say how many and which: %v", err)
		} else if test.refused && !errors.Is(err, update.ErrAgain) {
			t.Errorf("final, because of the site's own mail: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&rehearsal{config: func() *Config { return c }}).try(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("cut off: %v", err)
	}
}

// TestHarm: what counts of recent mail is good mail that is treated worse and spam
// that is no longer found. What was in doubt may move: a bundle against a wave that
// is under way must not be refused for what it is there for.
func TestHarm(t *testing.T) {
	c := defaults(t)
	c.Global.Reject, _ = policy.ParseThreshold(80.0)
	scales := c.scales()
	at := func(score float64, virus string) standing {
		return standingOf(engine.Verdict{Score: score, LogOdds: math.Log(score / (100 - score)), Virus: virus}, scales)
	}
	for _, test := range []struct {
		name    string
		was, is standing
		counts  bool
	}{
		{"good, flagged", at(3, ""), at(60, ""), true},
		{"good, a virus", at(3, ""), at(4, "X"), true},
		{"good, better", at(3, ""), at(1, ""), false},
		{"good, in doubt", at(3, ""), at(45, ""), false},
		{"in doubt, flagged", at(20, ""), at(99, ""), false},
		{"in doubt, a virus", at(40, ""), at(99, "X"), false},
		{"flagged, refused", at(60, ""), at(90, ""), false},
		{"flagged, lost", at(60, ""), at(40, ""), true},
		{"a virus, lost", at(10, "X"), at(10, ""), true},
		{"a virus, spam", at(10, "X"), at(70, ""), false},
	} {
		list, was, is := make([]tried, 100), make([]standing, 100), make([]standing, 100)
		for i := range list {
			list[i] = tried{name: fmt.Sprint(i)}
			was[i], is[i] = at(2, ""), at(2, "")
			if i < 30 {
				was[i], is[i] = test.was, test.is
			}
		}
		if err := weighRecent(list, was, is, 2); (err != nil) != test.counts {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	tests := testMessages()
	if err := weighTests(tests, []standing{at(99, "EICAR"), at(99, "")}, []standing{at(99, ""), at(99, "")}); err == nil || !strings.Contains(err.Error(), "EICAR") {
		t.Errorf("EICAR is no virus any more: %v", err)
	}
}

// TestTestMessages: both are found by what is inside the program.
func TestTestMessages(t *testing.T) {
	e, err := newEngine(defaults(t))
	if err != nil {
		t.Fatal(err)
	}
	list := testMessages()
	if v := e.Judge(t.Context(), list[0].mail()); v.Virus == "" {
		t.Errorf("%s: %+v", list[0], v)
	}
	if v := e.Judge(t.Context(), list[1].mail()); v.Virus != "" || v.Score < 99 {
		t.Errorf("%s: %+v", list[1], v)
	}
}

// TestFaultOfThisPlace: a good bundle that does not go together with what is here
// is not refused for good: it is tried again.
func TestFaultOfThisPlace(t *testing.T) {
	good := bundleTree(t, true, map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "3", "(?i)xylophonic wombat", "a xylophonic wombat")})
	again := func(c *Config, want string) {
		t.Helper()
		err := (&rehearsal{config: func() *Config { return c }}).try(t.Context(), good)
		if !errors.Is(err, update.ErrAgain) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q, and to be tried again", err, want)
		}
	}
	c := defaults(t)
	before := c.circumstances()
	c.RuleFiles = []string{write(t, "site.toml", wordRule("CHANNEL_A", "1", "koala", "a koala"))}
	again(c, "CHANNEL_A")
	if c.circumstances() == before {
		t.Error("another rule file does not change the circumstances")
	}
	// What is found against it with the site's rules, and not without them.
	alone, err := (&rehearsal{}).compileAlone(good)
	if err != nil {
		t.Fatal(err)
	}
	defer alone.known.Close()
	mail, err := bundledMail()
	if err != nil {
		t.Fatal(err)
	}
	var fault bundleFault
	if err := alone.blame(t.Context(), mail, errors.New("found")); errors.As(err, &fault) || !strings.Contains(err.Error(), "with what else this site has: found") {
		t.Errorf("%v; want it to be the site's rules", err)
	}
	before = c.circumstances()
	c.UpdateShare++
	if c.circumstances() == before {
		t.Error("another share does not change the circumstances")
	}
	// No more files can be opened.
	c = defaults(t)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := old
	few.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	again(c, "too many open files")
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files were open", len(open))
}

// TestUntriedIsNotPublished: signatures that the publishing program cannot compile
// are not published; hashes need no compiler.
func TestUntriedIsNotPublished(t *testing.T) {
	for name, refused := range map[string]bool{"a.yar": true, "a.YARA": true, "deep/a.ndb": true, "a.ldb": true, "a.hdb": false} {
		dir := filepath.Join(bundleTree(t, false, map[string]string{"signatures/" + name: "x"}), "signatures")
		if err := untried([]string{dir}, errors.New("no cgo")); (err != nil) != refused {
			t.Errorf("%s: %v", name, err)
		}
		if err := untried([]string{dir}, nil); err != nil {
			t.Errorf("%s, with YARA: %v", name, err)
		}
	}
	if yara.Available() == nil {
		return
	}
	dir := bundleTree(t, false, map[string]string{"signatures/a.yar": "rule x { condition: false }"})
	c := defaults(t)
	for _, publishing := range []bool{false, true} {
		err := (&rehearsal{config: func() *Config { return c }, publishing: publishing}).try(t.Context(), dir)
		if (err != nil) != publishing {
			t.Errorf("publishing %t: %v", publishing, err)
		}
	}
}

func mailOf(text string) *engine.Mail {
	raw := strings.ReplaceAll(text, "\n", "\r\n")
	return &engine.Mail{Envelope: engine.Envelope{Known: true, From: "ann@example.org"}, Message: message.Parse([]byte(raw), message.Limits{})}
}

// TestRecentIsBounded: however much mail comes, the sample keeps its bounds, and
// holds newer mail too.
func TestRecentIsBounded(t *testing.T) {
	var r recent
	add := func(subject string, size int) {
		r.add(mailOf("Subject: " + subject + "\n\n" + strings.Repeat("x", size)))
		total := 0
		for _, m := range r.mail {
			total += len(m.raw)
		}
		if len(r.mail) > recentCount || total > recentBytes || total != r.bytes {
			t.Fatalf("%d messages of %d bytes, counted as %d", len(r.mail), total, r.bytes)
		}
	}
	for range 1000 {
		add("large", recentEach-100)
	}
	if n := len(r.mail); n < 100 || n > 130 {
		t.Errorf("%d messages of 64 KiB are kept", n)
	}
	for range 10000 {
		add("new", 10)
	}
	fresh := 0
	for _, m := range r.all() {
		if strings.Contains(string(m.raw), "new") {
			fresh++
		}
	}
	if fresh < 150 {
		t.Errorf("%d of %d messages are new", fresh, len(r.mail))
	}
	before := len(r.mail)
	r.mail = r.mail[:before-1]
	r.add(mailOf("Subject: huge\n\n" + strings.Repeat("x", recentEach)))
	if len(r.mail) != before-1 {
		t.Error("a message of more than 64 KiB is kept")
	}
}

// TestBundleOfAnotherProgram: a bundle that was good when it was adopted and does
// not compile any more is left aside, all of it, with a warning; mail is judged by
// what is inside the program.
func TestBundleOfAnotherProgram(t *testing.T) {
	c := defaults(t)
	good := bundleTree(t, true, map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "3", "xyz", "xyz")})
	bad := bundleTree(t, true, map[string]string{"rules/zz.toml": wordRule("BAYES_TEXT", "3", "xyz", "xyz")})
	plan := func(dir string) string {
		t.Helper()
		next := *c
		next.adopted = &adopted{dir: dir}
		e, err := newEngine(&next)
		if err != nil {
			t.Fatal(err)
		}
		if dir == bad && (len(next.Warnings) != 1 || !strings.Contains(next.Warnings[0], "BAYES_TEXT")) {
			t.Errorf("warnings %q", next.Warnings)
		}
		return e.Plan().ID()
	}
	if inside := plan(""); plan(bad) != inside || plan(good) == inside {
		t.Errorf("plans: inside %s, with a good bundle %s, with a bad one %s", inside, plan(good), plan(bad))
	}
	if err := (&rehearsal{config: func() *Config { return c }}).try(t.Context(), bad); err == nil {
		t.Error("the trial let what is inside stand in for the bundle")
	}
}

// TestFromBundle: what a bundle leaves out stays as it is inside the program.
func TestFromBundle(t *testing.T) {
	own, err := builtin.Rules()
	if err != nil {
		t.Fatal(err)
	}
	points := func(files map[string]string) map[string]float64 {
		t.Helper()
		list, err := builtin.From(os.DirFS(bundleTree(t, false, files)))
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]float64{}
		for _, r := range list {
			m[r.Symbol] = r.Points
		}
		return m
	}
	fitted, err := builtin.Prices()
	if err != nil {
		t.Fatal(err)
	}
	written, err := builtin.AsWritten()
	if err != nil {
		t.Fatal(err)
	}
	symbol := "" // one whose price is not that of its file
	for _, r := range written {
		if price, ok := fitted.Points[r.Symbol]; ok && price != r.Points && price != 3 {
			symbol = r.Symbol
		}
	}
	price := fitted.Points[symbol]
	if got := points(map[string]string{"model.bin": "x"}); len(got) != len(own) || got[symbol] != price {
		t.Errorf("without rules: %d rules, %s %v, not %v", len(got), symbol, got[symbol], price)
	}
	if got := points(map[string]string{"rules/prices.toml": "[points]\n" + symbol + " = 0.25\n"}); got[symbol] != 0.25 || len(got) != len(own) {
		t.Errorf("prices alone: %d rules, %s %v", len(got), symbol, got[symbol])
	}
	rule := map[string]string{"rules/a.toml": wordRule(symbol, "3", "x", "x")}
	if got := points(rule); len(got) != 1 || got[symbol] != price {
		t.Errorf("a rule alone: %v; the price inside the program is %v", got, price)
	}
	rule["rules/prices.toml"] = "[points]\n"
	if got := points(rule); len(got) != 1 || got[symbol] != 3 {
		t.Errorf("rule and prices: %v", got)
	}
}

// A webRoot serves a directory by HTTPS.
type webRoot struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
	root  string // file with the certificate
}

func serveDir(t *testing.T, dir string) *webRoot {
	t.Helper()
	w := &webRoot{}
	files := http.FileServer(http.Dir(dir))
	w.Server = httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked = append(w.asked, r.URL.Path)
		w.mu.Unlock()
		files.ServeHTTP(out, r)
	}))
	t.Cleanup(w.Close)
	w.root = write(t, "root.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Certificate().Raw})))
	return w
}

// waitLong is waitFor for what compiles rules and judges hundreds of messages.
func waitLong(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// TestRulesFromTheChannel goes the whole way with the program itself: a key is
// made, rules are published and served by HTTPS; a running gateway adopts them and
// scores by them; a bundle that harms the mail that it judged lately is refused;
// rolled back, the score is what it was, and stays so over a restart.
func TestRulesFromTheChannel(t *testing.T) {
	work, state, www := t.TempDir(), t.TempDir(), t.TempDir()
	key := filepath.Join(work, "rules")
	mustRun := func(args ...string) string {
		t.Helper()
		out, errs, code := cli(t, "", args...)
		if code != 0 {
			t.Fatalf("%v: %d, %s%s", args, code, out, errs)
		}
		return out
	}
	mustRun("rules", "key", key, "--no-password")
	if info, err := os.Stat(key + ".key"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret key: %v, %v", info.Mode(), err)
	}
	if _, _, code := cli(t, "", "rules", "key", key, "--no-password"); code != exitUsage {
		t.Error("a key was overwritten")
	}
	publish := func(version int, dir string) (string, int) {
		out, errs, code := cli(t, "", "--state", filepath.Join(work, "publisher"), "rules", "publish", dir, "--key", key+".key", "--to", www, "--version", strconv.Itoa(version), "--about", "for wombats")
		return out + errs, code
	}
	wombats := bundleTree(t, true, map[string]string{"rules/zz.toml": wordRule("CHANNEL_WOMBAT", "9", "(?i)xylophonic wombat", "a xylophonic wombat")})
	if out, code := publish(1, wombats); code != 0 || !strings.Contains(out, "CHANNEL_WOMBAT +9.00") {
		t.Fatalf("%d, %s", code, out)
	}
	if out, code := publish(2, bundleTree(t, true, map[string]string{"rules/zz.toml": wordRule("CHANNEL_A", "9", "(?i)the", "the")})); code == 0 || !strings.Contains(out, "good messages") {
		t.Errorf("a harmful bundle is published: %d, %s", code, out)
	}
	web := serveDir(t, www)
	t.Setenv("SSL_CERT_FILE", web.root)
	config := write(t, "spamcatcher.toml", "listen = [\"127.0.0.1:0\"]\nruleupdate = 3600\nnetcheck = false\n[update]\nurl = \""+web.URL+"\"\nkey = [\""+key+".pub\"]\n"+toStderr)
	p := start(t, state, "", "--config", config)
	n := 0
	wombat := plainMessage(77, "The xylophonic wombat will come to the meeting.")
	score := func(text string) float64 {
		t.Helper()
		if err := send(p.address, "ann@example.org", []string{"tom@example.net"}, text); err != nil {
			t.Fatal(err)
		}
		n++
		waitFor(t, "a message in the Maildir", func() bool { return len(delivered(t, state)) == n })
		files, _ := filepath.Glob(filepath.Join(state, "maildir", "new", "*"))
		newest, at := "", time.Time{}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && info.ModTime().After(at) {
				newest, at = f, info.ModTime()
			}
		}
		raw, _ := os.ReadFile(newest)
		m := message.Parse(raw, message.Limits{})
		s, err := strconv.ParseFloat(m.Header().Get("X-SpamCatcher-Score"), 64)
		if err != nil {
			t.Fatalf("no score: %v in %.500s", err, raw)
		}
		return s
	}
	waitLong(t, "the adoption", func() bool { return strings.Contains(p.log(), "newer rules are adopted") })
	waitLong(t, "the reload", func() bool { return strings.Contains(p.log(), "msg=reloaded") })
	high := score(wombat)
	if high < 50 {
		t.Errorf("the rule of the channel does not count: %v", high)
	}
	args := []string{"--state", state, "--config", config, "rules"}
	if out := mustRun(append(args, "status")...); !strings.Contains(out, "in force     version 1") || !strings.Contains(out, "for wombats") {
		t.Errorf("status:\n%s", out)
	}
	if out := mustRun(append(args, "list")...); !strings.Contains(out, "CHANNEL_WOMBAT") {
		t.Error("rules list does not show the rule of the channel")
	}
	if out := mustRun(append(args, "update")...); !strings.Contains(out, "nothing newer") {
		t.Errorf("update: %s", out)
	}

	// The gateway refuses what harms the mail that it judged lately; the bundled
	// good mail knows nothing of it.
	for i := range leastRecent {
		score(plainMessage(i, "The gentle marmoset will come to the meeting."))
	}
	marmosets := bundleTree(t, true, map[string]string{"rules/zz.toml": wordRule("CHANNEL_MARMOSET", "9", "(?i)gentle marmoset", "a gentle marmoset")})
	if out, code := publish(3, marmosets); code != 0 {
		t.Fatal(out)
	}
	out, errs, code := cli(t, "", append(args, "update")...)
	if code == 0 || !strings.Contains(errs, "recent messages") || !strings.Contains(errs, "@example.org>") {
		t.Errorf("a harmful bundle: %d, %s%s", code, out, errs)
	}
	if out := mustRun(append(args, "status")...); !strings.Contains(out, "in force     version 1") || !strings.Contains(out, "refused      version 3") {
		t.Errorf("status:\n%s", out)
	}

	// Rolled back, and again after a restart.
	if out := mustRun(append(args, "rollback")...); !strings.Contains(out, "inside the program") {
		t.Errorf("rollback: %s", out)
	}
	waitLong(t, "the score that was", func() bool { return score(wombat) < 20 })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	p = start(t, state, "", "--config", config)
	if got := score(wombat); got >= 20 {
		t.Errorf("after a restart the score is %v", got)
	}
	// A newer version with the same rules comes into force by command.
	if out, code := publish(4, wombats); code != 0 {
		t.Fatal(out)
	}
	if out := mustRun(append(args, "update", "--check")...); !strings.Contains(out, "version 4") || !strings.Contains(out, "would be adopted") {
		t.Errorf("update --check: %s", out)
	}
	if out := mustRun(append(args, "status")...); !strings.Contains(out, "in force     what is inside the program") {
		t.Errorf("--check adopted something:\n%s", out)
	}
	if out := mustRun(append(args, "update")...); !strings.Contains(out, "version 4") || !strings.Contains(out, "is adopted") {
		t.Errorf("update: %s", out)
	}
	waitLong(t, "the new score", func() bool { return score(wombat) == high })
	p.kill()
	// Without a gateway, a command judges by it, too, and a key that is not
	// configured believes nothing.
	file := write(t, "message.eml", strings.ReplaceAll(wombat, "\n", "\r\n"))
	if out := mustRun("--state", state, "--config", config, "score", file); !strings.Contains(out, "CHANNEL_WOMBAT") {
		t.Errorf("score: %s", out)
	}
	if out := mustRun("--state", state, "score", file); strings.Contains(out, "CHANNEL_WOMBAT") {
		t.Errorf("score without a key: %s", out)
	}
}
