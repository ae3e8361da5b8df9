package clamav

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"spamcatcher/signatures/yara"
)

// A daemon is ClamAV's own, with a database directory of ours.
type daemon struct{ socket string }

// startDaemon starts clamd, and ends it with the test.
func startDaemon(t *testing.T, database string) daemon {
	t.Helper()
	program, err := exec.LookPath("clamd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/clamd"); err != nil {
			t.Skip("SKIPPED: clamd is not installed (Debian package clamav-daemon); translated signatures are not compared with what ClamAV itself finds")
		}
	}
	dir, err := os.MkdirTemp("", "clamd") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := daemon{filepath.Join(dir, "s")}
	config := filepath.Join(dir, "clamd.conf")
	text := fmt.Sprintf("DatabaseDirectory %s\nLocalSocket %s\nForeground yes\nDisableCache yes\nBytecode no\nMaxThreads 2\nTemporaryDirectory %s\n", database, d.socket, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := exec.Command(program, "--config-file="+config)
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			c.Process.Kill()
			<-ended
		}
	})
	for range 300 {
		if conn, err := net.Dial("unix", d.socket); err == nil {
			conn.Close()
			return d
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("clamd does not take our database: %v\n%s", err, tail(out.String()))
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatalf("clamd does not answer:\n%s", tail(out.String()))
	return d
}

func tail(s string) string { return s[max(0, len(s)-2000):] }

// find lists the signatures that clamd finds in a file, sorted.
func (d daemon) find(t *testing.T, file string) []string {
	t.Helper()
	conn, err := net.Dial("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "nALLMATCHSCAN %s\n", file)
	var out []string
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		line, ok := strings.CutSuffix(strings.TrimPrefix(lines.Text(), file+": "), " FOUND")
		if !ok {
			if !strings.HasSuffix(line, "OK") {
				t.Fatalf("clamd says %q", line)
			}
			continue
		}
		name, _, _ := strings.Cut(line, ".UNOFFICIAL")
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestLikeClamd makes signatures and files at random, and compares what clamd finds
// with what the translation finds, signature by signature and file by file.
func TestLikeClamd(t *testing.T) {
	const seed = 1
	if testing.Short() {
		t.Skip("SKIPPED: comparing with clamd takes seconds")
	}
	m := newMaker(seed)
	var ndb, ldb strings.Builder
	var files [][]byte
	lines := map[string]string{}
	for i := range 200 {
		line, file := m.extended(i)
		ndb.WriteString(line + "\n")
		lines[fmt.Sprintf("Ndb.%d", i)] = line
		files = append(files, file)
		line, file = m.logical(i)
		ldb.WriteString(line + "\n")
		lines[fmt.Sprintf("Ldb.%d", i)] = line
		files = append(files, file)
	}
	compareWithClamd(t, map[string]string{"a.ndb": ndb.String(), "a.ldb": ldb.String()}, lines, files, 0.99)
}

// compareWithClamd scans every file with both, and demands that so great a share of
// the findings of either are findings of both.
func compareWithClamd(t *testing.T, texts, lines map[string]string, files [][]byte, share float64) {
	t.Helper()
	s := database(t, texts)
	rules := compile(t, s.Sources())
	dir := t.TempDir()
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := startDaemon(t, dir)
	translated := map[string]bool{}
	for _, source := range s.Sources() {
		for line := range strings.Lines(source.Text) {
			if _, rest, ok := strings.Cut(line, "clamav = \""); ok {
				translated[strings.TrimRight(rest, "\"\n")] = true
			}
		}
	}
	both, differ := 0, 0
	for i, data := range files {
		file := filepath.Join(dir, fmt.Sprintf("file%d", i))
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		theirs := slices.DeleteFunc(d.find(t, file), func(name string) bool { return !translated[name] })
		ours := scan(t, rules, data, factsOf(data))
		for _, name := range ours {
			if slices.Contains(theirs, name) {
				both++
			} else if differ++; differ <= 20 {
				t.Logf("only we find %s in %.200q", lines[name], data)
			}
		}
		for _, name := range theirs {
			if !slices.Contains(ours, name) {
				if differ++; differ <= 20 {
					t.Logf("only clamd finds %s in %.200q", lines[name], data)
				}
			}
		}
	}
	t.Logf("%d signatures, of which %d are translated; %d files; findings of both %d, of one alone %d; skipped %v",
		len(lines), len(translated), len(files), both, differ, s.Report().Skipped)
	if both == 0 || float64(differ) > (1-share)*float64(both+differ) {
		t.Errorf("the two agree on too few findings")
	}
}

func factsOf(data []byte) yara.Facts { return facts(string(data)) }

// TestCasesLikeClamd holds the cases of the other tests, too, to what clamd says.
func TestCasesLikeClamd(t *testing.T) {
	var ndb, ldb strings.Builder
	var files [][]byte
	lines := map[string]string{}
	// What ClamAV takes for text it also searches in lower case.
	binary := func(line, data string) []byte {
		if strings.Contains(line, ":0:*:") || strings.Contains(line, "Target:0") {
			data = "\x89PNG\r\n\x1a\n\x00\x00\x00\x00\x00\x00\x00\x00" + data
		}
		return []byte(data)
	}
	for _, c := range extendedCases {
		if strings.ContainsAny(c.line, `"\`) {
			continue // ClamAV writes such names otherwise
		}
		ndb.WriteString(c.line + "\n")
		name, _, _ := strings.Cut(c.line, ":")
		lines[name] = c.line
		files = append(files, binary(c.line, c.hit), binary(c.line, c.miss))
	}
	for _, c := range logicalCases {
		// ClamAV wants the expression to name the last subsignature.
		f := strings.Split(c.line, ";")
		expression, err := parseTerm(f[2], len(f)-3)
		if err != nil {
			t.Fatal(err)
		}
		used := map[int]bool{}
		expression.uses(used)
		last := slices.Max(slices.Collect(maps.Keys(used)))
		ldb.WriteString(strings.Join(f[:4+last], ";") + "\n")
		lines[f[0]] = c.line
		files = append(files, binary(c.line, c.hit), binary(c.line, c.miss))
	}
	compareWithClamd(t, map[string]string{"a.ndb": ndb.String(), "a.ldb": ldb.String()}, lines, files, 0.98)
}
