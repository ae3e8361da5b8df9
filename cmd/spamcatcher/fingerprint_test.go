package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// mailing is a spam with a text long enough for every fingerprint of a text.
const mailing = `From: Billing <billing@freemail.example>
To: someone@example.net
Subject: Renewal tonight
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Dear Charlotte Ambrose,

the membership that you never asked for will be renewed tonight, and the yearly
amount of 399.99 dollars is taken from the account that we have on file. To cancel
the renewal call our billing department within the next hours and keep your card at
hand; after midnight no refund can be granted by anybody, as the terms say.

https://renewal.shop.example/members/cancel/form.php?case=8812

Your billing department
`

// A fingerprintServer is the program, answering.
type fingerprintServer struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string
	log     chan string
}

func serveFP(t *testing.T, state, keys string, args ...string) *fingerprintServer {
	t.Helper()
	s := &fingerprintServer{t: t, log: make(chan string, 1000)}
	s.cmd = exec.Command(binary, append([]string{"fingerprint", "serve", "--state", state, "--zone", "fp.example", "--keys", keys, "--listen", "127.0.0.1:0"}, args...)...)
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })
	go func() {
		defer close(s.log)
		for lines := bufio.NewScanner(pipe); lines.Scan(); {
			s.log <- lines.Text()
		}
	}()
	s.address = s.await(`msg=answering address=(\S+)`)
	return s
}

// await waits for a line of the log and returns what the pattern holds.
func (s *fingerprintServer) await(pattern string) string {
	s.t.Helper()
	re, late := regexp.MustCompile(pattern), time.After(20*time.Second)
	for {
		select {
		case line, ok := <-s.log:
			if m := re.FindStringSubmatch(line); m != nil {
				return m[len(m)-1]
			}
			if !ok {
				s.t.Fatalf("the server ended without %s", pattern)
			}
		case <-late:
			s.t.Fatalf("the log has no %s", pattern)
		}
	}
}

// asked is what a name gives, "" for nothing.
func (s *fingerprintServer) asked(name string) string {
	s.t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeA)
	r, _, err := new(dns.Client).Exchange(m, s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	if len(r.Answer) == 0 {
		return ""
	}
	return r.Answer[0].(*dns.A).A.String()
}

// fingerprintNames are the names that a message is asked about by, by kind.
func fingerprintNames(t *testing.T, text string) map[string]string {
	t.Helper()
	var shown struct {
		Fingerprints []struct{ Kind, Name string }
	}
	if err := json.Unmarshal([]byte(ran(t, 0, text, "fingerprint", "show", "--json", "--zone", "fp.example", "-")), &shown); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, p := range shown.Fingerprints {
		names[p.Kind] = p.Name
	}
	return names
}

