package spamassassin

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(1, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestScratchTime(t *testing.T) {
	if os.Getenv("CF_T") == "" {
		t.Skip()
	}
	runtime.LockOSThread()
	var ms0, ms1 runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&ms0)
	t0 := cpu()
	w0 := time.Now()
	set, err := Load(Config{Paths: []string{"/usr/share/spamassassin", "/etc/spamassassin"}})
	if err != nil {
		t.Fatal(err)
	}
	load := cpu() - t0
	wload := time.Since(w0)
	runtime.GC()
	runtime.ReadMemStats(&ms1)
	t.Logf("load %v cpu %v wall, heap %d KB", load, wload, (ms1.HeapAlloc-ms0.HeapAlloc)>>10)
	b, _ := os.ReadFile("/tmp/cf/list.txt")
	var mails []*engine.Mail
	for i, l := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		if i%4 != 0 {
			continue
		}
		raw, _ := os.ReadFile(filepath.Join("/work/shared/corpus/boundary", l[strings.IndexByte(l, ' ')+1:]))
		mails = append(mails, &engine.Mail{Message: message.Parse(raw, message.Limits{})})
	}
	for pass := range 4 {
		var times []time.Duration
		for _, m := range mails {
			t0 := cpu()
			set.Inspect(t.Context(), m)
			times = append(times, cpu()-t0)
		}
		var sum time.Duration
		for _, d := range times {
			sum += d
		}
		slices.Sort(times)
		n := len(times)
		t.Logf("pass %d: cpu mean %v median %v p95 %v p99 %v max %v", pass, sum/time.Duration(n), times[n/2], times[n*95/100], times[n*99/100], times[n-1])
	}
	runtime.GC()
	runtime.ReadMemStats(&ms1)
	t.Logf("after: heap %d KB sys %d KB", (ms1.HeapAlloc-ms0.HeapAlloc)>>10, ms1.Sys>>10)
	runtime.KeepAlive(set)
}
