package clamav

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"spamcatcher/signatures/yara"
)

// TestMadeAtRandom translates many signatures, compiles them, and finds what each
// was made for.
func TestMadeAtRandom(t *testing.T) {
	m := newMaker(5)
	var text strings.Builder
	var files [][]byte
	for i := range 300 {
		pattern, instance := m.pattern()
		fmt.Fprintf(&text, "N.%d:0:16:%s\n", i, pattern)
		files = append(files, m.file(instance, m.filler(5)))
	}
	var logicals strings.Builder
	for i := range 300 {
		line, _ := m.logical(i)
		logicals.WriteString(line + "\n")
	}
	s := database(t, map[string]string{"a.ndb": text.String(), "a.ldb": logicals.String()})
	if r := s.Report(); r.Translated < 595 || r.Skipped["malformed"] > 0 {
		t.Errorf("%d of 600 translated, skipped %v, %v", r.Translated, r.Skipped, r.Problems)
	}
	if n := len(s.Sources()); n != 2 {
		t.Errorf("%d sources", n)
	}
	r := compile(t, s.Sources())
	if r.Len() != s.Report().Translated {
		t.Errorf("%d rules compiled of %d", r.Len(), s.Report().Translated)
	}
	for i, data := range files {
		if got := scan(t, r, data, yara.Facts{}); !slices.Contains(got, fmt.Sprintf("N.%d", i)) {
			t.Errorf("%s is not found in %q", strings.Split(text.String(), "\n")[i], data)
		}
	}
}

// TestChunks: names that are the same, very many rules, and very long ones.
func TestChunks(t *testing.T) {
	var text strings.Builder
	for i := range 2*rulesPerSource + 1 {
		fmt.Fprintf(&text, "Same-Name:0:*:%s\n", x(fmt.Sprintf("signature %d", i)))
	}
	for range 4 {
		fmt.Fprintf(&text, "Long.%s:0:*:%s\n", strings.Repeat("n", 300), strings.Repeat("4142430a", 2000))
	}
	fmt.Fprintf(&text, "Longer:0:*:%s\n", strings.Repeat("4142430a", 10000))
	s := database(t, map[string]string{"a.ndb": text.String()})
	if r := s.Report(); r.Translated != 2*rulesPerSource+5 || r.Skipped["pattern too long"] != 1 {
		t.Errorf("report %+v", r)
	}
	if n := len(s.Sources()); n != 3 || s.Sources()[1].File != "a.ndb/2" {
		t.Errorf("%d sources", n)
	}
	if r := compile(t, s.Sources()); r.Len() != 2*rulesPerSource+5 {
		t.Errorf("%d rules", r.Len())
	}
}

// TestSkipped names a reason for everything that is not translated.
func TestSkipped(t *testing.T) {
	hex := x("abcdef")
	for line, reason := range map[string]string{
		"A:0:*:(B)" + hex:                           "boundary of a word or line",
		"A:0:*:" + hex + "!(6162|6364)":             "negated choice of more than single bytes",
		"A:0:*:6162":                                "too short to search for",
		"A:1:VI:" + hex:                             "version information of a program",
		"A:0:$3:" + hex:                             "macro group",
		"A:0:EP+0:" + hex:                           "offset in a program that is not PE",
		"A:8:*:" + hex:                              "target type 8",
		"A:0:*:" + hex + ":999":                     "for a newer ClamAV",
		"A:0:*:" + hex + ":1:50":                    "for an older ClamAV",
		"A;Target:0;0&1;" + hex + ";${1-2}3$":       "macro group",
		"A;Target:0;0&1;" + hex + ";0(>>5#ib2#=16)": "comparison of bytes with a number",
		"A;Target:0;0&1;" + hex + ";fuzzy_img#af2ad01ed42993c7":    "likeness of a picture",
		"A;Target:0,Container:CL_TYPE_ZIP;0;" + hex:                "kind of container",
		"A;Target:1,IconGroup1:x;0;" + hex:                         "icon",
		"A;Target:0;1;" + hex + ";0/(?=look)ahead/":                "regular expression with assertions or options inside",
		"A;Target:0;1;" + hex + `;0/(abc)\1/`:                      "regular expression with references or special escapes",
		"A;Target:0;1;" + hex + `;0/abc++/`:                        "regular expression with possessive repetitions",
		"A;Target:0;1;" + hex + `;0/[[:alpha:]]abc/`:               "regular expression with named classes",
		"A;Target:0;1;" + hex + `;0/a.b.c/`:                        "regular expression without known text to search for",
		"A;Target:0;1;" + hex + `;0/a+b+c+d+/`:                     "regular expression without known text to search for",
		"A;Engine:999-1000,Target:0;0;" + hex:                      "for a newer ClamAV",
		"A;Engine:51-90,Target:0;0;" + hex:                         "for an older ClamAV",
		"A;Target:0;1;" + hex + `;0/abc$/`:                         "regular expression with an anchor at the end",
		"A;Target:0;1;" + hex + `;0/((abc{500}){500}){500}/`:       "regular expression too large",
		"A;Target:0;1;" + hex + `;20:0/abcdef/`:                    "regular expression at an offset",
		"A;Target:0;0>1;4:" + hex:                                  "count of what is found once",
		"A;Target:0;0=1,2;0;" + hex:                                "",
		"A;Target:0;((0&1)|2)>3;" + hex + ";" + hex + ";" + hex:    "count of a nested expression",
		"A;Target:0;0;" + strings.Repeat("(61|62|63)", 40) + hex:   "too many alternatives",
		"A;Target:0;0;" + hex + "{40000}" + hex + "::i":            "gap too long for a regular expression",
		"A;Target:0;0;" + strings.Repeat("(61|", 9) + "61" + "::i": "choices nested too deep",
	} {
		translate := extended
		if strings.Contains(line, ";") {
			translate = logical
		}
		r, err := translate(line)
		var why skip
		switch {
		case reason == "" && (err == nil || errors.As(err, &why)):
			t.Errorf("%s: is %v, want malformed", line, err)
		case reason != "" && (!errors.As(err, &why) || string(why) != reason):
			t.Errorf("%s: is %v %+v, want %q", line, err, r, reason)
		}
	}
}

