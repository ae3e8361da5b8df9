package gateway

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/wire"
)

// A real DNS server dies, dawdles or fails while clients come whose every domain
// is another: all their messages get a verdict in time, none is refused, the
// clients that need no DNS notice nothing, and what it takes is bounded.
func TestTroubleWithDNS(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes half a minute, and -short was asked for")
	}
	const (
		checkTime = time.Second
		strangers = 40
		known     = 300 // messages of a client that is trusted
	)
	for name, fault := range map[string]lookuptest.Fault{
		"no answer":         {Drop: true},
		"answers after 10s": {Delay: 10 * time.Second},
		"SERVFAIL":          {Rcode: 2},
	} {
		t.Run(name, func(t *testing.T) {
			server := lookuptest.Serve(t, clientsZone+"\n*.example A 192.0.2.1\n*.in-addr.arpa PTR x.example")
			r, err := lookup.New(lookup.Config{Servers: []string{server.Addr}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			b := start(t, Config{
				CheckTime: checkTime, Auth: verifierOf(t, r), Now: time.Now,
				Wire: wire.Config{MaxSessionsPerClient: -1},
				Gate: withGate(gateOf(t, r, func(c *policy.GateConfig) {
					c.Greylist.Mode = policy.Off
					c.Timeout = time.Second
					c.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.77/32")}
				})),
			})
			friend := b.from("127.0.0.77")
			calm := medianOf(known, func() { friend.message(testMessage, "250 2.0.0") })

			server.Set(fault)
			before := runtime.NumGoroutine()
			stop := make(chan struct{})
			var all sync.WaitGroup
			var messages, most, mostHeap atomic.Int64
			var mu sync.Mutex
			var verdicts []time.Duration
			for i := range strangers {
				all.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						c := b.from(fmt.Sprintf("127.0.%d.%d", 1+i, 1+n%250))
						c.send(fmt.Sprintf("MAIL FROM:<a@n%d-s%d.example>", n, i), "250")
						c.send("RCPT TO:<u@example.com>", "250")
						c.send("DATA", "354")
						at := time.Now()
						c.send(fmt.Sprintf("From: a@n%d-f%d.example\r\nSubject: x\r\nDKIM-Signature: v=1; a=rsa-sha256; d=d%d-%d.example; s=s; h=from; bh=eA==; b=eA==\r\n\r\nx\r\n.", n, i, n, i), "250 2.0.0")
						took := time.Since(at)
						c.conn.Close()
						messages.Add(1)
						mu.Lock()
						verdicts = append(verdicts, took)
						mu.Unlock()
					}
				})
			}
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						most.Store(max(most.Load(), int64(runtime.NumGoroutine())))
						mostHeap.Store(max(mostHeap.Load(), int64(m.HeapInuse)))
					}
				}
			})
			end := time.Now().Add(4 * time.Second)
			stormy := medianOf(known, func() { friend.message(testMessage, "250 2.0.0") })
			time.Sleep(time.Until(end))
			close(stop)
			all.Wait()

			slices.Sort(verdicts)
			last := verdicts[len(verdicts)-1]
			t.Logf("%d messages of %d strangers: verdict after %v median, %v at most; at most %.1f goroutines a stranger, heap of at most %d MiB; a client that needs no DNS: %v a message, without trouble %v",
				messages.Load(), strangers, verdicts[len(verdicts)/2], last, float64(most.Load()-int64(before))/strangers, mostHeap.Load()>>20, stormy, calm)
			if last > checkTime+2*time.Second {
				t.Errorf("a verdict took %v", last)
			}
			if s := b.Stats(); s.Turned != 0 || s.Refused != 0 || s.Deferred != 0 || s.Panics != 0 {
				t.Errorf("stats %+v", s)
			}
			if stormy > 10*calm+100*time.Millisecond {
				t.Errorf("%v instead of %v for a message of a client that needs no DNS", stormy, calm)
			}
			if n := most.Load() - int64(before); n > 40*strangers {
				t.Errorf("%d goroutines", n)
			}
			for _, line := range b.log.lines("message") {
				if strings.Contains(line, "client=127.0.0.77") == strings.Contains(line, "skipped=") {
					t.Errorf("log %s", line)
					break
				}
			}
		})
	}
}

// medianOf is the median time of a call.
func medianOf(n int, call func()) time.Duration {
	took := make([]time.Duration, n)
	for i := range took {
		at := time.Now()
		call()
		took[i] = time.Since(at)
	}
	slices.Sort(took)
	return took[n/2]
}
