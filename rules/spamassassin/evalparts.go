package spamassassin

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// attachmentFacts are what rules ask about the parts of a message.
type attachmentFacts struct {
	html, text, base64, quoted, attachments int
	base64Text, badISO, alternative         bool
	longLine                                bool
	quotedBytes, quotedSigns                int
	illegalASCII                            int
	normal, entities                        int
	ratio                                   float64
	charsets                                []string
	missingBoundary                         bool
}

var (
	asciiSets   = regexp.MustCompile(`us-ascii|ansi_x3\.4-1968|iso-ir-6|ansi_x3\.4-1986|iso_646\.irv:1991|ascii|iso646-us|us|ibm367|cp367|csascii`)
	isoSet      = regexp.MustCompile(`(?i)iso-\S+-\S+\b`)
	goodISO     = regexp.MustCompile(`iso-(?:8859-\d{1,2}|2022-(?:jp|kr))\b`)
	capsSets    = regexp.MustCompile(`(?i)^[-_a-z0-9]*(?:koi|jp|jis|euc|gb|big5|isoir|cp1251|windows-1251|georgianps|pt154|tis)[-_a-z0-9]*\n?$`)
	quotedSign  = regexp.MustCompile(`=(?:09|3[0-9ABCEF]|[2456][0-9A-F]|7[0-9A-E])`)
	quotedSpace = regexp.MustCompile(`((?:=09|=20)+)\s*$`)
	hexEntity   = regexp.MustCompile(`&#x[0-9A-F]{4};`)
	charsetLine = regexp.MustCompile(`(?i)charset=(?:"([^"]+)"|'([^']+)'|(\S+))`)
	jisText     = regexp.MustCompile(`(?s)\x1b\$B.*\x1b\(B`)
	base64Lines = regexp.MustCompile(`^(?:[A-Za-z0-9+/=]{60,76} ){2}`)
)

// parts2 looks at all parts, once.
func (m *mail) parts2() *attachmentFacts {
	if m.attached != nil {
		return m.attached
	}
	f := &attachmentFacts{ratio: 1}
	m.attached = f
	type leaf struct {
		kind    string
		bytes   int
		counted bool
	}
	var leaves []leaf
	m.walk(func(e *entity) {
		ct := parseContentType(e.last("content-type"), e.has("content-type"))
		cte := strings.ToLower(e.last("content-transfer-encoding"))
		cd := strings.ToLower(e.last("content-disposition"))
		charset := strings.ToLower(ct.charset)
		if ct.missing {
			charset = "us-ascii"
		}
		f.alternative = f.alternative || ct.kind == "multipart/alternative"
		f.fields(ct.kind, cte, cd, charset)
		if !e.leaf {
			return
		}
		attached := strings.Contains(cd, "attachment")
		l := leaf{kind: ct.kind, counted: !attached}
		ascii := ct.kind == "text/plain" && (!ct.declared && !ct.missing || charset == "us-ascii")
		plain := ct.kind == "text/plain" && (cte == "" || cte == "7bit" || cte == "8bit")
		for _, line := range e.lines {
			if f.alternative && !attached && (ct.kind == "text/plain" || ct.kind == "text/html") {
				l.bytes += len(line)
				l.counted = true
			}
			if cte == "quoted-printable" && !strings.HasPrefix(line, "SPAM: ") {
				f.longLine = f.longLine || len(line) > 79
				f.quotedBytes += len(line)
				if strings.Contains(line, "=") {
					if n := len(quotedSign.FindAllStringIndex(line, -1)); n > 0 {
						f.quotedSigns += n
						if t := quotedSpace.FindStringSubmatch(line); t != nil {
							f.quotedSigns -= len(t[1]) / 3
						}
					}
				}
			}
			if ascii && strings.ContainsFunc(line, func(r rune) bool { return r == 0 || r == '\r' || r >= 0x80 }) {
				f.illegalASCII++
			}
			if plain {
				n := 0
				if strings.Contains(line, "&#x") {
					n = len(hexEntity.FindAllStringIndex(line, -1))
				}
				f.normal += len(line) - 8*n
				f.entities += n
			}
		}
		leaves = append(leaves, l)
	})
	if f.alternative {
		text, html := -1, -1
		for i := len(leaves) - 1; i >= 0 && (text < 0 || html < 0); i-- {
			l := leaves[i]
			switch {
			case !l.counted:
			case html < 0 && l.kind == "text/html":
				html = l.bytes
			case text < 0 && l.kind == "text/plain":
				text = l.bytes
			}
		}
		if text >= 0 && html > 0 {
			f.ratio = float64(text) / float64(html)
		}
	}
	for _, n := range m.boundaries {
		f.missingBoundary = f.missingBoundary || n != 0
	}
	return f
}

