package spamassassin

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func wordRune(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) || c == '_' }

// ask compiles a pattern in RE2's syntax in which %I stands for an IP address.
func ask(pattern string) *regexp.Regexp {
	return regexp.MustCompile(strings.ReplaceAll(pattern, "%I", `(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:.]+)`))
}

// spaced is a text with one space for each run of white space.
func spaced(s string) string { return collapse(s) }

var (
	aolRelay   = ask(`(?i) rly-[a-z][a-z]\d\d\.`)
	aolVersion = ask(`/AOL-\d+\.\d+\.\d+\)`)
	aolID      = ask(`ESMTP id (?:RELAY|MAILRELAY|MAILIN)`)
	ezmlm      = ask(`(?m)^contact \S+@\S+; run by ezmlm$`)
	ezmlmTo    = ask(`(?m)^mailing list \S+@\S+`)
	qmailLine  = ask(`qmail \d+ invoked (?:from network|by .{3,20})\); \d+ ... \d+`)
	msnGroup   = ask(`from groups\.msn\.com \(\S+\.msn\.com `)
	anyIP      = ask(`%I`)
	hotmailWay = []*regexp.Regexp{
		ask(`from (?:\S*\.)?hotmail.com \(\S+\.hotmail(?:\.msn)?\.com[ )]`), ask(`from \S*\.hotmail.com \(\[%I\][ ):]`),
		ask(`from \S+ by \S+\.hotmail(?:\.msn)?\.com with HTTP;`), ask(`from \[66\.218.\S+\] by \S+\.yahoo\.com`),
	}
	outlookWay = []*regexp.Regexp{
		ask(`from \S*\.outbound\.protection\.outlook\.com \(\S+\.outbound\.protection\.outlook\.com[ )]`), ask(`from \S*\.(?:eur|nam)prd\d+\.prod\.outlook\.com \(%I\)`),
	}
	hotmailName = ask(`(?:from |HELO |helo=)\S*hotmail\.com\b`)
	msnList     = ask(`(?i)<(\S+)@groups\.msn\.com>`)
	msnServer   = ask(`from mail pickup service by ((?:p\d\d\.)groups\.msn\.com)\b`)
	yahooWay    = []*regexp.Regexp{
		ask(`by web\S+\.mail\S*\.yahoo\.com via HTTP`), ask(`by sonic\S+\.consmr\.mail\S*\.yahoo\.com with HTTP`), ask(`by smtp\S+\.yahoo\.com with SMTP`),
		ask(`from \[%I\] by \S+\.(?:groups|scd|dcn)\.yahoo\.com with NNFMP`), ask(`by \w+\.\w+\.yahoo\.com \(\d+\.\d+\.\d+/\d+\.\d+\.\d+\)(?: with ESMTP)? id \w+`),
	}
	yahooBulk    = ask(`\bmailer\d+\.bulk\.scd\.yahoo\.com\b`)
	yahooTrusted = ask(` rdns=\S+\.yahoo\.com `)
	yahooFirst   = ask(`^[^\]]+ rdns=\S+\.yahoo\.com `)
	junoWay      = ask(`from.*\b(?:juno|untd)\.com.*[\[(]%I[\])].*by`)
	junoCookie   = ask(` cookie\.(?:juno|untd)\.com `)
	mailComWay   = ask(`from.*\bmail\.com.*\[%I\].*by`)
	untdWay      = ask(`from (webmail\S+\.untd\.com) \((webmail\S+\.untd\.com) \[%I\]\) by`)
	gmailOld     = ask(`by 10\.\S+ with SMTP id \S+`)
	gmailNew     = ask(`by 2002:a\d\d:\w+:\S+ with SMTP id \S+`)
	gmailSubmit  = ask(`by smtp\.googlemail\.com with ESMTPSA id \S+`)
	whoWhere     = ask(`by \S*whowhere.com;`)
	gw05         = ask(`\nfrom\s(\S+)\sby\s(\S+)\swith\sESMTP;\s+\S\S\S,\s+\d+\s+\S\S\S\s+\d{4}\s+\d\d:\d\d:\d\d\s+[-+]*\d{4}\n$`)
	replyWords   = ask(`(?i)^(?:(?:Re|Fwd|Fw|Aw|Antwort|WG|SV|VB|VS|VL):\s*)+`)
	capsWord     = ask(`(?i)=\?[-_a-z0-9]*(?:koi|jp|jis|euc|gb|big5|isoir|cp1251|windows-1251|georgianps|pt154|tis)[-_a-z0-9]*\?`)
	outlookForm  = ask(`^<[0-9a-f]{4}([0-9a-f]{8})\$[0-9a-f]{8}\$[0-9a-f]{8}@`)
	unsubMail    = ask(`(?i)<mailto:(?:leave-\S+|\S+-unsubscribe)@\S+>\n?$`)
	template     = ask(`%[A-Z][A-Z_-]`)
	templateFree = ask(`(?i)^(?:X-VMS-To|X-UIDL|X-Face|To|Cc|From|Subject|References|In-Reply-To|(?:X-|Resent-|X-Original-)?Message-Id):`)
	ratwareID    = ask(`<[A-Z]{28}\.([^>]+?)>`)
	rewritten    = ask(`(?i)^SRS\d[=+-]`)
)

