package fingerprint

import (
	"slices"
	"strings"

	"spamcatcher/engine/message"
)

// What good and bad mail have in common is no fingerprint of either: what mail
// systems write, footers, disclaimers and signatures. All of it is told by what
// a reader is shown as well, so leaving a text out by these rules is not free.

// maxSignature is the most weight of what stands behind "-- " that is taken for
// a signature. What is longer counts.
const maxSignature = 400

// bounce tells whether a message was written by a mail system: delivery reports
// have one text for all mail of the site that writes them, and automatic answers
// one for everybody who asks. RFC 3462, RFC 3834 section 5
func bounce(m *message.Message) bool {
	h := m.Header()
	if strings.HasPrefix(strings.ToLower(h.Get("Auto-Submitted")), "auto-replied") {
		return true
	}
	from := h.Addresses("From")
	for _, a := range from[:min(len(from), 2)] {
		if local, _, _ := strings.Cut(strings.ToLower(a.Address), "@"); local == "mailer-daemon" {
			return true
		}
	}
	root := m.Root()
	return root.MediaType == "multipart/report" && slices.ContainsFunc(root.Children, func(p *message.Part) bool {
		return strings.HasPrefix(p.MediaType, "message/") && (strings.HasSuffix(p.MediaType, "-status") || strings.HasSuffix(p.MediaType, "-notification"))
	})
}

// signature is what stands behind the last line "-- " of the last plain text
// that is shown. RFC 3676 section 4.3
func signature(m *message.Message) string {
	text := ""
	for _, p := range m.Parts() {
		if len(p.Children) == 0 && !p.Alternate && p.MediaType == "text/plain" && p.Disposition != "attachment" {
			text = p.Text()
		}
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for _, line := range []string{"\n-- \n", "\n--\n"} {
		if i := strings.LastIndex(text, line); i >= 0 {
			return text[i+len(line):]
		}
	}
	return ""
}

// footers and disclaimers are what sentences say, spaces left out, that stand in
// mail of all kinds: a footer's by itself, a disclaimer's when leastDisclaimers
// of them stand in one text.
var (
	footers = []string{
		"unsubscribe", "optout", "youarereceivingthis", "youreceivedthis", "wassenttoyou", "managepreferences", "managepreference", "emailpreferences", "viewinbrowser", "viewinyourbrowser", "viewthisemail",
		"nolongerwishtoreceive", "donotwishtoreceive", "privacypolicy", "allrightsreserved", "donotreply", "thisisanautomat",
		"abmelden", "abbestellen", "datenschutz", "impressum", "nichtmehrerhalten", "desabonner", "desinscrire", "cancelaciondesuscripcion", "darsedebaja", "cancelarsuscripcion", "annullaiscrizione", "disiscriver", "afmelden", "uitschrijven", "cancelarinscricao",
	}
	disclaimers = []string{
		"intendedrecipient", "intendedonlyfor", "intendedsolelyfor", "meantonlyfor", "soleuseof", "towhomitis", "towhomtheyareaddressed", "isconfidential", "areconfidential", "confidentialand", "andconfidential", "confidentialinformation", "contentsofthis",
		"privileged", "protectedbylaw", "receivedthisemailinerror", "receivedthismessageinerror", "receivedthismailinerror", "receivedthisinerror", "receivedthistransmission", "bymistake", "notifythesender", "tellthesender", "contactthesender", "returnemail", "returnofmail",
		"isprohibited", "strictlyprohibited", "mustnotcopy", "unauthorisedcopy", "unauthorizedcopy", "unauthorizeduse", "unauthoriseduse", "disclosure", "disclose", "freeoferrors", "freeofviruses", "virusfree", "errorfree", "noliability", "anyliability",
		"theenvironment", "opinionsexpressed", "viewsexpressed", "viewsoropinions", "opinionsare", "ofthecompany", "scannedforviruses", "checkedforviruses",
		"vertraulich", "unbefugte", "irrtumlich", "nichtderrichtigeadressat", "bestimmungsgemasse", "confidentiel", "destinataire", "destinatario", "confidencial", "riservat", "vertrouwelijk", "geadresseerde",
	}
)

const leastDisclaimers = 3

// phrases find any of many strings of letters in one pass, by the first three.
type phrases struct {
	first [1 << 15]uint16 // index of list, 0 for none
	lists [][]phrase
}

type phrase struct {
	text string
	kind int // place among the disclaimers, -1 a footer's
}

var known = func() *phrases {
	p := &phrases{lists: make([][]phrase, 1)}
	add := func(text string, kind int) {
		at := &p.first[three(text[0], text[1], text[2])]
		if *at == 0 {
			*at = uint16(len(p.lists))
			p.lists = append(p.lists, nil)
		}
		p.lists[*at] = append(p.lists[*at], phrase{text, kind})
	}
	for _, text := range footers {
		add(text, -1)
	}
	for i, text := range disclaimers {
		add(text, i)
	}
	return p
}()

func three(a, b, c byte) int { return int(a-'a')<<10 | int(b-'a')<<5 | int(c-'a') }

// each calls found for the phrases in a string of letters.
func (p *phrases) each(letters []byte, found func(kind int)) {
	for i := 0; i+2 < len(letters); i++ {
		at := p.first[three(letters[i], letters[i+1], letters[i+2])]
		if at == 0 {
			continue
		}
		for _, f := range p.lists[at] {
			if rest := letters[i:]; len(rest) >= len(f.text) && string(rest[:len(f.text)]) == f.text {
				found(f.kind)
			}
		}
	}
}

// substance leaves sentences of footers and disclaimers out of a text in lower
// case.
func substance(text string) string {
	type sentence struct {
		begin, end int
		footer     bool
	}
	var doubtful []sentence
	kinds := map[int]bool{} // of disclaimers that were found
	var word []byte
	for begin := 0; begin < len(text); {
		word = word[:0]
		end := begin
		for end < len(text) {
			c := text[end]
			end++
			if 'a' <= c && c <= 'z' {
				word = append(word, c)
			} else if c == '.' || c == '!' || c == '?' || c == ';' || c == '\n' {
				break
			}
		}
		s, is := sentence{begin: begin, end: end}, false
		known.each(word, func(kind int) {
			is = true
			if kind < 0 {
				s.footer = true
			} else {
				kinds[kind] = true
			}
		})
		if is {
			doubtful = append(doubtful, s)
		}
		begin = end
	}
	var b strings.Builder
	at := 0
	for _, s := range doubtful {
		if s.footer || len(kinds) >= leastDisclaimers {
			b.WriteString(text[at:s.begin])
			b.WriteByte('\n')
			at = s.end
		}
	}
	if at == 0 {
		return text
	}
	b.WriteString(text[at:])
	return b.String()
}
