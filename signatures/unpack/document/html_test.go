package document

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
)

// smuggled is an archive with a file in it, large enough to be worth hiding.
func smuggled(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "invoice.js"})
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte(strings.Repeat("WScript.Echo('harmless sample of the test'); ", 20)))
	w.Close()
	return b.Bytes()
}

// saving is a script that saves what the expression says as a file.
func saving(expression string) string {
	return `<html><body><p>Your document is being prepared.</p><script>
var data = ` + expression + `;
var bytes = new Uint8Array(data.length);
for (var i = 0; i < data.length; i++) bytes[i] = data.charCodeAt(i);
var a = document.createElement('a');
a.href = URL.createObjectURL(new Blob([bytes], {type: 'application/octet-stream'}));
a.download = 'invoice.zip';
document.body.appendChild(a); a.click();
</script></body></html>`
}

func pieces(s string, n int, join string) string {
	var list []string
	for len(s) > 0 {
		k := min(n, len(s))
		list = append(list, "'"+s[:k]+"'")
		s = s[k:]
	}
	return strings.Join(list, join)
}

func TestSmuggling(t *testing.T) {
	file := smuggled(t)
	b64 := base64.StdEncoding.EncodeToString(file)
	turned := []byte(b64)
	slices.Reverse(turned)
	codes := make([]string, len(file))
	masked := make([]byte, len(file))
	for i, c := range file {
		codes[i] = fmt.Sprint(c)
		masked[i] = c ^ 0x5a
	}
	lines := strings.ReplaceAll(saving("s"), "var data = s;", "var data = '';\n"+strings.ReplaceAll("data += "+pieces(b64, 76, ";\ndata += ")+";", "", ""))
	for name, page := range map[string]string{
		"atob":             saving(`atob("` + b64 + `")`),
		"url alphabet":     saving(`decode("` + base64.RawURLEncoding.EncodeToString(file) + `")`),
		"concatenated":     saving("atob(" + pieces(b64, 100, " + ") + ")"),
		"an array":         saving("atob([" + pieces(b64, 90, ", ") + "].join(''))"),
		"appended":         lines,
		"reversed":         saving(`atob("` + string(turned) + `".split('').reverse().join(''))`),
		"hexadecimal":      saving(`unhex("` + hex.EncodeToString(file) + `")`),
		"escapes":          saving(`"` + "\\x" + strings.Join(strings.Split(strings.TrimSuffix(fmt.Sprintf("% x", file), " "), " "), "\\x") + `"`),
		"percent":          saving(`unescape("%` + strings.ReplaceAll(fmt.Sprintf("% x", file), " ", "%") + `")`),
		"codes":            saving(`String.fromCharCode(` + strings.Join(codes, ",") + `)`),
		"codes in text":    saving(`"` + strings.Join(codes, ",") + `".split(",").map(Number)`),
		"masked":           saving(`xor(atob("` + base64.StdEncoding.EncodeToString(masked) + `"), 0x5a)`),
		"twice":            saving(`atob(atob("` + base64.StdEncoding.EncodeToString([]byte(b64)) + `"))`),
		"names hidden":     `<html><script>var p = "` + b64 + `"; window["\x42l"+"ob"]; x["cre"+"ateObje"+"ctURL"](y); z["down"+"load"] = "invoice.zip"; z["cl"+"ick"]();</script></html>`,
		"link to data":     `<html><body><a download="invoice.zip" href="data:application/octet-stream;base64,` + b64 + `">Open</a></body></html>`,
		"data in a script": `<script>location.href = "data:application/zip;base64,` + b64 + `"</script>`,
		"svg":              `<svg xmlns="http://www.w3.org/2000/svg"><script><![CDATA[ var p = "` + b64 + `"; new Blob([atob(p)]); ]]></script></svg>`,
		"on load":          `<html><body><img src=x onerror="var p='` + b64 + `'; go(p)"></body></html>`,
		"in a page within": `<html><script>document.write(unescape("` + url.PathEscape(saving(`atob("`+b64+`")`)) + `"))</script></html>`,
		"upper case":       strings.Replace(strings.Replace(saving(`atob("`+b64+`")`), "<script>", "<SCRIPT >", 1), "</script>", "</SCRIPT >", 1),
		"UTF-16":           "\xff\xfe" + strings.Join(strings.Split(saving(`atob("`+b64+`")`), ""), "\x00") + "\x00",
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Name: "invoice.html", Declared: "text/html", Data: []byte(page)})
		if len(o.details(format.HTMLSmuggling)) == 0 {
			t.Errorf("%s: not marked: %q", name, o.job.Marks())
		}
		if !slices.ContainsFunc(o.files, func(f format.File) bool { return bytes.Equal(f.Data, file) && f.Kind == format.Object }) {
			t.Errorf("%s: the archive was not handed on", name)
		}
	}
}

