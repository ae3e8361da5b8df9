package document

import (
	"bytes"
	"cmp"
	"regexp"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// Macros are the modules of one project, judged together: what runs by itself,
// fetches, starts programs, and what is written so that it is not seen. No more
// than one module is held at a time.
type macros struct {
	j        *format.Job
	f        *format.File
	stomped  bool            // a module has no source
	compiled int             // bytes of compiled code
	named    map[string]bool // telling names that the compiled code uses
	written  map[string]bool // those that the source has
	did      conducts        // what the modules so far do
}

// add takes a module's decompressed text; missing says that it should have one and
// has not.
func (m *macros) add(name string, text []byte, missing bool) error {
	m.stomped = m.stomped || missing
	if text = withoutAttributes(text); len(text) == 0 {
		return nil
	}
	if hasCode(text) {
		m.j.Mark(m.f, format.MacroFound, name)
	}
	if err := m.j.Emit(&format.File{Kind: format.Macro, Name: name, Type: "text/x-vba", Data: text}); err != nil {
		return err
	}
	// A window at a time, so that a module of many megabytes takes little memory;
	// the job's limit of time ends it.
	for len(text) > 0 {
		window := text[:min(len(text), sourceWindow)]
		if end := bytes.LastIndexByte(window, '\n'); end > 0 && len(window) < len(text) {
			window = window[:end+1]
		}
		text = text[len(window):]
		m.written = telling(m.written, window)
		if err := m.behaviour(uncommented(window)); err != nil {
			return err
		}
	}
	return nil
}

const sourceWindow = 256 << 10 // bytes of source that are judged at once

// hasCode says whether a module has a line besides empty ones and options.
func hasCode(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && (len(line) < 7 || !strings.EqualFold(string(line[:7]), "option ")) {
			return true
		}
	}
	return false
}

// readNames reads the _VBA_PROJECT stream, where the identifiers of the compiled
// code are.
func (m *macros) readNames(b []byte) { m.named = telling(m.named, b[:min(len(b), 4<<20)]) }

// telling adds the names in b that a document does harm with to a set.
func telling(set map[string]bool, b []byte) map[string]bool {
	if set == nil {
		set = map[string]bool{}
	}
	lower := bytes.ToLower(b)
	for _, list := range [][]string{runningNames(), doingNames()} {
		for _, name := range list {
			if !set[name] && bytes.Contains(lower, []byte(name)) {
				set[name] = true
			}
		}
	}
	return set
}

// runningNames are procedures that Office runs by itself, doingNames what they
// call to do harm.
func runningNames() []string {
	return []string{"autoopen", "auto_open", "document_open", "workbook_open", "autoexec", "documentopen", "autoclose", "auto_close", "document_close", "workbook_beforeclose"}
}

func doingNames() []string {
	return []string{"shell", "createobject", "urldownloadtofile", "createprocess", "getobject", "executeexcel4macro"}
}

