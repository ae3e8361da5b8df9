package spamassassin

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// The rules that SpamAssassin ships, and what a site has, on Debian.
const (
	stockRules = "/usr/share/spamassassin"
	siteRules  = "/etc/spamassassin"
)

// peer skips a test where SpamAssassin is not installed.
func peer(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(stockRules); err != nil {
		t.Skipf("NOT TESTED against SpamAssassin: %s is absent (apt-get install spamassassin)", stockRules)
	}
	if err := exec.Command("perl", "-MMail::SpamAssassin", "-e", "exit($Mail::SpamAssassin::VERSION >= 4 && $Mail::SpamAssassin::VERSION < 4.001 ? 0 : 1)").Run(); err != nil {
		t.Skip("NOT TESTED against SpamAssassin: perl has no Mail::SpamAssassin 4.0 (apt-get install spamassassin)")
	}
}

// shared returns the folder of labelled mail.
func shared(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SPAMCATCHER_SHARED")
	if dir == "" {
		root, err := filepath.Abs("../..")
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(filepath.Dir(root), "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "corpus", "boundary")); err != nil {
		t.Skipf("NOT TESTED on real mail: %s has no corpus (set SPAMCATCHER_SHARED)", dir)
	}
	return dir
}

// askPeer asks SpamAssassin what it finds.
func askPeer(t *testing.T, site, root string, paths []string) []map[string]float64 {
	t.Helper()
	cmd := exec.Command("perl", "testdata/reference.pl", site, root)
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\n") + "\n")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("asking SpamAssassin: %v\n%s", err, complaints.String())
	}
	return parseReference(t, out, len(paths))
}

func parseReference(t *testing.T, out []byte, messages int) []map[string]float64 {
	t.Helper()
	var hits []map[string]float64
	in := bufio.NewScanner(bytes.NewReader(out))
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		col := strings.Split(in.Text(), "\t")
		if len(col) != 3 {
			t.Fatalf("SpamAssassin's answer has a line of %d columns", len(col))
		}
		h := map[string]float64{}
		for _, w := range strings.Fields(col[2]) {
			rule, n, _ := strings.Cut(w, "=")
			h[rule], _ = strconv.ParseFloat(n, 64)
		}
		hits = append(hits, h)
	}
	if len(hits) != messages {
		t.Fatalf("SpamAssassin answered for %d of %d messages", len(hits), messages)
	}
	return hits
}

// agreement is how one rule does: in how many messages SpamAssassin has it, in
// how many of them we miss it, and in how many others we have it.
type agreement struct {
	rule                 string
	fired, missing, more int
	where                []string
}

func compareAll(t *testing.T, set *Set, root string, paths []string, want []map[string]float64) []agreement {
	t.Helper()
	all := map[string]*agreement{}
	get := func(rule string) *agreement {
		if all[rule] == nil {
			all[rule] = &agreement{rule: rule}
		}
		return all[rule]
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
				a.where = append(a.where, "-"+path)
			}
		}
		for rule := range got {
			if want[i][rule] == 0 {
				a := get(rule)
				a.more++
				a.where = append(a.where, "+"+path)
			}
		}
	}
	var out []agreement
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[name])
	}
	slices.SortStableFunc(out, func(a, b agreement) int { return cmp.Compare(b.missing+b.more, a.missing+a.more) })
	return out
}

// TestAgreesWithSpamAssassin compares what the rules find in real mail with what
// SpamAssassin itself finds, symbol by symbol. SPAMCATCHER_SPAMASSASSIN says in
// how many messages; with 2000 it takes ten minutes.
func TestAgreesWithSpamAssassin(t *testing.T) {
	peer(t)
	root := filepath.Join(shared(t), "corpus")
	wanted, least := 40, 99.0
	if n, err := strconv.Atoi(os.Getenv("SPAMCATCHER_SPAMASSASSIN")); err == nil && n > 0 {
		wanted, least = n, 95.0
	}
	list, err := os.ReadFile(filepath.Join(root, "dev-train.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(list)), "\n")
	wanted = min(wanted, len(lines))
	var paths []string
	for i := range wanted {
		_, path, ok := strings.Cut(lines[i*len(lines)/wanted], " ")
		if !ok {
			t.Fatalf("line %d of the list has no path", i+1)
		}
		paths = append(paths, path)
	}
	root = filepath.Join(root, "boundary")
	var want []map[string]float64
	if kept := os.Getenv("SPAMCATCHER_SPAMASSASSIN_ANSWER"); kept != "" {
		out, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		want = parseReference(t, out, len(paths))
	} else {
		want = askPeer(t, siteRules, root, paths)
	}
	set, err := Load(Config{Paths: []string{stockRules, siteRules}})
	if err != nil {
		t.Fatal(err)
	}
	fired, agree := 0, 0
	var bad []string
	for _, a := range compareAll(t, set, root, paths, want) {
		if a.fired > 0 {
			fired++
			if a.missing+a.more == 0 {
				agree++
			}
		}
		if a.missing+a.more > 0 {
			bad = append(bad, fmt.Sprintf("%-36s fires in %d, missing in %d, too much in %d: %s", a.rule, a.fired, a.missing, a.more, clip(strings.Join(a.where, " "), 120)))
		}
	}
	if fired < 200 {
		t.Fatalf("only %d rules fired in SpamAssassin", fired)
	}
	share := 100 * float64(agree) / float64(fired)
	t.Logf("%d messages: %d of %d rules that fire agree on every message (%.1f %%)\n%s", len(paths), agree, fired, share, strings.Join(bad, "\n"))
	if share < least {
		t.Errorf("%.1f %% of the rules agree on every message, want %.0f", share, least)
	}
}

// TestLocalAgrees asks SpamAssassin about the site rules of the tests.
func TestLocalAgrees(t *testing.T) {
	peer(t)
	site := t.TempDir()
	plugins, err := filepath.Glob(siteRules + "/*.pre")
	if err != nil || len(plugins) == 0 {
		t.Skipf("NOT TESTED against SpamAssassin: no *.pre in %s", siteRules)
	}
	for _, file := range append(plugins, "testdata/local.cf", "testdata/more/included.cf") {
		to := filepath.Join(site, filepath.Base(file))
		if filepath.Dir(file) == "testdata/more" {
			to = filepath.Join(site, "more", filepath.Base(file))
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := slices.Sorted(maps.Keys(localHits))
	for i, hits := range askPeer(t, site, "testdata/mail", names) {
		var local []string
		for _, rule := range slices.Sorted(maps.Keys(hits)) {
			if (strings.Contains(rule, "LOCAL_") || rule == "__HAS_X_CAMPAIGN") && rule != "__LOCAL_PP_NONPPURL" {
				local = append(local, rule)
			}
		}
		if got := strings.Join(local, " "); got != localHits[names[i]] {
			t.Errorf("%s: SpamAssassin finds\n %s\nthe test expects\n %s", names[i], got, localHits[names[i]])
		}
	}
}
