package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What a hurried administrator does to a running gateway, and what happens
// around it.

// TestUnknownCommands: a mistyped command is an error, not a page of help
// with exit code 0, which a script would take for success.
func TestUnknownCommands(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"scor"}, `unknown command "scor"; did you mean score?`},
		{[]string{"queue", "relase", "x"}, `unknown command "relase"; did you mean release?`},
		{[]string{"config", "chek"}, `unknown command "chek"; did you mean check?`},
		{[]string{"score", "-j", "100000000", "x"}, "-j 100000000 is not between 1 and"},
	} {
		out, errs, code := cli(t, "", c.args...)
		if code != exitUsage || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 1 || out != "" {
			t.Errorf("%v: code %d, %q, %q", c.args, code, out, errs)
		}
	}
	if out, errs, code := cli(t, "", "queue"); code != 0 || errs != "" || !strings.Contains(out, "release") {
		t.Errorf("queue alone: code %d, %q, %q", code, out, errs)
	}
}

// TestErrorsHaveNoEscapes: what comes from files reaches a terminal as text.
func TestErrorsHaveNoEscapes(t *testing.T) {
	for name, text := range map[string]string{
		"a.toml": `"a\u001b[31m" = 4`,
		"a.conf": "\x1b[31mred = 4\n",
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, _ := cli(t, "", "config", "check", "--config", file)
		if both := out + errs; strings.Contains(both, "\x1b") || !strings.Contains(both, "[31m") {
			t.Errorf("%s: %q", name, both)
		}
	}
}

// TestCheckNamesFileLineAndKey: also what is found wrong outside the file.
func TestCheckNamesFileLineAndKey(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.toml")
	for text, want := range map[string]string{
		"\nrules = [\"/nonexistent/*.toml\"]":                             "a.toml:2: rules: ",
		"\nrules = [\"[\"]":                                               "a.toml:2: rules: ",
		"\nrules = [\"" + dir + "\"]":                                     "a.toml:2: rules: ",
		"\n\n[tls]\ncertificate = \"/nonexistent\"\nkey=\"/nonexistent\"": "a.toml:4: tls.certificate: ",
		"[log]\nsyslog = \"/nonexistent\"":                                "a.toml:2: log.syslog: ",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := cli(t, "", "config", "check", "--config", file); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: code %d, %q does not contain %q", text, code, errs, want)
		}
	}
}

// TestReloadKeepsMailOnItsWay: a configuration that is empty for a moment, or
// a sender list that is gone for one, changes nothing.
func TestReloadKeepsMailOnItsWay(t *testing.T) {
	dir := t.TempDir()
	file, blocked := filepath.Join(dir, "a.toml"), filepath.Join(dir, "blocked")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := "listen = [\"127.0.0.1:0\"]\noutgoing_smtp = [\"192.0.2.1\"]\nrelay_domains = [\"example.net\"]\nspam_reject = 99\nblockedsenders = \"" + blocked + "\"\n"
	write(blocked, "example.org\n")
	write(file, good)
	p := start(t, t.TempDir(), "", "--config", file)
	refusals := func() int { return strings.Count(p.log(), "the old one stays") }
	for name, text := range map[string]string{
		"empty":            "",
		"no server":        strings.Replace(good, "outgoing_smtp", "# outgoing_smtp", 1),
		"no relay domains": strings.Replace(good, "relay_domains", "# relay_domains", 1),
	} {
		before := refusals()
		write(file, text)
		p.cmd.Process.Signal(syscall.SIGHUP)
		waitFor(t, name+": the refusal", func() bool { return refusals() > before })
	}
	before := refusals()
	write(file, good)
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
	waitFor(t, "the refusal of the lost list", func() bool { return refusals() > before && strings.Contains(p.log(), blocked+" can no longer be read") })
	if err := send(p.address, "a@example.org", []string{"b@example.net"}, goodMessage); err == nil {
		t.Error("a blocked sender passes while the list is gone")
	}
	write(blocked, "example.com\n")
	waitFor(t, "the new list", func() bool {
		return send(p.address, "a@example.org", []string{"b@example.net"}, goodMessage) == nil
	})
}

