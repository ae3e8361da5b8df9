package document

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

func chrs(s string) string {
	var list []string
	for _, c := range s {
		list = append(list, "Chr("+itoa(int(c))+")")
	}
	return strings.Join(list, " & ")
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}

// TestMacroMarks has, for every mark of macros, a source that earns it and one
// that nearly does.
func TestMacroMarks(t *testing.T) {
	script := "Set s = CreateObject(\"W\" & \"Script.Sh\" & \"ell\")\ns.Run \"notepad\"\n"
	for _, c := range []struct{ name, source, want string }{
		{"a table is formatted", "Sub Format()\n  Selection.Font.Bold = True\n  ActiveSheet.Columns(\"A\").ColumnWidth = 12\nEnd Sub\n", "macro"},
		{"nothing but options", "Option Explicit\n\n", ""},
		{"opens by itself", "Private Sub Document_Open()\n MsgBox \"Hello\"\nEnd Sub\n", "macro macro_autorun"},
		{"only named so", "Sub Document_Opened()\nEnd Sub\n", "macro"},
		{"only called", "Sub Again()\n Call AutoOpen\nEnd Sub\n", "macro"},
		{"only in a comment", "Sub A()\n' Sub AutoOpen() was here\nEnd Sub\n", "macro"},
		{"event of a control", "Private Sub InkPicture1_Painted(ByVal hDC As Long)\nEnd Sub\n", "macro macro_autorun"},
		{"click on a control", "Private Sub Button1_Click()\nEnd Sub\n", "macro"},
		{"fetches by API", "Declare Function D Lib \"urlmon\" Alias \"URLDownloadToFileA\" (a, b, c, d, e)\n", "macro macro_download"},
		{"fetches by object", "Sub A()\n Set x = CreateObject(\"MSXML2.XMLHTTP\")\nEnd Sub\n", "macro macro_download"},
		{"follows a link", "Sub A()\n ActiveDocument.FollowHyperlink \"https://example.com/help\"\nEnd Sub\n", "macro"},
		{"fetching in a comment", "Sub A()\n Rem MSXML2.XMLHTTP is not used\nEnd Sub\n", "macro"},
		{"shell as a statement", "Sub A()\n Shell \"calc.exe\", 1\nEnd Sub\n", "macro macro_execute"},
		{"shell as a function", "Sub A()\n x = Shell(\"calc.exe\", 1)\nEnd Sub\n", "macro macro_execute"},
		{"shell as a word", "Sub A()\n MsgBox \"Prices of Shell and others\"\nEnd Sub\n", "macro"},
		{"a shell that runs", "Sub A()\n CreateObject(\"WScript.Shell\").Run \"notepad\"\nEnd Sub\n", "macro macro_execute"},
		{"a shell for folders", "Sub A()\n p = CreateObject(\"WScript.Shell\").SpecialFolders(\"Desktop\")\n Application.Run \"B\"\nEnd Sub\n", "macro"},
		{"numbers of characters", "Sub A()\n x = " + chrs("quarterly report") + "\nEnd Sub\n", "macro macro_hidden"},
		{"line ends and quotation marks", "Sub A()\n x = \"a\" & Chr(13) & Chr(10) & Chr(34) & Chr(9) & Chr(13) & Chr(10) & Chr(34) & Chr(9) & Chr(13) & Chr(10) & Chr(34) & Chr(34)\nEnd Sub\n", "macro"},
		{"letters beyond ASCII", "Sub A()\n x = " + strings.ReplaceAll(chrs("Привет всем, кто"), "Chr(", "ChrW(") + "\nEnd Sub\n", "macro"},
		{"an object's name in pieces", "Sub A()\n" + script + "End Sub\n", "macro macro_execute macro_hidden"},
		{"a sentence in pieces", "Sub A()\n x = \"Dear \" & \"Sir \" & \"or Madam\"\nEnd Sub\n", "macro"},
		{"backwards", "Sub A()\n x = StrReverse(\"tropeR\")\nEnd Sub\n", "macro macro_hidden"},
		{"what a reader typed, backwards", "Sub A()\n x = StrReverse(InputBox(1))\nEnd Sub\n", "macro"},
		{"variables put together", "Sub A()\n a = \"power\"\n b = \"sh\" & \"ell\"\n c = a & b & \" -enc\"\nEnd Sub\n", "macro macro_execute macro_hidden"},
		{"a replaced filler", "Sub A()\n x = Replace(\"cm##d.e##xe /##c d##ir\", \"##\", \"\")\nEnd Sub\n", "macro macro_execute macro_hidden"},
		{"a command in hexadecimal", "Sub A()\n x = \"" + hex.EncodeToString([]byte("mshta.exe http://example.test/a")) + "\"\nEnd Sub\n", "macro macro_hidden"},
		{"a command in base64", "Sub A()\n x = \"" + base64.StdEncoding.EncodeToString([]byte("rundll32.exe example,Start")) + "\"\nEnd Sub\n", "macro macro_hidden"},
		{"a command for PowerShell", "Sub A()\n x = \"" + base64.StdEncoding.EncodeToString(utf16le("mshta.exe https://example.test/")) + "\"\nEnd Sub\n", "macro macro_hidden"},
		{"a digest", "Sub A()\n x = \"0123456789abcdef0123456789abcdef0123456789abcdef\"\nEnd Sub\n", "macro"},
	} {
		got := open(t, "vbaProject.bin", unpacktest.VBA(c.source))
		if marks := strings.Join(got.kinds(), " "); marks != c.want {
			t.Errorf("%s: marks %q, want %q\n%s\n%s", c.name, marks, c.want, got.text(format.Macro), got.text(format.Script))
		}
	}
}

