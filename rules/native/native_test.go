package native

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"spamcatcher/rules"
)

const whole = `# a remark with [[rule]] in it
[[rule]]
symbol = "MONEY_KIN" # key = in a remark
description = 'Next of kin'
points = 1.5
body = '''(?i)next
of kin'''
hit = [
  "next\nof kin",   # one
  """
Subject: [[rule]]

next
of kin
""",
]
miss = ["kin"]

[[rule]]
symbol = "_TERM"
header = { name = "Subject", match = 'a"b', of = "raw" }
hit = ["a"]
`

func TestParse(t *testing.T) {
	list, err := Parse("money.toml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 {
		t.Fatalf("%d rules", len(list))
	}
	a, b := list[0], list[1]
	if a.Symbol != "MONEY_KIN" || a.Points != 1.5 || a.File != "money.toml" || a.Line != 2 || a.At.Line != 6 ||
		a.When != (rules.Text{View: rules.Body, Pattern: "(?i)next\nof kin"}) {
		t.Errorf("rule is %+v", a)
	}
	if len(a.Hit) != 2 || a.Hit[0].Line != 9 || a.Hit[1].Line != 10 || len(a.Miss) != 1 || a.Miss[0].Line != 17 {
		t.Errorf("samples are %+v %+v", a.Hit, a.Miss)
	}
	if b.Line != 19 || !b.Term() || b.When != (rules.Header{Name: "Subject", Of: "raw", Match: `a"b`}) {
		t.Errorf("term is %+v", b)
	}
}

func TestParseErrors(t *testing.T) {
	const head = "[[rule]]\nsymbol = \"AB\"\ndescription = \"d\"\npoints = 1\n"
	cases := []struct{ text, want string }{
		{"[[rule]]\nsymbol = \n", "x.toml:2:"},
		{head + "body = 'abc\n", "x.toml:5:"},
		{head + "boddy = 'abc'\n", `x.toml:5:1: unknown key "boddy"; did you mean "body"?`},
		{head + "boddy = 'abc'\n", "AB has no condition"},
		{head + "body = 'abc'\nzzzzzzzz = 1\n", `x.toml:6:1: unknown key "zzzzzzzz"`},
		{head + "header = { name = 'A', mach = 'b' }\n", `x.toml:5:24: unknown key "header.mach"; did you mean "header.match"?`},
		{head + "header = 'abc'\n", "x.toml:5:1: header must be a table"},
		{head + "header = { name = 1 }\n", "x.toml:5:12: header.name must be a string, not the number 1"},
		{head + "header = { name = 'A', absent = 'yes' }\n", "header.absent must be true or false, not the string \"yes\""},
		{head + "header = { name = 'A', absent = false }\n", "header.absent can only be true"},
		{head + "header = { name = 'A', min_count = -2 }\n", "header.min_count must be a whole number"},
		{head + "fact = { name = 'a', above = 'b' }\n", "fact.above must be a number"},
		{head + "body = 5\n", "x.toml:5:1: body must be a string, not the number 5"},
		{head + "body = 'a'\nmeta = 'B'\n", "AB has 2 conditions (body, meta)"},
		{head + "body = 'a'\nhit = 'b'\n", "x.toml:6:1: hit must be a list of strings, not the string \"b\""},
		{head + "body = 'a'\nhit = ['b', 2]\n", "element 2 is the number 2"},
		{"[[rule]]\nsymbol = \"AB\"\nbody = 'a'\n", "x.toml:2:1: AB has no points"},
		{"[[rule]]\nbody = 'a'\n", "x.toml:1:1: a rule without symbol"},
		{"title = 'x'\n" + head + "body = 'a'\n", `x.toml:1: unknown key "title"`},
		{"\nrule = 5\n", "x.toml:2: rule must be a list of tables"},
		{head + "symbol = 'CD'\nbody = 'a'\n", "x.toml:5:"},
	}
	for _, c := range cases {
		_, err := Parse("x.toml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want %q in it, for\n%s", err, c.want, c.text)
		}
		var e *rules.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("error %v is no *rules.Error", err)
		}
	}
	// A fault in one rule leaves the others.
	list, err := Parse("x.toml", []byte(head+"body = 5\n"+strings.Replace(head, "AB", "CD", 1)+"body = 'abc'\n"))
	if err == nil || len(list) != 1 || list[0].Symbol != "CD" {
		t.Errorf("rules are %+v, error %v", list, err)
	}
}

func TestLoad(t *testing.T) {
	rule := func(s string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("[[rule]]\nsymbol = \"" + s + "\"\ndescription = \"d\"\npoints = 1\nbody = 'abc'\n")}
	}
	fsys := fstest.MapFS{"b.toml": rule("BB"), "a.toml": rule("AA"), "c.txt": rule("CC"), "sub/d.toml": rule("DD")}
	list, err := Load(fsys, "*.toml", "sub/*.toml", "a*")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range list {
		got = append(got, r.Symbol)
	}
	if strings.Join(got, " ") != "AA BB DD" {
		t.Errorf("rules are %v", got)
	}
	fsys["a.toml"] = &fstest.MapFile{Data: []byte("what?")}
	if list, err := Load(fsys, "*.toml"); err == nil || len(list) != 1 {
		t.Errorf("a bad file gives %d rules and error %v", len(list), err)
	}
	if _, err := Load(fsys, "[bad"); err == nil {
		t.Error("a bad pattern is no error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("[[rule]]\nheader = { name = 'A', match = [1, {a = 2}] }\nhit = [ ''' ''', \"\\\"\" ]\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Parse("x.toml", []byte(text))
		if err == nil {
			_, _ = rules.Compile(list)
		}
	})
}
