package spamassassin

import (
	"net/netip"
	"strings"
	"sync"
)

// What trace fields look like depends on the server that wrote them. The forms
// below are tried in their order; the first that fits says what is what.
// In a form, %I stands for an IP address, %H for the name that the client gave,
// %R for the name that DNS gave, %B for the server, %D for the result of an
// ident query, %N for whatever has no white space; what is written %h or %d may
// be empty. The rest is a pattern.

type relayResult uint8

const (
	relayUnknown relayResult = iota // can't be read
	relayIgnored                    // tells of no hop
	relayFetched                    // mail was fetched from a mailbox
	relayScanner                    // a scanner in between, which tells the sender
	relayKnown
)

type receivedForm struct {
	need   string // text that must be in the field
	form   string
	result relayResult
	looked bool // the server looks names up, so none means that there is none
	same   bool // the name of the client is that of DNS when it gave none
	check  func(line string) bool
	after  func(r *relay, line string)
}

type compiledForm struct {
	receivedForm
	program *program
	roles   []byte
}

const addressForm = `(?:IPv6:)?(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)){3}(?!\d)|[0-9a-fA-F]{0,4}:[0-9a-fA-F:]*:[0-9a-fA-F:.]*)`

func withHELO(r *relay, line string) {
	// Exim tells the name given and ident behind the address.
	open := strings.IndexByte(line, '(')
	end := strings.Index(line, ") by ")
	if open < 0 || end < open {
		return
	}
	for _, w := range strings.FieldsFunc(line[open:end], func(c rune) bool { return c == ' ' || c == '(' || c == ')' }) {
		if v, ok := strings.CutPrefix(w, "helo="); ok && v != "" {
			r.helo = v
		} else if v, ok := strings.CutPrefix(w, "ident="); ok {
			r.ident = v
		}
	}
}

func noID(r *relay, _ string) { r.id = "" }

func not(text string) func(string) bool {
	return func(line string) bool { return !strings.Contains(line, text) }
}

