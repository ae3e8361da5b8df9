package auth

import (
	"os"
	"path/filepath"
	"testing"
)

// suite is a folder of ../shared/suites, or the test is skipped.
func suite(t testing.TB, name string) string {
	t.Helper()
	shared := os.Getenv("SPAMCATCHER_SHARED")
	if shared == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			above := filepath.Dir(dir)
			if above == dir {
				t.Fatal("no go.mod above this folder")
			}
			dir = above
		}
		shared = filepath.Join(dir, "..", "shared")
	}
	folder := filepath.Join(shared, "suites", filepath.FromSlash(name))
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("SKIPPED: the suite %s is not there; set SPAMCATCHER_SHARED to the folder with the shared files: %v", name, err)
	}
	return folder
}