func any1(list []*regexp.Regexp, s string) bool {
	return slices.ContainsFunc(list, func(re *regexp.Regexp) bool { return re.MatchString(s) })
}

func fakeAOLRelay(m *mail) bool {
	r := spaced(m.one("received"))
	return aolRelay.MatchString(r) && !aolVersion.MatchString(r) && !aolID.MatchString(r)
}

// illegalChars: a share of bytes in a field that must not be there.
func illegalChars(_ *compiled, args []string) (evalCall, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("needs a field, a ratio and a number")
	}
	ratio, least, err := bounds(args[1:])
	request := args[0]
	if !strings.HasSuffix(request, ":raw") {
		request += ":raw"
	}
	return func(m *mail) float64 {
		s := m.one(request)
		if strings.Trim(s, white) == "" {
			return 0
		}
		bad, controls, exempt := 0, 0, 0
		for i := range len(s) {
			c := s[i]
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
				controls++
				bad++
			} else if c >= 0x7f {
				bad++
				exempt += int(truth(c == 0xa2 || c == 0xa3 || c == 0xae))
			}
		}
		if !isASCII(s) && utf8.ValidString(s) && controls == 0 {
			return 0
		}
		if bad > 0 && strings.EqualFold(request, "subject:raw") && exempt == 1 {
			bad--
		}
		return truth(float64(bad)/float64(len(s)) >= ratio && float64(bad) >= least)
	}, err
}

// gated: the mail came through a list server that removes trace fields, or has
// none.
func (m *mail) gated() bool {
	received, present := m.joined("received")
	if list, ok := m.joined("mailing-list"); ok && ezmlm.MatchString(list) && ezmlmTo.MatchString(m.one("delivered-to")) && qmailLine.MatchString(received) {
		return true
	}
	return !present || msnGroup.MatchString(received)
}

// hotmail: a trace field names Hotmail and none of its ways is there; or the
// sender is of Hotmail and no trace field names it.
func (m *mail) hotmail() (forged, missing bool) {
	r := m.one("received")
	if !strings.Contains(r, "hotmail.com") && !endsInDomain(m.one("From:addr"), "hotmail.com") {
		return false, false
	}
	r = spaced(r)
	if strings.Contains(r, "from mail pickup service by hotmail.com with Microsoft SMTPSVC;") || m.msnGroups() || m.gated() {
		return false, false
	}
	ip := anyIP.MatchString(m.one("x-originating-ip"))
	origin := m.one("x-originatororg")
	if ip && any1(hotmailWay, r) || (strings.Contains(origin, "hotmail.com") || strings.Contains(origin, "msonline-outlook")) && any1(outlookWay, r) {
		return false, false
	}
	if hotmailName.MatchString(r) {
		return true, false
	}
	return false, endsInDomain(m.one("From:addr"), "hotmail.com")
}

// endsInDomain says whether a text ends in a domain that begins at a word's
// edge.
func endsInDomain(s, domain string) bool {
	s = strings.ToLower(s)
	rest, ok := strings.CutSuffix(s, domain)
	return ok && (rest == "" || !wordSet.has(rest[len(rest)-1]))
}

func (m *mail) msnGroups() bool {
	to := msnList.FindStringSubmatch(m.one("to"))
	if to == nil {
		return false
	}
	server := msnServer.FindStringSubmatch(m.one("received"))
	if server == nil {
		return false
	}
	id := m.one("message-id")
	if to[1] == "notifications" {
		return strings.HasPrefix(id, "<") && strings.Contains(id, "@"+server[1]+">")
	}
	return strings.HasPrefix(id, "<"+to[1]+"-") && strings.Contains(id, "@groups.msn.com>") &&
		strings.Contains(m.one("EnvelopeFrom:addr"), to[1]+"-bounce@groups.msn.com")
}

