package corpus

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A form is a way in which labelled mail is kept.
type form int

const (
	formMessage form = iota
	formList
	formIndex // a folder with a TREC index
	formMaildir
	formMbox
	formTree
)

func (f form) String() string {
	return [...]string{"message", "label list", "TREC index", "Maildir", "mbox", "folders"}[f]
}

// detect finds out what stands at path.
func detect(path string) (form, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if info.IsDir() {
		return detectFolder(path), nil
	}
	f, _, err := openRegular(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	head := make([]byte, 4<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return detectText(head[:n]), nil
}

func detectFolder(path string) form {
	isDir := func(name string) bool {
		info, err := os.Stat(filepath.Join(path, name))
		return err == nil && info.IsDir()
	}
	switch {
	case isDir("cur") || isDir("new") && isDir("tmp"):
		return formMaildir
	case indexOf(path) != "":
		return formIndex
	}
	return formTree
}

// indexOf returns the TREC index of a folder, "" if it has none.
func indexOf(path string) string {
	for _, name := range []string{"full/index", "index"} {
		file := filepath.Join(path, name)
		if form, err := detectFile(file); err == nil && form == formList {
			return file
		}
	}
	return ""
}

func detectFile(path string) (form, error) {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s: not a regular file", path)
	}
	return detect(path)
}

// detectText tells an mbox, a list and a message apart by their beginning.
func detectText(head []byte) form {
	if line, _, _ := bytes.Cut(head, []byte("\n")); separator(line) {
		return formMbox
	}
	lines := bufio.NewScanner(bytes.NewReader(head))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if _, _, ok := parseLabel(line); ok {
			return formList
		}
		break
	}
	return formMessage
}

// labelOf tells by the name of a folder or mbox what is in it: junk, Spam,
// .Junk E-Mail, spam_2, not-spam, easy_ham, good.
func labelOf(name string) Label {
	name = strings.ToLower(strings.TrimSuffix(name, filepath.Ext(name[min(1, len(name)):])))
	label, negated := ByName, false
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r >= 0 && r < 'a' || r > 'z' && r < 0x80 }) {
		switch {
		case word == "not" || word == "no" || word == "non":
			negated = true
			continue
		case word == "spam" || word == "spams" || word == "junk" || word == "junkmail" || word == "spamverdacht":
			label = Spam
		case word == "ham" || word == "good" || word == "inbox" || word == "nonspam" || word == "notspam" || word == "nospam":
			label = Ham
		}
		if negated && label == Spam {
			label = Ham
		}
		negated = false
	}
	return label
}

// unjudged are folders of a Maildir whose mail tells nothing of what
// arrives: what the owner wrote, and what was thrown away for any reason.
func unjudged(folder string) bool {
	folder = strings.ToLower(folder)
	for _, word := range []string{"sent", "draft", "outbox", "template", "trash", "deleted"} {
		if strings.Contains(folder, word) {
			return true
		}
	}
	return false
}