// receivedForms are for what stands behind "from ".
var receivedForms = []receivedForm{
	{need: " authenticated user ", form: `.*?%I\b(?![.-]).{10,80}by %B with HTTP`},
	{need: "(WebMailUI)", form: `.*?%I by %B \(%i\) with HTTP \(WebMailUI\)`},
	{need: " SMTPSVC", form: `%h \(\[%I\][^)]{0,40}\) by %B with Microsoft SMTPSVC`},
	{need: " SMTPSVC", form: `mail pickup service by %N with Microsoft SMTPSVC$`, result: relayIgnored},
	{need: " with Microsoft SMTP Server ", form: `%H \(\[?%I(?:%[A-Za-z0-9._~-]*)?\]?\) by %B .*with Microsoft SMTP Server (?:\([^)]+\) )?\d+\.\d+\.\d+\.\d+(?:$| )`, after: noID},
	{need: " with mapi id ", form: `%H \(\[?%I(?:%[A-Za-z0-9._~-]*)?\]?\) by %B .*with mapi id \d+\.\d+\.\d+\.\d+(?:$| )`, after: noID},
	{need: "[XMail ", form: `%H \(\[?%I\]?:\d+\) by %B(?: \(%N\))? with \[XMail`, after: func(r *relay, line string) {
		if v, ok := between(line, " id <", ">"); ok {
			r.id = v
		}
		if v, ok := between(line, " from <", ">"); ok {
			r.envfrom, r.hasEnvfrom = v, true
		}
	}},
	{need: "(ecelerity", form: `\(\[%I:\d+\] helo=%H\) by %B `},
	{need: "(ecelerity", form: `%N \(\[%I:\d+\]\) by %B `},
	{need: "Exim", form: `.*\bwith local(?:-%N)? `, result: relayIgnored},
	{need: "Exim", form: `\[%I\] \(.*?\) by %B `, after: withHELO},
	{need: "Exim", form: `%R \(\[%I\].*?\) by %B `, same: true, after: withHELO},
	{need: "Exim", form: `%R \[%I\](?::\d+)? by %B `, same: true},
	{need: "Exim", form: `%R (?=.* \(%H\) ).* \[%I(?:\.\d+)?\] .*by %B `},
	{need: "Exim", form: `%R .*\[%I(?:\.\d+)?\] .*by %B `},
	{need: " (Postfix) with", form: `%H \(%R ?\[%I\]\) by %B `, looked: true},
	{need: "(Scalix SMTP Relay", form: `%H \( ?%I\) by %B`},
	{need: "(Lotus Domino ", form: `%H \(\[%I\]\) by %B \(Lotus`},
	{need: "with HTTP", form: `%I \(\[%i\]\) by %B`},
	{form: `%H \(%R \[%I\].*\) by %B \(`, looked: true, check: func(l string) bool { return !strings.Contains(l, " (qmail-") }, after: splitIdent},
	{form: `%H \(%R \[%I\]\) by %B with %N \(`, looked: true},
	{need: " helo=", form: `%R \(\[%I\] helo=%H\) by %B with `},
	{need: "(<unknown", form: `%H \(<unknown%h>\[%I\]\) by %B `, after: func(r *relay, line string) { r.helo, _, _ = strings.Cut(line, " ") }},
	{form: `%H \(%R\[%I\]\) by %B `, looked: true, check: func(l string) bool { return dotBefore(l, "[") }},
	{need: "@[", form: `%H \(%d@\[%I\].*\) by %B \(`, looked: true},
	{need: ".hotmail.msn.com ", form: `(?:%I )?.*?by %B(?<=\.hotmail\.msn\.com) `},
	{need: "(qpsmtpd/", form: `%R \((?:HELO|EHLO) %h\) \(%I\) by %B \(qpsmtpd/%N\) with E?SMTP`},
	{need: "(LHLO ", form: `%R \(LHLO %h\) \(%I\) by %B with LMTP`},
	{need: "LO ", form: `%R \((?:HELO|EHLO) %h\) \[%I\] by %B \([^)]+\) with E?SMTP`},
	{need: " via smtpd (for ", form: `%H \(\[%I\]\) by %B via smtpd \(for %N\) with SMTP\(`},
	{form: `%R \((?:HELO|EHLO) %e\) \((?:%d@)?\[?%I\]?\)(?: \(envelope-sender <%N>\))? by %B(?: \(.+\))* with (?:.* )?(?:SMTP|QMQP)(?! id )`, looked: true, after: unknownName},
	{form: `%R \((?:%d@)?\[?%I\]?\)(?: \(envelope-sender <%N>\))? by %B(?: \(.+\))* with (?:.* )?(?:SMTP|QMQP)(?! id )`, looked: true, same: true, after: unknownName},
	{need: " via HTTP", form: `\[%I\] by %B via HTTP$`},
	{need: " ( [", form: `%N \( \[%I\]\).*? by %B `},
	{form: `\(%H \[%I\]\) by %B `},
	{form: `\[%I\] by %B `},
	{form: `\(\[?%I\]?\) by %B `},
	{form: `%H \[%I\] by %B \[%i\] with `, looked: true},
	{need: "[(", form: `%H \[\(%I\)\] by %B \(%i\) `},
	{form: `%H \(\[%I\]\) by %B \(`, looked: true},
	{need: "(softdnserr ", form: `%H \(softdnserr \[%I\]\).*? by %B\b`},
	{form: `%H \(%R \[%I\]\).*? by %B\b`, looked: true},
	{form: `%H \(\[%I(?:[.:]\d+)?\]\).*? by %B `, looked: true},
	{need: "with POP3", form: `.*`, result: relayFetched},
	{need: "with IMAP", form: `.*`, result: relayFetched},
	{form: `%R \((?:HELO|EHLO) %n\) \((?:%d@)?\[?%I\]?\).* by %B `, looked: true},
	{form: `%R \((?:%d@)?\[?%I\]?\).* by %B `, looked: true, same: true},
	{need: " with http for ", form: `\[%I\] by %B with http for `},
	{need: " via smap ", form: `%R\(%I\) by %B via smap `, looked: true},
	{need: " via smap ", form: `%R\(%I, (?:HELO|EHLO) %h\) by %B via smap `, looked: true},
	{form: `%I by %B \((?:SMTPL|InterScan)\b`},
	{need: " with BSMTP", form: `%N by %N with BSMTP`, result: relayIgnored},
	{form: `%H \(%R \[%I\]\) by %B with `, looked: true},
	{form: `%R \((?:HELO|EHLO) %h\) \((?:%D@)?%I.*?\) by %B with `, looked: true},
	{form: `\[%I\] \((?:account %N )?(?:HELO|EHLO) %h\) by %B \(`},
	{need: "(CommuniGate Pro", form: `%R \(\[%I\] verified\) by %B \(`, looked: true, same: true},
	{form: `(?=\D)%H \(%I\) by %B `},
	{need: "(Content Technologies ", form: `%N \(%N\) by %N \(Content Technologies `, result: relayIgnored},
	{form: `%H \(\[%I\] \[%N\]\) by %B with `},
	{form: `%I by %B with `},
	{form: `%H \(%R\[%I\]\) by %B `, looked: true},
	{form: `\[%I\]%N \((?:HELO|EHLO) %h\) by %B `},
	{form: `%I \((?:HELO|EHLO) %h\) by %B `},
	{form: `%H \[%I\] by %B `},
	{form: `%R\(%I\) by %B `},
	{need: "(unverified [", form: `%H \(unverified \[%I\]\) by %B `},
	{form: `%I \([A-Za-z][^)]+\) by %B with `},
	{form: `\[%I\] \([^)]+\) by %B `, after: withHELO},
	{form: `%R \((?:%N@)?%I\) by %B with `},
	{need: "via ", form: `%R\(%I\)(?:, claiming to be "%q")? via %N by %c,`, looked: true},
	{need: ".yahoo.com with SMTP", form: `%H \(%N@%I with login\) by %B with SMTP`},
	{need: "X-Originating-IP: ", form: `X-Originating-IP: %I$`},
	{form: `%N \([^\s@]+@(?:localhost|127\.0\.0\.1)[^)]*\) by %N \(`, result: relayIgnored},
	{form: `%N %N by %N with local-e?smtp `, result: relayIgnored},
	{form: `127\.0\.0\.1 \(AVG SMTP %N \[%N\]\)`, result: relayIgnored},
	{form: `%N@%N by %N `, result: relayIgnored},
	{form: `Unknown/Local \(`, result: relayIgnored},
	{form: `(?:localhost(?:\.localdomain)?|127\.0\.0\.1) \((?:%N@)?(?:localhost(?:\.localdomain)?|127\.0\.0\.1)[)\[]`, result: relayIgnored},
	{form: `%N \((?:%N@)?(?:localhost(?:\.localdomain)?|127\.0\.0\.1)\) `, result: relayIgnored},
	{form: `%N \(%N@%N \[(?:localhost|127\.0\.0\.1)\]\) `, result: relayIgnored},
	{form: `\(AUTH: %N\) by %N with `, result: relayIgnored},
	{form: `localhost \(localhost \[\[UNIX: localhost\]\]\) by `, result: relayIgnored},
	{form: `%N\.amazon\.com by %N\.amazon\.com with ESMTP \(peer crosscheck: `, result: relayIgnored},
	{form: `[^.]+ by %N with Novell_GroupWise`, result: relayIgnored},
	{need: " with qmail-scanner", form: `%N by %N \(.{0,100}\) with qmail-scanner`, result: relayScanner},
	{form: `%N by %N with local`, result: relayIgnored},
	{form: `%N \(\[unix socket\]\) by %N \(Cyrus v[\d.]*\) with LMTPA`, result: relayIgnored},
	{form: `%N by %N (?:with|via|for|\()`, result: relayIgnored},
	{form: `%N (?:(?:with|via|for) %N|\(unverified\)) by\b`, result: relayIgnored},
	{form: `%N \(unknown\) by %N \(SG\) with \b`, result: relayIgnored},
	{form: `%N \(%N \[local\]\) by %N \(OpenSMTPD\) with \b`, result: relayIgnored},
	{need: "(LSMTP for", form: `.*`, result: relayIgnored},
	{form: `\(\[(?:127\.0\.0\.1|localhost)\]\) with MailEnable `, result: relayIgnored},
	{form: `facebook\.com \([^)]+\) by facebook\.com with Thrift id %N$`, result: relayIgnored},
	{form: `%N named %N by gmailapi\.google\.com with HTTPREST$`, result: relayIgnored},
	{form: `%N id %N$`, result: relayIgnored},
	{form: `\[<.*? \(Jetsend`, result: relayIgnored},
}

