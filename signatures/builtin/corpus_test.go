//go:build cgo

package builtin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine/message"
	"spamcatcher/signatures/unpack"
	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/yara"
)

// shared is where labelled mail and public rules stand, or skips the test.
func shared(t testing.TB, sub string) string {
	t.Helper()
	dir := os.Getenv("SPAMCATCHER_SHARED")
	if dir == "" {
		dir = root(t) + "/../shared"
	}
	dir = filepath.Join(dir, sub)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("SKIPPED: set SPAMCATCHER_SHARED to the directory that has %s: %v", sub, err)
	}
	return dir
}

// root is the top of the repository.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above")
		}
		dir = filepath.Dir(dir)
	}
}

// goodMail is the good mail of the corpus, every nth message, by name.
func goodMail(t testing.TB, every int) []string {
	t.Helper()
	dir := shared(t, "corpus")
	var files []string
	for _, list := range []string{"dev-train.txt", "dev-valid.txt"} {
		text, err := os.ReadFile(filepath.Join(dir, list))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if path, ok := strings.CutPrefix(strings.TrimSpace(line), "ham "); ok {
				files = append(files, filepath.Join(dir, "boundary", path))
			}
		}
	}
	var some []string
	for i := 0; i < len(files); i += every {
		some = append(some, files[i])
	}
	return some
}

// walk calls visit with each file in each message, and the facts that rules see.
func walk(t testing.TB, files []string, visit func(file string, data []byte, f yara.Facts)) {
	t.Helper()
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		unpack.Walk(context.Background(), message.Parse(data, message.Limits{}), format.Limits{Time: 20 * time.Second}, func(f *format.File) error {
			visit(file, f.Data, yara.Facts{Name: f.Name, Path: f.Path(), Extension: f.Extension(), Type: f.Type, ContentType: f.Declared, Sender: "example.com", Kind: string(f.Kind)})
			return nil
		})
	}
}

// TestNoRuleNamesGoodMail: none of the rules may name anything in good mail.
func TestNoRuleNamesGoodMail(t *testing.T) {
	r := compile(t)
	messages := goodMail(t, 1)
	files, size := 0, 0
	var spent time.Duration
	walk(t, messages, func(file string, data []byte, f yara.Facts) {
		files, size = files+1, size+len(data)
		start := time.Now()
		matches, err := r.Scan(context.Background(), data, f, 5*time.Second)
		spent += time.Since(start)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, m := range matches {
			t.Errorf("%s: %s (%s): %s", filepath.Base(file), f.Path, f.Kind, m.Rule)
		}
	})
	if files < 3*len(messages)/2 {
		t.Errorf("only %d files in %d messages", files, len(messages))
	}
	t.Logf("%d messages, %d files, %.1f MB: %.0f µs a message", len(messages), files, float64(size)/1e6, float64(spent.Microseconds())/float64(len(messages)))
}

// TestPublicRulesOnGoodMail prints how many rules of the public sets libyara
// compiles, and what they name in good mail.
func TestPublicRulesOnGoodMail(t *testing.T) {
	for _, set := range []struct {
		name         string
		files, rules int
	}{{"reversinglabs", 274, 1204}, {"signature-base", 742, 5918}} {
		sources, problems := yara.Read(shared(t, "suites/yara/"+set.name))
		debug.FreeOSMemory()
		start, before := time.Now(), resident(t)
		r, more, err := yara.Compile(sources)
		if err != nil {
			t.Fatal(err)
		}
		took := time.Since(start)
		debug.FreeOSMemory()
		grown := resident(t) - before
		for _, p := range append(problems, more...) {
			t.Logf("%s: left out: %s", set.name, p)
		}
		if len(sources) < set.files || r.Len() < set.rules {
			t.Errorf("%s: %d files and %d rules, want %d and %d", set.name, len(sources), r.Len(), set.files, set.rules)
		}
		t.Logf("%s: %d files, %d of them left out, %d rules, %v, %.1f MB", set.name, len(sources), len(more), r.Len(), took.Round(time.Millisecond), float64(grown)/1e6)
		if testing.Short() {
			r.Close()
			continue
		}
		hits, scans := map[string]int{}, 0
		var spent time.Duration
		messages := goodMail(t, 4)
		walk(t, messages, func(file string, data []byte, f yara.Facts) {
			scans++
			start := time.Now()
			matches, err := r.Scan(context.Background(), data, f, 5*time.Second)
			spent += time.Since(start)
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			for _, m := range matches {
				hits[m.File+": "+m.Rule]++
			}
		})
		t.Logf("%s: %d messages, %d files, %.0f µs a message", set.name, len(messages), scans, float64(spent.Microseconds())/float64(len(messages)))
		var rules []string
		for rule := range hits {
			rules = append(rules, rule)
		}
		sort.Slice(rules, func(i, j int) bool {
			return hits[rules[i]] > hits[rules[j]] || hits[rules[i]] == hits[rules[j]] && rules[i] < rules[j]
		})
		for _, rule := range rules {
			t.Logf("%s: in good mail %d times: %s", set.name, hits[rule], rule)
		}
		r.Close()
	}
}

// resident is the process's memory in bytes, 0 where that cannot be told.
func resident(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
