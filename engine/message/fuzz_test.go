package message

import (
	"bytes"
	"reflect"
	"testing"
	"unicode/utf8"
)

// facts are all that a message tells, for comparing two parsings.
func facts(m *Message) []any {
	var all []any
	for _, p := range m.Parts() {
		all = append(all, p.MediaType, p.Params, p.Disposition, p.Name, p.Encoding, p.Charset, p.Alternate, p.Depth, string(p.Raw()), string(p.Decoded()), p.Text())
	}
	return append(all, m.Text(), m.Source(), m.Skeleton(), m.Links(), *m.HTML(), m.Defects(), len(m.Attachments()))
}

// check tests what must hold for every message.
func check(t *testing.T, raw []byte, lim Limits) {
	t.Helper()
	before := bytes.Clone(raw)
	m := Parse(raw, lim)
	touch(m)
	if !bytes.Equal(raw, before) {
		t.Fatal("the message was changed")
	}
	lim = lim.withDefaults()
	if n := len(m.Parts()); n == 0 || n > lim.Parts+1 {
		t.Fatalf("%d parts", n)
	}
	if m.Parts()[0] != m.Root() || m.Root().Alternate {
		t.Fatal("the first part is not the message")
	}
	var block []byte
	for _, f := range m.Header().Fields() {
		block = append(block, f.Raw...)
		if !utf8.ValidString(f.Decoded()) {
			t.Fatalf("a decoded field is no UTF-8: %q", f.Decoded())
		}
	}
	if !bytes.HasPrefix(raw, block) {
		t.Fatalf("the fields are not the header block: %q", block)
	}
	if gap := raw[len(block) : len(raw)-len(m.Body())]; len(bytes.Trim(gap, " \t\r\n")) != 0 {
		t.Fatalf("%q stands between header and body", gap)
	}
	alternates := false
	for _, p := range m.Parts() {
		if p.Alternate {
			alternates = true
		} else if alternates {
			t.Fatal("a part of the first reading behind another reading")
		}
		if p.Header == nil {
			t.Fatal("a part without header")
		}
		if p.start < 0 || p.start > p.end || p.end > len(p.src) {
			t.Fatalf("the part reaches from %d to %d of %d", p.start, p.end, len(p.src))
		}
		if p.Depth > lim.Depth+3 {
			t.Fatalf("a part at depth %d", p.Depth)
		}
		for _, c := range p.Children {
			if c.Parent != p || c.Depth != p.Depth+1 {
				t.Fatal("parent and child disagree")
			}
			if &c.src[:1:1][0] == &p.src[:1:1][0] && (c.start < p.start || c.end > p.end) {
				t.Fatalf("a child [%d:%d] reaches out of its parent [%d:%d]", c.start, c.end, p.start, p.end)
			}
		}
	}
	for _, s := range []string{m.Text(), m.Source(), m.Skeleton()} {
		if !utf8.ValidString(s) {
			t.Fatalf("a view is no UTF-8: %q", s)
		}
	}
	for _, l := range m.Links() {
		if l.URL == "" || l.Source == "" {
			t.Fatalf("link %+v", l)
		}
	}
	for _, d := range m.Defects() {
		if d.Kind == "" || d.Count < 1 || m.Defect(d.Kind) != d.Count {
			t.Fatalf("defect %+v", d)
		}
	}
	again := Parse(bytes.Clone(raw), lim)
	again.Defects() // another order of asking must not matter
	if a, b := facts(m), facts(again); !reflect.DeepEqual(a, b) {
		t.Fatalf("two parsings differ:\n%v\n%v", a, b)
	}
}

func FuzzParse(f *testing.F) {
	for _, tw := range twists {
		s := plainShape()
		tw.apply(&s)
		if raw := s.String(); len(raw) < 20_000 {
			f.Add([]byte(raw))
		}
	}
	for _, c := range hiddenCases {
		f.Add([]byte("Content-Type: text/html; charset=utf-8\r\n\r\n" + c.html))
	}
	f.Add([]byte(""))
	f.Add([]byte("\n"))
	f.Add([]byte("Subject: x"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		check(t, raw, Limits{})
		check(t, raw, Limits{Depth: 3, Parts: 5, HeaderBytes: 100, Fields: 4, TextBytes: 50, Links: 2, Readings: 1})
	})
}

func FuzzHTML(f *testing.F) {
	for _, c := range hiddenCases {
		f.Add(c.html)
	}
	for _, s := range []string{"<a href='http://example.com'>www.example.org</a>", "<style>.a{color:red}</style><p class=a>x", "<!-- <b> --><base href=http://example.com/><img src=a width=1>", "<meta http-equiv=refresh content='0;url=http://example.com'>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		h := &HTML{Tags: map[string]int{}}
		r := renderer{h: h, lim: 1 << 20}
		r.render(src)
		if len(r.out) > 2*len(src)+64 {
			t.Fatalf("%d bytes of HTML became %d of text", len(src), len(r.out))
		}
		if h.VisibleChars > len(src) || h.HiddenChars > len(src) {
			t.Fatalf("%d visible, %d hidden characters in %d bytes", h.VisibleChars, h.HiddenChars, len(src))
		}
		finder := finder{lim: 100, found: new(defects)}
		finder.scan(src, "text")
		for _, l := range finder.links {
			if l.Host != "" && l.Norm == "" {
				t.Fatalf("%+v", l)
			}
		}
	})
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{"Subject: =?utf-8?q?a?=\r\nTo: a@b, \"c, d\" <e@f>\r\n\r\n", "From: x <a@b>\r\n\tfolded\r\n \r\nX: y\r\n", "Content-Type: a/b; x=\"y\\\"\"; z*0*=utf-8''%41; z*1=b\r\n\r\n", "no colon\r\nA : b\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h := Parse(raw, Limits{}).Header()
		n := 0
		for _, fl := range h.Fields() {
			n += len(fl.Raw)
			if fl.Name == "" {
				continue
			}
			if !h.Has(fl.Name) || h.Count(fl.Name) != len(h.Values(fl.Name)) || len(h.RawValues(fl.Name)) != h.Count(fl.Name) {
				t.Fatalf("%q is counted differently", fl.Name)
			}
			for _, a := range h.Addresses(fl.Name) {
				if a.Address != "" && a.Domain() == a.Address {
					t.Fatalf("address %q", a.Address)
				}
			}
			head, params := splitParams(fl.Value(), new(defects))
			foldParams(params, new(defects))
			boundaries(head+fl.Value(), params)
		}
		if n > len(raw) {
			t.Fatal("more fields than bytes")
		}
	})
}

func FuzzWord(f *testing.F) {
	for _, s := range []string{"=?utf-8?B?aGVsbG8=?= =?utf-8?q?_w=C3=B6?=", "=?iso-8859-1*en?Q?a?=x=?utf-7?Q?+AGE-?=", "=?gb2312?b?1tDOxA==?=", "a =?utf-8?q? b", "=?x-unknown?q?=80?=", "\x80\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := decodeWords(s)
		if !utf8.ValidString(d) {
			t.Fatalf("%q is no UTF-8", d)
		}
		if len(d) > 12*len(s)+16 {
			t.Fatalf("%d bytes became %d", len(s), len(d))
		}
		if !bytes.Contains([]byte(s), []byte("=?")) && utf8.ValidString(s) && d != s {
			t.Fatalf("%q became %q", s, d)
		}
		if x := Fold(s); utf8.ValidString(s) && !utf8.ValidString(x) {
			t.Fatalf("%q folds to %q", s, x)
		}
		decodeUTF7([]byte(s))
	})
}
