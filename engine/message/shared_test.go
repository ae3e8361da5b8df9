package message

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shared is a path below the folder of test material that is not in the
// repository. The test is skipped without it.
func shared(t testing.TB, elem ...string) string {
	t.Helper()
	dir := os.Getenv("SPAMCATCHER_SHARED")
	if dir == "" {
		root, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			up := filepath.Dir(root)
			if up == root {
				t.Fatal("no go.mod above the test's folder")
			}
			root = up
		}
		dir = filepath.Join(root, "..", "shared")
	}
	path := filepath.Join(append([]string{dir}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: %s is absent; set SPAMCATCHER_SHARED to the folder that holds corpus/ and suites/", filepath.Join(elem...))
	}
	return path
}

// corpusList reads one of the lists of labelled mail.
func corpusList(t testing.TB, list string) (spam, ham []string) {
	t.Helper()
	dir := shared(t, "corpus")
	b, err := os.ReadFile(filepath.Join(dir, list))
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		label, path, _ := strings.Cut(line, " ")
		path = filepath.Join(dir, "boundary", path)
		if label == "spam" {
			spam = append(spam, path)
		} else {
			ham = append(ham, path)
		}
	}
	return spam, ham
}

// touch reads every view of a message.
func touch(m *Message) (n int) {
	n += len(m.Raw()) + len(m.Body()) + len(m.Text()) + len(m.Skeleton()) + len(m.Source())
	n += len(m.Links()) + len(m.Attachments()) + len(m.Defects()) + m.HTML().VisibleChars
	for _, p := range m.Parts() {
		n += len(p.Raw()) + len(p.Decoded()) + len(p.Text()) + len(p.Header.Fields()) + len(p.Name)
	}
	n += len(m.Header().Addresses("From")) + len(m.Header().Addresses("To")) + len(m.Header().Get("Subject"))
	return n
}