// upperForms are for what stands behind "FROM ", parenForms behind "(from ".
var upperForms = []receivedForm{
	{form: `%H \(%R \[%I\]\) BY %B (?:\([^)]+\) WITH SMTP )?ID <?%N?>?(?: FOR <[^>]+>)?$`, looked: true, after: func(r *relay, line string) {
		if r.rdns == "unverified" {
			r.rdns = ""
		}
		if _, v, ok := strings.Cut(line, " ID "); ok {
			v, _, _ = strings.Cut(v, " ")
			r.id = strings.Trim(v, "<>")
		}
	}},
}

var parenForms = []receivedForm{
	{need: "(NAVGW ", form: `%h \[%I\]\) by %B \(NAVGW .*?\) with `},
	{form: `%N@localhost\) by %N `, result: relayIgnored},
	{form: `[^\s@]+@[^)]+\) by %N\(jqueuemail\) id [^\s;]+`, result: relayIgnored},
}

var formSets = sync.OnceValue(func() [3][]compiledForm {
	return [3][]compiledForm{compileForms(receivedForms), compileForms(upperForms), compileForms(parenForms)}
})

// placeholders are what the letters in forms stand for.
var placeholders = map[byte]string{
	'I': "(" + addressForm + ")", 'i': "(?:" + addressForm + ")",
	'H': `(\S+)`, 'h': `(\S*)`, 'e': `([^ ()]*)`, 'n': `([^)]*)`, 'q': `(\S+)`,
	'R': `(\S+)`, 'B': `(\S+)`, 'c': `(\S+)`, 'D': `(\S+)`, 'd': `(\S*)`, 'N': `\S+`,
}

