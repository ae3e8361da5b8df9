package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"spamcatcher/engine"
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
	label, _, _ := strings.Cut(orgDomain(host), ".")
	return label
}

func sameOrg(a, b string) bool { return a != "" && orgDomain(a) == orgDomain(b) }

// first returns the first address of a field that has one.
func first(m *engine.Mail, field string) (message.Address, bool) {
	for _, a := range m.Message.Header().Addresses(field) {
		if a.Address != "" {
			return a, true
		}
	}
	return message.Address{}, false
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

func fromAddresses(m *engine.Mail) (float64, bool) {
	n := 0
	for _, a := range m.Message.Header().Addresses("From") {
		if a.Address != "" {
			n++
		}
	}
	return float64(n), m.Message.Header().Has("From")
}

// fromNameOtherAddress: the display name shows a mail address of another
// registered domain than the address it stands before.
func fromNameOtherAddress(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	if !ok {
		return 0, false
	}
	for _, w := range strings.FieldsFunc(a.Name, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`"'<>()[],;:`, r)
	}) {
		d := domainPart(w)
		if strings.Contains(d, ".") && localPart(w) != "" && !sameOrg(d, a.Domain()) {
			return 1, true
		}
	}
	return 0, true
}

// fromNameOtherHost: the display name is or ends in a host name that is not
// the domain of the address ("example.net Webmail" from another domain).
func fromNameOtherHost(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	if !ok {
		return 0, false
	}
	for _, w := range strings.Fields(strings.ToLower(a.Name)) {
		w = strings.Trim(w, `"'<>()[],;:!.`)
		if strings.Contains(w, "@") || !strings.Contains(w, ".") {
			continue
		}
		if suffix, icann := publicsuffix.PublicSuffix(w); icann && suffix != w && len(orgLabel(w)) > 1 && !sameOrg(w, a.Domain()) {
			return 1, true
		}
	}
	return 0, true
}

// fromNameRecipientDomain: the display name names the recipient's domain
// though the sender belongs to another, as a forged "IT department" does.
func fromNameRecipientDomain(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	if !ok || a.Name == "" {
		return 0, false
	}
	name := strings.ToLower(a.Name)
	for _, r := range recipients(m) {
		d := domainPart(r)
		if len(d) > 4 && !freeMail(d) && strings.Contains(name, d) && !sameOrg(d, a.Domain()) {
			return 1, true
		}
	}
	return 0, true
}

func fromNameBrand(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	if !ok || a.Name == "" {
		return 0, false
	}
	_, foreign := brandIn(a.Name, a.Domain())
	return truth(foreign), true
}

func fromFree(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	return truth(freeMail(a.Domain())), ok
}

// throughList says whether a list server put its own address into From
// because the author's domain forbids others to send: "Name via List". The
// author's address then is in Reply-To.
func throughList(from message.Address) bool {
	return strings.Contains(strings.ToLower(from.Name), " via ")
}

// replyToDiffers: answers go to another registered domain than the sender's.
func replyToDiffers(m *engine.Mail) (float64, bool) {
	f, ok := first(m, "From")
	r, ok2 := first(m, "Reply-To")
	if !ok || !ok2 || throughList(f) {
		return 0, false
	}
	return truth(!sameOrg(f.Domain(), r.Domain())), true
}

// replyToFree: answers go to a free mailbox that is not the sender's address.
func replyToFree(m *engine.Mail) (float64, bool) {
	f, ok := first(m, "From")
	r, ok2 := first(m, "Reply-To")
	if !ok || !ok2 || throughList(f) {
		return 0, false
	}
	return truth(freeMail(r.Domain()) && !strings.EqualFold(f.Address, r.Address)), true
}

// replyToFreeBoth: sender and reply address are two different free mailboxes.
func replyToFreeBoth(m *engine.Mail) (float64, bool) {
	v, ok := replyToFree(m)
	if !ok {
		return 0, false
	}
	f, _ := first(m, "From")
	return truth(v == 1 && freeMail(f.Domain())), true
}