func TestNoSmuggling(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	random := make([]byte, 3000)
	for i := range random {
		random[i] = byte(r.IntN(256))
	}
	picture := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), random...)
	b64 := base64.StdEncoding.EncodeToString
	for name, page := range map[string]string{
		"analytics":      `<html><head><script>(function(w,d){w.q=w.q||[];w.q.push({start:new Date().getTime()});var j=d.createElement('script');j.src='https://stats.example.net/j.js?id='+'` + strings.Repeat("A", 30) + `';d.head.appendChild(j);})(window,document);</script></head><body>` + strings.Repeat("Hello. ", 100) + `</body></html>`,
		"inline picture": `<html><body><img src="data:image/png;base64,` + b64(picture) + `"></body></html>`,
		"inline font":    `<html><style>@font-face{src:url(data:font/woff2;base64,` + b64(append([]byte("wOF2"), random...)) + `)}</style></html>`,
		"export of a table": `<html><script>function save(){var rows=[];document.querySelectorAll('tr').forEach(r=>rows.push(r.innerText));
			var a=document.createElement('a');a.href=URL.createObjectURL(new Blob([rows.join('\n')],{type:'text/csv'}));a.download='table.csv';a.click();}</script><button onclick="save()">Save</button></html>`,
		"picture in script": `<html><script>var logo = "data:image/png;base64,` + b64(picture) + `"; document.getElementById('x').src = logo;</script></html>`,
		"random in script":  `<html><script>var nonce = "` + b64(random) + `";</script></html>`,
		"report":            `<html><script>var points = [` + strings.TrimSuffix(strings.Repeat("12, 40, 220, 17, ", 300), ", ") + `]; plot(points);</script></html>`,
		"viewer":            `<html><body><embed src="data:application/pdf;base64,` + b64(append([]byte("%PDF-1.4\n"), random...)) + `"></body></html>`,
		"download link":     `<html><body><a download href="https://files.example.net/report.zip">report.zip</a></body></html>`,
		"words":             `<html><script>var text = "` + strings.Repeat("terms and conditions apply ", 40) + `";</script></html>`,
		"svg":               `<svg xmlns="http://www.w3.org/2000/svg"><path d="` + strings.Repeat("M10 20L30 40", 100) + `"/></svg>`,
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Name: "a.html", Declared: "text/html", Data: []byte(page)})
		if got := o.job.Marks(); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
	script := `<html><script>document.write(atob("` + b64([]byte(strings.Repeat("<form action='https://collect.example.net/p.php'><input name=password></form>", 5))) + `"))</script></html>`
	o := openPart(t, format.Limits{}, nil, format.File{Name: "a.html", Data: []byte(script)})
	if len(o.job.Marks()) > 0 || !o.holds(format.Script, "collect.example.net/p.php") {
		t.Errorf("a page written by a script: %q", o.job.Marks())
	}
}

