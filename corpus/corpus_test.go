package corpus

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tree writes files below a new directory: name and text in turn.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		name := filepath.Join(dir, filepath.FromSlash(files[i]))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(files[i], "/") {
			if err := os.MkdirAll(name, 0o700); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(name, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mail is a message with a subject, as text.
func mail(subject string) string { return "Subject: " + subject + "\n\nHello.\n" }

// all lists the messages as "spam SET SUBJECT", and the errors.
func all(t *testing.T, o Options, paths ...string) (list, faults []string) {
	t.Helper()
	c, err := Open(o, paths...)
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range c.All() {
		if err != nil {
			if m.Path == "" {
				t.Errorf("error %q without a path", err)
			}
			faults = append(faults, err.Error())
			continue
		}
		raw, err := m.Read()
		if err != nil {
			faults = append(faults, err.Error())
			continue
		}
		line, _, _ := strings.Cut(string(raw), "\n")
		class := "ham"
		if m.Spam {
			class = "spam"
		}
		list = append(list, class+" "+m.Set()+" "+strings.TrimSpace(strings.TrimPrefix(line, "Subject: ")))
	}
	return list, faults
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n  %s\nwant:\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func forms(t *testing.T, path string) string {
	t.Helper()
	c, err := Open(Options{}, path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(c.Forms(), " ")
}

func TestFolders(t *testing.T) {
	dir := tree(t,
		"mine/ham/1.eml", mail("h1"), "mine/ham/deep/2.eml", mail("h2"), "mine/spam/3.eml", mail("s3"),
		"other/easy_ham/4", mail("h4"), "other/spam_2/5", mail("s5"), "other/not-spam/6", mail("h6"),
		"other/spam_2/.hidden", mail("hidden"), "other/spam_2/empty", "")
	if f := forms(t, dir); f != "folders" {
		t.Errorf("form %q", f)
	}
	list, faults := all(t, Options{}, dir)
	expect(t, "messages", list, "ham mine h1", "ham mine h2", "spam mine s3", "ham other h4", "ham other h6", "spam other s5")
	expect(t, "faults", faults)
	list, _ = all(t, Options{}, filepath.Join(dir, "mine"))
	expect(t, "one collection", list, "ham mine h1", "ham mine h2", "spam mine s3")
	list, _ = all(t, Options{}, filepath.Join(dir, "mine", "spam"), filepath.Join(dir, "mine", "ham", "1.eml"))
	expect(t, "folder and file by their names", list, "spam mine s3", "ham mine h1")
	list, _ = all(t, Options{Label: Spam}, filepath.Join(dir, "other"))
	if len(list) != 3 || strings.Contains(strings.Join(list, " "), "ham") {
		t.Errorf("everything as spam: %q", list)
	}
}

func TestFoldersWithoutLabel(t *testing.T) {
	dir := tree(t, "things/1.eml", mail("1"), "things/ham/2.eml", mail("2"))
	list, faults := all(t, Options{}, dir)
	expect(t, "messages", list, "ham things 2")
	if len(faults) != 1 || !strings.Contains(faults[0], "spam or ham") {
		t.Errorf("faults %q", faults)
	}
}

func TestLabelOf(t *testing.T) {
	for name, want := range map[string]Label{
		"spam": Spam, "Spam": Spam, ".Junk": Spam, "Junk E-Mail": Spam, "spam_2": Spam, ".Spam.2023": Spam, "spam.mbox": Spam,
		"ham": Ham, "easy_ham_2": Ham, "good": Ham, "not-spam": Ham, "NoSpam": Ham, "nonspam": Ham, "inbox": Ham, "ham.mbx": Ham,
		"spamassassin": ByName, "hamburg": ByName, "lists": ByName, "": ByName, ".": ByName, "shapes": ByName, "not": ByName,
	} {
		if got := labelOf(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}

func TestMaildir(t *testing.T) {
	dir := tree(t,
		"md/cur/1:2,S", mail("read"), "md/new/2", mail("unread"), "md/tmp/3", mail("under way"), "md/cur/4:2,ST", mail("thrown away"), "md/cur/.lock", "x",
		"md/dovecot-uidlist", "x",
		"md/.Junk/cur/5:2,", mail("junk"), "md/.Junk/new/", "", "md/.Work.2024/cur/6:2,S", mail("work"), "md/.Sent/cur/7:2,S", mail("sent"), "md/.Trash/cur/8:2,S", mail("trash"), "md/.Drafts/cur/9:2,D", mail("draft"))
	root := filepath.Join(dir, "md")
	if f := forms(t, root); f != "Maildir" {
		t.Errorf("form %q", f)
	}
	list, faults := all(t, Options{}, root)
	expect(t, "messages", list, "ham md read", "ham md unread", "spam md junk", "ham md work")
	expect(t, "faults", faults)
	list, _ = all(t, Options{}, filepath.Join(root, ".Junk"))
	expect(t, "one folder", list, "spam .Junk junk")
	list, _ = all(t, Options{Label: Spam}, root)
	if len(list) != 4 || strings.Contains(strings.Join(list, " "), "ham ") {
		t.Errorf("everything as spam: %q", list)
	}
	// A Maildir among folders takes its class from them.
	list, _ = all(t, Options{}, tree(t, "x/spam/box/cur/1", mail("boxed"), "x/spam/box/tmp/", ""))
	expect(t, "Maildir in a folder", list, "spam x boxed")
}

const threeMails = `From anna@example.org Mon Nov 16 09:00:00 2026
Subject: first

From the window one sees the lake.
>From here on it is quoted,
>>From here twice.
> From an answer.

From nobody in particular, as no date follows.

From MAILER-DAEMON  Mon, 16 Nov 2026 09:01:00 +0000
Subject: second

two

From - Tue Nov 17 10:00:00 2026
Subject: third
`

func TestMbox(t *testing.T) {
	for name, text := range map[string]string{"LF": threeMails, "CRLF": strings.ReplaceAll(threeMails, "\n", "\r\n")} {
		dir := tree(t, "ham.mbox", text, "spam/archive", text)
		box := filepath.Join(dir, "ham.mbox")
		if f := forms(t, box); f != "mbox" {
			t.Errorf("%s: form %q", name, f)
		}
		list, faults := all(t, Options{}, box)
		expect(t, name, list, "ham ham.mbox first", "ham ham.mbox second", "ham ham.mbox third")
		expect(t, "faults", faults)
		list, _ = all(t, Options{}, dir)
		if len(list) != 6 || !strings.HasPrefix(list[5], "spam ") {
			t.Errorf("%s, in folders: %q", name, list)
		}
		c, _ := Open(Options{}, box)
		var raw []string
		for m := range c.All() {
			text, err := m.Read()
			if err != nil {
				t.Fatal(err)
			}
			raw = append(raw, strings.ReplaceAll(string(text), "\r\n", "\n"))
		}
		want := "Subject: first\n\nFrom the window one sees the lake.\nFrom here on it is quoted,\n>From here twice.\n> From an answer.\n\nFrom nobody in particular, as no date follows.\n"
		if raw[0] != want {
			t.Errorf("%s: first message %q, want %q", name, raw[0], want)
		}
		if raw[1] != "Subject: second\n\ntwo\n" || raw[2] != "Subject: third\n" {
			t.Errorf("%s: messages %q", name, raw[1:])
		}
	}
}

func TestSeparator(t *testing.T) {
	for line, want := range map[string]bool{
		"From a@example.org Mon Nov 16 09:00:00 2026":                     true,
		"From MAILER-DAEMON  Mon Nov 16 09:00 2026":                       true,
		"From - Tue, 17 Nov 2026 10:00:00 +0100":                          true,
		"From a b Sat Jan  3 01:05:34 1998 remote from x":                 true,
		"From Monday on we open at 9:00":                                  false,
		"From Mon to Fri we open at 9:00":                                 false,
		"From Mon 5 to Fri 9 of 2026":                                     false,
		"From 2026 on, 10:00 is the hour":                                 false,
		">From a@example.org Mon Nov 16 09:00:00 2026":                    false,
		"from a@example.org Mon Nov 16 09:00:00 2026":                     false,
		"From " + strings.Repeat("x", 1000) + " Mon Nov 16 09:00:00 2026": false,
	} {
		if separator([]byte(line)) != want {
			t.Errorf("%.60q: %t", line, !want)
		}
	}
}

func TestDamagedMbox(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for name, c := range map[string]struct {
		text string
		want int
	}{
		"separators only": {"From a Mon Nov 16 09:00:00 2026\n\nFrom b Mon Nov 16 09:00:00 2026\n\n", 0},
		"no end":          {"From a Mon Nov 16 09:00:00 2026\nSubject: x\n\nno line end", 1},
		"no empty line":   {"From a Mon Nov 16 09:00:00 2026\nSubject: x\n\nx\nFrom b Mon Nov 16 09:00:00 2026\nSubject: y\n", 1},
		"long line":       {"From a Mon Nov 16 09:00:00 2026\nSubject: " + long + "\n\nx\n\nFrom b Mon Nov 16 09:00:00 2026\nSubject: y\n", 2},
		// The end of a line as long as the buffer is no empty line.
		"buffer": {"From a Mon Nov 16 09:00:00 2026\n" + strings.Repeat("x", 64<<10) + "\nFrom b Mon Nov 16 09:00:00 2026\nSubject: y\n", 1},
		"NUL":    {"From a Mon Nov 16 09:00:00 2026\nSubject: \x00\n\n\x00\n\nFrom b Mon Nov 16 09:00:00 2026\nx", 2},
	} {
		n := 0
		if err := eachMessage(strings.NewReader(c.text), func(offset, length int64) bool {
			n++
			if offset < 0 || length <= 0 || offset+length > int64(len(c.text)) {
				t.Errorf("%s: message at %d, %d bytes of %d", name, offset, length, len(c.text))
			}
			return true
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n != c.want {
			t.Errorf("%s: %d messages, want %d", name, n, c.want)
		}
	}
}

func TestTRECIndex(t *testing.T) {
	dir := tree(t, "trec/data/inmail.1", mail("one"), "trec/data/inmail.2", mail("two"), "trec/full/index", "spam ../data/inmail.1\nham ../data/inmail.2\nham ../data/inmail.3\n")
	for _, path := range []string{"trec", "trec/full", "trec/full/index", "."} {
		list, faults := all(t, Options{}, filepath.Join(dir, path))
		expect(t, path, list, "spam trec one", "ham trec two")
		if len(faults) != 1 || !strings.Contains(faults[0], "index:3") {
			t.Errorf("%s: faults %q", path, faults)
		}
	}
}

func TestLabelList(t *testing.T) {
	dir := tree(t, "set-a/1.eml", mail("a1"), "set-b/b c.eml", mail("b2"), "lists/x.txt", "# a comment\r\nspam set-a/1.eml\r\n\nham\tset-b/b c.eml\nspam set-a/none.eml\njunk x\nspam\n", "lists/set-a/1.eml", mail("nearer"))
	list := filepath.Join(dir, "lists", "x.txt")
	if f := forms(t, list); f != "label list" {
		t.Errorf("form %q", f)
	}
	got, faults := all(t, Options{}, list)
	expect(t, "the list's folder before the one above", got, "spam set-a nearer", "ham set-b b2")
	if len(faults) != 3 || !strings.Contains(faults[0], "x.txt:5: ") || !strings.Contains(faults[1], "x.txt:6: ") || !strings.Contains(faults[2], "x.txt:7: ") {
		t.Errorf("faults %q", faults)
	}
	got, _ = all(t, Options{Base: dir}, list)
	expect(t, "a base", got, "spam set-a a1", "ham set-b b2")
	// The working directory comes last.
	t.Chdir(filepath.Join(dir, "set-b"))
	other := tree(t, "deep/down/list", "ham b c.eml\nspam "+filepath.Join(dir, "set-a/1.eml")+"\n")
	got, faults = all(t, Options{}, filepath.Join(other, "deep/down/list"))
	expect(t, "working directory, and a path that is absolute", got, "ham list b2", "spam list a1")
	expect(t, "faults", faults)

	messages, err := ReadLabels(filepath.Join(other, "deep/down/list"), "top")
	if err != nil || len(messages) != 2 || messages[0].Path != "top/b c.eml" || messages[0].Name != "b c.eml" || messages[0].Spam || !messages[1].Spam {
		t.Errorf("%+v, %v", messages, err)
	}
	if _, err := ReadLabels(list, ""); err == nil || !strings.Contains(err.Error(), "x.txt:6") {
		t.Errorf("error %v", err)
	}
}

func TestEndlessList(t *testing.T) {
	dir := tree(t, "list", "spam x\n"+strings.Repeat("y", maxLine+1))
	_, faults := all(t, Options{}, filepath.Join(dir, "list"))
	if len(faults) != 2 || !strings.Contains(faults[1], "list:2: ") {
		t.Errorf("faults %.200q", faults)
	}
}

// TestNothingEndless: links in circles, pipes and devices neither hold the
// reader up nor are they read.
func TestNothingEndless(t *testing.T) {
	dir := tree(t, "spam/1.eml", mail("one"), "spam/deep/2.eml", mail("two"), "md/cur/3", mail("three"))
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Symlink(filepath.Join(dir, "spam"), filepath.Join(dir, "spam", "deep", "circle")))
	must(os.Symlink("/dev/zero", filepath.Join(dir, "spam", "zero")))
	must(os.Symlink("gone", filepath.Join(dir, "spam", "gone.eml")))
	must(os.Symlink(filepath.Join(dir, "spam", "1.eml"), filepath.Join(dir, "spam", "same.eml")))
	must(syscall.Mkfifo(filepath.Join(dir, "spam", "pipe"), 0o600))
	must(syscall.Mkfifo(filepath.Join(dir, "md", "cur", "pipe"), 0o600))
	done := make(chan struct{})
	go func() {
		defer close(done)
		list, faults := all(t, Options{}, dir)
		expect(t, "messages", list, "ham md three", "spam "+filepath.Base(dir)+" one", "spam "+filepath.Base(dir)+" two", "spam "+filepath.Base(dir)+" one")
		if len(faults) != 4 {
			t.Errorf("faults %q", faults)
		}
		if _, err := (Message{Path: filepath.Join(dir, "spam", "pipe")}).Read(); err == nil {
			t.Error("a pipe was read")
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("the reader does not end")
	}
}

func TestOpenNothing(t *testing.T) {
	if _, err := Open(Options{}, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("what does not exist was opened")
	}
	if _, err := Open(Options{}, "/dev/null"); err == nil {
		t.Error("a device was opened")
	}
}

// TestStop: whoever has seen enough gets no more, from any form.
func TestStop(t *testing.T) {
	dir := tree(t, "a/ham/1", mail("1"), "a/ham/2", mail("2"), "md/cur/1", mail("1"), "md/cur/2", mail("2"), "ham.mbox", threeMails, "list", "ham a/ham/1\nham a/ham/2\n")
	for _, name := range []string{"a", "md", "ham.mbox", "list", "."} {
		c, err := Open(Options{}, filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range c.All() {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%s: %d messages", name, n)
		}
	}
}

func FuzzMbox(f *testing.F) {
	f.Add([]byte(threeMails))
	f.Add([]byte("From a Mon Nov 16 09:00:00 2026\n\n\n\nFrom b Mon Nov 16 09:00:00 2026\r\n>From x\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		at := int64(0)
		separators := 0
		for line := range strings.Lines(string(text)) {
			if separator([]byte(strings.TrimRight(line, "\r\n"))) {
				separators++
			}
		}
		n := 0
		if err := eachMessage(strings.NewReader(string(text)), func(offset, length int64) bool {
			n++
			if offset < at || length <= 0 || offset+length > int64(len(text)) {
				t.Fatalf("message at %d, %d bytes, after %d of %d", offset, length, at, len(text))
			}
			if length < int64(len(unquote(text[offset:offset+length]))) {
				t.Fatal("unquoting made a message longer")
			}
			at = offset + length
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if n > separators {
			t.Fatalf("%d messages, but %d separators", n, separators)
		}
	})
}

// FuzzMboxRoundTrip writes messages as mboxrd and finds them again.
func FuzzMboxRoundTrip(f *testing.F) {
	f.Add("Subject: a\n\nFrom b Mon Nov 16 09:00:00 2026\n", ">From c\n\n\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		var box strings.Builder
		var want []string
		for _, m := range []string{a, b} {
			if strings.Trim(m, "\r\n") == "" || !strings.HasSuffix(m, "\n") {
				return
			}
			want = append(want, m)
			box.WriteString("From x@example.org Mon Nov 16 09:00:00 2026\n")
			for line := range strings.Lines(m) {
				if strings.HasPrefix(strings.TrimLeft(line, ">"), "From ") {
					box.WriteByte('>')
				}
				box.WriteString(line)
			}
			box.WriteByte('\n')
		}
		var got []string
		text := box.String()
		if err := eachMessage(strings.NewReader(text), func(offset, length int64) bool {
			got = append(got, string(unquote([]byte(text[offset:offset+length]))))
			return true
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q came back as %q", want, got)
		}
	})
}

func FuzzLabelList(f *testing.F) {
	f.Add([]byte("spam ../data/inmail.1\nHAM x y\n# c\n\nfoo\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := strings.Count(string(text), "\n") + 1
		good, bad := 0, 0
		eachLabel(strings.NewReader(string(text)), "list", func(line int, name string, _ bool) error {
			good++
			if line < 1 || line > lines || name == "" || strings.ContainsAny(name, "\n\x00") {
				t.Fatalf("line %d of %d: %q", line, lines, name)
			}
			return nil
		}, func(err error) error {
			bad++
			if !strings.HasPrefix(err.Error(), "list:") {
				t.Fatal(err)
			}
			return nil
		})
		if good+bad > lines {
			t.Fatalf("%d + %d entries in %d lines", good, bad, lines)
		}
		detectText(text)
	})
}