var (
	// What Office calls by name. Event procedures of ActiveX controls are those
	// that a control raises without the reader's doing.
	autorun = regexp.MustCompile(`(?im)^[ \t]*(?:(?:Public|Private|Friend|Static)[ \t]+)*(?:Sub|Function)[ \t]+(` +
		`Auto_?(?:Open|Exec|Close|Exit|New|Activate|Ouvrir)|Document_?(?:Open|Close|New|BeforeClose|Change|ContentControlOnEnter)|` +
		`Workbook_(?:Open|Activate|BeforeClose|Close|WindowActivate|Deactivate)|App_(?:DocumentOpen|WorkbookOpen|NewWorkbook)|` +
		`\w+_(?:Layout|Painted|Painting|BeforeNavigate2|DocumentComplete|DownloadBegin|DownloadComplete|FileDownload|NavigateComplete2|NavigateError|ProgressChange|StatusTextChange|TitleChange|OnConnecting|OnDisconnected))\b`)
	download = regexp.MustCompile(`(?i)\b(URLDownloadTo(?:Cache)?File[AW]?|(?:MSXML2|Microsoft)\.(?:Server)?XMLHTTP|WinHttp\.WinHttpRequest|Inet(?:Open|Read)|InternetOpenUrl[AW]?|InternetReadFile|HttpSendRequest[AW]?|` +
		`Net\.WebClient|Download(?:File|String|Data)|Invoke-WebRequest|Invoke-RestMethod|Start-BitsTransfer|bitsadmin(?:\.exe)?\s+/|certutil(?:\.exe)?\s+-urlcache|curl(?:\.exe)?\s+(?:-\S+\s+)*https?:)`)
	execute = regexp.MustCompile(`(?im)((?:^|:|=|\bThen|\bElse|\bCall)[ \t]*(?:VBA\.)?Shell[ \t]*(?:\(|[ \t]["\w])|(?:^|[^\w.])Shell\(|\bShellExecute(?:Ex)?[AW]?\b|\bWinExec\b|\bCreateProcess[AW]?\b|\bWin32_Process\b|\bCreateRemoteThread\b|\bVirtualAlloc(?:Ex)?\b|` +
		`\bNtAllocateVirtualMemory\b|\bEnumSystemLocales|\bSHCreateThread|\bExecuteExcel4Macro\b.{0,20}(?:EXEC|CALL|REGISTER)\b|\bMacScript\b|\bAppleScriptTask\b|\bpowershell(?:\.exe)?\b|\bpwsh\b|\bmshta(?:\.exe)?\b|\brundll32(?:\.exe)?\b|\bregsvr32(?:\.exe)?\b|\b[wc]script\.exe|` +
		`\b[wc]script(?:\.exe)?[ \t]+[\w"%/]|\bcmd(?:\.exe)?[ \t]*/[ck]\b|\bwmic(?:\.exe)?[ \t]+process)`)
	// The scripting shell has harmless uses: the names of folders, message boxes.
	scriptShell = regexp.MustCompile(`(?i)(\bWScript\.Shell\b|72C24DD5-D70A-438B-8A42-98424B88AFB8)`)
	runMethod   = regexp.MustCompile(`(?i)(?:[^n]|[^o]n)(\.(?:Run|Exec))[ \t(]`)
)

// finish marks a project whose source was taken away or replaced while the
// compiled code stays ("stomping").
func (m *macros) finish() error {
	gone := func(list []string) string {
		for _, name := range list {
			if m.named[name] && !m.written[name] {
				return name
			}
		}
		return ""
	}
	runs, does := gone(runningNames()), gone(doingNames())
	switch {
	case runs != "" && does != "":
		m.j.Mark(m.f, format.MacroFound, "source replaced")
		m.j.Mark(m.f, format.MacroAutorun, runs)
		m.j.Mark(m.f, format.MacroHidden, "source replaced: "+runs+", "+does)
	case m.stomped && (runs != "" || does != "" || m.named == nil && m.compiled > 4096):
		m.j.Mark(m.f, format.MacroFound, "source missing")
		m.j.Mark(m.f, format.MacroHidden, "source missing: "+runs+does)
	}
	return m.j.Check()
}

// behaviour marks what source text does, as written and with its constant
// expressions worked out.
func (m *macros) behaviour(text []byte) error {
	if name := search(m.j, text, bytes.ToLower(text), autorun, "auto", "document", "workbook_", "app_", "_layout", "_paint", "_beforenavigate2", "_download", "_filedownload", "_navigate", "_progresschange", "_statustextchange", "_titlechange", "_onconnecting", "_ondisconnected"); name != "" {
		m.j.Mark(m.f, format.MacroAutorun, name)
	}
	if err := m.j.Check(); err != nil {
		return err
	}
	folded := fold(m.j, text)
	hidden := folded.hidden
	plain := conduct(m.j, text)
	if err := m.j.Check(); err != nil {
		return err
	}
	decoded := conduct(m.j, folded.text)
	m.did.shell = cmp.Or(m.did.shell, plain.shell)
	m.did.runs = cmp.Or(m.did.runs, plain.runs, decoded.runs)
	if m.did.runs != "" {
		plain.execute = cmp.Or(plain.execute, m.did.shell)
		decoded.execute = cmp.Or(decoded.execute, decoded.shell)
	}
	mark := func(kind, plain, decoded string) {
		if plain == "" && decoded != "" {
			plain = decoded
			hidden = decoded
		}
		if plain != "" {
			m.j.Mark(m.f, kind, plain)
		}
	}
	mark(format.MacroDownload, plain.download, decoded.download)
	mark(format.MacroExecute, plain.execute, decoded.execute)
	if hidden != "" {
		m.j.Mark(m.f, format.MacroHidden, hidden)
	}
	return emitDecoded(m.j, m.f, "text/x-vba", text, folded)
}