func compileForms(forms []receivedForm) []compiledForm {
	out := make([]compiledForm, len(forms))
	for i, f := range forms {
		c := compiledForm{receivedForm: f}
		var b strings.Builder
		for j := 0; j < len(f.form); j++ {
			if f.form[j] != '%' || j+1 >= len(f.form) || placeholders[f.form[j+1]] == "" {
				b.WriteByte(f.form[j])
				continue
			}
			j++
			b.WriteString(placeholders[f.form[j]])
			if letter := f.form[j]; letter != 'N' && letter != 'i' {
				c.roles = append(c.roles, letter)
			}
		}
		re, err := parseRegex(b.String(), "")
		if err != nil {
			panic("form of a trace field: " + b.String() + ": " + err.Error())
		}
		c.program = newProgram(re)
		out[i] = c
	}
	return out
}

// between returns the text between two others.
func between(s, from, to string) (string, bool) {
	_, rest, ok := strings.Cut(s, from)
	if !ok {
		return "", false
	}
	v, _, ok := strings.Cut(rest, to)
	return v, ok
}

func dotBefore(line, mark string) bool {
	open := strings.Index(line, " (")
	at := strings.Index(line, mark)
	return open >= 0 && at > open && strings.Contains(line[open:at], ".")
}

// splitIdent takes the result of an ident query off a name.
func splitIdent(r *relay, _ string) {
	if i := strings.LastIndexByte(r.rdns, '@'); i >= 0 {
		r.ident, r.rdns = strings.TrimPrefix(r.rdns[:i], "IDENT:"), r.rdns[i+1:]
	}
}

func unknownName(r *relay, _ string) {
	if r.rdns == "unknown" {
		r.rdns = ""
	}
}

// match reads a line by a form.
func (f *compiledForm) match(line string, r *relay) bool {
	if f.need != "" && !strings.Contains(line, f.need) || f.check != nil && !f.check(line) {
		return false
	}
	groups, ok := f.program.groupsAt(line, 0)
	if !ok {
		return false
	}
	if f.result != relayUnknown {
		return true
	}
	for i, role := range f.roles {
		from, to := groups[2*i+2], groups[2*i+3]
		v := ""
		if from >= 0 {
			v = line[from:to]
		}
		switch role {
		case 'I':
			r.ip = v
		case 'H', 'h', 'e', 'n', 'q':
			r.helo = v
		case 'R':
			r.rdns = v
		case 'B', 'c':
			r.by = v
		case 'D', 'd':
			if from >= 0 {
				r.ident = v
			}
		}
	}
	if f.same {
		r.helo = r.rdns
	}
	if f.after != nil {
		f.after(r, line)
	}
	return true
}