func forgedEudora(m *mail) bool {
	if !endsInDomain(m.one("From:addr"), "eudoramail.com") || m.gated() {
		return false
	}
	return !(whoWhere.MatchString(spaced(m.one("received"))) && anyIP.MatchString(m.one("x-sender-ip")))
}

func forgedYahoo(m *mail) bool {
	from := m.one("From:addr")
	if !endsInDomain(from, "yahoo.com") || m.gated() {
		return false
	}
	r := m.one("received")
	if m.one("resent-from") != "" && m.one("resent-to") != "" {
		if x := m.one("x-received"); x != "" {
			r = x
		}
	}
	r = spaced(r)
	l := m.relay()
	if yahooTrusted.MatchString(l.trustedText) || yahooFirst.MatchString(l.untrustedText) || any1(yahooWay, r) {
		return false
	}
	return !(yahooBulk.MatchString(r) && strings.HasSuffix(strings.ToLower(from), "@reply.yahoo.com"))
}

func forgedJuno(m *mail) bool {
	if !endsInDomain(m.one("From:addr"), "juno.com") || m.gated() {
		return false
	}
	origin, mailer, r := m.one("x-originating-ip"), m.one("x-mailer"), m.one("received")
	if origin != "" {
		return !junoWay.MatchString(r) && !junoCookie.MatchString(r) || !strings.Contains(mailer, "Juno ")
	}
	if mailComWay.MatchString(r) {
		if !strings.Contains(mailer, "mail.com") {
			return true
		}
	} else if w := untdWay.FindStringSubmatch(r); w != nil && w[1] == w[2] {
		if !strings.HasPrefix(mailer, "Webmail Version ") {
			return true
		}
	}
	return true
}

func forgedGMail(m *mail) bool {
	if !endsInDomain(m.one("From:addr"), "gmail.com") {
		return false
	}
	x := m.one("x-received")
	if gmailOld.MatchString(x) || gmailNew.MatchString(x) || gmailSubmit.MatchString(m.one("received")) {
		return false
	}
	return len(m.one("x-gm-message-state")) < 60 || len(m.one("x-google-smtp-source")) < 60
}

func forgedGW05(m *mail) bool {
	w := gw05.FindStringSubmatch(m.one("received"))
	return w != nil && !strings.Contains(w[2], ".")
}

// recipients: whether many of them are in order, and how alike they are.
func (m *mail) recipients() (sorted bool, alike float64) {
	var list []string
	prev := ""
	all := m.get("ToCc:addr")
	if len(all) < 5 {
		all = append(slices.Clone(all), m.get("Bcc:addr")...)
	}
	for _, a := range all {
		if !strings.EqualFold(a, prev) {
			list = append(list, a)
			prev = a
		}
		if len(list) == 256 {
			break
		}
	}
	sorted = len(list) >= 7 && slices.IsSorted(list)
	if len(list) < 5 {
		return sorted, 0
	}
	hits, pairs := 0, 0
	host := func(a string) string { _, h, _ := strings.Cut(a, "@"); return h }
	for i := range list {
		for j := i + 1; j < len(list); j++ {
			hits += int(truth(clipTo(list[i], 2) == clipTo(list[j], 2)))
			a, b := host(list[i]), host(list[j])
			hits += int(truth(clipTo(a, 2) == clipTo(b, 2) && a != b))
			pairs++
		}
	}
	return sorted, float64(hits) / float64(pairs)
}

func subjectCaps(m *mail) bool {
	s := replyWords.ReplaceAllString(trim(m.one("subject")), "")
	if !strings.ContainsAny(s, white) || len(s) < 10 {
		return false
	}
	letters, small := 0, false
	for i := range len(s) {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			letters++
		} else if c >= 'a' && c <= 'z' {
			small = true
		}
	}
	return letters > 0 && !small && !capsWord.MatchString(m.one("subject:raw"))
}