// TestFingerprintNetwork: two sites report a mailing, a third asks about
// another copy of it; the server is killed in between.
func TestFingerprintNetwork(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	anna := ran(t, 0, "", "fingerprint", "key", "anna.example")
	bert := ran(t, 0, "", "fingerprint", "key", "bert.example")
	boss := ran(t, 0, "", "fingerprint", "key", "--operator", "boss.example")
	annaKey, bertKey, bossKey := file("anna.key", anna), file("bert.key", bert), file("boss.key", boss)
	keys := file("all.keys", "# who may report\n"+anna+bert+boss)
	s := serveFP(t, state, keys)
	to := []string{"--server", s.address, "--zone", "fp.example"}

	copied := strings.NewReplacer("Charlotte Ambrose", "Desmond Featherstone", "399.99", "249.50", "someone@", "other@", "8812", "1734").Replace(mailing)
	names, copies := fingerprintNames(t, mailing), fingerprintNames(t, copied)
	if len(names) != 4 || names["fuzzy"] == copies["fuzzy"] || names["text"] == copies["text"] || names["links"] != copies["links"] {
		t.Errorf("fingerprints %v and %v", names, copies)
	}
	report := func(code int, key string, flags ...string) string {
		return ran(t, code, mailing, append(append([]string{"fingerprint"}, flags...), append(append([]string{}, to...), "--key", key, "-")...)...)
	}
	wantText(t, "anna's report", report(0, annaKey, "report", "--spam"), "said spam of 4 fingerprints of 1 messages")
	for kind, name := range names {
		if got := s.asked(name); got != "" {
			t.Errorf("%s is listed on one reporter's word: %s", kind, got)
		}
	}
	s.cmd.Process.Signal(syscall.SIGKILL)
	s.cmd.Wait()
	s = serveFP(t, state, keys)
	to[1] = s.address
	report(0, bertKey, "report", "--spam")
	for kind, name := range names {
		if got := s.asked(name); !strings.HasPrefix(got, "127.0.1.") {
			t.Errorf("%s was reported by two, one of them before a kill: %q", kind, got)
		}
	}
	if got := s.asked(copies["fuzzy"]); !strings.HasPrefix(got, "127.0.1.") {
		t.Errorf("another copy of the mailing: %q", got)
	}
	if got := s.asked(fingerprintNames(t, goodMessage)["text"]); got != "" {
		t.Errorf("a message that nobody reported: %q", got)
	}

	// A reporter cannot delist, the operator can, by message and by name.
	if _, stderr, code := cli(t, mailing, append([]string{"fingerprint", "delist", "--key", annaKey, "-"}, to...)...); code != 1 || !strings.Contains(stderr, "refused") {
		t.Errorf("a reporter delists: %d, %s", code, stderr)
	}
	ran(t, 0, "", append([]string{"fingerprint", "delist", "--key", bossKey, "--name", names["links"]}, to...)...)
	if s.asked(names["links"]) != "" || s.asked(names["text"]) == "" {
		t.Error("delisting by name took off something else")
	}
	report(0, bossKey, "delist")
	for kind, name := range names {
		if got := s.asked(name); got != "" {
			t.Errorf("%s is still listed: %s", kind, got)
		}
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.await("msg=ended queries=[0-9]+ listed=[0-9]+ reports=[0-9]+")
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
}

// TestFingerprintScore: who asks the network scores another copy of a mailing
// higher once two have reported it, and no other mail.
func TestFingerprintScore(t *testing.T) {
	dir := t.TempDir()
	keys := map[string]string{}
	all := ""
	for _, name := range []string{"anna", "bert"} {
		line := ran(t, 0, "", "fingerprint", "key", name+".example")
		keys[name] = filepath.Join(dir, name)
		if err := os.WriteFile(keys[name], []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		all += line
	}
	keyFile := filepath.Join(dir, "all")
	if err := os.WriteFile(keyFile, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveFP(t, t.TempDir(), keyFile)
	config := func(extra string) string {
		return write(t, "spamcatcher.toml", extra+fmt.Sprintf("[dns]\nservers = [%q]\n[fingerprint]\nzone = \"fp.example\"\n[lists]\nbuiltin = false\n", s.address))
	}
	judge := func(config, text string) (score float64, symbols string) {
		t.Helper()
		var v struct {
			Score   float64
			Symbols []struct{ Name string }
		}
		if err := json.Unmarshal([]byte(ran(t, 0, text, "score", "--network", "--json", "--state", dir, "--config", config, "-")), &v); err != nil {
			t.Fatal(err)
		}
		for _, s := range v.Symbols {
			symbols += s.Name + " "
		}
		return v.Score, symbols
	}
	copied := strings.NewReplacer("Charlotte Ambrose", "Desmond Featherstone", "399.99", "249.50", "someone@", "other@", "renewal.shop.example", "mail.garden.example").Replace(mailing)
	on := config("")
	before, symbols := judge(on, copied)
	if strings.Contains(symbols, "FINGERPRINT_") {
		t.Errorf("nobody has reported it: %s", symbols)
	}
	for _, key := range keys {
		ran(t, 0, mailing, "fingerprint", "report", "--spam", "--server", s.address, "--zone", "fp.example", "--key", key, "-")
	}
	after, symbols := judge(on, copied)
	if !strings.Contains(symbols, "FINGERPRINT_FUZZY") || after <= before {
		t.Errorf("score %.1f, then %.1f with %s", before, after, symbols)
	}
	if _, symbols := judge(on, goodMessage); strings.Contains(symbols, "FINGERPRINT_") {
		t.Errorf("other mail has %s", symbols)
	}
	wantText(t, "dns test", ran(t, 1, "", "dns", "test", "--state", dir, "--config", on), "fingerprints fp.example")
}

// TestFingerprintNetcheck: the gateway asks about the mail that comes, and with
// "netcheck = no" nobody is asked.
func TestFingerprintNetcheck(t *testing.T) {
	for netcheck, asked := range map[bool]string{true: "4", false: "0"} {
		s := serveFP(t, t.TempDir(), "/dev/null")
		p := start(t, t.TempDir(), fmt.Sprintf("netcheck = %t\n[dns]\nservers = [%q]\n[fingerprint]\nzone = \"fp.example\"\n[lists]\nbuiltin = false\n", netcheck, s.address))
		if err := send(p.address, "billing@freemail.example", []string{"someone@example.net"}, mailing); err != nil {
			t.Errorf("netcheck %t: %v", netcheck, err)
		}
		p.kill()
		s.cmd.Process.Signal(syscall.SIGTERM)
		if got := s.await("msg=ended queries=([0-9]+) "); got != asked {
			t.Errorf("netcheck %t: %s queries for fingerprints, want %s", netcheck, got, asked)
		}
	}
}

// TestFingerprintUsage: what the caller can mend is said, with exit code 2.
func TestFingerprintUsage(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(ran(t, 0, "", "fingerprint", "key", "a.example")+ran(t, 0, "", "fingerprint", "key", "b.example")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"one of --spam", []string{"report", "--server", "127.0.0.1:9", "--key", key, "-"}},
		{"one of --spam", []string{"report", "--spam", "--ham", "--server", "127.0.0.1:9", "--key", key, "-"}},
		{"--server is needed", []string{"report", "--spam", "-"}},
		{"--key is needed", []string{"report", "--spam", "--server", "127.0.0.1:9", "-"}},
		{"2 keys", []string{"report", "--spam", "--server", "127.0.0.1:9", "--key", key, "-"}},
		{"messages or --name", []string{"delist"}},
		{"name must be one like a host's", []string{"key", "not a name"}},
		{"--zone is needed", []string{"serve"}},
		{"no such file", []string{"serve", "--zone", "fp.example", "--keys", "/nonexistent"}},
		{"no such file", []string{"show", "/nonexistent"}},
	} {
		if _, stderr, code := cli(t, mailing, append([]string{"fingerprint"}, c.args...)...); code != 2 || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, %s; want 2 and %q", c.args, code, stderr, c.want)
		}
	}
	if out := ran(t, 0, "Subject: x\n\nToo short.\n", "fingerprint", "show", "-"); !strings.Contains(out, "0 fingerprints") {
		t.Errorf("a short message: %s", out)
	}
	text := ran(t, 0, mailing, "fingerprint", "show", "--zone", "fp.example", "-")
	wantText(t, "show", text, "4 fingerprints", "renewal.shop.example/members/cancel/form.php?case", ".f1.fp.example", ".t1.fp.example")
	if strings.Contains(text, "membership") {
		t.Errorf("the text is shown: %s", text)
	}
}
