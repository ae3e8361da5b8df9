package queue

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkPut puts messages of 5 KB from 1, 10 and 50 callers at once, and reads every body back afterwards.
func BenchmarkPut(b *testing.B) {
	for _, callers := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			q := open(b, Config{Dir: b.TempDir()})
			body := bytes.Repeat([]byte("0123456789 abcdefghijklmnopqrstuvwxyz, five thousand bytes\r\n"), 82)
			b.ReportAllocs()
			var n atomic.Int64
			ids := make([]string, b.N)
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for {
						i := int(n.Add(1)) - 1
						if i >= b.N {
							return
						}
						got, err := q.Put(context.Background(), Draft{Sender: "alice@example.org", Recipients: []string{"bob@example.com"}, Body: [][]byte{body}})
						if err != nil {
							b.Error(err)
							return
						}
						ids[i] = got[0]
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
			for _, id := range ids {
				r, err := q.Body(id)
				if err != nil {
					b.Fatal(err)
				}
				got, err := io.ReadAll(r)
				r.Close()
				if err != nil || !bytes.Equal(got, body) {
					b.Fatalf("%s: body is not what was put: %v", id, err)
				}
			}
		})
	}
}

// BenchmarkThrough puts messages of 5 KB from 20 callers while they are delivered, until the queue is empty.
func BenchmarkThrough(b *testing.B) {
	var delivered atomic.Int64
	q := open(b, Config{Dir: b.TempDir(), Deliverer: deliverFunc(func(_ context.Context, it *Item, body io.ReadSeeker) []Result {
		n, _ := io.Copy(io.Discard, body)
		if n == 5000 {
			delivered.Add(1)
		}
		return all(it, Delivered, "250 2.0.0 ok")
	})})
	run(b, q)
	body := bytes.Repeat([]byte("x"), 5000)
	b.ReportAllocs()
	var n atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range 20 {
		wg.Go(func() {
			for n.Add(1) <= int64(b.N) {
				if _, err := q.Put(context.Background(), Draft{Sender: "alice@example.org", Recipients: []string{"bob@example.com"}, Body: [][]byte{body}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	wait(b, "all delivered", func() bool { return delivered.Load() == int64(b.N) })
	b.StopTimer()
	wait(b, "queue empty", func() bool { return len(list(b, q, Filter{})) == 0 })
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
