package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport says which packages of the house each package may import. A
// pattern that ends in /... covers the package and what is below it. Tests
// may also import engine/enginetest, gateway/lookup/lookuptest and signatures/unpack/unpacktest. A package that is not listed is an
// error: whoever adds a room decides what it may see.
var mayImport = map[string][]string{
	"engine/message":               {},
	"engine":                       {"engine/message"},
	"engine/enginetest":            {"engine", "engine/message"},
	"rules/match":                  {},
	"rules":                        {"engine", "engine/message", "rules/match"},
	"rules/native":                 {"engine", "engine/message", "rules/..."},
	"rules/builtin":                {"engine", "engine/message", "rules/..."},
	"rules/spamassassin":           {"engine", "engine/message", "rules/..."},
	"bayes":                        {"engine", "engine/message"},
	"signatures":                   {"engine", "engine/message", "signatures/..."},
	"signatures/builtin":           {"signatures/yara"},
	"signatures/clamav":            {"signatures/yara"},
	"signatures/fingerprint":       {"engine", "engine/message"},
	"signatures/unpack":            {"engine/message", "signatures/unpack/..."},
	"signatures/unpack/format":     {"engine/message"},
	"signatures/unpack/archive":    {"engine/message", "signatures/unpack/format"},
	"signatures/unpack/document":   {"engine/message", "signatures/unpack/format"},
	"signatures/unpack/picture":    {"signatures/unpack/format"},
	"signatures/unpack/unpacktest": {},
	"signatures/yara":              {},
	"rules/update":                 {},
	"queue":                        {},
	"gateway":                      {"engine", "engine/message", "queue", "gateway/..."},
	"gateway/wire":                 {},
	"gateway/domain":               {},
	"gateway/policy":               {"engine", "engine/message", "gateway/domain", "gateway/lookup", "gateway/dnslist"},
	"gateway/policy/greylist":      {},
	"gateway/lookup":               {},
	"gateway/lookup/lookuptest":    {"gateway/lookup"},
	"gateway/dnslist":              {"gateway/lookup"},
	"gateway/uribl":                {"engine", "engine/message", "gateway/lookup", "gateway/dnslist"},
	"gateway/relay":                {"queue", "gateway/lookup"},
	"gateway/auth":                 {"engine", "engine/message", "gateway/lookup"},
	"gateway/relay/relaytest":      {},
	"corpus":                       {"engine", "engine/message"},
	"bench":                        {"engine", "engine/message", "corpus"},
	"bench/evasion":                {"engine/message"},
	"cmd/spamcatcher":              {"engine/...", "rules/...", "bayes", "signatures/...", "queue", "gateway/...", "corpus"},
}

// door says which packages may import a third-party module. Tests may use
// another room's module as a peer to test against.
var door = map[string][]string{
	"github.com/emersion/go-smtp":           {"gateway", "gateway/relay"},
	"github.com/emersion/go-message":        {"engine/message"},
	"github.com/miekg/dns":                  {"gateway/lookup", "gateway/lookup/lookuptest", "signatures/fingerprint"},
	"github.com/dgraph-io/badger":           {"queue", "gateway/policy/greylist", "signatures/fingerprint"},
	"blitiri.com.ar/go/spf":                 {"gateway/auth"},
	"github.com/emersion/go-msgauth":        {"gateway/auth"},
	"github.com/hillu/go-yara":              {"signatures/yara"},
	"github.com/klauspost/compress":         {"signatures/unpack/archive", "signatures/unpack/unpacktest", "rules/update"},
	"github.com/yeka/zip":                   {"signatures/unpack/archive", "signatures/unpack/unpacktest"},
	"github.com/bodgit/sevenzip":            {"signatures/unpack/archive"},
	"github.com/nwaples/rardecode":          {"signatures/unpack/archive"},
	"github.com/ulikunitz/xz":               {"signatures/unpack/archive", "signatures/unpack/unpacktest"},
	"github.com/richardlehane/mscfb":        {"signatures/unpack/document"},
	"github.com/makiuchi-d/gozxing":         {"signatures/unpack/picture", "signatures/unpack/unpacktest"},
	"aead.dev/minisign":                     {"rules/update"},
	"github.com/jbrukh/bayesian":            {"bayes"},
	"github.com/BurntSushi/toml":            {"cmd/spamcatcher", "rules/native"},
	"github.com/wasilibs/go-re2":            {"rules/match"},
	"github.com/KimMachineGun/automemlimit": {"cmd/spamcatcher"},
	"github.com/coreos/go-systemd":          {"cmd/spamcatcher"},
	"github.com/spf13/cobra":                {"cmd/spamcatcher"},
}

// testMayImport lets the tests of a package see more of the house than the
// package itself.
var testMayImport = map[string][]string{
	"signatures/builtin": {"engine/message", "signatures/unpack/..."},
	"bench":              {"engine/...", "rules/...", "bayes", "signatures/...", "queue"},
	"rules":              {"rules/..."},
	"gateway":            {"signatures"},
	"cmd/spamcatcher":    {},
}

func TestWhoImportsWhom(t *testing.T) {
	files := 0
	packages := map[string]bool{}
	walk(t, ".go", func(file string) {
		files++
		dir := path.Dir(file)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
		if dir == "." {
			return
		}
		allowed, known := mayImport[dir]
		if !known {
			t.Errorf("%s: package %s is not in the table of the house", file, dir)
			return
		}
		packages[dir] = true
		test := strings.HasSuffix(file, "_test.go")
		if test {
			allowed = slices.Concat(allowed, testMayImport[dir], []string{dir + "/...", "engine/enginetest", "gateway/lookup/lookuptest", "signatures/unpack/unpacktest"})
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			if ours, ok := strings.CutPrefix(imported, "spamcatcher/"); ok {
				if !covered(ours, allowed) {
					t.Errorf("%s imports %s; %s may import only %v", file, ours, dir, allowed)
				}
				continue
			}
			for module, doors := range door {
				if (imported == module || strings.HasPrefix(imported, module+"/")) && !slices.Contains(doors, dir) && !test {
					t.Errorf("%s imports %s, whose door is %v", file, imported, doors)
				}
			}
		}
	})
	for name := range mayImport {
		if !packages[name] {
			t.Errorf("the table names %s, but there is no such package", name)
		}
	}
	if files < 60 {
		t.Errorf("only %d Go files were looked at: is the test run at the top of the repository?", files)
	}
}

func covered(name string, patterns []string) bool {
	for _, p := range patterns {
		if base, ok := strings.CutSuffix(p, "/..."); ok && (name == base || strings.HasPrefix(name, base+"/")) || name == p {
			return true
		}
	}
	return false
}

// TestNoFileHidesASecondNoun keeps files to a few screens.
func TestNoFileHidesASecondNoun(t *testing.T) {
	walk(t, ".go", func(file string) {
		if strings.HasSuffix(file, "_test.go") {
			return
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > 500 {
			t.Errorf("%s has %d lines; look for the second noun", file, n)
		}
	})
}

// TestNoRegistryByInit: the order of the world is written in wire.go, not in
// init functions.
func TestNoRegistryByInit(t *testing.T) {
	pattern := regexp.MustCompile(`(?m)^func init\(\)`)
	walk(t, ".go", func(file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if pattern.Match(text) {
			t.Errorf("%s has an init function", file)
		}
	})
}

// walk calls visit with the slash-separated path of every file with the
// suffix, relative to the top of the repository.
func walk(t *testing.T, suffix string, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "var" || entry.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, suffix) {
			visit(filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