func (f *attachmentFacts) fields(kind, cte, cd, charset string) {
	if kind == "text/html" {
		f.html++
	} else if strings.HasPrefix(kind, "text") {
		f.text++
	}
	if strings.Contains(cte, "base64") {
		f.base64++
	} else if strings.Contains(cte, "quoted-printable") {
		f.quoted++
	}
	if strings.Contains(cd, "attachment") {
		f.attachments++
	}
	if strings.HasPrefix(kind, "text") && strings.Contains(cte, "base64") && (charset == "" || asciiSets.MatchString(charset)) &&
		!strings.HasPrefix(cd, "attachment") && !strings.HasPrefix(cd, "inline") {
		f.base64Text = true
	}
	if isoSet.MatchString(charset) && !goodISO.MatchString(charset) {
		f.badISO = true
	}
	if strings.ContainsFunc(charset, func(r rune) bool { return r >= 'a' && r <= 'z' }) {
		f.charsets = append(f.charsets, strings.Fields(charset)...)
	}
}

func (f *attachmentFacts) quotedRatio() float64 {
	if f.quotedBytes == 0 {
		return 0
	}
	return float64(f.quotedSigns) / float64(f.quotedBytes)
}

func (f *attachmentFacts) unicodeRatio() float64 {
	if f.normal == 0 {
		return 0
	}
	return float64(f.entities) / float64(f.normal)
}

func (f *attachmentFacts) number(what string) float64 {
	switch what {
	case "mime_base64_count":
		return float64(f.base64)
	case "mime_base64_encoded_text":
		return truth(f.base64Text)
	case "mime_body_html_count":
		return float64(f.html)
	case "mime_body_text_count":
		return float64(f.text)
	case "mime_attachment":
		return float64(f.attachments)
	case "mime_bad_iso_charset":
		return truth(f.badISO)
	case "mime_missing_boundary":
		return truth(f.missingBoundary)
	case "mime_multipart_alternative":
		return truth(f.alternative)
	case "mime_multipart_ratio":
		return f.ratio
	case "mime_qp_count":
		if f.quotedBytes > 0 {
			return float64(f.quotedSigns)
		}
		return float64(f.quoted)
	case "mime_qp_long_line":
		return truth(f.longLine)
	case "mime_qp_ratio":
		return f.quotedRatio()
	case "mime_ascii_text_illegal":
		return float64(f.illegalASCII)
	case "mime_text_unicode_ratio":
		return f.unicodeRatio()
	}
	return 0
}

func (m *mail) typeIsHTML() bool {
	t := m.one("content-type")
	return len(t) >= 9 && strings.EqualFold(t[:9], "text/html")
}

func parseFlag(m *mail, what string) bool {
	f := &m.flags
	switch what {
	case "missing_head_body_separator":
		return f.missingSeparator
	case "truncated_header", "truncated_headers":
		m.get("ALL")
		return f.truncatedHeader
	case "missing_mime_headers":
		return f.missingMIMEHeaders
	case "missing_mime_head_body_separator":
		return f.missingMIMESeparator
	case "mime_epilogue_exists":
		return f.epilogue
	case "mimepart_limit_exceeded":
		return f.tooManyParts
	}
	return false
}

