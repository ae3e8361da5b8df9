package spamassassin

import (
	"regexp"
	"strings"
)

// The message as SpamAssassin reads it: rules were written for its way to split
// mail, which differs from that of mail programs and of engine/message where a
// message is broken.

const (
	maxKey    = 256
	maxValue  = 8192
	maxHeader = 65536
	maxLine   = 2048 // bytes of a line of the body; longer ones are cut
	maxParts  = 1000
	// maxPartField is about how long a field of a part may be.
	maxPartField = 16 << 10
	maxNested    = 20
)

// defects of a message that rules ask for.
type flags struct {
	missingSeparator, truncatedHeader, missingMIMEHeaders, missingMIMESeparator, epilogue, tooManyParts bool
}

// parsed is a whole message.
type parsed struct {
	*entity
	full       string // as it came
	headerText string
	bodyText   string
	flags      flags
	pending    []job
	boundaries map[string]int // boundary -> how many ends are missing
}

type job struct {
	e        *entity
	boundary string
	bounded  bool
	lines    []string
	depth    int
}

// parseMessage splits a message. It is linear in its length.
func parseMessage(raw string) *parsed {
	p := &parsed{full: raw, boundaries: map[string]int{}}
	p.entity = p.top(raw, maxNested, p)
	return p
}

// top parses a message or an attached one. whole is nil for the latter.
func (p *parsed) top(raw string, depth int, whole *parsed) *entity {
	e := &entity{leaf: true}
	if raw == "" {
		raw = "\n"
	}
	lines := splitLines(raw)
	from := 0
	if isMailboxLine(lines[0]) {
		from = 1
	}
	crlf := false
	if from < len(lines) {
		crlf = strings.Contains(lines[from], "\r\n") || strings.Contains(lines[len(lines)-1], "\r\n")
	}
	at := p.header(e, lines[from:], crlf, whole)
	if whole != nil {
		n := 0
		for _, l := range lines[:from] {
			n += len(l)
		}
		whole.full = raw[n:]
		for _, l := range lines[from : from+at.body] {
			n += len(l)
		}
		whole.headerText, whole.bodyText = whole.full[:len(whole.full)-len(raw[n:])], raw[n:]
	}
	body := trimBlank(lines[from+at.body:], crlf)
	ct := parseContentType(e.last("content-type"), e.has("content-type"))
	e.kind = ct.kind
	if strings.HasPrefix(e.kind, "multipart/") && len(body) > 1 && strings.TrimLeft(body[0], white) != "" &&
		(!ct.bounded || !strings.HasPrefix(body[0], "--"+ct.boundary)) {
		body = append([]string{"\n"}, body...)
	}
	queue := []job{{e, ct.boundary, ct.bounded, body, depth}}
	if whole == nil {
		p.pending = append(p.pending, queue...)
		return e
	}
	for len(queue) > 0 || len(p.pending) > 0 {
		if len(queue) == 0 {
			queue, p.pending = p.pending, nil
			continue
		}
		j := queue[0]
		queue = queue[1:]
		p.part(j)
		queue = append(queue, p.pending...)
		p.pending = nil
	}
	return e
}

// part parses the body of one entity.
func (p *parsed) part(j job) {
	if strings.HasPrefix(j.e.kind, "multipart/") && j.bounded && j.depth > 0 {
		p.multipart(j)
		return
	}
	p.simple(j)
	if (j.e.kind == "message/rfc822" || j.e.kind == "message/global") && j.depth > 0 {
		if text := j.e.decode(); text != "" {
			j.e.parts = append(j.e.parts, p.top(text, j.depth-1, nil))
			j.e.leaf = false
			j.e.lines = nil
			j.e.decoded = nil
		}
	}
}

// splitLines cuts a text behind every LF.
func splitLines(text string) []string {
	lines := make([]string, 0, strings.Count(text, "\n")+1)
	for len(text) > 0 {
		i := strings.IndexByte(text, '\n') + 1
		if i == 0 {
			i = len(text)
		}
		lines = append(lines, text[:i])
		text = text[i:]
	}
	return lines
}

// isMailboxLine recognises the line that separates mails in a mailbox.
func isMailboxLine(line string) bool {
	rest, ok := strings.CutPrefix(line, "From")
	if !ok || rest == "" || !spaceSet.has(rest[0]) {
		return false
	}
	// White space and something that is no colon; the white space may give
	// back what it took.
	trimmed := strings.TrimLeft(rest, white)
	return trimmed == "" || trimmed[0] != ':' || len(rest)-len(trimmed) > 1
}