// replyToLookalike: the reply address has the sender's local part or one a
// few letters off, at another domain.
func replyToLookalike(m *engine.Mail) (float64, bool) {
	f, ok := first(m, "From")
	r, ok2 := first(m, "Reply-To")
	if !ok || !ok2 || sameOrg(f.Domain(), r.Domain()) {
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

// recipients are the addresses that the mail is for: the envelope's, else
// those of To, at most 50.
func recipients(m *engine.Mail) []string {
	var out []string
	if m.Envelope.Known {
		out = append(out, m.Envelope.To...)
	}
	for _, a := range m.Message.Header().Addresses("To") {
		if a.Address != "" {
			out = append(out, a.Address)
		}
	}
	if len(out) > 50 {
		out = out[:50]
	}
	return out
}

// fromRecipientOrg: From is of the same registered domain as a recipient, and
// that domain is no free mail provider.
func fromRecipientOrg(m *engine.Mail) (float64, bool) {
	f, ok := first(m, "From")
	if !ok || freeMail(f.Domain()) {
		return 0, ok
	}
	for _, r := range recipients(m) {
		if sameOrg(domainPart(r), f.Domain()) {
			return 1, true
		}
	}
	return 0, true
}

func recipientCount(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
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

func toEqualsFrom(m *engine.Mail) (float64, bool) {
	f, ok := first(m, "From")
	t, ok2 := first(m, "To")
	return truth(ok && ok2 && strings.EqualFold(f.Address, t.Address)), ok && ok2
}

// toUndisclosed: To is an empty group or no address at all.
// RFC 5322 section 3.4: "undisclosed recipients:;" is a group without members.
func toUndisclosed(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	if !h.Has("To") {
		return 0, false
	}
	_, ok := first(m, "To")
	return truth(!ok), true
}

func toNameIsAddress(m *engine.Mail) (float64, bool) {
	t, ok := first(m, "To")
	if !ok || t.Name == "" {
		return 0, false
	}
	name := strings.Trim(t.Name, `"' `)
	return truth(strings.EqualFold(name, t.Address) || strings.EqualFold(name, localPart(t.Address))), true
}

// recipientInSubject: a recipient's whole address is in the subject.
func recipientInSubject(m *engine.Mail) (float64, bool) {
	s := strings.ToLower(m.Message.Header().Get("Subject"))
	if s == "" {
		return 0, false
	}
	for _, r := range recipients(m) {
		r = strings.ToLower(r)
		if len(r) > 6 && strings.Contains(s, r) {
			return 1, true
		}
	}
	return 0, true
}

// recipientInText is how often the visible text holds a recipient's address.
func recipientInText(m *engine.Mail) (float64, bool) {
	n, text := 0, m.Message.Text()
	seen := map[string]bool{}
	for _, r := range recipients(m) {
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

func fromLocalRandom(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	return randomness(localPart(a.Address)), ok
}

func fromDomainRandom(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	return randomness(orgLabel(a.Domain())), ok
}

func fromLocalDigits(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	return float64(digits(localPart(a.Address))), ok
}

func fromDomainDigits(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	return float64(digits(orgLabel(a.Domain()))), ok
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
func fromDomainLabels(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	if !ok || a.Domain() == "" {
		return 0, false
	}
	return float64(strings.Count(a.Domain(), ".") + 1), true
}

// fromNameSymbols counts arrows, stars, ticks and emoji in the display name.
// Signs of writing (currency, numero, trade mark) and of mathematics are none.
func fromNameSymbols(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
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
func subject8bit(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	return truth(has8bit(h.Raw("Subject"))), h.Has("Subject")
}

func from8bit(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	return truth(has8bit(h.Raw("From"))), h.Has("From")
}

func has8bit(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return true
		}
	}
	return false
}

func subjectLength(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	return float64(utf8.RuneCountInString(h.Get("Subject"))), h.Has("Subject")
}
