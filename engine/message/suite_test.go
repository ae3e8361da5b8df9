package message

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"
)

// Every message of the suites can be read, in a time that goes with its size.
func TestSuites(t *testing.T) {
	dir := shared(t, "suites")
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() > 8<<20 {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		start := time.Now()
		touch(Parse(raw, Limits{}))
		if took := time.Since(start); took > 3*time.Second+time.Duration(len(raw))*2*time.Microsecond {
			t.Errorf("%s: %v for %d bytes", path, took, len(raw))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files", n)
	if n < 500 {
		t.Errorf("only %d files", n)
	}
}

// The plain EICAR mails of the suites hold EICAR in some part.
func TestEicarMails(t *testing.T) {
	dir := shared(t, "suites", "generated", "eicar-mail")
	files, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
	found := 0
	for _, f := range files {
		if strings.Contains(filepath.Base(f), "zip") {
			continue // archives are not opened here
		}
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		hit := false
		for _, p := range Parse(raw, Limits{}).Parts() {
			hit = hit || bytes.Contains(p.Decoded(), []byte(eicar()))
		}
		if found++; !hit {
			t.Errorf("%s: not found", f)
		}
	}
	if found < 8 {
		t.Errorf("only %d messages", found)
	}
}

func primary(m *Message) (leaves, all []*Part) {
	for _, p := range m.Parts() {
		if p.Alternate {
			continue
		}
		all = append(all, p)
		if p.leaf() {
			leaves = append(leaves, p)
		}
	}
	return leaves, all
}

// The decoded bodies are those that mime4j expects.
func TestMime4j(t *testing.T) {
	dir := shared(t, "suites", "mime", "mime4j", "core")
	var messages []string
	for _, sub := range []string{"mimetools-testmsgs", "testmsgs"} {
		m, _ := filepath.Glob(filepath.Join(dir, sub, "*.msg"))
		messages = append(messages, m...)
	}
	squeeze := func(b []byte) string {
		return strings.TrimSpace(string(bytes.ReplaceAll(b, []byte("\r"), nil)))
	}
	agree, bodies, same := 0, 0, 0
	for _, path := range messages {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(strings.TrimSuffix(path, ".msg") + "_decoded_*")
		want := map[string]int{}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if s := squeeze(b); s != "" {
				want[s]++
				bodies++
			}
		}
		leaves, _ := primary(Parse(raw, Limits{}))
		got := map[string]int{}
		for _, p := range leaves {
			if s := squeeze(p.Decoded()); s != "" {
				got[s]++
			}
		}
		missing := 0
		for s, n := range want {
			if k := min(n, got[s]); k < n {
				missing += n - k
				t.Logf("%s: no part is %.80q", filepath.Base(path), s)
			}
			same += min(n, got[s])
		}
		if missing == 0 && len(got) == len(want) {
			agree++
		} else if missing == 0 {
			t.Logf("%s: %d parts, expected %d", filepath.Base(path), len(got), len(want))
		}
	}
	t.Logf("%d messages, %d with exactly the parts expected; of %d bodies %d are found byte for byte", len(messages), agree, bodies, same)
	if len(messages) < 70 || agree < 62 || same < 134 {
		t.Errorf("%d of %d agree", agree, len(messages))
	}
}

// The part tree is the one that MIME-tools expects.
func TestMimeTools(t *testing.T) {
	dir := shared(t, "suites", "mime", "mime-tools")
	refs, _ := filepath.Glob(filepath.Join(dir, "*.ref"))
	section := regexp.MustCompile(`(?s)"(Msg|Part_[\d_]+)" => \{(.*?)\n  \}`)
	entry := regexp.MustCompile(`"(\w+)" => (?:"((?:[^"\\]|\\.)*)"|qq\{([^}]*)\}|(\d+))`)
	agree, total := 0, 0
	for _, ref := range refs {
		text, err := os.ReadFile(ref)
		if err != nil {
			t.Fatal(err)
		}
		msg := strings.TrimSuffix(ref, ".ref") + ".msg"
		if m := regexp.MustCompile(`"Message" => "testmsgs/([^"]+)"`).FindSubmatch(text); m != nil {
			msg = filepath.Join(dir, string(m[1]))
		}
		raw, err := os.ReadFile(msg)
		if err != nil {
			continue
		}
		if bytes.Contains(text, []byte(`"ExtractUuencode" => 1`)) || bytes.Contains(text, []byte(`"ExtractNested" => "0"`)) || bytes.Contains(text, []byte(`"ExtractNested" => "REPLACE"`)) {
			continue // asks for another tree than the message's
		}
		total++
		want := map[string]string{}
		var names []string
		for _, s := range section.FindAllSubmatch(text, -1) {
			for _, e := range entry.FindAllSubmatch(s[2], -1) {
				if string(e[1]) == "Type" {
					want[string(s[1])] = string(e[2])
					names = append(names, string(s[1]))
				}
			}
		}
		sort.Strings(names)
		got := map[string]string{}
		var walk func(p *Part, name string)
		walk = func(p *Part, name string) {
			key := "Part" + name
			if name == "" {
				key = "Msg"
			}
			got[key] = p.MediaType
			for i, c := range p.Children {
				walk(c, name+"_"+string(rune('1'+i)))
			}
		}
		walk(Parse(raw, Limits{}).Root(), "")
		// Some references do not tell the type of the message itself.
		if _, told := want["Msg"]; !told {
			delete(got, "Msg")
		}
		ok := len(got) == len(want)
		for k, v := range want {
			ok = ok && got[k] == v
		}
		if ok {
			agree++
		} else {
			t.Logf("%s: expected %v, got %v", filepath.Base(ref), want, got)
		}
	}
	t.Logf("%d of %d trees agree", agree, total)
	if total < 15 || agree*100 < total*85 {
		t.Errorf("%d of %d agree", agree, total)
	}
}

// MIME-tools lists messages that must be called ambiguous.
func TestMimeToolsAmbiguous(t *testing.T) {
	dir := shared(t, "suites", "mime", "mime-tools")
	for _, c := range []struct {
		file string
		want string
	}{
		{"double-boundary.msg", Ambiguous},
		{"double-content-type.msg", Ambiguous},
		{"double-content-transfer-encoding.msg", Ambiguous},
		{"double-content-disposition.msg", HeaderDuplicate},
		{"double-content-disposition-param.msg", ParamDuplicate},
		{"attachment-filename-encoding-UTF8.msg", ""},
	} {
		raw, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		m := Parse(raw, Limits{})
		if c.want == "" && m.Defect(Ambiguous) > 0 || c.want != "" && m.Defect(c.want) == 0 {
			t.Errorf("%s: %v", c.file, m.Defects())
		}
	}
}

// What must hold for every message holds for the suites' mail and for real
// mail.
func TestInvariants(t *testing.T) {
	var paths []string
	err := filepath.WalkDir(shared(t, "suites", "mime"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	spam, ham := corpusList(t, "dev-valid.txt")
	paths = append(append(paths, spam...), ham...)
	n := 0
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(raw) > 300<<10 {
			continue
		}
		n++
		check(t, raw, Limits{})
		if t.Failed() {
			t.Fatal(path)
		}
	}
	t.Logf("%d messages", n)
	if n < 1_000 {
		t.Errorf("only %d messages", n)
	}
}