// parseReceived reads one trace field.
func parseReceived(line string) (*relay, relayResult) {
	line = strings.Join(strings.FieldsFunc(line, func(c rune) bool { return c < 0x80 && spaceSet.has(byte(c)) }), " ")
	line = clipTo(line, 4096)
	for strings.HasSuffix(line, ";") {
		line = strings.TrimSuffix(strings.TrimSuffix(line, ";"), " ")
	}
	low := strings.ToLower(clipTo(line, 8))
	if !strings.HasPrefix(low, "from ") && !strings.HasPrefix(low, "(from ") || strings.Contains(line, " with local for ") || strings.Contains(line, " with local for\t") {
		return nil, relayIgnored
	}
	if bareHop(line) {
		return nil, relayIgnored
	}
	line = strings.Replace(withoutDate(line), ")by ", ") by ", 1)
	r := &relay{}
	traceWords(line, r)
	r.auth = authentication(line)
	var forms []compiledForm
	rest := line
	switch {
	case strings.HasPrefix(line, "from "):
		rest = line[5:]
		envelopeOf(rest, r)
		forms = formSets()[0]
	case strings.HasPrefix(line, "FROM "):
		rest, forms = line[5:], formSets()[1]
	case strings.HasPrefix(line, "(from "):
		rest, forms = line[6:], formSets()[2]
	}
	for i := range forms {
		f := &forms[i]
		if !f.match(rest, r) {
			continue
		}
		switch f.result {
		case relayScanner:
			r.envfrom = cleanSender(r.envfrom)
			return r, relayScanner
		case relayUnknown:
			r.finish(f.looked)
			return r, relayKnown
		}
		return nil, f.result
	}
	for tail := rest; r.ip == ""; {
		var ok bool
		if _, tail, ok = strings.Cut(tail, "["); !ok {
			break
		}
		if v, _, ok := strings.Cut(tail, "]"); ok && isAddress(strings.TrimPrefix(v, "IPv6:")) {
			r.ip = v
		}
	}
	if r.ip != "" && r.by != "" {
		if r.helo == "" && strings.HasPrefix(line, "from ") {
			r.helo = leadingName(rest)
		}
		r.finish(false)
		return r, relayKnown
	}
	return nil, relayUnknown
}

// leadingName is the first word when something else than a name follows.
func leadingName(s string) string {
	i := strings.LastIndexFunc(clipTo(s, strings.IndexByte(s+" ", ' ')+1), func(r rune) bool {
		return !(r < 0x80 && (hostBytes.has(byte(r)) && r != '_'))
	})
	if i > 0 {
		return s[:i]
	}
	return ""
}

// bareHop recognises "from NAME by NAME; date", which tells no address.
func bareHop(line string) bool {
	w := strings.SplitN(line, " ", 5)
	if len(w) < 4 || !strings.EqualFold(w[0], "from") || !strings.EqualFold(w[2], "by") {
		return false
	}
	name, _, semi := strings.Cut(w[3], ";")
	if !semi && !(len(w) > 4 && strings.HasPrefix(w[4], ";")) || name == "" {
		return false
	}
	inner, ok := strings.CutPrefix(w[1], "[")
	return !(ok && strings.HasSuffix(inner, "]") && strings.Trim(inner[:len(inner)-1], "0123456789.") == "")
}

func (r *relay) finish(looked bool) {
	r.rdns = strings.TrimRight(r.rdns, ".")
	if strings.EqualFold(r.rdns, "unknown") || strings.HasPrefix(r.rdns, "[") {
		r.rdns = ""
	}
	if len(r.ip) > 5 && strings.EqualFold(r.ip[:5], "ipv6:") {
		r.ip = r.ip[5:]
	}
	r.ip = strings.Trim(r.ip, "[]")
	if a, err := netip.ParseAddr(r.ip); err == nil && a.Is4In6() {
		r.ip = a.Unmap().String()
	}
	r.by = strings.TrimSuffix(r.by, ";")
	r.ip, r.rdns, r.helo, r.by, r.ident = flagged(r.ip), flagged(r.rdns), flagged(r.helo), flagged(r.by), flagged(r.ident)
	if r.hasEnvfrom {
		r.envfrom = cleanSender(r.envfrom)
	}
	r.noReverse = r.rdns == "" && looked
	r.private = privateAddress(r.ip)
}

func cleanSender(s string) string {
	return flagged(strings.TrimRight(strings.TrimLeft(s, "< "), "> "))
}

// flagged replaces what would confuse rules by an exclamation mark.
func flagged(s string) string {
	if !strings.ContainsAny(s, " \t\n\v\f\r\x00#[]()<>|") {
		return s
	}
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(" \t\n\v\f\r\x00#[]()<>|", c) {
			return '!'
		}
		return c
	}, s)
}

func privateAddress(ip string) bool {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return b[0] == 10 || b[0] == 127 || b[0] == 169 && b[1] == 254 || b[0] == 172 && b[1]&0xf0 == 16 ||
			b[0] == 192 && b[1] == 168 || b[0] == 100 && b[1]&0xc0 == 64
	}
	return a.IsLinkLocalUnicast() || a.IsLoopback()
}