// uppercase is the share of capital letters in the text, in per cent.
func (m *mail) uppercase() float64 {
	for _, c := range append([]string{charsetInLine(m.one("content-type"))}, m.parts2().charsets...) {
		if capsSets.MatchString(c) {
			return 0
		}
	}
	length, lower, upper := 0, 0, 0
	for _, line := range m.body() {
		if !twoWords(line) || strings.IndexByte(line, ' ') >= 60 && base64Lines.MatchString(line) {
			continue
		}
		if strings.Contains(line, "\x1b$B") {
			line = jisText.ReplaceAllString(line, "")
		}
		length += len(line)
		for i := range len(line) {
			switch c := line[i]; {
			case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
				lower++
			case c >= 'A' && c <= 'Z':
				upper++
			}
		}
	}
	if length < 200 || upper+lower == 0 {
		return 0
	}
	return float64(upper) / float64(upper+lower) * 100
}

// twoWords says whether white space stands between two words.
func twoWords(s string) bool {
	s = strings.Trim(s, white)
	return strings.ContainsAny(s, white)
}

func charsetInLine(s string) string {
	if m := charsetLine.FindStringSubmatch(s); m != nil {
		return m[1] + m[2] + m[3]
	}
	return ""
}

// alternativeWithOther: an alternative that is no text.
func (m *mail) alternativeWithOther() bool {
	found := false
	m.walk(func(e *entity) {
		if e.kind != "multipart/alternative" {
			return
		}
		for _, p := range e.parts {
			if p.leaf && p.kind != "multipart/related" && p.kind != "application/rtf" && !strings.HasPrefix(p.kind, "text/") {
				found = true
			}
		}
	})
	return found
}

// base64Line is the length of the longest line of base64.
func (m *mail) base64Line() float64 {
	most := 0
	m.walk(func(e *entity) {
		if e.leaf && strings.ToLower(e.last("content-transfer-encoding")) == "base64" &&
			parseContentType(e.last("content-type"), e.has("content-type")).kind != "application/ics" {
			for _, l := range e.lines {
				most = max(most, len(l))
			}
		}
	})
	return float64(most)
}

// alternativeFacts compare the texts of alternatives.
type alternativeFacts struct {
	difference float64 // per cent of the words of HTML that the plain text lacks
	html, text int
}

func (m *mail) alternatives() *alternativeFacts {
	if m.alt != nil {
		return m.alt
	}
	f := &alternativeFacts{}
	m.alt = f
	var groups []*entity
	m.walk(func(e *entity) {
		if strings.HasPrefix(e.kind, "multipart/alternative") {
			groups = append(groups, e)
		}
	})
	if len(groups) == 0 || m.entity.kind == "multipart/alternative" && len(m.entity.parts) == 2 &&
		m.entity.parts[0].kind == "text/html" && m.entity.parts[1].kind == "text/calendar" && m.entity.parts[0].leaf && m.entity.parts[1].leaf {
		return f
	}
	for _, g := range groups {
		html, text := map[string]int{}, map[string]int{}
		g.walk(func(e *entity) {
			if !e.leaf || !strings.HasPrefix(e.kind, "text") {
				return
			}
			r := e.render()
			if r.kind == "" {
				return
			}
			to := text
			if r.kind == "text/html" && r.page != nil {
				to = html
			}
			for _, w := range strings.Fields(r.text) {
				if strings.ContainsFunc(w, func(c rune) bool { return c < 0x80 && wordSet.has(byte(c)) || c >= 0x80 && r.characters && wordRune(c) }) {
					to[w]++
				}
			}
			if r.page != nil && len(html) == 0 {
				if _, ok := r.page.inside["img"]; ok {
					html["\n"] = 1
				}
			}
		})
		n := len(html)
		if n == 0 {
			continue
		}
		f.html, f.text = n, len(text)
		left := n
		for w, k := range text {
			if h, ok := html[w]; ok && h-k < 1 {
				left--
			}
		}
		f.difference = max(f.difference, float64(left)/float64(n)*100)
	}
	return f
}

func alternativeDifference(_ *compiled, args []string) (evalCall, error) {
	low, high, err := bounds(args)
	return func(m *mail) float64 {
		d := m.alternatives().difference
		return truth((low == 0 || d > low) && d <= high)
	}, err
}

