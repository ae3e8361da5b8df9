package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"spamcatcher/engine/message"
)

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// orgDomain is the registered domain of a host: the public suffix and one
// label more. Hosts below no known suffix, and addresses, stand for themselves.
func orgDomain(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" {
		return ""
	}
	if d, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return d
	}
	return host
}

// orgLabel is the first label of the registered domain: "example" for
// mail.example.co.uk.
func orgLabel(host string) string {
	return label(orgDomain(host))
}

// label is the first label of a domain.
func label(domain string) string {
	first, _, _ := strings.Cut(domain, ".")
	return first
}

func localPart(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return address
	}
	return address[:i]
}

func domainPart(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return ""
	}
	return strings.ToLower(address[i+1:])
}

func fromAddresses(m *evidence) (float64, bool) {
	n := 0
	for _, a := range m.head().Addresses("From") {
		if a.Address != "" {
			n++
		}
	}
	return float64(n), m.head().Has("From")
}

// fromNameOtherAddress: the display name shows a mail address of another
// registered domain than the address it stands before.
func fromNameOtherAddress(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	if !ok {
		return 0, false
	}
	for _, w := range strings.FieldsFunc(a.Name, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`"'<>()[],;:`, r)
	}) {
		d := domainPart(w)
		if strings.Contains(d, ".") && localPart(w) != "" && !m.sameOrg(d, a.Domain()) {
			return 1, true
		}
	}
	return 0, true
}

// fromNameOtherHost: the display name is or ends in a host name that is not
// the domain of the address ("example.net Webmail" from another domain).
func fromNameOtherHost(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	if !ok {
		return 0, false
	}
	for _, w := range strings.Fields(strings.ToLower(a.Name)) {
		w = strings.Trim(w, `"'<>()[],;:!.`)
		if strings.Contains(w, "@") || !strings.Contains(w, ".") {
			continue
		}
		if suffix, icann := publicsuffix.PublicSuffix(w); icann && suffix != w && len(orgLabel(w)) > 1 && !m.sameOrg(w, a.Domain()) {
			return 1, true
		}
	}
	return 0, true
}

// fromNameRecipientDomain: the display name names the recipient's domain
// though the sender belongs to another, as a forged "IT department" does.
func fromNameRecipientDomain(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	if !ok || a.Name == "" {
		return 0, false
	}
	name := strings.ToLower(a.Name)
	for _, r := range m.recipients() {
		d := domainPart(r)
		if len(d) > 4 && !freeMail(d) && strings.Contains(name, d) && !m.sameOrg(d, a.Domain()) {
			return 1, true
		}
	}
	return 0, true
}

func fromNameBrand(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	if !ok || a.Name == "" {
		return 0, false
	}
	_, foreign := brandIn(a.Name, a.Domain())
	return truth(foreign), true
}

func fromFree(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	return truth(freeMail(a.Domain())), ok
}

// throughList says whether a list server put its own address into From
// because the author's domain forbids others to send: "Name via List". The
// author's address then is in Reply-To.
func throughList(from message.Address) bool {
	return strings.Contains(strings.ToLower(from.Name), " via ")
}

// replyToDiffers: answers go to another registered domain than the sender's.
func replyToDiffers(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	r, ok2 := m.first("Reply-To")
	if !ok || !ok2 || throughList(f) {
		return 0, false
	}
	return truth(!m.sameOrg(f.Domain(), r.Domain())), true
}

// replyToFree: answers go to a free mailbox that is not the sender's address.
func replyToFree(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	r, ok2 := m.first("Reply-To")
	if !ok || !ok2 || throughList(f) {
		return 0, false
	}
	return truth(freeMail(r.Domain()) && !strings.EqualFold(f.Address, r.Address)), true
}

// replyToFreeBoth: sender and reply address are two different free mailboxes.
func replyToFreeBoth(m *evidence) (float64, bool) {
	v, ok := replyToFree(m)
	if !ok {
		return 0, false
	}
	f, _ := m.first("From")
	return truth(v == 1 && freeMail(f.Domain())), true
}

// replyToLookalike: the reply address has the sender's local part or one a
// few letters off, at another domain.
func replyToLookalike(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	r, ok2 := m.first("Reply-To")
	if !ok || !ok2 || m.sameOrg(f.Domain(), r.Domain()) {
		return 0, ok && ok2
	}
	a, b := strings.ToLower(localPart(f.Address)), strings.ToLower(localPart(r.Address))
	return truth(len(a) >= 5 && len(b) >= 5 && len(a) < 65 && len(b) < 65 && distance(a, b) <= 2), true
}

