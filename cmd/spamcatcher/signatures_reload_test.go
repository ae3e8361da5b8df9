package main

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSignaturesFollowTheirFiles: what is put into a directory of signatures, which
// may be a link, comes into force while mail flows; a directory that is emptied for
// a moment takes nothing out of force; and virus_action decides for each recipient.
func TestSignaturesFollowTheirFiles(t *testing.T) {
	dir := t.TempDir()
	first, second, link := filepath.Join(dir, "first"), filepath.Join(dir, "second"), filepath.Join(dir, "signatures")
	for _, d := range []string{first, second} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	hash := func(text, name string) string {
		text += "\r\n" // as SMTP ends it
		sum := md5.Sum([]byte(text))
		return fmt.Sprintf("%s:%d:%s\n", hex.EncodeToString(sum[:]), len(text), name)
	}
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(first, "own.hdb")
	put(file, hash("some bad text", "Test.First"))
	state := t.TempDir()
	p := start(t, state, "virus_action = 'refuse'\n[signatures]\ndirectories = ['"+link+"']\n[[recipient]]\naddress = 'tag@example.net'\nvirus_action = 'tag'\n[[recipient]]\naddress = 'drop@example.net'\nvirus_action = 'discard'\n")
	mail := func(content string) string {
		return "From: a@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + content
	}
	to := func(who, content string) string {
		if err := send(p.address, "a@example.org", []string{who}, mail(content)); err != nil {
			return err.Error()
		}
		return "taken"
	}
	if got := to("b@example.net", "some bad text"); !strings.HasPrefix(got, "550") || !strings.Contains(got, "Test.First") {
		t.Errorf("malware: %s", got)
	}
	if got := to("tag@example.net", "some bad text"); got != "taken" {
		t.Errorf("malware that is tagged: %s", got)
	}
	if got := to("drop@example.net", "some bad text"); got != "taken" {
		t.Errorf("malware that is discarded: %s", got)
	}
	waitFor(t, "the tagged message", func() bool { return len(delivered(t, state)) == 1 })
	if h := delivered(t, state)[0].Header; h.Get("X-SpamCatcher-Virus") != "Test.First" || h.Get("X-SpamCatcher-Score") != "100" || !strings.HasPrefix(h.Get("Subject"), "[spamcatcher]") {
		t.Errorf("the tagged message: %v", h)
	}
	if !strings.Contains(p.log(), "virus=Test.First") || !strings.Contains(p.log(), "action=discard") {
		t.Error("the log does not tell of them")
	}

	if err := os.Rename(file, filepath.Join(dir, "aside")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the refusal of an empty directory", func() bool { return strings.Contains(p.log(), "0 of 1 files are left") })
	if got := to("b@example.net", "some bad text"); !strings.HasPrefix(got, "550") {
		t.Errorf("malware while its signature is away: %s", got)
	}

	put(filepath.Join(second, "own.hdb"), hash("some bad text", "Test.First")+hash("another bad text", "Test.Second"))
	if err := os.Symlink(second, link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "what the link leads to now", func() bool { return strings.Contains(to("b@example.net", "another bad text"), "Test.Second") })
}