// TestRubbishList: a list file that is none does not fill the log.
func TestRubbishList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(file, []byte(strings.Repeat("no entry at all\n", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, t.TempDir(), "approvedsenders = \""+file+"\"\n")
	if n := strings.Count(p.log(), "sender list"); n != maxListWarnings+1 || !strings.Contains(p.log(), "4980 more bad lines") {
		t.Errorf("%d log lines about 5000 bad lines", n)
	}
}

// TestSecondSignal: a second SIGTERM does not wait for sessions that hang.
func TestSecondSignal(t *testing.T) {
	p := start(t, t.TempDir(), "")
	c := dial(t, p.address)
	c.expect("220")
	for _, line := range []string{"EHLO client.example.org", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>", "DATA"} {
		c.say(line)
		c.expect("")
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	waitFor(t, "the beginning of the shutdown", func() bool { return strings.Contains(p.log(), "shutting down") })
	begin := time.Now()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.waited:
		p.waited <- err
	case <-time.After(10 * time.Second):
		t.Fatal("still running 10 s after the second SIGTERM")
	}
	t.Logf("ended %v after the second SIGTERM", time.Since(begin))
}

// TestBoundedStep: a step of the way down that heeds nothing ends too.
func TestBoundedStep(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	if err := bounded(func(context.Context) error { <-stuck; return nil }, 10*time.Millisecond); err == nil {
		t.Error("no error of a step that never ends")
	}
	want := errors.New("no")
	if err := bounded(func(context.Context) error { return want }, time.Minute); err != want {
		t.Errorf("got %v, want the step's own error", err)
	}
}

// TestDeepState: a state directory whose control socket has a path too long
// for a Unix socket's address.
func TestDeepState(t *testing.T) {
	state := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	p := start(t, state, "")
	if err := send(p.address, "a@example.org", []string{"b@example.net"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := cli(t, "", "queue", "list", "--state", state); code != 0 || !strings.Contains(out, "in the queue") {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
}

// TestQueueOfAnother: who may not talk to the gateway is told so.
func TestQueueOfAnother(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can become another user; a queue of somebody else was not tested")
	}
	p := start(t, t.TempDir(), "")
	for _, dir := range []string{filepath.Dir(binary), filepath.Dir(p.state)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "queue", "list", "--state", p.state)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "belongs to another user") {
		t.Errorf("%v, %q", err, out)
	}
}

// TestFilesFromPipe: the names in a pipe are there only once, and every one
// is scored.
func TestFilesFromPipe(t *testing.T) {
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "a.eml"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(file, []byte(goodMessage), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if !twice("") || !twice(file) || twice("-") || twice(pipe) || twice(dir) {
		t.Error("the progress bar would read names that nobody can read again")
	}
	go os.WriteFile(pipe, []byte(strings.Repeat(file+"\n", 30)), 0o600)
	out, errs, code := cli(t, "", "score", "--files-from", pipe)
	if code != 0 || strings.Count(out, "\n") != 30 {
		t.Errorf("code %d, %d lines, %q", code, strings.Count(out, "\n"), errs)
	}
}

// TestClassicServers: one bad server in the classic form leaves the others,
// because without any, mail goes into the Maildir; which is always said.
func TestClassicServers(t *testing.T) {
	for text, want := range map[string]struct{ servers, warning string }{
		"outgoing_smtp=a.example.net, b c, d.example.net:26": {"a.example.net d.example.net:26", "only the other servers are used"},
		"outgoing_smtp=a b":   {"", "mail goes into the Maildir"},
		"outgoing_smtp=":      {"", "mail goes into the Maildir"},
		"outgoing_smtp= , , ": {"", "mail goes into the Maildir"},
		"spam_flag=3":         {"", "mail goes into the Maildir"},
	} {
		c, err := load(t, ".conf", text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.Outgoing, " "); got != want.servers || !strings.Contains(strings.Join(c.Warnings, "\n"), want.warning) {
			t.Errorf("%q: servers %q, warnings %q", text, got, c.Warnings)
		}
	}
}

// TestBadCertificateIsToldOnce: not at every handshake.
func TestBadCertificateIsToldOnce(t *testing.T) {
	certificate, key, err := selfSigned(t.TempDir(), "one.example.net")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	pair, err := openKeyPair(certificate, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"rubbish", string(good), "rubbish"} {
		if err := os.WriteFile(certificate, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		stamp := time.Now().Add(time.Duration(i+1) * time.Minute)
		if err := os.Chtimes(certificate, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			pair.checked = time.Time{} // a second passes
			if pair.TLS() == nil {
				t.Fatal("no certificate")
			}
		}
	}
	if n := strings.Count(log.String(), "the old one stays"); n != 2 {
		t.Errorf("said %d times, want once for each of 2 bad certificates:\n%s", n, log.String())
	}
}

// TestSIGHUPWhileStarting: whoever reloads right after the start kills
// nothing. The configuration comes through a pipe, so that the signal arrives
// before it is read.
func TestSIGHUPWhileStarting(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "a.toml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "--config", pipe, "--state", t.TempDir())
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	config, err := os.OpenFile(pipe, os.O_WRONLY, 0) // until it is opened for reading
	if err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGHUP)
	time.Sleep(100 * time.Millisecond)
	config.WriteString("listen = [\"127.0.0.1:0\"]\n")
	config.Close()
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if strings.Contains(lines.Text(), "accepting mail") {
			return
		}
	}
	t.Error("the gateway did not start")
}
