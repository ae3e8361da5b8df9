package document

import (
	"bytes"
	"html"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// addressFormat reads shortcuts that are text: .url and .website, .scf, saved
// searches and libraries, settings shortcuts.
type addressFormat struct{}

func (addressFormat) Name() string { return "shortcut" }

func (addressFormat) Reads(f *format.File) bool {
	if f.Type == "application/x-url" {
		return true
	}
	if f.Type != "" && f.Type != "text/xml" || len(f.Data) < 16 {
		return false
	}
	head := bytes.TrimLeft(f.Data[:min(len(f.Data), 1024)], "\xef\xbb\xbf\xff\xfe \t\r\n")
	switch {
	case len(head) < 8:
		return false
	case head[0] == '[':
		return indexFold(head[:min(len(head), 64)], "[internetshortcut") >= 0 || indexFold(head[:min(len(head), 64)], "[shell]") >= 0 || indexFold(head, "[internetshortcut]") >= 0 ||
			head[1] == 0 && indexFold([]byte(decodeUTF16(head, false)), "[internetshortcut") >= 0
	case head[0] == '<':
		return indexFold(head, "<librarydescription") >= 0 || indexFold(head, "<searchconnectordescription") >= 0 || indexFold(head, "<persistedquery") >= 0 || indexFold(head, "<settingcontent") >= 0 || indexFold(head, "<pcsettings") >= 0
	}
	return false
}

func (addressFormat) Open(j *format.Job, f *format.File) error {
	b := htmlBytes(f.Data[:min(len(f.Data), 64<<10)])
	if i := bytes.IndexByte(b[:min(len(b), 8)], 0); i == 1 {
		b = []byte(decodeUTF16(b, false))
	}
	b = bytes.TrimLeft(b, "\xef\xbb\xbf \t\r\n")
	if len(b) > 0 && b[0] == '<' {
		return xmlShortcut(j, f, b)
	}
	marked := false
	for line := range bytes.Lines(b) {
		key, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if !ok {
			continue
		}
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "url", "baseurl", "originalurl":
			lower := strings.ToLower(value)
			if strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://") {
				j.Link(f, value)
			}
			if !marked && leads(value) {
				marked = true
				j.Mark(f, format.LinkCommand, value)
			}
		case "iconfile", "workingdirectory":
			// The icon is fetched when the folder is shown, with the user's credentials.
			if !marked && foreignHost(strings.TrimPrefix(strings.ToLower(value), "file:")) {
				marked = true
				j.Mark(f, format.LinkCommand, value)
			}
		}
	}
	return j.Check()
}

// leads says whether the address of a shortcut opens a file elsewhere or starts a
// program, rather than a page.
func leads(address string) bool {
	lower := strings.ToLower(address)
	lower = strings.TrimPrefix(lower, "url:")
	if rest, ok := strings.CutPrefix(lower, "file:"); ok {
		rest = strings.ReplaceAll(rest, `\`, "/")
		path := strings.TrimLeft(rest, "/")
		// Three slashes, or one, and it is a file of one's own: file:///C:/
		if slashes := len(rest) - len(path); slashes == 3 || slashes < 2 {
			return false
		}
		host, _, _ := strings.Cut(path, "/")
		return host != "" && host != "localhost" && !strings.HasSuffix(host, ":")
	}
	if strings.HasPrefix(lower, `\\`) || strings.HasPrefix(lower, "//") {
		return true
	}
	for _, scheme := range []string{"search-ms:", "search:", "ms-msdt:", "ms-officecmd:", "ms-search:", "javascript:", "vbscript:", "smb:", "ldap:", "mshta:", "shell:", "ms-appinstaller:", "ms-excel:", "ms-word:", "ms-powerpoint:"} {
		if strings.HasPrefix(lower, scheme) {
			return true
		}
	}
	return false
}

// xmlShortcut reads libraries, saved searches and settings shortcuts.
func xmlShortcut(j *format.Job, f *format.File, b []byte) error {
	for _, tag := range []string{"<url>", "<deeplink>", "<simplelocation>", "path=", "<applicationinformation>"} {
		for at := 0; ; {
			i := indexFold(b[at:], tag)
			if i < 0 {
				break
			}
			at += i + len(tag)
			value := b[at:min(len(b), at+4096)]
			if k := bytes.IndexByte(value, '<'); k >= 0 && tag != "path=" {
				value = value[:k]
			} else if tag == "path=" {
				if len(value) < 2 {
					break
				}
				if k := bytes.IndexByte(value[1:], value[0]); k >= 0 {
					value = value[1 : 1+k]
				}
			}
			text := strings.TrimSpace(html.UnescapeString(string(value)))
			linkAddresses(j, f, text)
			lower := strings.ToLower(text)
			name, arguments, _ := strings.Cut(text, " ")
			if tag == "<deeplink>" && shortcutRuns(name, arguments) || tag != "<deeplink>" && (leads(text) || strings.HasPrefix(lower, "http:") || strings.HasPrefix(lower, "https:")) {
				j.Mark(f, format.LinkCommand, text)
			}
		}
		if err := j.Check(); err != nil {
			return err
		}
	}
	return nil
}
