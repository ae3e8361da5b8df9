package document

import (
	"bytes"
	"encoding/ascii85"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

// noise is bytes that look encrypted.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(7, 8))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return b
}

// fetching is a page with something in its body that its script saves as a file.
func fetching(body, expression string) string {
	return strings.Replace(saving(expression), "<p>", body+"<p>", 1)
}

// wrapped is s in lines.
func wrapped(s string, n int) string {
	return strings.NewReplacer("'", "", " ", "").Replace(pieces(s, n, "\r\n"))
}

// TestSmugglingElsewhere: the file stands outside of the script's literals, or in
// many of them.
func TestSmugglingElsewhere(t *testing.T) {
	file := smuggled(t)
	b64 := base64.StdEncoding.EncodeToString(file)
	var indexed, variables, codes strings.Builder
	for i := 0; i*20 < len(b64); i++ {
		piece := b64[i*20 : min(len(b64), i*20+20)]
		fmt.Fprintf(&indexed, "p[%d]='%s';\n", i, piece)
		fmt.Fprintf(&variables, "let aLongNameOfAVariableThatSaysLittle%d    =    '%s'   ;\n", i, piece)
	}
	for _, c := range file {
		fmt.Fprintf(&codes, "%d ", c)
	}
	shifted := []byte(b64)
	for i := range shifted {
		shifted[i]++
	}
	for name, page := range map[string]string{
		"attribute":           fetching(`<div id=q data-x="`+b64+`"></div>`, "q.dataset.x"),
		"escaped attribute":   fetching(`<div id=q data-x="`+strings.ReplaceAll(b64, "A", "&#65;")+`"></div>`, "q.dataset.x"),
		"hidden field":        fetching(`<input type=hidden id=q value='`+b64+`'>`, "q.value"),
		"text":                fetching("<pre id=q hidden>"+b64+"</pre>", "q.innerText"),
		"lines of text":       fetching("<textarea id=q hidden>\r\n"+wrapped(b64, 76)+"\r\n</textarea>", "q.value"),
		"comment":             fetching("<!-- "+b64+" -->", "document.body.firstChild.data"),
		"style sheet":         fetching("<style>p{margin:0}:root{--p:'"+b64+"'}</style>", "getComputedStyle(e).getPropertyValue('--p')"),
		"bare in a style":     fetching("<style>p{margin:0}:root{--p:"+b64+";}</style>", "getComputedStyle(e).getPropertyValue('--p')"),
		"data of a script":    fetching(`<script type="application/json" id=q>{"a":"`+b64+`"}</script>`, "JSON.parse(q.text).a"),
		"codes in text":       fetching("<pre id=q hidden>"+codes.String()+"</pre>", "q.innerText.split(' ')"),
		"elements of a list":  strings.Replace(saving("p.join('')"), "var data", "var p = [];"+indexed.String()+"var data", 1),
		"variables":           strings.Replace(saving("all()"), "var data", variables.String()+"var data", 1),
		"scripts":             "<script>" + strings.ReplaceAll(indexed.String(), "\n", "</script><script>") + "</script>" + saving("p.join('')"),
		"shifted characters":  saving(`shift("` + strings.ReplaceAll(string(shifted), `\`, `\\`) + `")`),
		"within a quote":      `<html><a "><b>` + strings.TrimPrefix(saving(`atob("`+b64+`")`), "<html>"),
		"the script is later": "<script>var p = '" + b64 + "'</script>" + saving("p"),
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

// TestSmugglingUndecoded: what nothing here decodes is marked where it is saved.
func TestSmugglingUndecoded(t *testing.T) {
	b85 := make([]byte, ascii85.MaxEncodedLen(3000))
	b85 = b85[:ascii85.Encode(b85, noise(3000))]
	text := strings.NewReplacer(`"`, "v", `\`, "w", "'", "x", "<", "y", ">", "z", "`", "{", "&", "}").Replace(string(b85))
	encrypted := base64.StdEncoding.EncodeToString(noise(3000))
	for name, page := range map[string]string{
		"base 85":                saving(`decode("` + text + `")`),
		"base 85 in a page":      fetching(`<div id=q data-x="`+text+`"></div>`, "decode(q.dataset.x)"),
		"encrypted, in a page":   fetching(`<div id=q data-x="`+encrypted+`"></div>`, "decrypt(q.dataset.x)"),
		"encrypted, script last": "<script>var p = '" + encrypted + "'</script>" + saving("decrypt(p)"),
		"encrypted, in numbers":  saving("decrypt([" + strings.Trim(strings.ReplaceAll(fmt.Sprint(noise(3000)), " ", ","), "[]") + "])"),
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Name: "invoice.html", Declared: "text/html", Data: []byte(page)})
		if len(o.details(format.HTMLSmuggling)) == 0 {
			t.Errorf("%s: not marked: %q", name, o.job.Marks())
		}
	}
}

// TestNoSmugglingElsewhere: good pages that build and save files, and good pages
// with dense text that save none.
func TestNoSmugglingElsewhere(t *testing.T) {
	picture := base64.StdEncoding.EncodeToString(append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), noise(3000)...))
	encrypted := base64.StdEncoding.EncodeToString(noise(3000))
	var ids, rows, path, chart strings.Builder
	r := rand.New(rand.NewPCG(9, 10))
	for i := range 200 {
		fmt.Fprintf(&ids, "select('%08x-%04x-%04x-%04x-%012x');\n", r.Uint32(), r.IntN(1<<16), r.IntN(1<<16), r.IntN(1<<16), r.Int64N(1<<48))
		fmt.Fprintf(&rows, `<tr id="row%d" class="odd"><td><a href="https://reports.example.net/orders/view?id=%d&session=%016x%016x">Order %d</a></td><td>%d,%02d</td></tr>`+"\n", i, i, r.Uint64(), r.Uint64(), i, r.IntN(5000), r.IntN(100))
		fmt.Fprintf(&path, "%d,%d ", r.IntN(250), r.IntN(250))
		fmt.Fprintf(&chart, "%d, ", 90+r.IntN(40))
	}
	css := strings.Repeat(".a{color:#333;margin:0 auto}.b>p:hover{background:#fff;border-radius:4px;font:12px/1.5 Arial,sans-serif}@media(max-width:600px){.c{display:none}}", 30)
	saves := saving("document.querySelector('table').innerText")
	for name, page := range map[string]string{
		"table":             fetching("<table>"+rows.String()+"</table>", "table.innerText"),
		"style sheet":       fetching("<style>"+css+"</style>", "table.innerText"),
		"picture":           fetching(`<img src="data:image/png;base64,`+picture+`">`, "table.innerText"),
		"picture in a list": strings.Replace(saves, "var data", "var pictures = {logo: 'data:image/png;base64,"+picture+"'}; var data", 1),
		"identifiers":       strings.Replace(saves, "var data", ids.String()+"var data", 1),
		"chart":             strings.Replace(saves, "var data", "var points = ["+strings.TrimSuffix(chart.String(), ", ")+"]; var data", 1),
		"drawing":           fetching(`<svg><polyline points="`+path.String()+`"/><path d="M`+path.String()+`z"/></svg>`, "table.innerText"),
		"words":             fetching("<p>"+strings.Repeat("Revenue of the third quarter by region and product. ", 100)+"</p>", "table.innerText"),
		"Japanese":          fetching("<p>"+strings.Repeat("四半期の売上高は前年同期を上回りました。", 100)+"</p>", "table.innerText"),
		"templates":         strings.Replace(saves, "var data", "var t = `"+strings.Repeat(`<li class="${x.kind}"><a href="${x.href}">${x.name}</a></li>`, 50)+"`; var data", 1),
		"code in a text":    strings.Replace(saves, "var data", "var worker = '"+strings.Repeat(`(function(e){for(var t=0;t<e.length;++t){if(e[t]>R[t])return!1}return!0})(Q);`, 40)+"'; var data", 1),
		"state of a form":   `<html><form><input type="hidden" name="state" value="` + encrypted + `"><script>document.forms[0].submit()</script></form></html>`,
		"dense, not saved":  `<html><div data-x="` + encrypted + `"></div><script>player.load(document.body.firstChild.dataset.x)</script></html>`,
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Name: "report.html", Declared: "text/html", Data: []byte(page)})
		if got := o.job.Marks(); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestPageBehindMagic: a page is one by its name or declared type, too, whatever
// its first bytes say.
func TestPageBehindMagic(t *testing.T) {
	file := smuggled(t)
	page := saving(`atob("` + base64.StdEncoding.EncodeToString(file) + `")`)
	for name, c := range map[string]format.File{
		"GIF":                 {Name: "a.html", Data: []byte("GIF89a\x01\x00" + page)},
		"PNG, declared":       {Name: "a", Declared: "text/html", Data: []byte("\x89PNG\r\n\x1a\n" + page)},
		"JPEG":                {Name: "a.htm", Data: []byte("\xff\xd8\xff\xe0\x00\x10JFIF" + page)},
		"PDF":                 {Name: "a.xhtml", Data: []byte("%PDF-1.4\n" + page)},
		"rich text":           {Name: "a.svg", Data: []byte("{\\rtf1 " + page)},
		"sound":               {Name: "a.shtml", Data: []byte("ID3" + page)},
		"zip":                 {Name: "a.html", Data: []byte("PK\x03\x04\x14\x00" + page)},
		"words, without name": {Name: "page", Data: []byte(strings.Repeat("<p>words</p>", 1000) + strings.ReplaceAll(page, "script>", "sCript>"))},
	} {
		o := openPart(t, format.Limits{}, nil, c)
		if !slices.ContainsFunc(o.files, func(f format.File) bool { return bytes.Equal(f.Data, file) && f.Kind == format.Object }) {
			t.Errorf("%s: the archive was not handed on: %q", name, o.job.Marks())
		}
	}
	// A picture that happens to be called a page is none.
	o := openPart(t, format.Limits{}, nil, format.File{Name: "a.html", Data: append([]byte("\x89PNG\r\n\x1a\n"), noise(50_000)...)})
	if len(o.job.Marks()) > 0 {
		t.Errorf("a picture: %q", o.job.Marks())
	}
}
