package relay

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
)

// TestSilentServerDoesNotStopTheQueue: a server that accepts connections and never greets holds a few attempts, not all of them.
func TestSilentServerDoesNotStopTheQueue(t *testing.T) {
	silent, good := relaytest.Start(t, relaytest.Script{Greeting: relaytest.Hang}), relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, func(c *Config) { c.Timeouts.Greeting = 20 * time.Second }, silent.Addr, good.Addr)
	const messages, workers = 100, 12
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	work := make(chan int, messages)
	for i := range messages {
		work <- i
	}
	close(work)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range work {
				if ctx.Err() != nil {
					return
				}
				r.Deliver(ctx, item(hello, "b@example.org"), strings.NewReader(hello))
			}
		})
	}
	end := time.Now().Add(10 * time.Second)
	for good.Count() < messages-workers && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	// What is not delivered waits for the silent server, and goes to the other one when that has had its time.
	if n := good.Count(); n < messages-workers {
		t.Errorf("%d of %d messages delivered while one of two servers is silent", n, messages)
	}
	cancel()
	wg.Wait()
}
