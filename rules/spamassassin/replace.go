package spamassassin

import (
	"regexp"
	"strings"
)

// replaceTags puts what replace_tag defined into the patterns of the rules that
// replace_rules names: <A> becomes any sign that looks like an a.
func (c *conf) replaceTags(r *Report) {
	if len(c.replace) == 0 || !c.plugins[pluginPrefix+"ReplaceTags"] {
		return
	}
	open, close := regexp.QuoteMeta(c.tagOpen), regexp.QuoteMeta(c.tagClose)
	t := &tagger{conf: c,
		directive: map[string]*regexp.Regexp{},
		tag:       regexp.MustCompile(open + `(.+?)` + close),
		piece:     regexp.MustCompile(`<[^<>]+>`),
	}
	for _, d := range []string{"pre", "post", "inter"} {
		t.directive[d] = regexp.MustCompile(open + d + ` (.+?)` + close)
	}
	for name := range c.replace {
		if test := c.tests[name]; test != nil && test.kind != kindMeta && test.kind != kindEval && test.source != "" {
			test.source = t.apply(test.source)
		}
	}
}

type tagger struct {
	*conf
	directive  map[string]*regexp.Regexp
	tag, piece *regexp.Regexp
}

// longestPattern bounds what replacing may make of a pattern, in bytes.
const longestPattern = 1 << 20

func (t *tagger) apply(src string) string {
	for range 6 {
		again := false
		var names [3]string
		for i, d := range []string{"pre", "post", "inter"} {
			if at := t.directive[d].FindStringSubmatchIndex(src); at != nil {
				names[i] = src[at[2]:at[3]]
				src = src[:at[0]] + src[at[1]:]
			}
		}
		pieces := t.split(src)
		for i := range pieces {
			if text := t.pre[names[0]]; text != "" {
				pieces[i] = replaceFirst(t.tag, pieces[i], func(tag string) string { return text + tag })
			}
			if text := t.post[names[1]]; text != "" {
				pieces[i] = t.tag.ReplaceAllStringFunc(pieces[i], func(tag string) string { return tag + text })
			}
			if text := t.inter[names[2]]; text != "" && pieces[i] == "" {
				pieces[i] = text
			}
			m := t.tag.FindStringSubmatch(pieces[i])
			if m == nil {
				continue
			}
			if text := t.tags[m[1]]; text != "" {
				pieces[i] = strings.ReplaceAll(pieces[i], t.tagOpen+m[1]+t.tagClose, text)
				again = again || t.piece.MatchString(text)
			}
		}
		src = strings.Join(pieces, "")
		if !again || len(src) > longestPattern {
			break
		}
	}
	return src
}

func replaceFirst(re *regexp.Regexp, s string, f func(string) string) string {
	at := re.FindStringIndex(s)
	if at == nil {
		return s
	}
	return s[:at[0]] + f(s[at[0]:at[1]]) + s[at[1]:]
}

// split cuts a pattern into tags and what stands between them, which is "" where
// two tags meet.
func (t *tagger) split(src string) []string {
	var out []string
	last := 0
	for _, at := range t.piece.FindAllStringIndex(src, -1) {
		out = append(out, src[last:at[0]], src[at[0]:at[1]])
		last = at[1]
	}
	if last < len(src) {
		out = append(out, src[last:])
	}
	return out
}