// emitDecoded notes the links in source text and in what it comes to, and emits
// the latter.
func emitDecoded(j *format.Job, f *format.File, kind string, text []byte, folded folding) error {
	for _, b := range [][]byte{text, folded.text} {
		for _, a := range webAddresses(b, 50) {
			j.Link(f, a)
		}
	}
	if len(folded.text) > 0 {
		if err := j.Emit(&format.File{Kind: format.Script, Name: "decoded", Type: kind, Data: folded.text}); err != nil {
			return err
		}
	}
	for _, b := range folded.blobs {
		if err := j.Emit(&format.File{Kind: format.Script, Name: "decoded", Data: b}); err != nil {
			return err
		}
	}
	return j.Check()
}

// conducts are the first words that say what a text does.
type conducts struct {
	download, execute string
	shell, runs       string // the scripting shell, and a call of the method that runs a program
}

func conduct(j *format.Job, text []byte) conducts {
	lower := bytes.ToLower(text)
	c := conducts{
		download: search(j, text, lower, download, "urldownload", "xmlhttp", "winhttp", "inetopen", "inetread", "internet", "httpsend", "webclient", "downloadf", "downloads", "downloadd", "invoke-", "bitstransfer", "bitsadmin", "certutil", "curl"),
		execute: search(j, text, lower, execute, "shell", "winexec", "createprocess", "win32_process", "createremote", "virtualalloc", "ntallocate", "enumsystemlocales", "shcreatethread", "executeexcel4", "macscript", "applescripttask",
			"pwsh", "mshta", "rundll32", "regsvr32", "cscript", "wscript", "cmd", "wmic"),
	}
	c.shell = search(j, text, lower, scriptShell, "wscript.shell", "72c24dd5-")
	c.runs = search(j, text, lower, runMethod, ".run", ".exec")
	return c
}

// search is the first group of pattern where it matches around one of the stems,
// which are in lower case like lower. Patterns cost a thousand times what looking
// for a stem costs, so they see the surroundings only.
func search(j *format.Job, text, lower []byte, pattern *regexp.Regexp, stems ...string) string {
	if len(text) != len(lower) {
		text = lower // folding changed lengths: not ASCII
	}
	for _, stem := range stems {
		for at, tries := 0, 0; tries < 300; tries++ {
			i := bytes.Index(lower[at:], []byte(stem))
			if i < 0 || tries%32 == 31 && j.Check() != nil {
				break
			}
			at += i
			from := max(0, at-100)
			if n := bytes.LastIndexByte(text[from:at], '\n'); n >= 0 {
				from += n
			}
			if m := pattern.FindSubmatch(text[from:min(len(text), at+160)]); m != nil {
				return strings.TrimSpace(string(m[1]))
			}
			at += len(stem)
		}
	}
	return ""
}

// uncommented joins continued lines and blanks comments out, so that what is only
// talked about does not count.
func uncommented(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n \t")
		quoted, end := false, len(line)
		for i, b := range line {
			if b == '"' {
				quoted = !quoted
			} else if b == '\'' && !quoted {
				end = i
				break
			}
		}
		code := line[:end]
		if t := bytes.TrimLeft(code, " \t"); len(t) >= 4 && strings.EqualFold(string(t[:4]), "rem ") {
			code = nil
		}
		if end == len(line) && bytes.HasSuffix(code, []byte(" _")) {
			out = append(out, code[:len(code)-1]...)
			continue
		}
		out = append(append(out, code...), '\n')
	}
	return out
}
