package spamassassin

import (
	"fmt"
	"slices"
	"strings"
)

// The lines that define rules.

// add enters a rule; one of the same name that came before is replaced.
func (r *reader) add(t *test) error {
	if !ruleName.MatchString(t.name) || len(t.name) > 100 {
		return fmt.Errorf("bad name %q", clip(t.name, 40))
	}
	t.file, t.line = r.file, r.line
	if _, known := r.tests[t.name]; !known {
		r.order = append(r.order, t.name)
	}
	r.tests[t.name] = t
	return nil
}

// delimited takes the delimiters off a pattern.
func delimited(text string) (source, flags string, err error) {
	rest, found := strings.CutPrefix(text, "/")
	end := byte('/')
	if !found {
		rest, found = strings.CutPrefix(text, "m")
		if !found {
			if rest, found = strings.CutPrefix(text, "qr"); !found {
				return "", "", fmt.Errorf("pattern without delimiters")
			}
		}
		if rest == "" || wordSet.has(rest[0]) || rest[0] == '\\' {
			return "", "", fmt.Errorf("pattern without delimiters")
		}
		end = rest[0]
		if i := strings.IndexByte("{(<[", end); i >= 0 {
			end = "})>]"[i]
		}
		rest = rest[1:]
	}
	at := strings.LastIndexByte(rest, end)
	if at < 0 {
		return "", "", fmt.Errorf("pattern without end")
	}
	source, flags = rest[:at], rest[at+1:]
	for i := range len(flags) {
		if flags[i] < 'a' || flags[i] > 'z' || flags[i] == 'e' {
			return "", "", fmt.Errorf("pattern with text behind its end")
		}
	}
	if strings.IndexByte("})>]", end) < 0 {
		for i := 0; i < len(source); i++ {
			if source[i] == '\\' {
				i++
			} else if source[i] == end {
				return "", "", fmt.Errorf("delimiter %q inside of the pattern", end)
			}
		}
	}
	switch {
	case source == "":
		return "", "", fmt.Errorf("empty pattern")
	case strings.HasPrefix(source, "|"), strings.HasSuffix(source, "|") && !strings.HasSuffix(source, `\|`), hasEmptyChoice(source):
		return "", "", fmt.Errorf("pattern that matches everything")
	}
	return source, flags, nil
}

// hasEmptyChoice says whether || stands in a pattern, which matches always.
func hasEmptyChoice(source string) bool {
	for i := 0; i+1 < len(source); i++ {
		if source[i] == '\\' {
			i++
		} else if source[i] == '|' && source[i+1] == '|' {
			return true
		}
	}
	return false
}

func (r *reader) patternRule(k kind, value string) error {
	name, rest := splitWord(value)
	if rest == "" {
		return fmt.Errorf("no pattern")
	}
	if call, ok := strings.CutPrefix(rest, "eval:"); ok && k != kindURI {
		return r.evalRule(name, kindNames[k], call)
	}
	source, flags, err := delimited(rest)
	if err != nil {
		return err
	}
	return r.add(&test{name: name, kind: k, source: source, flags: flags})
}

func (r *reader) evalRule(name, area, call string) error {
	m := callForm.FindStringSubmatch(trim(call))
	if m == nil {
		return fmt.Errorf("bad call %q", clip(call, 60))
	}
	args, err := arguments(m[2])
	if err != nil {
		return err
	}
	return r.add(&test{name: name, kind: kindEval, area: area, eval: m[1], args: args})
}

// arguments splits the arguments of an eval function.
func arguments(text string) ([]string, error) {
	var args []string
	for text = trim(text); text != ""; {
		var arg string
		if q := text[0]; q == '\'' || q == '"' {
			end := strings.IndexByte(text[1:], q)
			if end < 0 {
				return nil, fmt.Errorf("unfinished argument %s", clip(text, 40))
			}
			arg, text = text[1:1+end], text[end+2:]
		} else {
			end := strings.IndexAny(text, ", \t")
			if end < 0 {
				end = len(text)
			}
			arg, text = text[:end], text[end:]
		}
		args = append(args, arg)
		text = trim(text)
		if text != "" {
			rest, ok := strings.CutPrefix(text, ",")
			if !ok {
				return nil, fmt.Errorf("bad arguments at %s", clip(text, 40))
			}
			text = trim(rest)
		}
	}
	return args, nil
}

