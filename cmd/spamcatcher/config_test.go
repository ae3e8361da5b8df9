package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"spamcatcher/rules/native"
)

// load reads a configuration written to a file with the extension.
func load(t *testing.T, ext, text string) (*Config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "spamcatcher"+ext)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadConfig(&global{config: file, state: t.TempDir()}, nil)
}

func TestNativeForm(t *testing.T) {
	c, err := load(t, ".toml", `
hostname = "mx.example.net"
listen = ["127.0.0.1:2525", "[::1]:2525"]
outgoing_smtp = ["mail.example.org", "192.0.2.1:2526"]
spam_reject = 99.5
spam_discard = "25 points"
spamchecktimeout = 1500
netcheck = false
[limits]
message = 100000
[[domain]]
name = "example.org"
spam_flag = 40
[[recipient]]
address = "abuse@example.org"
virus_action = "hold"
`)
	if err != nil {
		t.Fatal(err)
	}
	if c.Hostname != "mx.example.net" || len(c.Listen) != 2 || len(c.Outgoing) != 2 || c.CheckTimeout != 1500*time.Millisecond || c.NetCheck || c.MaxMessage != 100000 {
		t.Errorf("read as %+v", c)
	}
	if got := c.Global.Reject.String() + ", " + c.Global.Discard.String() + ", " + c.Global.Flag.String(); got != "99.5, 25 points, 100" {
		t.Errorf("thresholds %s", got)
	}
	if len(c.ByDomain) != 1 || c.ByDomain[0].Settings.Flag.String() != "40" || len(c.ByAddress) != 1 || c.ByAddress[0].Settings.Virus != "quarantine" {
		t.Errorf("scopes %+v, %+v", c.ByDomain, c.ByAddress)
	}
	if got := c.origins["spam_reject"]; !strings.HasSuffix(got, "spamcatcher.toml:5") {
		t.Errorf("origin of spam_reject is %q", got)
	}
	if got := c.origins["limits.message"]; !strings.HasSuffix(got, ":10") {
		t.Errorf("origin of limits.message is %q", got)
	}
	if c.origins["spam_flag"] != "default" || c.origins["state"] != "command line" {
		t.Errorf("origins %v", c.origins)
	}
}

