package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spamcatcher/gateway/relay/relaytest"
)

// waiting starts a gateway whose destination is down, sends it mail for two
// domains, and returns it with the file of its configuration.
func waiting(t *testing.T, destination string, n int) (p *process, config string) {
	t.Helper()
	config = filepath.Join(t.TempDir(), "a.toml")
	text := fmt.Sprintf("listen = [\"127.0.0.1:0\"]\n[[domain]]\nname = \"one.example\"\ndestinations = [%q]\n[[domain]]\nname = \"two.example\"\ndestinations = [%[1]q]\n", destination) + toStderr
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, t.TempDir(), "", "--config", config)
	for i := range n {
		subject := fmt.Sprintf("waiting %d-end", i)
		if err := send(p.address, "a@example.org", []string{"x@one.example", "y@two.example"}, strings.Replace(goodMessage, "Thursday's meeting", subject, 1)); err != nil {
			t.Fatal(err)
		}
	}
	return p, config
}

// queueSays runs a queue command, which must end with the code.
func queueSays(t *testing.T, p *process, config string, code int, args ...string) string {
	t.Helper()
	args = append(append([]string{"queue"}, args...), "--config", config, "--state", p.state)
	out, errs, got := cli(t, "", args...)
	if got != code {
		t.Errorf("%v: code %d, want %d\n%s%s", args, got, code, out, errs)
	}
	return out + errs
}

// TestQueueByFilter: what filters choose, held, released and deleted while the
// gateway runs.
func TestQueueByFilter(t *testing.T) {
	p, config := waiting(t, closedPort(t), 3)
	says := func(want string, args ...string) {
		t.Helper()
		if out := queueSays(t, p, config, 0, args...); !strings.Contains(out, want) {
			t.Errorf("%v: no %q in\n%s", args, want, out)
		}
	}
	says("6 in the queue", "list")
	says("3 in the queue", "list", "--domain", "ONE.example")
	says("6 in the queue", "list", "--domain", ".example")
	says("3 in the queue", "list", "--destination", "two.example")
	says("3 in the queue", "list", "--recipient", "y@two.example")
	says("0 in the queue", "list", "--older", "1h")
	says("0 in the queue", "list", "--sender", "<>")
	says("3 held", "hold", "--domain", "two.example", "--reason", "looked at")
	says("3 in the queue", "list", "--held")
	says("3 in the queue", "list", "--held", "--destination", "two.example")
	says("3 due now", "flush")
	says("3 deleted", "delete", "--domain", "one.example")
	says("3 released", "release", "--all")
	says("3 in the queue", "list", "--active")
	if out := queueSays(t, p, config, exitUsage, "delete"); !strings.Contains(out, "ids of messages, or options") {
		t.Errorf("delete without anything: %s", out)
	}
	if out := queueSays(t, p, config, exitFailure, "release", "no-such-id"); !strings.Contains(out, "no-such-id") {
		t.Errorf("an unknown id: %s", out)
	}
	out := queueSays(t, p, config, 0, "list", "--json")
	id := strings.SplitN(out, `"`, 5)[3]
	says("destination down", "show", id)
	says("waits for  two.example", "show", id)
}