// distance is the Levenshtein distance of two short strings, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			d := diagonal
			if a[i-1] != b[j-1] {
				d++
			}
			diagonal = row[j]
			row[j] = min(d, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// fromRecipientOrg: From is of the same registered domain as a recipient, and
// that domain is no free mail provider.
func fromRecipientOrg(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	if !ok || freeMail(f.Domain()) {
		return 0, ok
	}
	for _, r := range m.recipients() {
		if m.sameOrg(domainPart(r), f.Domain()) {
			return 1, true
		}
	}
	return 0, true
}

func recipientCount(m *evidence) (float64, bool) {
	h := m.head()
	n := 0
	for _, f := range []string{"To", "Cc"} {
		for _, a := range h.Addresses(f) {
			if a.Address != "" {
				n++
			}
		}
	}
	return float64(n), true
}

func toEqualsFrom(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	t, ok2 := m.first("To")
	return truth(ok && ok2 && strings.EqualFold(f.Address, t.Address)), ok && ok2
}

// toUndisclosed: To is an empty group or no address at all.
// RFC 5322 section 3.4: "undisclosed recipients:;" is a group without members.
func toUndisclosed(m *evidence) (float64, bool) {
	h := m.head()
	if !h.Has("To") {
		return 0, false
	}
	_, ok := m.first("To")
	return truth(!ok), true
}

func toNameIsAddress(m *evidence) (float64, bool) {
	t, ok := m.first("To")
	if !ok || t.Name == "" {
		return 0, false
	}
	name := strings.Trim(t.Name, `"' `)
	return truth(strings.EqualFold(name, t.Address) || strings.EqualFold(name, localPart(t.Address))), true
}

// recipientInSubject: a recipient's whole address is in the subject.
func recipientInSubject(m *evidence) (float64, bool) {
	s := strings.ToLower(m.head().Get("Subject"))
	if s == "" {
		return 0, false
	}
	for _, r := range m.recipients() {
		r = strings.ToLower(r)
		if len(r) > 6 && strings.Contains(s, r) {
			return 1, true
		}
	}
	return 0, true
}

// recipientInText is how often the visible text holds a recipient's address.
func recipientInText(m *evidence) (float64, bool) {
	n, text := 0, m.Message.Text()
	seen := map[string]bool{}
	for _, r := range m.recipients() {
		if len(r) > 6 && !seen[r] {
			seen[r] = true
			if len(seen) > 5 {
				break
			}
			n += strings.Count(text, r)
		}
	}
	return float64(n), len(seen) > 0
}

// randomness of a name without spaces: letter-digit changes beyond two, and
// consonants in a row beyond four; "y" counts as a vowel.
func randomness(s string) float64 {
	score, run, changes := 0, 0, 0
	var last byte
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		class := byte('x')
		switch {
		case c >= 'a' && c <= 'z':
			class = 'a'
			if strings.IndexByte("aeiouy", c) >= 0 {
				run = 0
			} else if run++; run > 4 {
				score++
			}
		case s[i] >= '0' && s[i] <= '9':
			class, run = '0', 0
		default:
			run = 0
		}
		if last != 0 && class != last && class != 'x' && last != 'x' {
			changes++
		}
		last = class
	}
	return float64(score + max(changes-2, 0))
}

func fromLocalRandom(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	return randomness(localPart(a.Address)), ok
}

func fromDomainRandom(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	return randomness(label(m.org(a.Domain()))), ok
}

func fromLocalDigits(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	return float64(digits(localPart(a.Address))), ok
}

func fromDomainDigits(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	return float64(digits(label(m.org(a.Domain())))), ok
}

func digits(s string) int {
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}

// fromDomainLabels counts the labels of the sender's domain.
func fromDomainLabels(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	if !ok || a.Domain() == "" {
		return 0, false
	}
	return float64(strings.Count(a.Domain(), ".") + 1), true
}

// fromNameSymbols counts arrows, stars, ticks and emoji in the display name.
// Signs of writing (currency, numero, trade mark) and of mathematics are none.
func fromNameSymbols(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	return float64(symbols(a.Name)), ok
}

func symbols(s string) int {
	n := 0
	for _, r := range s {
		if r >= 0x2190 && (r < 0x2200 || r > 0x22FF) && unicode.IsSymbol(r) {
			n++
		}
	}
	return n
}

// subject8bit: the subject holds bytes above 0x7F undeclared.
// RFC 5322 section 2.2; RFC 6532 allows UTF-8 where SMTPUTF8 was used.
func subject8bit(m *evidence) (float64, bool) {
	h := m.head()
	return truth(has8bit(h.Raw("Subject"))), h.Has("Subject")
}

func from8bit(m *evidence) (float64, bool) {
	h := m.head()
	return truth(has8bit(h.Raw("From"))), h.Has("From")
}

func has8bit[T string | []byte](s T) bool {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if (s[i]|s[i+1]|s[i+2]|s[i+3]|s[i+4]|s[i+5]|s[i+6]|s[i+7])&0x80 != 0 {
			return true
		}
	}
	for ; i < len(s); i++ {
		if s[i] >= 0x80 {
			return true
		}
	}
	return false
}

func subjectLength(m *evidence) (float64, bool) {
	h := m.head()
	return float64(utf8.RuneCountInString(h.Get("Subject"))), h.Has("Subject")
}
