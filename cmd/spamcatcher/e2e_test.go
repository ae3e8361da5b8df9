package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFirstTry is what a newcomer does: run without configuration, send a
// spam and a good message with swaks, and look at what arrives.
func TestFirstTry(t *testing.T) {
	need(t, "swaks")
	state := t.TempDir()
	p := start(t, state, "")
	for _, message := range []string{spamMessage, goodMessage} {
		file := filepath.Join(t.TempDir(), "message.eml")
		if err := os.WriteFile(file, []byte(message), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("swaks", "--server", p.address, "--from", "sender@example.org", "--to", "user@example.net", "--helo", "client.example.org", "--data", "@"+file, "--tls").CombinedOutput()
		if err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
		if !bytes.Contains(out, []byte("250 2.0.0")) || !bytes.Contains(out, []byte("TLS started")) {
			t.Errorf("swaks did not see what it should:\n%s", out)
		}
	}
	waitFor(t, "both messages in the Maildir", func() bool { return len(delivered(t, state)) == 2 })
	scores := map[string]int{}
	for _, m := range delivered(t, state) {
		score, err := strconv.Atoi(m.Header.Get("X-SpamCatcher-Score"))
		if err != nil {
			t.Errorf("score header: %v", err)
		}
		scores[strings.Fields(m.Header.Get("Subject"))[0]] = score
		if got := m.Header.Get("X-SpamCatcher-IP"); got != "127.0.0.1" {
			t.Errorf("X-SpamCatcher-IP is %q", got)
		}
		if got := m.Header.Get("Received"); !strings.Contains(got, "ESMTPS") || !strings.Contains(got, "client.example.org") {
			t.Errorf("Received is %q", got)
		}
	}
	if scores["URGENT"] <= 90 || scores["Re:"] >= 10 {
		t.Errorf("scores %v: the spam should be above 90, the good message below 10", scores)
	}
	// The log line says why.
	if log := p.log(); !regexp.MustCompile(`score=(100|9\d)[^\n]*symbols="?[A-Z_]+:`).MatchString(log) {
		t.Errorf("no log line with score and symbols:\n%s", log)
	}
	if err := p.stop(); err != nil {
		t.Errorf("ended with %v\n%s", err, p.log())
	}
}

// scoreOf asks the score command for the score of a message.
func scoreOf(t *testing.T, message string) float64 {
	t.Helper()
	out, errs, code := cli(t, strings.ReplaceAll(message, "\n", "\r\n"), "score", "--json", "-")
	if code != 0 {
		t.Fatalf("score: %s", errs)
	}
	m := regexp.MustCompile(`"score":([0-9.e+-]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no score in %s", out)
	}
	s, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestRefused: above spam_reject the client hears 550 with the score and an
// id that the log knows, and nothing is delivered.
func TestRefused(t *testing.T) {
	state := t.TempDir()
	p := start(t, state, "spam_reject = 80\n")
	err := send(p.address, "a@example.org", []string{"b@example.net"}, spamMessage)
	if err == nil {
		t.Fatal("the spam was accepted")
	}
	m := regexp.MustCompile(`^550 "?5\.7\.1 .*\b([0-9a-z]{16,})`).FindStringSubmatch(err.Error())
	if m == nil {
		t.Fatalf("reply %q", err)
	}
	waitFor(t, "the id in the log", func() bool { return strings.Contains(p.log(), m[1]) })
	if err := send(p.address, "a@example.org", []string{"b@example.net"}, goodMessage); err != nil {
		t.Errorf("good message: %v", err)
	}
	waitFor(t, "the good message", func() bool { return len(delivered(t, state)) == 1 })
	if got := delivered(t, state)[0].Header.Get("Message-Id"); !strings.Contains(got, "20261116081244") {
		t.Errorf("delivered %q", got)
	}
}

// TestVirus: the test file is refused by default, however it is wrapped.
func TestVirus(t *testing.T) {
	p := start(t, t.TempDir(), "")
	eicar := `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR` + `-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`
	err := send(p.address, "a@example.org", []string{"b@example.net"}, goodMessage+"\n"+eicar+"\n")
	if err == nil || !strings.HasPrefix(strings.Replace(err.Error(), `"`, "", 1), "550 5.7.1") || !strings.Contains(err.Error(), "EICAR") {
		t.Errorf("reply %v", err)
	}
}

// TestForgedHeadersAndTag: forged fields go, ours are exact, the subject gets
// the tag, the rest of the message arrives byte for byte.
func TestForgedHeadersAndTag(t *testing.T) {
	state := t.TempDir()
	p := start(t, state, "hostname = \"mx.example.net\"\nnetcheck = false\nspam_subject = 50\nspam_flag = 50\nreport = true\n")
	forged := "X-SpamCatcher-Score: 0\nx-spamcatcher-flag : NO\nX-SPAMCATCHER-IP:\n 192.0.2.9\nAuthentication-Results: mx.example.net; spf=pass\nAuthentication-Results: other.example; spf=fail\n"
	if err := send(p.address, "a@example.org", []string{"b@example.net"}, forged+spamMessage); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the message", func() bool { return len(delivered(t, state)) == 1 })
	m := delivered(t, state)[0]
	for name, want := range map[string][]string{
		"X-Spamcatcher-Ip":       {"127.0.0.1"},
		"X-Spamcatcher-Flag":     {"YES"},
		"Authentication-Results": {"mx.example.net; none", "other.example; spf=fail"},
	} {
		if got := m.Header[name]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := m.Header["X-Spamcatcher-Score"]; len(got) != 1 || got[0] == "0" {
		t.Errorf("scores %q", got)
	}
	if got := m.Header.Get("Subject"); !strings.HasPrefix(got, "[spamcatcher] URGENT BUSINESS") {
		t.Errorf("subject %q", got)
	}
	if got := m.Header.Get("X-SpamCatcher-Report"); !strings.Contains(got, "=") && !strings.Contains(got, ":") {
		t.Errorf("report %q", got)
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(spamMessage, "\n\n")
	if string(body) != want {
		t.Errorf("the body was changed:\n%q\n%q", body, want)
	}
}

// TestHoldReleaseDelete: quarantined mail is listed, shown, released and
// deleted by the commands, with and without a running gateway.
func TestHoldReleaseDelete(t *testing.T) {
	state := t.TempDir()
	p := start(t, state, "spam_quarantine = 50\n")
	for range 2 {
		if err := send(p.address, "a@example.org", []string{"b@example.net"}, spamMessage); err != nil {
			t.Fatal(err)
		}
	}
	out, errs, code := cli(t, "", "queue", "list", "--held", "--state", state)
	if code != 0 || !strings.Contains(out, "2 in the queue") {
		t.Fatalf("queue list: %s%s", out, errs)
	}
	ids := regexp.MustCompile(`(?m)^(\S{10,})\s.*held`).FindAllStringSubmatch(out, -1)
	if len(ids) != 2 {
		t.Fatalf("ids %v in\n%s", ids, out)
	}
	if out, _, code := cli(t, "", "queue", "show", ids[0][1], "--state", state); code != 0 || !strings.Contains(out, "<b@example.net>") {
		t.Errorf("queue show: %s", out)
	}
	if out, _, code := cli(t, "", "queue", "show", "--message", ids[0][1], "--state", state); code != 0 || !strings.Contains(out, "Barrister Bernard") {
		t.Errorf("queue show --message: %s", out)
	}
	if _, errs, code := cli(t, "", "queue", "release", ids[0][1], "--state", state); code != 0 {
		t.Errorf("queue release: %s", errs)
	}
	waitFor(t, "the released message", func() bool { return len(delivered(t, state)) == 1 })
	if err := p.stop(); err != nil {
		t.Fatalf("ended with %v\n%s", err, p.log())
	}
	if _, errs, code := cli(t, "", "queue", "delete", ids[1][1], "--state", state); code != 0 {
		t.Errorf("queue delete without a gateway: %s", errs)
	}
	if out, _, _ := cli(t, "", "queue", "list", "--state", state); !strings.Contains(out, "0 in the queue") {
		t.Errorf("after deletion:\n%s", out)
	}
	if _, errs, code := cli(t, "", "queue", "show", ids[1][1], "--state", state); code != 1 || !strings.Contains(errs, ids[1][1]) {
		t.Errorf("showing what is gone: code %d, %s", code, errs)
	}
}

// TestReload: SIGHUP and changed files take effect without a restart, a bad
// configuration is refused and the old one stays.
func TestReload(t *testing.T) {
	state, dir := t.TempDir(), t.TempDir()
	file, blocked := filepath.Join(dir, "a.toml"), filepath.Join(dir, "blocked")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := "listen = [\"127.0.0.1:0\"]\nblockedsenders = \"" + blocked + "\"\n"
	write(blocked, "# nobody\n")
	write(file, config+"spam_reject = 100\n"+toStderr)
	p := start(t, state, "", "--config", file)
	if err := send(p.address, "a@example.org", []string{"b@example.net"}, spamMessage); err != nil {
		t.Fatal(err)
	}
	write(file, config+"spam_reject = 80\n"+toStderr)
	p.cmd.Process.Signal(syscall.SIGHUP)
	waitFor(t, "the new threshold", func() bool {
		return send(p.address, "a@example.org", []string{"b@example.net"}, spamMessage) != nil
	})
	if err := send(p.address, "a@example.org", []string{"b@example.net"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	write(blocked, "example.org\n")
	waitFor(t, "the new blocked sender", func() bool {
		return send(p.address, "a@example.org", []string{"b@example.net"}, goodMessage) != nil
	})
	write(file, config+"spam_rejct = 1\n")
	waitFor(t, "the refusal of a bad configuration", func() bool { return strings.Contains(p.log(), "did you mean spam_reject") })
	if err := send(p.address, "a@example.com", []string{"b@example.net"}, goodMessage); err != nil {
		t.Errorf("after the refused reload: %v", err)
	}
}

// TestBadStart: what keeps the gateway from starting is said in one line, and
// the exit code is not 0.
func TestBadStart(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	running := start(t, t.TempDir(), "")
	plain := file("plain", "")
	for name, c := range map[string]struct {
		args []string
		want string
		code int
	}{
		"bad configuration":   {[]string{"--config", file("bad.toml", "\nspam_reject = 300\n")}, "bad.toml:2: spam_reject: ", exitUsage},
		"bad rule file":       {[]string{"--config", file("rules.toml", "rules = [\""+file("own.rules", "[[rule]]\nsymbol = \"A_B\"\nbody = '('\n")+"\"]")}, "own.rules:", exitUsage},
		"no such rule file":   {[]string{"--config", file("norules.toml", "rules = [\"/nonexistent/*.toml\"]")}, "/nonexistent/*.toml", exitUsage},
		"unreadable state":    {[]string{"--state", filepath.Join(plain, "below")}, plain, exitUsage},
		"port in use":         {[]string{"--listen", running.address}, "address already in use", exitFailure},
		"state in use":        {[]string{"--state", running.state}, "another SpamCatcher is running", exitFailure},
		"no such certificate": {[]string{"--config", file("tls.toml", "[tls]\ncertificate=\"/nonexistent\"\nkey=\"/nonexistent\"")}, "/nonexistent", exitUsage},
		"unknown option":      {[]string{"--lisen", "x"}, "--lisen", exitUsage},
		"stray argument":      {[]string{"fast"}, "fast", exitUsage},
	} {
		args := append([]string{"run"}, c.args...)
		if !strings.Contains(strings.Join(args, " "), "--state") {
			args = append(args, "--state", t.TempDir())
		}
		if !strings.Contains(strings.Join(args, " "), "--listen") {
			args = append(args, "--listen", "127.0.0.1:0")
		}
		_, errs, code := cli(t, "", args...)
		lines := strings.Split(strings.TrimSpace(errs), "\n")
		if last := lines[len(lines)-1]; !strings.Contains(last, c.want) || code != c.code {
			t.Errorf("%s: code %d, want %d; %q does not contain %q", name, code, c.code, errs, c.want)
		}
	}
}

// TestScoreCommand: files, directories, standard input and lists give one
// line a message, in order, the same whatever -j is.
func TestScoreCommand(t *testing.T) {
	dir := t.TempDir()
	var list strings.Builder
	for i := range 12 {
		text := goodMessage
		if i%3 == 0 {
			text = spamMessage
		}
		name := filepath.Join(dir, fmt.Sprintf("%02d.eml", i))
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&list, name)
	}
	elapsed := regexp.MustCompile(`"elapsed_us":\d+`)
	var want string
	for _, args := range [][]string{{dir}, {dir, "-j", "1"}, {"--files-from", "-", "-j", "7"}} {
		out, errs, code := cli(t, list.String(), append([]string{"score", "--json"}, args...)...)
		out = elapsed.ReplaceAllString(out, "")
		if code != 0 || strings.Count(out, "\n") != 12 {
			t.Fatalf("%v: code %d, %s%s", args, code, out, errs)
		}
		if want == "" {
			want = out
		}
		if out != want {
			t.Errorf("%v: other lines than before", args)
		}
	}
	out, errs, code := cli(t, "", "score", filepath.Join(dir, "absent.eml"), filepath.Join(dir, "01.eml"))
	if code != exitFailure || !strings.Contains(errs, "absent.eml") || !strings.Contains(out, "01.eml") {
		t.Errorf("with an absent file: code %d, %s%s", code, out, errs)
	}
	if out, _, _ := cli(t, spamMessage, "score", "--explain", "-"); !strings.Contains(out, "log-odds of spam") || !strings.Contains(out, "what every message starts from") {
		t.Errorf("explained as\n%s", out)
	}
	if _, errs, code := cli(t, "", "score"); code != exitUsage || !strings.Contains(errs, "no message given") {
		t.Errorf("without arguments: code %d, %s", code, errs)
	}
}

// TestExplanationAddsUp: the shares that the score command prints add up to
// the log-odds, and the score is their probability.
func TestExplanationAddsUp(t *testing.T) {
	s := scoreOf(t, spamMessage)
	if s <= 90 || s > 100 {
		t.Errorf("the spam scores %v", s)
	}
	if g := scoreOf(t, goodMessage); g >= 10 || g < 0 {
		t.Errorf("the good message scores %v", g)
	}
}

// TestMailOnTheWayAtShutdown: a message that is being sent when the gateway is
// told to end is answered and delivered.
func TestMailOnTheWayAtShutdown(t *testing.T) {
	state := t.TempDir()
	p := start(t, state, "")
	c := dial(t, p.address)
	c.expect("220")
	for _, line := range []string{"EHLO client.example.net", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>"} {
		c.say(line)
		c.expect("250")
	}
	c.say("DATA")
	c.expect("354")
	c.say("Subject: on the way\r\n\r\nhello")
	p.cmd.Process.Signal(syscall.SIGTERM)
	time.Sleep(300 * time.Millisecond)
	c.say(".")
	c.expect("250 2.0.0")
	if err := <-p.waited; err != nil {
		t.Errorf("ended with %v\n%s", err, p.log())
	}
	p.waited <- nil
	// Delivered before the end, or by the next run.
	if len(delivered(t, state)) == 0 {
		start(t, state, "")
		waitFor(t, "the message", func() bool { return len(delivered(t, state)) == 1 })
	}
	var m *mail.Message = delivered(t, state)[0]
	if m.Header.Get("Subject") != "on the way" {
		t.Errorf("delivered %v", m.Header)
	}
}

// TestSystemd: the program takes the sockets that systemd hands it and says
// when it is ready and when it stops (sd_listen_fds(3), sd_notify(3)).
func TestSystemd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handed, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	socket := filepath.Join(t.TempDir(), "notify")
	told, err := net.ListenPacket("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	expect := func(want string) {
		t.Helper()
		told.SetReadDeadline(time.Now().Add(30 * time.Second))
		buffer := make([]byte, 256)
		n, _, err := told.ReadFrom(buffer)
		if err != nil || string(buffer[:n]) != want {
			t.Fatalf("systemd was told %q, %v; want %q", buffer[:n], err, want)
		}
	}
	state := t.TempDir()
	// As systemd does: the descriptors begin at 3, and LISTEN_PID names the
	// process, which a shell keeps over exec.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" run --state "$1"`, binary, state)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	cmd.ExtraFiles = []*os.File{handed}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	handed.Close()
	defer cmd.Process.Kill()
	expect("READY=1")
	if err := send(address, "a@example.org", []string{"b@example.net"}, goodMessage); err != nil {
		t.Error(err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	expect("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if n := len(delivered(t, state)); n != 1 {
		t.Errorf("%d messages delivered", n)
	}
}
