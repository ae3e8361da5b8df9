package main

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// TestKilledUnderLoad kills the process with SIGKILL at random points while clients send, again and again on the same
// state, and then counts: every recipient of every message that was answered 250 must have it. There are three
// destinations, of which one is dead until the end; one kill in eight comes while the process starts.
//
// A delivery may come twice only if the process was killed between the destination's 250 and our own record of it. The
// record is made before the delivery is logged: so what the log of a killed process shows as delivered comes never again.
//
// SPAMCATCHER_KILLS sets the number of kills (10).
func TestKilledUnderLoad(t *testing.T) {
	kills := tortured("SPAMCATCHER_KILLS", 10)
	if testing.Short() {
		kills = 3
	}
	one, two, dead := newSink(t, true), newSink(t, true), newSink(t, false)
	sinks := []*mailSink{one, two, dead}
	l := launch{state: t.TempDir(), config: tortureConfig(t, "", map[string]*mailSink{"one.example.net": one, "two.example.net": two, "dead.example.net": dead})}
	recipients := func() []string {
		all := []string{"a@one.example.net", "b@one.example.net", "c@two.example.net", "d@dead.example.net"}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all[:1+rand.IntN(3)]
	}

	promised := newPromises("kill")
	var killed []time.Time
	var starts []time.Duration
	inStart, failed := 0, 0
	noted := map[delivery]int{} // the life in whose log it is delivered
	note := func(life int, p *process) {
		for _, d := range recorded(p.log()) {
			if before, again := noted[d]; again {
				t.Errorf("%s for %s was recorded as delivered in life %d, and delivered again in life %d", d.id, d.to, before, life)
			}
			noted[d] = life
		}
	}
	for life := range kills {
		if life%8 == 7 {
			inStart++
			p, at := killInStart(t, l)
			killed = append(killed, at)
			note(life, p)
			continue
		}
		p, took, err := l.start(t)
		if err != nil {
			failed++
			t.Errorf("start %d failed: %v", life, err)
			keepState(t, l.state)
			continue
		}
		starts = append(starts, took)
		stop := make(chan struct{})
		clients := promised.load(8, p.address, recipients, anySize, stop)
		most := 150
		if life%10 == 9 {
			most = 1000
		}
		time.Sleep(time.Duration(rand.IntN(most)) * time.Millisecond)
		killed = append(killed, time.Now())
		p.kill()
		close(stop)
		clients.Wait()
		note(life, p)
	}

	// One more life, in which everything must come out.
	dead.up(t)
	p, took, err := l.start(t)
	if err != nil {
		keepState(t, l.state)
		t.Fatal(err)
	}
	starts = append(starts, took)
	held := drain(t, l, 5*time.Minute)
	note(kills, p)
	came := arrived(sinks...)
	lost := 0
	for d := range promised.copied() {
		if len(came[d]) == 0 {
			if lost++; lost < 20 {
				t.Errorf("%s was answered 250 and has not come to %s", d.id, d.to)
			}
		}
	}
	if lost > 0 {
		keepState(t, l.state)
	}
	twice, widest := 0, time.Duration(0)
	for d, at := range came {
		if !promised.tried[d.id] {
			t.Errorf("%s was never sent", d.id)
		}
		for i := 1; i < len(at); i++ {
			twice++
			// The earlier copy was on its way when the process was killed, and the server behind took it a moment later; or it was
			// taken before the kill, and the reply or our record of it was on its way.
			k, _ := slices.BinarySearchFunc(killed, at[i-1], time.Time.Compare)
			switch {
			case k > 0 && at[i-1].Sub(killed[k-1]) < 20*time.Millisecond:
			case k < len(killed) && killed[k].Before(at[i]):
				widest = max(widest, killed[k].Sub(at[i-1]))
			case k == 0 || at[i-1].Sub(killed[k-1]) > time.Second:
				t.Errorf("%s came to %s twice without a kill between: %v and %v", d.id, d.to, at[i-1], at[i])
			}
		}
	}
	for _, s := range sinks {
		s.check(t)
	}
	slices.Sort(starts)
	t.Logf("FIGURES kill: %d kills (%d of them in a start), %d recipients promised by 250, %d lost, %d came, %d came again (%.2f per kill), the earliest 250 of those %v before the kill; "+
		"%d were held as suspects; start to greeting median %v, worst %v; %d failed starts",
		len(killed), inStart, promised.count(), lost, len(came), twice, float64(twice)/float64(len(killed)), widest.Round(time.Millisecond/10),
		held, starts[len(starts)/2].Round(time.Millisecond), starts[len(starts)-1].Round(time.Millisecond), failed)
	if promised.count() < kills {
		t.Errorf("only %d recipients in %d lives: the test did not test much", promised.count(), kills)
	}
	// A suspect is no error of the process: it was under way in three kills in a row.
	if n := logCount(p.log(), "level=ERROR"); n > logCount(p.log(), "level=ERROR.*died in each of its last attempts") {
		t.Errorf("the last life complains of %d errors:\n%.3000s", n, p.log())
	}
	if err := p.stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// killInStart kills a process at a random point between its start and a little after its greeting, and returns it and when.
func killInStart(t *testing.T, l launch) (*process, time.Time) {
	t.Helper()
	killed := make(chan time.Time, 1)
	l.began = func(p *os.Process) {
		time.AfterFunc(time.Duration(rand.IntN(200))*time.Millisecond, func() {
			at := time.Now()
			p.Kill()
			killed <- at
		})
	}
	p, _, err := l.start(t)
	if p == nil {
		t.Fatal(err)
	}
	at := <-killed
	p.kill()
	return p, at
}
