// Package enginetest turns files of cases and short facts into mails for the
// tests of all packages, and compares the symbols found with those expected.
package enginetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// A Case is one mail and the symbols that must be found in it.
type Case struct {
	Name   string
	Line   int // of its head in the file
	Mail   *engine.Mail
	Expect []string // the exact set, sorted; empty means none
}

// Mail parses a message, whose line ends may be LF, and completes it with
// facts as in a case file: "client 192.0.2.1", "helo mail.example.com",
// "ptr mail.example.com", "from a@example.com", "to b@example.org",
// "time 2026-03-10T09:30:00Z". An unknown fact fails the test.
func Mail(t testing.TB, raw string, facts ...string) *engine.Mail {
	t.Helper()
	m := &engine.Mail{Message: message.Parse(crlf(raw), message.Limits{})}
	for _, f := range facts {
		if err := apply(m, f); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// Run reads the case files that match a pattern of filepath.Glob and calls
// judge for each case, as a subtest. The names that judge returns must be
// exactly those expected, in any order. No file, a file without cases and a
// number of cases other than the file's first line says fail the test.
func Run(t *testing.T, pattern string, judge func(t *testing.T, m *engine.Mail) []string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no case file matches %s", pattern)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := Parse(file, string(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			t.Run(c.Name, func(t *testing.T) {
				if diff := compare(c.Expect, judge(t, c.Mail)); diff != "" {
					t.Errorf("%s:%d: %s", file, c.Line, diff)
				}
			})
		}
	}
}

// compare describes how two sets of names differ, "" when they do not.
func compare(want, got []string) string {
	got = slices.Sorted(slices.Values(got))
	var missing, extra []string
	for _, s := range want {
		if !slices.Contains(got, s) {
			missing = append(missing, s)
		}
	}
	for i, s := range got {
		if !slices.Contains(want, s) {
			extra = append(extra, s)
		} else if i > 0 && got[i-1] == s {
			extra = append(extra, s+" twice")
		}
	}
	var out []string
	if len(missing) > 0 {
		out = append(out, "not found: "+strings.Join(missing, " "))
	}
	if len(extra) > 0 {
		out = append(out, "found but not expected: "+strings.Join(extra, " "))
	}
	return strings.Join(out, "; ")
}

// Parse reads the cases of one file; name serves errors only. The format:
//
//	cases 2
//
//	=== what the case is about
//	client 192.0.2.1
//	helo mail.example.com
//	expect SYMBOL OTHER_SYMBOL
//
//	Subject: the raw message begins after the first empty line
//
//	and ends before the next head or the end of the file.
//	=== a case in which nothing is found
//	expect
//
//	Subject: Lunch
//
// Facts and expect may stand in any order; expect is required. Lines end with
// LF; the message is given CRLF. A line of a message that begins with "=== "
// is written with a backslash before it.
func Parse(name, text string) ([]Case, error) {
	lines := strings.SplitAfter(text, "\n")
	want, err := strconv.Atoi(strings.TrimPrefix(strings.TrimRight(lines[0], "\r\n"), "cases "))
	if err != nil || !strings.HasPrefix(lines[0], "cases ") {
		return nil, fmt.Errorf("%s:1: the first line must be \"cases N\"", name)
	}
	if want < 1 {
		return nil, fmt.Errorf("%s:1: a file of %d cases proves nothing", name, want)
	}
	var cases []Case
	names := map[string]int{}
	for i := 1; i < len(lines); {
		line := strings.TrimRight(lines[i], "\r\n")
		title, head := strings.CutPrefix(line, "=== ")
		if !head {
			if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
				return nil, fmt.Errorf("%s:%d: %q stands outside of any case", name, i+1, line)
			}
			i++
			continue
		}
		c := Case{Name: strings.TrimSpace(title), Line: i + 1, Mail: &engine.Mail{}}
		if c.Name == "" {
			return nil, fmt.Errorf("%s:%d: a case without name", name, c.Line)
		}
		if first, twice := names[c.Name]; twice {
			return nil, fmt.Errorf("%s:%d: the case %q is already at line %d", name, c.Line, c.Name, first)
		}
		names[c.Name] = c.Line
		expects := false
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
			fact := strings.TrimSpace(lines[i])
			if key, rest, _ := strings.Cut(fact, " "); key == "expect" {
				if expects {
					return nil, fmt.Errorf("%s:%d: a second expect line", name, i+1)
				}
				expects = true
				c.Expect = slices.Sorted(slices.Values(strings.Fields(rest)))
			} else if err := apply(c.Mail, fact); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
			}
		}
		if !expects {
			return nil, fmt.Errorf("%s:%d: the case %q has no expect line", name, c.Line, c.Name)
		}
		var raw strings.Builder
		for i++; i < len(lines) && !strings.HasPrefix(lines[i], "=== "); i++ {
			if strings.HasPrefix(lines[i], `\=== `) {
				raw.WriteString(lines[i][1:])
			} else {
				raw.WriteString(lines[i])
			}
		}
		if strings.TrimSpace(raw.String()) == "" {
			return nil, fmt.Errorf("%s:%d: the case %q has no message", name, c.Line, c.Name)
		}
		c.Mail.Message = message.Parse(crlf(raw.String()), message.Limits{})
		cases = append(cases, c)
	}
	if len(cases) != want {
		return nil, fmt.Errorf("%s: %d cases found, but the first line says %d", name, len(cases), want)
	}
	return cases, nil
}

// apply sets one fact of a mail.
func apply(m *engine.Mail, fact string) error {
	name, value, _ := strings.Cut(fact, " ")
	return m.Tell(name, value)
}

// crlf gives every line the line end of RFC 5321 section 2.3.8.
func crlf(text string) []byte {
	b := bytes.ReplaceAll([]byte(text), []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}
