package document

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// suiteExpects is, for the files of the public suite that a pattern names, the
// exact set of marks. The first pattern that matches counts.
var suiteExpects = []struct{ pattern, marks string }{
	{"*/*harmless-clean*", ""},
	{"basic/encrypted.docx", "office_locked"},
	{"basic/*", ""},
	{"encrypted/autostart*standardpassword*", "macro macro_autorun"},
	{"encrypted/dde*standardpassword*", "dde"},
	{"encrypted/encrypted.*", "office_locked"},
	{"excel4-macros/*", "macro_autorun macro_sheet"},
	{"msodde/RTF-Spec*", ""},
	{"msodde/dde-*", "dde"},
	{"oleform/*", "macro"},
	{"oleobj/external_link/*", "external"},
	{"oleobj/*", "embedded_file"},
	{"olevba/*", "macro"},
	{"ooxml/dde-*", "dde"},
	{"other/*", ""},
	{"rtfobj/issue_251.rtf", "rtf_exploit rtf_object"},
	{"rtfobj/issue_185.rtf.zip", "rtf_exploit rtf_object"},
}

func TestSuite(t *testing.T) {
	root := shared(t, "suites/macros/oletools")
	type count struct{ right, all int }
	folders := map[string]*count{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "LICENSE.md" {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(suiteExpects, func(e struct{ pattern, marks string }) bool {
			ok, _ := path.Match(e.pattern, filepath.ToSlash(relative))
			return ok
		})
		if i < 0 {
			t.Errorf("%s: nothing is expected of it", relative)
			return nil
		}
		folder := path.Dir(filepath.ToSlash(relative))
		if folders[folder] == nil {
			folders[folder] = &count{}
		}
		folders[folder].all++
		got := open(t, relative, data)
		if marks := strings.Join(got.kinds(), " "); marks != suiteExpects[i].marks {
			t.Errorf("%s: marks %q, want %q", relative, marks, suiteExpects[i].marks)
			for _, m := range got.marks {
				t.Logf("    %s %.80q %s", m.Kind, m.Detail, m.Path)
			}
			return nil
		}
		folders[folder].right++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, folder := range slices.Sorted(func(yield func(string) bool) {
		for f := range folders {
			if !yield(f) {
				return
			}
		}
	}) {
		t.Logf("%-24s %3d of %3d as expected", folder, folders[folder].right, folders[folder].all)
		total += folders[folder].all
	}
	if total < 95 {
		t.Errorf("only %d files were looked at", total)
	}
}