func TestGapsAreJoined(t *testing.T) {
	p, err := parsePattern("616263{2}{0}{1-2}646566{3}")
	if err != nil || len(p) != 10 || p[3].min != 3 || p[3].max != 4 || p[9].kind != literal || p[9].mask != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err = parsePattern("616263{2}*646566"); err != nil || p[3].min != 2 || p[3].max != unlimited {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestMalformed(t *testing.T) {
	for _, line := range []string{
		"", "A", "A:0:*", "A:x:*:6162636465", "A:0:x:6162636465", "A:0:*:616", "A:0:*:61zz626364", "A:0:*:6162{3", "A:0:*:6162{5-3}6364656667",
		"A:0:*:61626364(65", "A:0:*:61626364)65", "A:0:*:6162|6364", "A:0:*:616263(|64)", "A:0:*:61626364{}65666768", "A:0:*:", "A:0:*:{99999999999}61626364",
		":0:*:6162636465", "A:0:*:61626364656667:x", "A:0:1,x:6162636465", "A:0:*:6162636465!", "A:0:*:6162636465:1:2:3:4",
		"A;Target:0;0", "A;Target:0;1;6162636465", "A;Target:0;0&;6162636465", "A;Target:0;(0;6162636465", "A;Target:0;0);6162636465", "A;Target;0;6162636465",
		"A;Target:0;0;6162636465::q", "A;Target:0;0;0/abc/", "A;Target:0;1;6162636465;0/abc", "A;Target:0;1;6162636465;1/abc/", "A;Target:0;1;6162636465;0/ab(cd/",
		"A;Target:0;1;6162636465;0/abcd)/", "A;Target:0;1;6162636465;0/*abcd/", "A;Target:0;1;6162636465;0/abcd[a/", "A;Target:0;1;6162636465;0/abcd/q", `A;Target:0;1;6162636465;0/abcd\/`,
		"A;FileSize:x,Target:0;0;6162636465", "A;Target:0;" + strings.Repeat("(", 500) + "0;6162636465", "A;Target:0;0>;6162636465", "A;Target:0;0;" + strings.Repeat("6162636465;", 70),
	} {
		translate := extended
		if strings.Contains(line, ";") {
			translate = logical
		}
		var why skip
		if r, err := translate(line); err == nil || errors.As(err, &why) {
			t.Errorf("%.100s: is %v %+v, want malformed", line, err, r)
		}
	}
}

// FuzzTranslate: nothing panics, and what is translated compiles.
func FuzzTranslate(f *testing.F) {
	for _, c := range extendedCases {
		f.Add(c.line)
	}
	for _, c := range logicalCases {
		f.Add(c.line)
	}
	m := newMaker(9)
	for i := range 40 {
		line, _ := m.extended(i)
		f.Add(line)
		line, _ = m.logical(i)
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var h hashLine
		h.parse([]byte(line))
		translate := extended
		if strings.Contains(line, ";") {
			translate = logical
		}
		r, err := translate(line)
		if err != nil {
			return
		}
		w := newWriter("fuzz")
		w.add(r)
		if yara.Available() != nil {
			return
		}
		rules, problems, err := yara.Compile(w.close())
		if err != nil {
			t.Fatal(err)
		}
		defer rules.Close()
		for _, p := range problems {
			t.Errorf("%q becomes %+v, which does not compile: %s", line, r, p.Msg)
		}
	})
}
