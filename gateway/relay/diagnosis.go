package relay

import (
	"mime"
	"strings"

	"spamcatcher/queue"
)

// A diagnosis is a recipient's last reply taken apart, without what may name the server.
type diagnosis struct {
	status string // never ""
	code   string // "" = there was no reply
	told   string // the enhanced status code as it was told
	text   string // "" = none, or it may name the server
}

// diagnose takes a recipient's last reply apart. One that failed and whose last reply is temporary ran out of time, whether or not
// the queue has put its own words before that reply. One that is delayed has a temporary status, whatever the reply says.
func diagnose(r queue.Recipient, delayed bool) (d diagnosis) {
	last := r.Reply
	if before, after, ok := strings.Cut(last, "delivery time expired"); ok && (before == "" || before == "554 5.4.7 ") {
		last = strings.TrimPrefix(after, "; last reply: ")
		d.status = "4.4.7"
	}
	if len(last) >= 3 && (last[0] == '4' || last[0] == '5') && strings.Trim(last[:3], "0123456789") == "" && (len(last) == 3 || last[3] == ' ') {
		d.code, d.text = last[:3], strings.TrimSpace(last[3:])
	}
	d.told = enhancedCode(d.text)
	d.text = strings.TrimSpace(strings.TrimPrefix(d.text, d.told))
	switch {
	case delayed && d.told != "":
		// RFC 3464 section 2.3.4: the class of a delayed recipient's status is 4.
		d.status = "4" + d.told[1:]
	case delayed:
		d.status = "4.0.0"
	case d.status != "":
	case d.code == "":
		d.status = "5.0.0"
	case d.code[0] == '4':
		d.status = "4.4.7" // RFC 3463 section 3.5: delivery time expired
	case d.told != "" && d.told[0] == d.code[0]:
		d.status = d.told
	default:
		d.status = "5.0.0"
	}
	if d.code == "" || !harmless(d.text, r.Address) {
		d.text = ""
	}
	return d
}

// reply returns the reply on one line, as far as it may be told.
func (d diagnosis) reply() string { return join(d.code, d.told, d.text) }

// harmless reports whether text, apart from the recipient's own address, has only words that name nobody. What stands together
// without a space is one word: mail.local is a name, though "mail" and "local" are none.
func harmless(text, address string) bool {
	text = strings.ToLower(text)
	if address != "" {
		text = strings.ReplaceAll(text, strings.ToLower(address), "")
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" <>(),;!'\"", r) }) {
		if word = strings.TrimRight(word, ".:"); word != "" && !commonWords[word] {
			return false
		}
	}
	return true
}

// commonWords are the words of replies that say nothing about who says them.
var commonWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`a access account action active address again allowed an and are as at attachment authentication bad be because been
		blocked by can cannot command complete content could currently data delivery denied deferred detected disabled disk does domain due error
		exceeded exceeds exist exists expired failed failure fixed for found full greylisted greylisting has have here host in inactive insufficient invalid
		is it large later limit local loop mail mailbox many maximum message messages moved must name no not now of ok on or out over permanent
		permitted please policy procedure processing quota reached reason recipient recipients refused reject rejected relay relaying requested
		resources rule rules sender sending server service size smtp space spam started storage such suspended syntax system table taken temporarily
		temporary that the this time to too transaction transfer try unable unavailable unknown unrouteable user users valid verification virus was
		will with yet you your`) {
		m[w] = true
	}
	return m
}()

// meaning returns what the status means, in words for people.
// RFC 3463 section 3: the codes and their meanings.
func (d diagnosis) meaning() string {
	class, rest, _ := strings.Cut(d.status, ".")
	if class == "4" && rest == "4.7" {
		return "The message could not be delivered within the time allowed."
	}
	if class == "4" {
		switch rest {
		case "4.0", "4.1", "4.2", "4.3", "4.4":
			return "The recipient's mail system could not be reached."
		case "2.2":
			return "The mailbox is full."
		case "2.1":
			return "The mailbox is disabled for now."
		}
		return "The recipient's mail system asked for another try later."
	}
	switch rest {
	case "1.1", "1.6":
		return "There is no such mailbox."
	case "1.2", "1.10":
		return "There is no such domain, or it takes no mail."
	case "1.3":
		return "The address is not well-formed."
	case "2.1":
		return "The mailbox is disabled."
	case "2.2":
		return "The mailbox is full."
	case "2.3", "3.4":
		return "The message is too big."
	case "4.6":
		return "The message went in a circle."
	case "6.7":
		return "The server cannot take internationalized mail."
	}
	if strings.HasPrefix(rest, "7.") {
		return "The message was refused by a rule of the recipient's system."
	}
	return "The message was refused."
}

// encodedWords returns s in encoded words of RFC 2047, one on a line: they are separated by a space, and so can be folded there.
func encodedWords(s string) string {
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\n =?")
}

func join(words ...string) string {
	var kept []string
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}
