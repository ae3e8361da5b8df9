package message

import (
	"slices"
	"strings"
	"testing"
)

// Every case holds the word secret, which a reader does not see if means is
// set, and sees if it is "".
var hiddenCases = []struct{ html, means string }{
	{`<p>hello <span style="display:none">secret</span></p>`, meansDisplay},
	{`<p>hello <span style="DISPLAY: None !important">secret</span></p>`, meansDisplay},
	{`<div style="display:none"><p>a<b>secret</b></p></div>hello`, meansDisplay},
	{`<div style="display:none"><p>a</div>secret`, ""},
	{`<p style="display:none">x<p>secret`, ""},
	{`<div style="display:none"><span style="display:block">secret</span></div>`, meansDisplay},
	{`<span style="visibility:hidden">secret</span>`, meansVisible},
	{`<span style="visibility:hidden"><b style="visibility:visible">secret</b></span>`, ""},
	{`<span style="font-size:0">secret</span>`, meansTiny},
	{`<span style="font-size:1px">secret</span>`, meansTiny},
	{`<span style="font-size:0px"><b style="font-size:12px">secret</b></span>`, ""},
	{`<span style="font:0px/1 Arial">secret</span>`, meansTiny},
	{`<span style="font-size:0.01em">secret</span>`, meansTiny},
	{`<span style="font-size:9px">secret</span>`, ""},
	{`<span style="font-size:1em">secret</span>`, ""},
	{`<span style="font-size:100%">secret</span>`, ""},
	{`<font color="#ffffff">secret</font>`, meansColour},
	{`<font color="white">secret</font>`, meansColour},
	{`<font color="#fefefe">secret</font>`, meansColour},
	{`<body bgcolor="#000000"><font color="white">secret</font>`, ""},
	{`<table><tr><td bgcolor=red><span style="color:#f00">secret</span></td></tr></table>`, meansColour},
	{`<td bgcolor=navy><a href=x style="color:#ffffff">secret</a></td>`, ""},
	{`<div style="background:#123456"><span style="color:rgb(18, 52, 86)">secret</span></div>`, meansColour},
	{`<div style="background:url(x.png) #fff"><span style="color:#fff">secret</span></div>`, ""},
	{`<div style="color:transparent">secret</div>`, meansColour},
	{`<div style="color:rgba(0,0,0,0)">secret</div>`, meansColour},
	{`<body text=white>secret`, meansColour},
	{`<span style="opacity:0">secret</span>`, meansOpacity},
	{`<span style="opacity:0.9">secret</span>`, ""},
	{`<div style="position:absolute;left:-9999px">secret</div>`, meansOff},
	{`<div style="text-indent:-5000px">secret</div>`, meansOff},
	{`<div style="position:relative;left:-2px">secret</div>`, ""},
	{`<div style="height:0;overflow:hidden">secret</div>`, meansZero},
	{`<div style="max-height:0px;overflow:hidden">secret</div>`, meansZero},
	{`<div style="height:20px;overflow:hidden">secret</div>`, ""},
	{`<div style="width:0">secret</div>`, ""},
	{`<p hidden>secret</p>`, meansAttribute},
	{`<!-- secret -->hello`, meansComment},
	{`<style>.x{display:none}</style><p class="a x">secret</p>`, meansDisplay},
	{`<style>td.x, p.y { font-size:0 }</style><p class=x>secret</p>`, meansTiny},
	{`<style>#i{visibility:hidden}</style><p id=i>secret</p>`, meansVisible},
	{`<style>@media (max-width:600px){.x{display:none}}</style><p class=x>secret</p>`, ""},
	{`<style>.x{display:none}</style><p class=y>secret</p>`, ""},
	{`<style>.x span{background:#000}</style><div class=x><span style="color:#fff">secret</span></div>`, ""},
	{`<b>se</b>c<i>r</i>et`, ""},
	{`<noscript>secret</noscript>`, ""},
	{`sec&#x72;et`, ""},
}

func TestHidden(t *testing.T) {
	for _, c := range hiddenCases {
		m := Parse([]byte("Content-Type: text/html\r\n\r\n"+c.html), Limits{})
		if seen := strings.Contains(m.Text(), "secret"); seen != (c.means == "") {
			t.Errorf("%s: text %q", c.html, m.Text())
		}
		hidden := func(h Hidden) bool { return strings.Contains(h.Text, "secret") && h.Means == c.means }
		if c.means != "" && !slices.ContainsFunc(m.HTML().Hidden, hidden) {
			t.Errorf("%s: hidden %v", c.html, m.HTML().Hidden)
		}
	}
}

func TestHTMLText(t *testing.T) {
	for _, c := range []struct{ html, text string }{
		{"<p>one\r\n  two</p><p>three</p>", "one two\nthree\n"},
		{"<td>a</td><td>b</td>", "a b\n"},
		{"a<br>b<br/>c", "a\nb\nc\n"},
		{"<title>no</title><script>no</script><style>no</style>yes", "yes\n"},
		{"a&nbsp;&nbsp;b &lt;c&gt; &eacute;", "a b <c> \u00e9\n"},
		{"<ul><li>a<li>b</ul>c", "a\nb\nc\n"},
		{"<input type=submit value='Sign in'><input type=text value=no>", "Sign in\n"},
		{"in<b>ter</b>net", "internet\n"},
		{"<a href=x>one</a> two<img alt=no src=x>", "one two\n"},
		{"", ""},
	} {
		m := Parse([]byte("Subject: s\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"+c.html), Limits{})
		if got := m.Text(); got != "s\n"+c.text {
			t.Errorf("%s: %q, expected %q", c.html, got, c.text)
		}
	}
}

func TestHTMLFacts(t *testing.T) {
	m := Parse([]byte("Content-Type: text/html\r\n\r\n<html><body onload=x()><form action=/a></form><script>1</script><iframe src=http://example.com></iframe>"+
		"<img src=cid:1 width=1 height='20'><img src=http://example.com/p.gif alt=pic><!-- c --><!--[if mso]>x<![endif]--><b style='color:red'>abc d</b></u></body></html>"), Limits{})
	h := m.HTML()
	if h.Parts != 1 || h.Forms != 1 || h.Scripts != 2 || h.Frames != 1 || h.Comments != 1 || h.Styles != 1 || h.Malformed != 1 || h.VisibleChars != 4 || h.Tags["img"] != 2 {
		t.Errorf("%+v", h)
	}
	want := []Image{{"cid:1", "", 1, 20, true}, {"http://example.com/p.gif", "pic", -1, -1, false}}
	if !slices.Equal(h.Images, want) {
		t.Errorf("%+v", h.Images)
	}
}
