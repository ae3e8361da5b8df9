package yara

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadFindsRuleFilesBelowADirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.yar": "rule b { condition: true }", "a/z.YARA": "\ufeffrule z { condition: true }", "a.yara": "rule a { condition: true }",
		"notes.txt": "no rules", "yar": "no rules", "big.yar": "",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "big.yar"), maxSource+1); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "c.yar")); err != nil {
		t.Fatal(err)
	}
	sources, problems := Read(dir)
	var files, wrong []string
	for _, s := range sources {
		files = append(files, s.File)
		if !strings.HasPrefix(s.Text, "rule ") {
			t.Errorf("%s is %q", s.File, s.Text)
		}
	}
	for _, p := range problems {
		wrong = append(wrong, p.File)
		if p.Msg == "" {
			t.Errorf("%s: no reason", p.File)
		}
	}
	if got := strings.Join(files, " "); got != "a/z.YARA a.yara b.yar" {
		t.Errorf("read %s", got)
	}
	if got := strings.Join(wrong, " "); got != "big.yar c.yar" {
		t.Errorf("problems with %s", got)
	}
}

func TestReadNamesADirectoryThatIsNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	sources, problems := Read(dir)
	if len(sources) != 0 || len(problems) != 1 || !strings.HasPrefix(problems[0].String(), dir+": ") {
		t.Errorf("read %v with problems %v", sources, problems)
	}
}

func TestOnlyExternalsThatSomeRuleNamesAreSet(t *testing.T) {
	for text, want := range map[string]string{
		"rule a { condition: true }":                                       "",
		"rule a { condition: filename == \"x\" or kind == \"\"}":           "filename kind",
		"rule a { strings: $my_filename = \"x\" condition: $my_filename }": "",
		"rule filenames { condition: extensions }":                         "",
		"rule a { condition: md5 == owner }":                               "",
		"rule a{condition:sender_domain}":                                  "sender_domain",
	} {
		var names []string
		for _, e := range used([]Source{{Text: "rule b { condition: false }"}, {Text: text}}) {
			names = append(names, e.name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s uses %q, want %q", text, got, want)
		}
	}
}
