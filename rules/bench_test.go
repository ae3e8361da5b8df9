package rules_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/rules"
	"spamcatcher/rules/builtin"
)

// shared returns a folder of the material beside the repository; the test is
// skipped when it is not there.
func shared(t testing.TB, name string) string {
	t.Helper()
	base := os.Getenv("SPAMCATCHER_SHARED")
	if base == "" {
		root, err := os.Getwd()
		for err == nil && root != "/" {
			if _, e := os.Stat(filepath.Join(root, "go.mod")); e == nil {
				break
			}
			root = filepath.Dir(root)
		}
		base = filepath.Join(root, "..", "shared")
	}
	dir := filepath.Join(base, name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: %s is not there; set SPAMCATCHER_SHARED to the folder of shared material", dir)
	}
	return dir
}

// corpus parses up to n messages spread over the folder's files.
func corpus(t testing.TB, n int) []*engine.Mail {
	t.Helper()
	var names []string
	err := filepath.WalkDir(shared(t, "corpus/boundary"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var mails []*engine.Mail
	step := max(1, len(names)/n)
	for i := 0; i < len(names) && len(mails) < n; i += step {
		raw, err := os.ReadFile(names[i])
		if err != nil {
			t.Fatal(err)
		}
		mails = append(mails, parsed(raw))
	}
	return mails
}

// parsed parses a message and has its views computed: their cost is not that
// of the rules.
func parsed(raw []byte) *engine.Mail {
	m := message.Parse(raw, message.Limits{})
	m.Text()
	m.Skeleton()
	m.Source()
	m.HTML()
	m.Links()
	m.Attachments()
	m.Defects()
	return &engine.Mail{Message: m}
}

func builtinSet(t testing.TB) *rules.Ruleset {
	t.Helper()
	list, err := builtin.Rules()
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rules.Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// threadTime is the processor time that this thread has used, so that what
// else runs on the machine does not count.
func threadTime(b testing.TB) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// BenchmarkCorpus reports the processor time of the embedded rules on real mail, parsed
// before: the median, the mean and the 99th percentile of the messages, of each
// the least of the rounds, because other load only adds.
func BenchmarkCorpus(b *testing.B) {
	rs := builtinSet(b)
	mails := corpus(b, 1000)
	first := 0
	var bytes int
	for _, m := range mails { // warm the automata
		hits, _ := rs.Inspect(context.Background(), m)
		first += len(hits)
		bytes += len(m.Message.Text()) + len(m.Message.Skeleton()) + len(m.Message.Source())
	}
	if first == 0 {
		b.Fatal("no hits at all")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	times := make([]time.Duration, len(mails))
	for i := range times {
		times[i] = time.Hour
	}
	for b.Loop() {
		n := 0
		for i, m := range mails {
			begin := threadTime(b)
			hits, _ := rs.Inspect(context.Background(), m)
			times[i] = min(times[i], threadTime(b)-begin)
			n += len(hits)
		}
		if n != first {
			b.Fatalf("%d hits, %d the first time", n, first)
		}
	}
	slices.Sort(times)
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	var sum time.Duration
	for _, d := range times {
		sum += d
	}
	b.ReportMetric(us(times[len(times)/2]), "µs-median")
	b.ReportMetric(us(times[len(times)*99/100]), "µs-p99")
	b.ReportMetric(us(sum)/float64(len(times)), "µs-mean")
	b.ReportMetric(float64(bytes)/float64(len(mails)), "view-B/msg")
	b.ReportMetric(float64(first)/float64(len(mails)), "hits/msg")
}

// BenchmarkCompile is the time from the embedded files to a Ruleset, and the
// memory of Go's heap that it keeps; RE2's own comes on top.
func BenchmarkCompile(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var rs *rules.Ruleset
	for b.Loop() {
		rs = builtinSet(b)
		if rs.Len() < 150 {
			b.Fatalf("%d rules", rs.Len())
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB-kept")
	runtime.KeepAlive(rs)
}
