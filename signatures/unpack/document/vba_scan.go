package document

import (
	"bytes"
	"cmp"
	"regexp"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// Macros are the modules of one project, judged together: what runs by itself,
// fetches, starts programs, and what is written so that it is not seen.
type macros struct {
	modules []macroModule
	stomped bool
	names   []byte // the _VBA_PROJECT stream: the identifiers that the compiled code uses
	cache   []byte // the compiled code
}

type macroModule struct {
	name string
	text []byte
}

// add takes a module's decompressed text; missing says that it should have one and
// has not.
func (m *macros) add(name string, text []byte, missing bool) {
	m.stomped = m.stomped || missing
	if text = withoutAttributes(text); len(text) > 0 {
		m.modules = append(m.modules, macroModule{name, text})
	}
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
	address     = regexp.MustCompile(`(?i)\b(?:https?|ftp)://[^\s"'<>()\x00-\x1f]{4,1000}`)
	nothing     = regexp.MustCompile(`(?im)^[ \t]*(?:Option[ \t]+\w+.*)?\r?$`)
)

// report marks what the modules do, and emits their sources and what they hide.
func (m *macros) report(j *format.Job, f *format.File) error {
	var all []byte
	for _, x := range m.modules {
		if len(bytes.TrimSpace(nothing.ReplaceAll(x.text, nil))) > 0 {
			j.Mark(f, format.MacroFound, x.name)
		}
		if err := j.Emit(&format.File{Kind: format.Macro, Name: x.name, Type: "text/x-vba", Data: x.text}); err != nil {
			return err
		}
		if err := j.Check(); err != nil {
			return err
		}
		all = append(append(all, x.text...), '\n')
	}
	m.missing(j, f, all)
	if len(all) == 0 {
		return nil
	}
	return behaviour(j, f, uncommented(all))
}

// missing marks a project whose source was taken away or replaced while the
// compiled code stays ("stomping"): the identifiers that it uses are kept in a
// table of their own.
func (m *macros) missing(j *format.Job, f *format.File, all []byte) {
	if len(m.names) == 0 {
		if m.stomped && len(m.cache) > 4096 {
			j.Mark(f, format.MacroFound, "source missing")
			j.Mark(f, format.MacroHidden, "source missing")
		}
		return
	}
	lower, names := bytes.ToLower(all), bytes.ToLower(m.names)
	gone := func(list ...string) string {
		for _, name := range list {
			if bytes.Contains(names, []byte(name)) && !bytes.Contains(lower, []byte(name)) {
				return name
			}
		}
		return ""
	}
	runs := gone("autoopen", "auto_open", "document_open", "workbook_open", "autoexec", "documentopen", "autoclose", "auto_close", "document_close", "workbook_beforeclose")
	does := gone("shell", "createobject", "urldownloadtofile", "createprocess", "getobject", "executeexcel4macro")
	switch {
	case runs != "" && does != "":
		j.Mark(f, format.MacroFound, "source replaced")
		j.Mark(f, format.MacroAutorun, runs)
		j.Mark(f, format.MacroHidden, "source replaced: "+runs+", "+does)
	case m.stomped && (runs != "" || does != ""):
		j.Mark(f, format.MacroFound, "source missing")
		j.Mark(f, format.MacroHidden, "source missing: "+runs+does)
	}
}

// behaviour marks what source text does, as written and with its constant
// expressions worked out.
func behaviour(j *format.Job, f *format.File, text []byte) error {
	if name := search(text, bytes.ToLower(text), autorun, "auto", "document", "workbook_", "app_", "_layout", "_paint", "_beforenavigate2", "_download", "_filedownload", "_navigate", "_progresschange", "_statustextchange", "_titlechange", "_onconnecting", "_ondisconnected"); name != "" {
		j.Mark(f, format.MacroAutorun, name)
	}
	if err := j.Check(); err != nil {
		return err
	}
	folded := fold(j, text)
	hidden := folded.hidden
	plain, decoded := conduct(text), conduct(folded.text)
	mark := func(kind, plain, decoded string) {
		if plain == "" && decoded != "" {
			plain = decoded
			hidden = decoded
		}
		if plain != "" {
			j.Mark(f, kind, plain)
		}
	}
	mark(format.MacroDownload, plain.download, decoded.download)
	if plain.runs+decoded.runs != "" {
		plain.execute = cmp.Or(plain.execute, plain.shell)
		decoded.execute = cmp.Or(decoded.execute, decoded.shell)
	}
	mark(format.MacroExecute, plain.execute, decoded.execute)
	if hidden != "" {
		j.Mark(f, format.MacroHidden, hidden)
	}
	for _, b := range [][]byte{text, folded.text} {
		for _, a := range address.FindAll(b, 50) {
			j.Link(f, string(a))
		}
	}
	if len(folded.text) > 0 {
		if err := j.Emit(&format.File{Kind: format.Script, Name: "decoded", Type: "text/x-vba", Data: folded.text}); err != nil {
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

func conduct(text []byte) conducts {
	lower := bytes.ToLower(text)
	c := conducts{
		download: search(text, lower, download, "urldownload", "xmlhttp", "winhttp", "inetopen", "inetread", "internet", "httpsend", "webclient", "downloadf", "downloads", "downloadd", "invoke-", "bitstransfer", "bitsadmin", "certutil", "curl"),
		execute: search(text, lower, execute, "shell", "winexec", "createprocess", "win32_process", "createremote", "virtualalloc", "ntallocate", "enumsystemlocales", "shcreatethread", "executeexcel4", "macscript", "applescripttask",
			"pwsh", "mshta", "rundll32", "regsvr32", "cscript", "wscript", "cmd", "wmic"),
	}
	c.shell = search(text, lower, scriptShell, "wscript.shell", "72c24dd5-")
	c.runs = search(text, lower, runMethod, ".run", ".exec")
	return c
}

// search is the first group of pattern where it matches around one of the stems,
// which are in lower case like lower. Patterns cost a thousand times what looking
// for a stem costs, so they see the surroundings only.
func search(text, lower []byte, pattern *regexp.Regexp, stems ...string) string {
	if len(text) != len(lower) {
		text = lower // folding changed lengths: not ASCII
	}
	for _, stem := range stems {
		for at, tries := 0, 0; tries < 1000; tries++ {
			i := bytes.Index(lower[at:], []byte(stem))
			if i < 0 {
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
