package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// A tracer is testdata/tracer at work on a process.
type tracer struct {
	cmd   *exec.Cmd
	lines chan string // closed at its end
}

// buildTracer builds the tracer, or skips the test aloud where it cannot work.
func buildTracer(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("SKIPPED: the tracer knows the registers of amd64 only; kills at system calls were not tested")
	}
	tool := filepath.Join(t.TempDir(), "tracer")
	if out, err := exec.Command("go", "build", "-o", tool, "./testdata/tracer").CombinedOutput(); err != nil {
		t.Fatalf("building the tracer: %v\n%s", err, out)
	}
	return tool
}

// attach lets the process be killed at its k'th system call from now, 0 = never.
func attach(t *testing.T, tool string, p *process, k int) *tracer {
	t.Helper()
	tr := &tracer{exec.Command(tool, fmt.Sprint(p.cmd.Process.Pid), fmt.Sprint(k)), make(chan string, 10000)}
	out, err := tr.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make(chan string, 1)
	go func() {
		defer close(tr.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text := lines.Text(); text == "attached" || strings.HasPrefix(text, "failed") {
				attached <- text
			} else {
				tr.lines <- text
			}
		}
		tr.cmd.Wait()
	}()
	t.Cleanup(func() { tr.cmd.Process.Kill() })
	select {
	case text := <-attached:
		if text != "attached" {
			t.Skipf("SKIPPED: no process can be traced here (%s); kills at system calls were not tested", text)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the tracer does not attach")
	}
	return tr
}

// TestKilledAtEverySystemCall follows one message with two recipients on two servers and a third one whom its server
// refuses, from MAIL to the end of its items and of the notification to its sender, and kills the process as it enters the
// k'th system call of that, for every k. The next process, on the same state, must then have it: a message that was answered
// 250 arrives at least once, one that was not at most once, and a second time only what a server had taken before
// the kill. That holds for the notification as well.
//
// SPAMCATCHER_STRIDE=N takes every N'th call only.
func TestKilledAtEverySystemCall(t *testing.T) {
	inFull(t)
	tool := buildTracer(t)
	one, two, rest := newSink(t, true), newSink(t, true), newSink(t, true)
	l := launch{state: t.TempDir(), config: tortureConfig(t, fmt.Sprintf("outgoing_smtp = [%q]\n", rest.addr),
		map[string]*mailSink{"one.example.net": one, "two.example.net": two})}
	to := []string{"a@one.example.net", "b@two.example.net", "nobody@two.example.net"}
	arrivals := func(id string) (n [3]int) {
		all := arrived(one, two, rest)
		for i, d := range []delivery{{id, to[0]}, {id, to[1]}, {notification, id + "@example.org"}} {
			n[i] = len(all[d])
		}
		return n
	}
	gone := func() bool { // nothing is waiting
		list, err := listQueue(t, l)
		return err == nil && len(list) == 0
	}
	p := l.must(t)
	tr := attach(t, tool, p, 0)
	if err := sendOnce(p.address, "walk-0", to, 3000); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the counted message", func() bool { return arrivals("walk-0") == [3]int{1, 1, 1} })
	time.Sleep(500 * time.Millisecond) // its items end
	p.kill()
	var steps []string
	for line := range tr.lines {
		steps = append(steps, line)
	}
	if len(steps) < 30 {
		t.Fatalf("only %d system calls:\n%s", len(steps), strings.Join(steps, "\n"))
	}

	stride := tortured("SPAMCATCHER_STRIDE", 1)
	kills, acked, unanswered, twice, untouched := 0, 0, 0, 0, 0
	p = l.must(t)
	for k := 1; k <= len(steps); k += stride {
		id := fmt.Sprintf("walk-%d", k)
		tr := attach(t, tool, p, k)
		answered := sendOnce(p.address, id, to, 3000) == nil
		// The process dies, or this message needs fewer calls than the counted one.
		at, patience := "", time.After(3*time.Second)
	wait:
		for {
			select {
			case line, ok := <-tr.lines:
				if !ok {
					kills++
					break wait
				}
				if line != "killed" {
					at = line
				}
			case <-patience:
				untouched++
				break wait
			}
		}
		p.kill()
		time.Sleep(50 * time.Millisecond) // what was on its way to a server arrives there
		before := arrivals(id)
		p = l.must(t)
		waitFor(t, "an empty queue after a kill at "+at, gone)
		after := arrivals(id)
		if answered {
			acked++
		}
		for i, n := range after {
			to := []string{to[0], to[1], "the sender"}[i]
			switch {
			case answered && n == 0:
				keepState(t, l.state)
				t.Errorf("kill at call %s: answered 250, lost for %s", at, to)
			case n > 2, n == 2 && before[i] == 0:
				keepState(t, l.state)
				t.Errorf("kill at call %s: %d copies for %s, %d before the kill", at, n, to, before[i])
			case n == 2:
				twice++
			case !answered && n == 1:
				unanswered++
			}
		}
		if n := logCount(p.log(), "level=ERROR"); n > 0 {
			t.Errorf("kill at call %s: the next process complains:\n%s", at, p.log())
		}
	}
	one.check(t)
	two.check(t)
	rest.check(t)
	kinds := map[string]int{}
	for _, s := range steps {
		kinds[strings.Fields(s)[1]]++
	}
	t.Logf("FIGURES walk: K = %d system calls %v, %d kills; %d messages answered 250, all of them came to every recipient; %d recipients got one that was not answered, %d got one twice, each taken before the kill; %d runs needed fewer calls",
		len(steps), kinds, kills, acked, unanswered, twice, untouched)
	t.Logf("the steps:\n%s", strings.Join(steps, "\n"))
	if kills < len(steps)/stride/2 {
		t.Errorf("only %d of %d kills took place", kills, len(steps)/stride)
	}
}
