package relay

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// benchText is a message of about 4 kB.
var benchText = "From: <a@example.com>\r\nTo: <b@example.org>\r\nSubject: a letter\r\n\r\n" + strings.Repeat("This line stands for the text of a letter, and is written sixty times.\r\n", 56)

// BenchmarkDeliver delivers messages of 4 kB to one recipient each into a sink in the same process. The answer: as many messages as were sent.
func BenchmarkDeliver(b *testing.B) {
	for _, workers := range []int{1, 10, 50} {
		for _, kind := range []string{"pipelining", "plain", "tls"} {
			b.Run(fmt.Sprintf("%s/workers=%d", kind, workers), func(b *testing.B) {
				script := relaytest.Script{Quiet: true}
				switch kind {
				case "plain":
					script.Extensions = []string{}
				case "tls":
					script.TLS, _ = relaytest.Certificate(b, "127.0.0.1")
				}
				s := relaytest.Start(b, script)
				r := newRelay(b, func(c *Config) { c.MaxIdle = workers }, s.Addr)
				measure(b, workers, func() error {
					it := item(benchText, "b@example.org")
					if got := r.Deliver(context.Background(), it, strings.NewReader(benchText)); got[0].State != queue.Delivered {
						return fmt.Errorf("%+v", got)
					}
					return nil
				})
				if s.Count() != b.N {
					b.Fatalf("%d messages arrived, want %d", s.Count(), b.N)
				}
			})
		}
	}
}

// BenchmarkGoSMTP is the same with go-smtp's client, one connection per worker, for comparison.
func BenchmarkGoSMTP(b *testing.B) {
	for _, workers := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s := relaytest.Start(b, relaytest.Script{Quiet: true})
			clients := make(chan *smtp.Client, workers)
			for range workers {
				c, err := smtp.Dial(s.Addr)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				clients <- c
			}
			measure(b, workers, func() error {
				c := <-clients
				defer func() { clients <- c }()
				return c.SendMail("a@example.com", []string{"b@example.org"}, strings.NewReader(benchText))
			})
			if s.Count() != b.N {
				b.Fatalf("%d messages arrived, want %d", s.Count(), b.N)
			}
		})
	}
}

func measure(b *testing.B, workers int, one func() error) {
	b.ReportAllocs()
	b.ResetTimer()
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range workers {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if err := one(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
}

// BenchmarkVerify asks for recipients: one that is remembered, and new ones. The answer: each exists.
func BenchmarkVerify(b *testing.B) {
	for _, kind := range []string{"known", "new"} {
		b.Run(kind, func(b *testing.B) {
			s := relaytest.Start(b, relaytest.Script{Quiet: true})
			r := newRelay(b, nil, s.Addr)
			var n atomic.Int64
			measure(b, 4, func() error {
				recipient := "b@example.org"
				if kind == "new" {
					recipient = fmt.Sprintf("%d@example.org", n.Add(1))
				}
				if got := r.Verify(context.Background(), recipient); got != Exists {
					return fmt.Errorf("%v", got)
				}
				return nil
			})
		})
	}
}

// BenchmarkMaildir delivers messages of 4 kB into a Maildir. The answer: as many files as messages.
func BenchmarkMaildir(b *testing.B) {
	for _, workers := range []int{1, 10} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			dir := b.TempDir()
			m, err := NewMaildir(dir)
			if err != nil {
				b.Fatal(err)
			}
			measure(b, workers, func() error {
				if got := m.Deliver(context.Background(), item(benchText, "b@example.org"), strings.NewReader(benchText)); got[0].State != queue.Delivered {
					return fmt.Errorf("%+v", got)
				}
				return nil
			})
			if n := entries(b, dir); n != b.N {
				b.Fatalf("%d files, want %d", n, b.N)
			}
		})
	}
}

// BenchmarkQueue is the way from Put to the sink through a real queue on disk: 20 goroutines put messages of 4 kB, and the time
// ends when the sink has all of them. The answer: as many messages as were put.
func BenchmarkQueue(b *testing.B) {
	s := relaytest.Start(b, relaytest.Script{Quiet: true})
	r := newRelay(b, nil, s.Addr)
	q, err := queue.Open(queue.Config{Dir: b.TempDir(), Deliverer: r, MinFree: 1 << 20, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	b.ResetTimer()
	start := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				_, err := q.Put(ctx, queue.Draft{Sender: "a@example.com", Recipients: []string{"b@example.org"}, Body: [][]byte{[]byte(benchText)}})
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "put/s")
	for deadline := time.Now().Add(time.Minute); s.Count() < b.N; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d messages arrived, want %d", s.Count(), b.N)
		}
	}
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
	b.StopTimer()
	cancel()
	<-done
	if s.Count() != b.N {
		b.Fatalf("%d messages arrived, want %d", s.Count(), b.N)
	}
}