// TestMacroText: source arrives as it was written, without attributes, in Word's
// own files too; what is hidden arrives decoded.
func TestMacroText(t *testing.T) {
	source := "Sub AutoOpen()\r\n  x = " + chrs("https://example.test/load") + "\r\nEnd Sub"
	for _, data := range [][]byte{unpacktest.VBA(source), unpacktest.DocMacro(source)} {
		got := open(t, "a.doc", data)
		if text := strings.TrimSpace(got.text(format.Macro)); text != source {
			t.Errorf("source %q, want %q", text, source)
		}
		if !strings.Contains(got.text(format.Script), "https://example.test/load") {
			t.Errorf("decoded: %q", got.text(format.Script))
		}
		if !slices.Contains(got.links, "https://example.test/load") {
			t.Errorf("links: %q", got.links)
		}
	}
}

// TestMacroWithoutDirectory: source is found when nothing says where it is.
func TestMacroWithoutDirectory(t *testing.T) {
	source := "Attribute VB_Name = \"M\"\r\nSub AutoOpen()\r\nEnd Sub\r\n"
	stream := append(bytes.Repeat([]byte{7}, 777), unpacktest.OVBA([]byte(source))...)
	broken := unpacktest.OLE(unpacktest.File{Name: "VBA/dir", Data: []byte("no records")}, unpacktest.File{Name: "VBA/M", Data: stream})
	damaged := append([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), bytes.Repeat([]byte{0xff}, 600)...)
	for name, data := range map[string][]byte{"dir": broken, "tables": append(damaged, stream...)} {
		got := open(t, name, data)
		if !slices.Contains(got.kinds(), format.MacroAutorun) || !strings.Contains(got.text(format.Macro), "Sub AutoOpen()") {
			t.Errorf("%s: marks %q, text %q", name, got.kinds(), got.text(format.Macro))
		}
	}
}

// TestStomped: the compiled code's names say what the source does not.
func TestStomped(t *testing.T) {
	project := func(names, source string) []byte {
		return unpacktest.OLE(
			unpacktest.File{Name: "VBA/dir", Data: unpacktest.OVBA(nil)},
			unpacktest.File{Name: "VBA/_VBA_PROJECT", Data: []byte("\xcc\x61\xff\xff\x00\x00\x00" + names)},
			unpacktest.File{Name: "VBA/M", Data: unpacktest.OVBA([]byte("Attribute VB_Name = \"M\"\r\n" + source))})
	}
	names := "\x0dDocument_Open\x0cCreateObject\x05Shell"
	if got := open(t, "a", project(names, "Sub Nothing()\r\nEnd Sub")).kinds(); !slices.Contains(got, format.MacroHidden) {
		t.Errorf("marks %q", got)
	}
	if got := open(t, "b", project(names, "Sub Document_Open()\r\nSet a = CreateObject(\"x\")\r\nb = c.Shell\r\nEnd Sub")).kinds(); slices.Contains(got, format.MacroHidden) {
		t.Errorf("marks %q", got)
	}
}

// TestDecompress has the examples of the specification and a long text.
func TestDecompress(t *testing.T) {
	for _, c := range []struct{ packed, want string }{
		// [MS-OVBA] sections 3.2.1, 3.2.2 and 3.2.3.
		{"0119b000616263646566676800696a6b6c6d6e6f7000717273747576" + "2e", "abcdefghijklmnopqrstuv."},
		{"012fb00023616161626364658266007061676869" + "6a013808616b6c00306d6e6f700671027004107273747576107778797a003c", "#aaabcdefaaaaghijaaaaaklaaamnopqaaaaaaaaaaaarstuvwxyzaaa"},
		{"0103b002614500", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	} {
		packed, err := hex.DecodeString(c.packed)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(decompress(packed))
		if err != nil || string(text) != c.want {
			t.Errorf("%q, %v, want %q", text, err, c.want)
		}
	}
	long := bytes.Repeat([]byte("abc\n"), 3000)
	if text, err := io.ReadAll(decompress(unpacktest.OVBA(long))); err != nil || !bytes.Equal(text, long) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	// A token that points before the chunk, and one that overruns it, end the text.
	for _, packed := range []string{"0103b002610010", "0103b001ffff00"} {
		b, _ := hex.DecodeString(packed)
		if text, err := io.ReadAll(decompress(b)); err == nil {
			t.Errorf("%s: %q without an error", packed, text)
		}
	}
}
