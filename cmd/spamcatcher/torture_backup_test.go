package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBackupAndRebuild copies a queue at work with `queue backup`, and looks with `queue check`; starts a gateway on the copy; and
// builds the index of the original anew with `queue rebuild` after a kill. Each of them has everything that was answered 250
// before.
func TestBackupAndRebuild(t *testing.T) {
	dead, living := newSink(t, false), newSink(t, true)
	l := launch{state: t.TempDir(), config: tortureConfig(t, "", map[string]*mailSink{"dead.example.net": dead, "living.example.net": living})}
	p := l.must(t)
	promised := newPromises("backup")
	stop := make(chan struct{})
	recipients := func() []string {
		return [][]string{{"a@dead.example.net"}, {"b@living.example.net"}, {"c@living.example.net", "d@dead.example.net"}}[rand.IntN(3)]
	}
	clients := promised.load(4, p.address, recipients, anySize, stop)
	waitFor(t, "mail in the queue", func() bool { return promised.count() >= 300 })

	says := func(l launch, want int, args ...string) string {
		t.Helper()
		out, errs, code := cli(t, "", append(append([]string{"queue"}, args...), "--state", l.state, "--config", l.config)...)
		if code != want {
			t.Errorf("queue %v: code %d\n%s%s", args, code, out, errs)
		}
		return strings.TrimSpace(out)
	}
	before := promised.copied()
	copied := launch{state: t.TempDir()}
	t.Logf("queue backup says: %s", says(l, 0, "backup", filepath.Join(copied.state, "queue")))
	after := time.Now()
	came := arrived(living)
	t.Logf("queue check of the running gateway says: %s", says(l, 0, "check"))
	close(stop)
	clients.Wait()

	// The copy has what was not delivered when it was made.
	all := newSink(t, true)
	copied.config = tortureConfig(t, "", map[string]*mailSink{"dead.example.net": all, "living.example.net": all})
	t.Logf("queue check of the copy says: %s", says(copied, 0, "check"))
	c := copied.must(t)
	drain(t, copied, time.Minute)
	rest := arrived(all)
	lost, again := 0, 0
	for d := range before {
		delivered := len(came[d]) > 0 && came[d][0].Before(after)
		if !delivered && len(rest[d]) == 0 {
			lost++
			t.Errorf("the copy does not have %s for %s", d.id, d.to)
		}
		if delivered && len(rest[d]) > 0 {
			again++
		}
	}
	all.check(t)
	if err := c.stop(); err != nil {
		t.Errorf("the gateway on the copy ended with %v", err)
	}

	// The original, without its index.
	p.kill()
	index := filepath.Join(l.state, "queue", "index")
	if err := os.RemoveAll(index); err != nil {
		t.Fatal(err)
	}
	t.Logf("queue rebuild says: %s", says(l, 0, "rebuild"))
	p = l.must(t)
	dead.up(t)
	drain(t, l, time.Minute)
	came = arrived(dead, living)
	twice := 0
	for d := range promised.copied() {
		switch n := len(came[d]); {
		case n == 0:
			lost++
			t.Errorf("after the rebuild %s is lost for %s", d.id, d.to)
		case n > 1:
			twice++
		}
	}
	dead.check(t)
	living.check(t)
	if twice > 60 { // 20 attempts of at most 3 recipients were under way when the process was killed
		t.Errorf("%d deliveries were made again after the rebuild", twice)
	}
	t.Logf("FIGURES backup: %d recipients promised before the copy, %d after it, %d lost; the copy delivered %d that had been delivered while it was made; %d came twice after kill and rebuild",
		len(before), promised.count()-len(before), lost, again, twice)
	if err := p.stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