func (r *reader) headerRule(value string) error {
	name, rest := splitWord(value)
	if rest == "" {
		return fmt.Errorf("no condition")
	}
	if call, ok := strings.CutPrefix(rest, "eval:"); ok {
		return r.evalRule(name, "header", call)
	}
	if call, ok := strings.CutPrefix(rest, "rbleval:"); ok {
		return r.evalRule(name, "header", call)
	}
	if m := existsForm.FindStringSubmatch(rest); m != nil {
		return r.add(&test{name: name, kind: kindHeader, header: m[1], exists: true})
	}
	m := headerForm.FindStringSubmatch(rest)
	if m == nil {
		return fmt.Errorf("neither exists:NAME nor NAME =~ /pattern/")
	}
	t := &test{name: name, kind: kindHeader, header: m[1], negated: m[2] == "!~"}
	for _, modifier := range strings.Split(m[1], ":")[1:] {
		if !slices.Contains([]string{"raw", "addr", "name", "host", "domain", "ip", "revip", "first", "last"}, modifier) {
			return fmt.Errorf("unknown modifier :%s", modifier)
		}
	}
	return r.finishMatch(t, m[3])
}

// finishMatch reads what follows =~ of a header: the pattern and what an absent
// field counts as.
func (r *reader) finishMatch(t *test, pattern string) (err error) {
	if at := unsetForm.FindStringSubmatchIndex(pattern); at != nil {
		t.unset = pattern[at[2]:at[3]]
		pattern = pattern[:at[0]]
	}
	if t.source, t.flags, err = delimited(pattern); err != nil {
		return err
	}
	return r.add(t)
}

func (r *reader) mimeHeaderRule(value string) error {
	if !r.plugins["Mail::SpamAssassin::Plugin::MIMEHeader"] {
		return fmt.Errorf("its plugin is not loaded")
	}
	name, rest := splitWord(value)
	m := mimeForm.FindStringSubmatch(rest)
	if m == nil {
		return fmt.Errorf("not NAME =~ /pattern/")
	}
	return r.finishMatch(&test{name: name, kind: kindMIMEHeader, header: m[1], negated: m[2] == "!~"}, m[3])
}

func (r *reader) uriDetailRule(value string) error {
	if !r.plugins["Mail::SpamAssassin::Plugin::URIDetail"] {
		return fmt.Errorf("its plugin is not loaded")
	}
	name, rest := splitWord(value)
	t := &test{name: name, kind: kindURIDetail}
	if old := r.tests[name]; old != nil && old.kind == kindURIDetail {
		t.parts = old.parts // criteria add up
	}
	for rest != "" {
		m := detailForm.FindStringSubmatchIndex(rest)
		if m == nil {
			break
		}
		p := part{of: rest[m[2]:m[3]], negated: rest[m[4]:m[5]] == "!~"}
		if !slices.Contains([]string{"raw", "type", "cleaned", "text", "domain", "host"}, p.of) {
			return fmt.Errorf("unknown criterion %q", clip(p.of, 40))
		}
		rest = rest[m[1]:]
		end := patternEnd(rest)
		if end < 0 {
			return fmt.Errorf("pattern without end")
		}
		var err error
		if p.source, p.flags, err = delimited(rest[:end]); err != nil {
			return err
		}
		rest = rest[end:]
		t.parts = slices.DeleteFunc(slices.Clone(t.parts), func(o part) bool { return o.of == p.of })
		t.parts = append(t.parts, p)
	}
	if len(t.parts) == 0 {
		return fmt.Errorf("no criteria")
	}
	return r.add(t)
}

// patternEnd returns where a pattern with delimiters ends that others follow:
// behind the first delimiter that only modifiers and white space follow.
func patternEnd(text string) int {
	if text == "" {
		return -1
	}
	at, end := 1, byte('/')
	if text[0] == 'm' && len(text) > 1 {
		at, end = 2, text[1]
		if i := strings.IndexByte("{(<[", end); i >= 0 {
			end = "})>]"[i]
		}
	} else if text[0] != '/' {
		return -1
	}
	for i := at; i < len(text); i++ {
		if text[i] != end {
			continue
		}
		j := i + 1
		for j < len(text) && strings.IndexByte("imsx", text[j]) >= 0 {
			j++
		}
		if j == len(text) || spaceSet.has(text[j]) {
			return j
		}
	}
	return -1
}

func (r *reader) metaRule(value string) error {
	name, text := splitWord(value)
	if text == "" {
		return fmt.Errorf("no expression")
	}
	if _, err := parseExpr(text); err != nil {
		return err
	}
	return r.add(&test{name: name, kind: kindMeta, source: text})
}

func (r *reader) reuse(value string) error {
	name, _ := splitWord(value)
	if r.tests[name] != nil {
		return nil
	}
	return r.add(&test{name: name, kind: kindEmpty})
}