// TestErrorsNameFileLineAndKey: what is wrong in the native form keeps the
// program from starting, and says where.
func TestErrorsNameFileLineAndKey(t *testing.T) {
	for text, want := range map[string]string{
		"spam_rejct = 5":                                    ":1: spam_rejct: unknown setting; did you mean spam_reject?",
		"\n\nxyzzy = 5":                                     ":3: xyzzy: unknown setting",
		"[limits]\nmesage = 1":                              ":2: limits.mesage: unknown setting; did you mean limits.message?",
		"spam_reject = 101":                                 ":1: spam_reject: threshold 101 is not between 0 and 100",
		"spam_reject = \"many\"":                            ":1: spam_reject: threshold \"many\"",
		"a = 1\nspam_reject = ":                             ":2: ",
		"listen = \"localhost\"":                            ":1: listen: \"localhost\" is no address to listen on",
		"listen = []":                                       ":1: listen: no address",
		"outgoing_smtp = [\"a:99999\"]":                     ":1: outgoing_smtp: server",
		"outgoing_smtp = [1]":                               ":1: outgoing_smtp: 1 is not a text",
		"netcheck = \"maybe\"":                              ":1: netcheck: maybe is neither yes nor no",
		"virus_action = \"eat\"":                            ":1: virus_action: virus action \"eat\"",
		"limits = 5":                                        ":1: limits: is written as a table: [limits]",
		"domain = 5":                                        ":1: domain: is written as a list of tables: [[domain]]",
		"[[domain]]\nspam_flag = 1":                         ":1: name: is missing",
		"[[domain]]\nname = \"a b\"":                        ":2: name: \"a b\" is no host name",
		"[[domain]]\nname = \"a\"\nspam_flg = 1":            ":3: spam_flg: unknown setting; did you mean spam_flag?",
		"[[domain]]\nname=\"a\"\n[[domain]]\nx = 1":         ":4: x: unknown setting",
		"[tls]\ncertificate = \"x\"":                        "certificate and key must both be given",
		"[limits]\nmemory = 2000000":                        "limits.memory",
		"[limits]\nrecipients = 5":                          ":2: limits.recipients: 5 is not between 100 and 100000",
		"spamchecktimeout = \"soon\"":                       ":1: spamchecktimeout: \"soon\" is neither",
		"hostname = \"mx example\"":                         ":1: hostname:",
		"[[domain]]\nname=\"a\"\ndestinations=[\"x:y\"]":    ":3: destinations: server",
		"[[domain]]\nname=\"a\"\netrn_from=[\"192.0.2.1\"]": ":3: etrn_from: has no meaning without destinations",
		"[[domain]]\nname=\"a\"\ndestinations=[\"x\"]\netrn_from=[\"host\"]":                           ":4: etrn_from: \"host\" is no address, no network",
		"[[domain]]\nname=\"a\"\ndestinations=[\"x\"]\ntls_pin=[\"00\"]":                               ":4: tls_pin: \"00\" is no SHA-256 fingerprint",
		"[[domain]]\nname=\"a\"\ndestinations=[\"x\"]\ntls_pin=[\"" + strings.Repeat("00", 32) + "\"]": ":4: tls_pin: pins count with",
		"[[domain]]\nname=\"a\"\nverify=\"callout\"":                                                   ":3: verify: \"callout\" needs destinations",
		"[[domain]]\nname=\"a\"\nverify=\"list\"":                                                      ":3: verify: \"list\" needs recipients",
		"[[domain]]\nname=\"a\"\nqueue=\"a b\"":                                                        ":3: queue: \"a b\" is no name of a queue",
		"[[domain]]\nname=\"a\"\ndestinations=[\"x\"]\nsource=\"host\"":                                ":4: source: \"host\" is no IP address",
		"[policy]\nptr = \"maybe\"":                                                                    ":2: policy.ptr: \"maybe\" is none of off, score, enforce",
		"[policy]\nptr_exempt = [\"host 192.0.2.1\"]":                                                  ":2: policy.ptr_exempt: \"host 192.0.2.1\" does not begin with client, sender or recipient",
		"[policy]\nspf_exempt = [\"client example.org\"]":                                              ":2: policy.spf_exempt: \"example.org\" is no address and no network",
		"[policy]\ntrusted = [\"here\"]":                                                               ":2: policy.trusted: \"here\" is no address and no network",
		"[dns]\nservers = [\"resolver.example\"]":                                                      ":2: dns.servers: \"resolver.example\" is no address of a resolver",
		"[[list]]\nof = [\"clients\"]":                                                                 ":1: zone: is missing",
		"[[list]]\nzone = \"a.example\"\nof = [\"mail\"]":                                              ":3: of: \"mail\" is none of clients",
		"[[list]]\nzone = \"a.example\"\ncodes = [\"127.0.0.2\"]":                                      ":3: codes: \"127.0.0.2\" is not \"ANSWER MEANING [POINTS]\"",
		"[[list]]\nzone = \"a.example\"\npoints = 200":                                                 ":3: points: 200 is not between -20 and 20",
		"[[list]]\nzone = \"a.example\"\npoints = 0":                                                   ":3: points: 0 is no price",
		"[[list]]\nzone = \"a.example\"\ncodes = [\"127.0.0.2 X 0\"]":                                  ":3: codes: \"0\" are no points",
		"[dns]\nservers = [\"[::1]\"]":                                                                 ":2: dns.servers: \"[::1]\" is no address of a resolver",
		"[[list]]\nzone = \"a.example\"\nlabel = \"a b\"":                                              ":3: label: \"a b\" is no name",
		"[[domain]]\nname=\"a\"\ngreylist=\"yes\"":                                                     ":3: greylist: \"yes\" is none of off, score, enforce",
		"[[recipient]]\naddress=\"a@b\"\ndestinations=[\"x\"]":                                         ":3: destinations: unknown setting",
	} {
		_, err := load(t, ".toml", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
		if err != nil && report(io.Discard, err) != exitUsage {
			t.Errorf("%q: exit code %d, want %d", text, report(io.Discard, err), exitUsage)
		}
	}
}

// TestListErrors: what only the whole of a [[list]] tells is refused, too.
func TestListErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[[list]]\nzone = \"a.example\"\ncodes = [\"256.0.0.1 X\"]":                                    "256.0.0.1",
		"[[list]]\nzone = \"a.example\"\nlabel = \"A\"\n[[list]]\nzone = \"b.example\"\nlabel = \"A\"": "LIST_A",
		"[[list]]\nzone = \"a.example\"\nof = [\"clients\", \"links\"]":                                "a.example",
		"[fingerprint]\nzone = \"" + strings.Repeat("a.", 120) + "example\"":                           "fingerprint.zone",
	} {
		c, err := load(t, ".toml", text)
		if err == nil {
			_, _, err = prepare(c, nil, nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) || report(io.Discard, err) != exitUsage {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// TestNetcheckOff: tests that ask DNS are named when netcheck makes them idle.
func TestNetcheckOff(t *testing.T) {
	c, err := load(t, ".toml", "netcheck = false\n[policy]\nptr = \"enforce\"\nspf = \"off\"\ngreylist = \"enforce\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(c.Warnings, "\n"); len(c.Warnings) != 1 || !strings.Contains(all, "policy.ptr: has no effect while netcheck is off") {
		t.Errorf("warnings %q", all)
	}
}

func TestMissingOrStrangeFile(t *testing.T) {
	for _, file := range []string{filepath.Join(t.TempDir(), "absent.toml"), "strange.yaml"} {
		if _, err := loadConfig(&global{config: file}, nil); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error %v", file, err)
		}
	}
}

// TestClassicForm: whatever is wrong takes its default and becomes a warning
// with file and line.
func TestClassicForm(t *testing.T) {
	c, err := load(t, ".conf", `
# a comment
  outgoing_smtp = mail2.isp.com:25,10.1.3.2 , smtp.host.net:10041  # three
netcheck=no
SPAM_REJECT=90
spam_subject=many
spam_flag=101
spamchecktimeout=250
ruleupdate=
nonsense
spam_flg=3
`)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Outgoing, " "); got != "mail2.isp.com:25 10.1.3.2 smtp.host.net:10041" {
		t.Errorf("servers %q", got)
	}
	if c.NetCheck || c.CheckTimeout != 250*time.Millisecond || c.RuleUpdate != time.Hour {
		t.Errorf("read as %+v", c)
	}
	if got := c.Global.Reject.String() + " " + c.Global.Subject.String() + " " + c.Global.Flag.String(); got != "90 100 100" {
		t.Errorf("thresholds %s, want 90 100 100", got)
	}
	all := strings.Join(c.Warnings, "\n")
	for _, want := range []string{":6: spam_subject:", ":7: spam_flag:", ":9: ruleupdate:", ":10: nonsense:", ":11: spam_flg: unknown setting, ignored; did you mean spam_flag?"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning with %q in\n%s", want, all)
		}
	}
	if len(c.Warnings) != 5 {
		t.Errorf("%d warnings, want 5:\n%s", len(c.Warnings), all)
	}
}

func TestCommandLineBeatsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.toml")
	if err := os.WriteFile(file, []byte("listen = [\"127.0.0.1:1\"]\nstate = \"/nowhere\""), 0o600); err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	c, err := loadConfig(&global{config: file, state: state}, overrides{"listen": []string{"127.0.0.1:2"}, "outgoing_smtp": []string{"a.example:25"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen[0] != "127.0.0.1:2" || c.State != state || c.Outgoing[0] != "a.example:25" || c.origins["listen"] != "command line" {
		t.Errorf("read as %+v", c)
	}
}

// TestExamplesLoad: every example configuration is one that works.
func TestExamplesLoad(t *testing.T) {
	files, err := filepath.Glob("../../gateway/examples/*.[ct]o*")
	if err != nil || len(files) < 2 {
		t.Fatalf("examples %v, %v", files, err)
	}
	for _, file := range files {
		c, err := loadConfig(&global{config: file, state: t.TempDir()}, nil)
		if err != nil {
			t.Error(err)
			continue
		}
		if len(c.Warnings) > 0 {
			t.Errorf("%s: %v", file, c.Warnings)
		}
		if _, _, err := prepare(c, nil, nil); err != nil {
			t.Error(err)
		}
	}
}

// TestExamplesAgree: the classic example says what its native twin says.
func TestExamplesAgree(t *testing.T) {
	native, err := loadConfig(&global{config: "../../gateway/examples/proxy.toml"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	classic, err := loadConfig(&global{config: "../../gateway/examples/spamcatcher.conf"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range classicKeys {
		if a, b := settingFor(key).show(native), settingFor(key).show(classic); a != b {
			t.Errorf("%s is %s in the native form, %s in the classic one", key, a, b)
		}
	}
}

func TestPrintedConfigurationLoads(t *testing.T) {
	c, err := load(t, ".toml", "spam_reject = \"25 points\"\nlisten = [\"127.0.0.1:0\"]\n[[domain]]\nname = \"example.org\"\nspam_flag = 40\n[[recipient]]\naddress = \"a@example.org\"\nvirus_action = \"tag\"")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	printConfig(&b, c)
	again, err := load(t, ".toml", b.String())
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	for _, s := range settings {
		if s.key != "state" && s.show(c) != s.show(again) {
			t.Errorf("%s: %s became %s", s.key, s.show(c), s.show(again))
		}
	}
	if again.ByDomain[0].Settings.Flag != c.ByDomain[0].Settings.Flag || again.ByAddress[0].Settings.Virus != "tag" {
		t.Errorf("scopes %+v, %+v", again.ByDomain, again.ByAddress)
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"spam_rejct": "spam_reject", "listn": "listen", "SPAM_FLAG": "spam_flag", "zzzzzz": ""} {
		if got := native.Nearest(word, settingKeys()); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

// TestCheckLooksAtTheState: config check refuses what run would refuse, and
// makes nothing.
func TestCheckLooksAtTheState(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := cli(t, "", "config", "check", "--state", filepath.Join(file, "below")); code != exitUsage || !strings.Contains(errs, "state directory") {
		t.Errorf("below a file: code %d, %s", code, errs)
	}
	fresh := filepath.Join(dir, "a", "b")
	if _, errs, code := cli(t, "", "config", "check", "--state", fresh); code != 0 {
		t.Errorf("a directory that run would make: code %d, %s", code, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("config check made the state directory")
	}
}

// TestREADMECommandsExist: every command that the README names is one.
func TestREADMECommandsExist(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for line := range strings.Lines(string(text)) {
		words, ok := strings.CutPrefix(line, "    spamcatcher ")
		if !ok {
			continue
		}
		words, _, _ = strings.Cut(words, "  ")
		path := strings.Fields(words)
		last := strings.Split(path[len(path)-1], "|")
		for _, word := range last {
			args := append(append([]string{}, path[:len(path)-1]...), word)
			if word == "-" || strings.ToUpper(word) == word {
				args = args[:len(args)-1]
			}
			found++
			root := newCommand()
			root.InitDefaultCompletionCmd()
			c, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 && c.HasSubCommands() || c == root {
				t.Errorf("README names %q: %v, left over %q", args, err, rest)
				continue
			}
			for _, arg := range rest {
				if flag, ok := strings.CutPrefix(arg, "--"); ok && c.Flag(flag) == nil {
					t.Errorf("README names %q: no such flag %s", args, arg)
				}
			}
		}
	}
	if found < 12 {
		t.Errorf("only %d commands found in the README", found)
	}
}