type headerEnd struct{ body int }

// header reads the header of a message into e and returns the line where the
// body begins.
func (p *parsed) header(e *entity, lines []string, crlf bool, whole *parsed) headerEnd {
	faults := 0
	missing := func() {
		if whole != nil {
			whole.flags.missingSeparator = true
		}
	}
	var cur string
	open := false
	flush := func() {
		if !open {
			return
		}
		open = false
		key, value, ok := strings.Cut(cur, ":")
		if !ok {
			return
		}
		if crlf {
			value = strings.ReplaceAll(value, "\r\n", "\n")
		}
		key = strings.TrimRight(key, " \t")
		if len(key) > maxKey || len(value) > maxValue {
			key, value = key[:min(len(key), maxKey)], value[:min(len(value), maxValue)]
			if whole != nil {
				whole.flags.truncatedHeader = true
			}
		}
		e.fields = append(e.fields, field{name: key, key: strings.ToLower(key), raw: value})
	}
	for i := 0; ; i++ {
		if i >= len(lines) {
			flush()
			missing()
			return headerEnd{len(lines)}
		}
		line := lines[i]
		if line[0] == ' ' || line[0] == '\t' {
			if !open {
				cur, open = "", true
			}
			if len(cur) <= maxKey+maxValue { // what is more is cut below
				cur += line
			}
			continue
		}
		flush()
		if line == "\n" && !crlf || crlf && (line == "\r\n" || line == "\n") {
			return headerEnd{i + 1}
		}
		if strings.HasPrefix(line, "--") {
			missing()
			return headerEnd{i}
		}
		if !isFieldStart(line, true) {
			if faults++; faults > 3 {
				missing()
				return headerEnd{i}
			}
		}
		cur, open = line, true
	}
}

// isFieldStart says whether a line begins with a field's name and a colon;
// white space may stand before the colon if spaced.
func isFieldStart(line string, spaced bool) bool {
	i := 0
	for i < len(line) && line[i] > ' ' && line[i] < 0x7f && line[i] != ':' {
		i++
	}
	if i == 0 {
		return false
	}
	for spaced && i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	return i < len(line) && line[i] == ':'
}

// trimBlank takes CRs off line ends and shortens long runs of empty lines.
func trimBlank(lines []string, crlf bool) []string {
	const most = 20
	var out []string
	copied := false
	own := func(n int) {
		if !copied {
			copied = true
			out = append(make([]string, 0, len(lines)), lines[:n]...)
		}
	}
	for i := 0; i < len(lines); {
		l := lines[i]
		if strings.Trim(l, white) != "" {
			if crlf && strings.HasSuffix(l, "\r\n") {
				own(i)
				l = l[:len(l)-2] + "\n"
			}
			if copied {
				out = append(out, l)
			}
			i++
			continue
		}
		j := i
		for j < len(lines) && strings.Trim(lines[j], white) == "" {
			j++
		}
		// The first stays, and those at the end.
		skip := max(0, j-i-most)
		if skip > 0 || crlf {
			own(i)
		}
		if copied {
			for k := range j - i - skip {
				if k > 0 {
					k += skip
				}
				l := lines[i+k]
				if crlf && strings.HasSuffix(l, "\r\n") {
					l = l[:len(l)-2] + "\n"
				}
				out = append(out, l)
			}
		}
		i = j
	}
	if !copied {
		return lines
	}
	return out
}

var (
	boundaryForm  = regexp.MustCompile(`(?i)\bboundary\s*=\s*("[^"]+|[^\s";]+(?:[\s;]|$))`)
	charsetForm   = regexp.MustCompile(`(?i)\bcharset\s*=\s*["']?(.*?)["']?(?:;|$)`)
	nameForm      = regexp.MustCompile(`(?i)\b(?:file)?name\s*=\s*["']?(.*?)["']?(?:;|$)`)
	nameStarForm  = regexp.MustCompile(`(?i)\b(?:file)?name\*(\d+)\s*=\s*["']?(.*?)["']?(?:;|$)`)
	dispNameForm  = regexp.MustCompile(`(?i)name=\s*"?([^";]+)"?`)
	plainTextForm = regexp.MustCompile(`^text\b`)
)