func TestHTMLBombs(t *testing.T) {
	for name, page := range map[string][]byte{
		"tags":          bytes.Repeat([]byte("<a "), 3<<20),
		"quotes":        bytes.Repeat([]byte(`<a b="`), 2<<20),
		"equals":        append([]byte("<x "), bytes.Repeat([]byte("="), 900<<10)...),
		"handlers":      append([]byte("<x "), bytes.Repeat([]byte("onload=a "), 100<<10)...),
		"scripts":       bytes.Repeat([]byte("<script>"), 1<<20),
		"many scripts":  bytes.Repeat([]byte("<script>x</script>"), 300<<10),
		"data URLs":     bytes.Repeat([]byte("data:,"), 1<<20),
		"commas":        append([]byte("<script>"), bytes.Repeat([]byte("1,"), 4<<20)...),
		"long numbers":  append([]byte("<script>"), bytes.Repeat([]byte("11111111,"), 1<<20)...),
		"apostrophes":   append([]byte("<script>"), bytes.Repeat([]byte("'\n"), 4<<20)...),
		"backquotes":    append([]byte("<script>"), bytes.Repeat([]byte("`\\"), 4<<20)...),
		"plus":          append([]byte("<script>"), bytes.Repeat([]byte("'a'+"), 2<<20)...),
		"base64 nested": nestedPages(200),
		"encoded":       bytes.Repeat([]byte("#@~^AAAAAA==x"), 600<<10),
		"one literal":   append(append([]byte("<script>x='"), bytes.Repeat([]byte("QUJD"), 3<<20)...), "'</script>"...),
	} {
		start := time.Now()
		o := openPart(t, format.Limits{Time: 2 * time.Second}, nil, format.File{Name: "a.html", Declared: "text/html", Data: page})
		took := time.Since(start)
		t.Logf("%-14s %9d bytes: %5.0f ms, %d files, %q", name, len(page), took.Seconds()*1000, len(o.files), o.job.Marks())
		if took > 6*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

func nestedPages(n int) []byte {
	page := []byte(strings.Repeat("the innermost page ", 20))
	for range n {
		if len(page) > 4<<20 {
			break
		}
		page = []byte(`<html><script>document.write(atob("` + base64.StdEncoding.EncodeToString(page) + `"))</script></html>`)
	}
	return page
}

func TestEncodedScript(t *testing.T) {
	// Written by the algorithm in the other direction.
	const source = "var shell = new ActiveXObject(\"WScript.Shell\");\r\nif (1 < 2 && 3 > 2) shell.Popup('mail@example.org');\n"
	text := "#@~^XwAAAA==" + encode(source) + "AAAAAA==^#~@"
	for name, b := range map[string]string{"jse": text, "page": "<html><script language=JScript.Encode>" + text + "</script></html>"} {
		o := openPart(t, format.Limits{}, nil, format.File{Name: "a.jse", Data: []byte(b)})
		if !o.holds(format.Script, source) {
			t.Errorf("%s: not decoded", name)
		}
	}
	// What Microsoft's encoder writes, so that the tables are not checked by themselves alone.
	if got := string(unencode([]byte("\\ko$K6,JC\x7fV^GJ"))); got != `MsgBox "Hello"` {
		t.Errorf("%q", got)
	}
	o := openPart(t, format.Limits{}, nil, format.File{Name: "a.txt", Data: []byte("the mark #@~^ is what encoded scripts begin with")})
	if len(o.files) != 1 {
		t.Error("a text that only names the mark")
	}
}

// encode is the inverse of unencode.
func encode(s string) string {
	var b strings.Builder
	for turn, c := range []byte(s) {
		if i := strings.IndexByte("\n\r><@", c); i >= 0 {
			b.WriteByte('@')
			b.WriteByte("&#*!$"[i])
			continue
		}
		table := [...]string{encoded0, encoded1, encoded2}[encodedTurn[turn%64]-'0']
		for k := 32; k < 128; k++ {
			if table[k-32] == c && k != '<' && k != '>' && k != '@' {
				b.WriteByte(byte(k))
				break
			}
		}
	}
	return b.String()
}

func FuzzHTML(f *testing.F) {
	f.Add([]byte(saving(`atob("` + base64.StdEncoding.EncodeToString(smuggled(f)) + `")`)))
	f.Add([]byte(`<svg><script>x="\x41\u0042"+'c'</script><a download="x" href="data:application/zip;base64,UEsDBAo=">`))
	f.Add([]byte(`<img onerror='x=String.fromCharCode(60,104)'>#@~^AAAAAA==abc==^#~@`))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzPart(t, data, "a.html") })
}
