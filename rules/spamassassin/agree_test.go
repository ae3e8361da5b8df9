package spamassassin

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// readReference reads lines "path<TAB>score<TAB>RULE=count RULE=count …".
func readReference(t *testing.T, name string) (paths []string, hits []map[string]float64) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		col := strings.Split(in.Text(), "\t")
		if len(col) != 3 {
			t.Fatalf("%s: line of %d columns", name, len(col))
		}
		h := map[string]float64{}
		for _, w := range strings.Fields(col[2]) {
			rule, n, _ := strings.Cut(w, "=")
			h[rule], _ = strconv.ParseFloat(n, 64)
		}
		paths, hits = append(paths, col[0]), append(hits, h)
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return paths, hits
}

type agreement struct {
	rule                 string
	fired, missing, more int
	example              string
}

// compare judges each message and returns the rules that fired in either, with
// the number of messages in which one has it and the other not.
func compare(t *testing.T, set *Set, root string, paths []string, want []map[string]float64) []agreement {
	t.Helper()
	all := map[string]*agreement{}
	get := func(rule string) *agreement {
		a := all[rule]
		if a == nil {
			a = &agreement{rule: rule}
			all[rule] = a
		}
		return a
	}
	for i, path := range paths {
		raw, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		got := set.Trace(&engine.Mail{Message: message.Parse(raw, message.Limits{})})
		for rule := range want[i] {
			a := get(rule)
			a.fired++
			if got[rule] == 0 {
				a.missing++
				a.example += fmt.Sprintf(" -%d:%s", i, path)
			}
		}
		for rule := range got {
			if want[i][rule] == 0 {
				a := get(rule)
				a.more++
				a.example += fmt.Sprintf(" +%d:%s", i, path)
			}
		}
	}
	out := make([]agreement, 0, len(all))
	for _, a := range all {
		out = append(out, *a)
	}
	slices.SortFunc(out, func(a, b agreement) int {
		return cmp.Or(cmp.Compare(b.missing+b.more, a.missing+a.more), cmp.Compare(a.rule, b.rule))
	})
	return out
}

func TestScratchCompare(t *testing.T) {
	ref := os.Getenv("CF_REF")
	if ref == "" {
		t.Skip("no CF_REF")
	}
	set, err := Load(Config{Paths: []string{"/usr/share/spamassassin", "/etc/spamassassin"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tl := range set.Report().Tallies() {
		fmt.Println(tl)
	}
	paths, want := readReference(t, ref)
	list := compare(t, set, "/work/shared/corpus/boundary", paths, want)
	fired, good := 0, 0
	for _, a := range list {
		if a.fired > 0 {
			fired++
			if a.missing+a.more == 0 {
				good++
			}
		}
	}
	fmt.Printf("%d rules fire, %d agree everywhere: %.1f %%\n", fired, good, 100*float64(good)/float64(fired))
	for i, a := range list {
		if a.missing+a.more == 0 || i > 400 {
			break
		}
		fmt.Printf("%-40s fired %4d missing %4d more %4d %s\n", a.rule, a.fired, a.missing, a.more, clip(a.example, 150))
	}
}