func toInSubject(m *mail, how string) bool {
	to := m.one("To:addr")
	if to == "" {
		return false
	}
	s := m.one("subject")
	switch how {
	case "address":
		return wordIn(strings.ToLower(s), strings.ToLower(to))
	case "user":
		user, _, _ := strings.Cut(to, "@")
		if !strings.Contains(strings.ToLower(s), strings.ToLower(user)) {
			return false
		}
		q := regexp.QuoteMeta(user)
		re, err := regexp.Compile(`(?i)^(?:(?:re|fw):\s*(?:\w+\s+)?` + q + `\n?$|(?-i:` + q + `)\s*[,:;!?-](?:\n?$|\s)|` + q + `\n?$|,\s*` + q + `[,:;!?-]\n?$)`)
		return err == nil && re.MatchString(s)
	}
	return false
}

// wordIn finds a text at word edges.
func wordIn(s, w string) bool {
	for at := 0; ; {
		i := strings.Index(s[at:], w)
		if i < 0 || w == "" {
			return false
		}
		i += at
		end := i + len(w)
		left := i > 0 && wordSet.has(s[i-1])
		right := end < len(s) && wordSet.has(s[end])
		if left != wordSet.has(w[0]) && right != wordSet.has(w[len(w)-1]) {
			return true
		}
		at = i + 1
	}
}

// outlookID: the time in the Message-ID is not that of the mail.
func outlookID(m *mail) bool {
	id := outlookForm.FindStringSubmatch(m.one("MESSAGEID"))
	if id == nil {
		return false
	}
	token, _ := strconv.ParseInt(id[1], 16, 64)
	off := func(text string) bool {
		t, _ := parseDate(text)
		d := token - int64(float64(t)*0.0023283064365387+27111902.8329849)
		return d <= -250 || d >= 250
	}
	return off(m.one("date")) && off(m.one("received"))
}

func messageIDNotUsable(m *mail) bool {
	r := m.one("received")
	return unsubMail.MatchString(m.one("list-unsubscribe")) || m.gated() || strings.Contains(r, "/CWT/DCE)") || strings.Contains(r, "iPlanet Messaging Server")
}

func headerCount(_ *compiled, args []string) (evalCall, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("needs a field and a range")
	}
	low, high, err := bounds(args[1:])
	key := strings.ToLower(args[0])
	return func(m *mail) float64 {
		var seen []string
		for _, v := range m.named(key, false) {
			seen = addOnce(seen, v)
		}
		return truth(atLeastUpTo(float64(len(seen)), low, high))
	}, err
}

func unresolvedTemplate(m *mail) bool {
	for _, f := range m.allFields() {
		for line := range strings.SplitSeq(f, "\n") {
			if strings.Contains(line, "%") && template.MatchString(line) && !templateFree.MatchString(line) {
				return true
			}
		}
	}
	return false
}

func ratwareNameID(m *mail) bool {
	id := ratwareID.FindStringSubmatch(m.one("MESSAGEID"))
	if id == nil {
		return false
	}
	from := m.one("from")
	q, rest, ok := strings.Cut(from, `"`)
	_ = q
	for ok {
		name, after, closed := strings.Cut(rest, `"`)
		if closed && name != "" && strings.HasPrefix(strings.TrimLeft(after, white), "<"+id[1]+">") {
			return true
		}
		rest, ok = after, closed
	}
	return false
}

func ratwareEnvelope(m *mail) bool {
	to, from := m.one("To:addr"), m.one("EnvelopeFrom:addr")
	if from == "" || to == "" || rewritten.MatchString(from) {
		return false
	}
	user, domain, ok := strings.Cut(to, "@")
	if !ok || user == "" || domain == "" {
		return false
	}
	if domain = m.set.registered(domain); !m.set.knownTLD(domain) {
		return false
	}
	low, want := strings.ToLower(from), strings.ToLower(user)+"@"
	for at := 0; ; at++ {
		i := strings.Index(low[at:], domain)
		if i < 0 {
			return false
		}
		at += i
		end := at + len(domain)
		if (at == 0 || !wordSet.has(low[at-1])) && end < len(low) && strings.HasPrefix(low[end+1:], want) {
			return true
		}
	}
}

func differentDomains(m *mail) bool {
	second := func(a string) string {
		i := strings.LastIndexByte(a, '@')
		if i < 0 {
			return ""
		}
		l := strings.Split(a[i+1:], ".")
		return strings.ToLower(strings.Join(l[max(0, len(l)-2):], "."))
	}
	from, env := second(m.one("From:addr")), second(m.one("EnvelopeFrom:addr"))
	return from != "" && env != "" && from != env
}