// multipart splits the body of a multipart at its boundary.
func (p *parsed) multipart(j job) {
	j.e.leaf = false
	body := j.lines
	for i, l := range body {
		if isBoundary(l, j.boundary) == 1 {
			p.boundaries[j.boundary] = 1
			if i+1 < len(body) && !isFieldStart(body[i+1], false) {
				p.flags.missingMIMEHeaders = true
			}
			body = body[i+1:]
			break
		}
	}
	var (
		child  = &entity{leaf: true}
		inBody bool
		head   string
		lines  []string
		nested bool
	)
	put := func() (key string) {
		if head == "" {
			return ""
		}
		k, v, ok := strings.Cut(head, ":")
		if ok {
			child.fields = append(child.fields, field{name: k, key: strings.ToLower(k), raw: strings.TrimLeft(v, white)})
		}
		return strings.ToLower(k)
	}
	for i, l := range body {
		end := isBoundary(l, j.boundary)
		last := end == 2
		if end > 0 && nested {
			end = 0
			if last {
				nested = false
			}
		}
		if i == len(body)-1 || end > 0 {
			switch {
			case end == 0:
				lines = appendLine(lines, l)
			case lines != nil:
				n := len(lines) - 1
				lines[n] = strings.TrimSuffix(lines[n], "\n")
				if lines[n] == "" {
					lines = lines[:n]
				}
			}
			p.child(j, child, lines)
			if last {
				p.boundaries[j.boundary]--
				for _, rest := range body[i+1:] {
					if strings.Trim(rest, white+".") != "" {
						p.flags.epilogue = true
						break
					}
				}
				return
			}
			if i+1 < len(body) && !isFieldStart(body[i+1], false) {
				p.flags.missingMIMEHeaders = true
			}
			if len(j.e.parts) >= maxParts {
				p.flags.tooManyParts = true
				return
			}
			child, inBody, head, lines = &entity{leaf: true}, false, "", nil
			continue
		}
		if !inBody {
			if isFieldStart(l, true) {
				put()
				head = l
				continue
			}
			if (l[0] == ' ' || l[0] == '\t') && head != "" {
				if len(head) <= maxPartField {
					head += l
				}
				continue
			}
			if key := put(); key == "content-type" {
				if ct := parseContentType(child.last("content-type"), true); ct.bounded && ct.boundary == j.boundary {
					nested = true
				}
			}
			inBody = true
			if l == "\n" || l == "\r\n" {
				continue
			}
			p.flags.missingMIMESeparator = true
		}
		lines = appendLine(lines, l)
	}
}

// child enters a part of a multipart, to be parsed in its turn.
func (p *parsed) child(j job, child *entity, lines []string) {
	ct := parseContentType(child.last("content-type"), child.has("content-type"))
	child.kind = ct.kind
	if ct.missing && j.e.kind == "multipart/digest" {
		child.kind = "message/rfc822"
	}
	boundary, bounded := ct.boundary, ct.bounded
	if boundary == "" {
		boundary, bounded = j.boundary, true
	}
	p.pending = append(p.pending, job{child, boundary, bounded, lines, j.depth - 1})
	j.e.parts = append(j.e.parts, child)
}

// isBoundary tells whether a line is the boundary (1) or the last one (2).
func isBoundary(line, boundary string) int {
	rest, ok := strings.CutPrefix(line, "--")
	if !ok {
		return 0
	}
	if rest, ok = strings.CutPrefix(rest, boundary); !ok {
		return 0
	}
	rest = strings.TrimRight(rest, white)
	switch rest {
	case "":
		return 1
	case "--":
		return 2
	}
	return 0
}

// appendLine appends a line, cut where it is too long.
func appendLine(lines []string, l string) []string {
	for len(l) > maxLine {
		lines = append(lines, l[:maxLine]+"\n")
		l = l[maxLine:]
	}
	return append(lines, l)
}

// simple makes an entity a leaf.
func (p *parsed) simple(j job) {
	e := j.e
	ct := parseContentType(e.last("content-type"), e.has("content-type"))
	if !ct.missing {
		e.kind = ct.kind
		if strings.HasPrefix(ct.kind, "multipart/") && !j.bounded {
			e.kind = "text/plain"
		}
	}
	e.charset, e.declared = ct.charset, ct.declared
	if ct.missing {
		e.charset, e.declared = "us-ascii", true
	}
	if m := dispNameForm.FindStringSubmatch(e.last("content-disposition")); m != nil {
		e.name = m[1]
	} else {
		e.name = ct.name
	}
	e.lines = j.lines
	e.leaf = true
}
