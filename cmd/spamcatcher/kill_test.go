package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
)

// TestKilledUnderLoad kills the process with SIGKILL at random points while
// clients send, again and again on the same state, and then counts: every
// message that was answered 250 must have reached the server behind, whatever
// was running when the process died. How many came twice is printed; only a
// kill between the server's 250 and our record of it can cause that.
//
// SPAMCATCHER_KILLS sets the number of kills (50).
func TestKilledUnderLoad(t *testing.T) {
	kills := 50
	if n, err := strconv.Atoi(os.Getenv("SPAMCATCHER_KILLS")); err == nil {
		kills = n
	} else if testing.Short() {
		kills = 5
	}
	sink := relaytest.Start(t, relaytest.Script{})
	state := t.TempDir()

	var mu sync.Mutex
	acknowledged := map[string]bool{}
	number := 0
	next := func() string {
		mu.Lock()
		defer mu.Unlock()
		number++
		return fmt.Sprintf("kill-%d-end", number)
	}
	for range kills {
		p := start(t, state, "", "--relay", sink.Addr)
		stop := make(chan bool)
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					id := next()
					message := "Subject: " + id + "\n\n" + "body of " + id + "\n"
					if send(p.address, "a@example.org", []string{"b@example.net"}, message) == nil {
						mu.Lock()
						acknowledged[id] = true
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		p.kill()
		close(stop)
		clients.Wait()
	}

	// One more life, in which everything must come out.
	p := start(t, state, "", "--relay", sink.Addr)
	subject := regexp.MustCompile(`(?m)^Subject: (kill-\d+-end)`)
	received := func() map[string]int {
		count := map[string]int{}
		for _, m := range sink.Messages() {
			if found := subject.FindStringSubmatch(m.Text()); found != nil {
				count[found[1]]++
			}
		}
		return count
	}
	waitFor(t, "an empty queue", func() bool {
		out, _, code := cli(t, "", "queue", "list", "--state", state)
		if code == 0 && regexp.MustCompile(`(?m)^0 in the queue`).MatchString(out) {
			return true
		}
		// A killed attempt waits for its next turn; a message that was under
		// way in three of them is held, as it might be what kills.
		for _, held := range regexp.MustCompile(`(?m)^(\S+) .* held `).FindAllStringSubmatch(out, -1) {
			cli(t, "", "queue", "release", held[1], "--state", state)
		}
		cli(t, "", "queue", "flush", "--state", state)
		return false
	})
	count := received()
	lost, twice := 0, 0
	for id := range acknowledged {
		if count[id] == 0 {
			lost++
			t.Errorf("%s was answered 250 and is lost", id)
		}
	}
	for _, n := range count {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d kills: %d messages answered 250, %d lost, %d delivered, %d of them more than once", kills, len(acknowledged), lost, len(count), twice)
	if len(acknowledged) < kills {
		t.Errorf("only %d messages were answered 250 in %d lives: the test did not test much", len(acknowledged), kills)
	}
	for _, offence := range sink.Offences() {
		t.Errorf("the server behind saw what no client may send: %s", offence)
	}
	if err := p.stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