func alternativeCount(_ *compiled, args []string) (evalCall, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("needs a ratio and a number")
	}
	ratio, least, err := bounds(args)
	return func(m *mail) float64 {
		f := m.alternatives()
		return truth(float64(f.html) > least && f.html > 0 && float64(f.text)/float64(f.html) > ratio)
	}, err
}

func blankLines(_ *compiled, args []string) (evalCall, error) {
	low, high, err := bounds(args)
	least := 1.0
	if err == nil && len(args) > 2 {
		if least, err = strconv.ParseFloat(args[2], 64); err != nil {
			return nil, fmt.Errorf("%q is not a number", clip(args[2], 20))
		}
		least = max(1, least)
	}
	return func(m *mail) float64 {
		blank, lines := 0.0, 0.0
		for _, chunk := range m.rawBody() {
			for _, l := range splitLines(chunk) {
				lines++
				if strings.Trim(l, white) == "" {
					blank++
				}
			}
		}
		v := -1.0
		if lines >= least {
			v = 100 * blank / lines
		}
		return truth(low == 0 && v <= high || v > low && v <= high)
	}, err
}

func verticalWords(_ *compiled, args []string) (evalCall, error) {
	low, high, err := bounds(args)
	if high >= 100 {
		high = 101
	}
	return func(m *mail) float64 {
		most := -1
		for _, l := range m.body() {
			if len(l) <= 5 {
				continue
			}
			spaces := strings.Count(l, " ")
			other := len(l) - spaces
			v := 100
			if spaces <= other && other > 0 {
				v = 100 * spaces / other
			}
			most = max(most, v)
		}
		return truth(atLeastBelow(float64(most), low, high))
	}, err
}

var (
	stockLine = regexp.MustCompile(`(?m)^\s*([^:\s][^:\n]{2,29})\s*:\s*\S`)
	stockWord = regexp.MustCompile(`(^trad(?:e|ing)date|company(?:name)?|s\w?(?:t\w?o\w?c\w?k|y\w?m(?:\w?b\w?o\w?l)?)|t(?:arget|icker)|(?:opening|current)p(?:rice)?|p(?:rojected|osition)|expectations|weeks?high|marketperformance|(?:year|week|month|day|price)(?:target|estimates?)|sector|r(?:ecommendation|ating))$`)
)

// stockInfo counts the kinds of lines that tout a share.
func stockInfo(m *mail) float64 {
	var first *entity
	m.walk(func(e *entity) {
		if first == nil && e.kind == "text/plain" {
			first = e
		}
	})
	if first == nil || !first.leaf {
		return 0
	}
	kinds := map[string]bool{}
	for _, chunk := range chunks(first.render().text) {
		for _, s := range stockLine.FindAllStringSubmatch(chunk, -1) {
			word := strings.Map(func(c rune) rune {
				if c >= 'a' && c <= 'z' {
					return c
				}
				return -1
			}, strings.ToLower(s[1]))
			if k := stockWord.FindStringSubmatch(word); k != nil {
				kinds[k[1]] = true
			}
		}
	}
	return float64(len(kinds))
}

var signatureLine = regexp.MustCompile(`(?m)^-- ?\r?$`)

// signature returns the lengths of the plain text before its signature and of
// the signature, and how many times longer the text is; -1 without plain text.
func (m *mail) signature() (body, sig, ratio float64) {
	var first *entity
	m.walk(func(e *entity) {
		if first == nil && strings.HasPrefix(e.kind, "text/plain") {
			first = e
		}
	})
	if first == nil || !first.leaf {
		return -1, -1, -1
	}
	text := first.decode()
	body = float64(len(text))
	for _, at := range signatureLine.FindAllStringIndex(text, -1) {
		if len(text)-at[1] > 4 {
			body, sig = float64(at[0]), float64(len(text)-at[1])
		}
	}
	if sig == 0 {
		return body, 0, 1e6
	}
	return body, sig, body / sig
}