// TestExport: files that are whole, and never overwritten.
func TestExport(t *testing.T) {
	p, config := waiting(t, closedPort(t), 2)
	dir := filepath.Join(t.TempDir(), "out")
	if out := queueSays(t, p, config, 0, "export", "--domain", "one.example", "--to", dir); !strings.Contains(out, "2 exported") {
		t.Errorf("export: %s", out)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
	if len(files) != 2 {
		t.Fatalf("files %v", files)
	}
	for i, f := range files {
		text, err := os.ReadFile(f)
		_, body, _ := strings.Cut(strings.ReplaceAll(goodMessage, "\n", "\r\n"), "\r\n\r\n")
		if err != nil || !strings.Contains(string(text), fmt.Sprintf("Subject: Re: waiting %d-end\r\n", i)) || !strings.HasSuffix(string(text), body) {
			t.Errorf("%v, %s", err, text)
		}
	}
	id := strings.TrimSuffix(filepath.Base(files[0]), ".eml")
	if out := queueSays(t, p, config, exitFailure, "export", id, "--to", dir); !strings.Contains(out, "exists") {
		t.Errorf("an existing file: %s", out)
	}
	if out := queueSays(t, p, config, exitFailure, "export", "../../x", "--to", dir); !strings.Contains(out, "no such item") {
		t.Errorf("a path as id: %s", out)
	}
}

// TestBackupAndRestore copies the queue of a running gateway and lets another
// one deliver the copy.
func TestBackupAndRestore(t *testing.T) {
	address := closedPort(t)
	p, config := waiting(t, address, 20)
	held := strings.Fields(queueSays(t, p, config, 0, "list", "--domain", "one.example"))[6] // behind the headings
	queueSays(t, p, config, 0, "hold", held)
	queueSays(t, p, config, 0, "delete", "--destination", "two.example")
	copied := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(copied, 0o700); err != nil {
		t.Fatal(err)
	}
	if out := queueSays(t, p, config, 0, "backup", filepath.Join(copied, "queue")); !strings.Contains(out, "20 items (1 held)") {
		t.Errorf("backup: %s", out)
	}
	if out := queueSays(t, p, config, exitFailure, "backup", filepath.Join(copied, "queue")); !strings.Contains(out, "is not empty") {
		t.Errorf("a backup over another: %s", out)
	}
	p.kill()

	sink := relaytest.StartAt(t, address, relaytest.Script{})
	again := start(t, copied, "", "--config", config)
	waitFor(t, "the mail of the copy", func() bool { return sink.Count() == 19 })
	if out := queueSays(t, again, config, 0, "list"); !strings.Contains(out, "held") || !strings.Contains(out, "1 in the queue") {
		t.Errorf("the copy's queue afterwards:\n%s", out)
	}
}

// TestCheckAndRebuild: damage is named, what is whole is delivered, and an
// index that is gone is made again.
func TestCheckAndRebuild(t *testing.T) {
	p, config := waiting(t, closedPort(t), 5)
	if out := queueSays(t, p, config, 0, "check"); !strings.Contains(out, "10 items") || !strings.Contains(out, "0 damaged") {
		t.Errorf("check of a running gateway: %s", out)
	}
	if out := queueSays(t, p, config, exitFailure, "rebuild"); !strings.Contains(out, "stop the gateway first") {
		t.Errorf("rebuild under a running gateway: %s", out)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(filepath.Join(p.state, "queue", "index")); err != nil {
		t.Fatal(err)
	}
	if out := queueSays(t, p, config, 0, "rebuild"); !strings.Contains(out, "10 in the queue") {
		t.Errorf("rebuild: %s", out)
	}
	segments, err := filepath.Glob(filepath.Join(p.state, "queue", "spool", "*"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments %v, %v", segments, err)
	}
	for _, name := range segments {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.Index(string(text), "waiting 3-end"); i >= 0 {
			text[i] ^= 1
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	out := queueSays(t, p, config, exitFailure, "check")
	if !strings.Contains(out, "1 damaged") {
		t.Errorf("check after a flipped bit: %s", out)
	}
	t.Log(out)
}

// TestQueueWithoutTheConfiguration: a command that knows the state directory
// only leaves waiting mail where it is.
func TestQueueWithoutTheConfiguration(t *testing.T) {
	p, config := waiting(t, closedPort(t), 1)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if out, _, code := cli(t, "", "queue", "list", "--state", p.state); code != 0 || !strings.Contains(out, "2 in the queue") {
		t.Errorf("code %d\n%s", code, out)
	}
	if out := queueSays(t, p, config, 0, "list", "--destination", "two.example"); !strings.Contains(out, "1 in the queue") {
		t.Errorf("after a command without the configuration:\n%s", out)
	}
	if out, _, code := cli(t, "", "queue", "list", "--state", p.state, "--destination", "two.example"); code != 0 || !strings.Contains(out, "1 in the queue") {
		t.Errorf("the lane is gone: code %d\n%s", code, out)
	}
}
