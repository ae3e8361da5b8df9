package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"spamcatcher/engine/message"
)

// A Mail is everything known about one message before it is judged: the
// session that brought it, its envelope, what DNS said of its sender, and the
// message itself. It is never changed once it is handed to Judge.
type Mail struct {
	Session  Session
	Envelope Envelope
	Auth     Auth
	// Found is what the session found out before the message came: by which
	// tests of connection and envelope the client did not pass.
	Found   []Hit
	Message *message.Message
	// Answers keeps what checks are told by the network; nil keeps nothing.
	Answers *Answers
	// Inside is what the check that opens attachments finds in them; Judge sets it.
	Inside *Inside
}

// A Session is what the connection told. Its zero value means that the mail
// was read from a file and nothing is known.
type Session struct {
	Client netip.Addr // address of the connecting server
	PTR    string     // its verified host name, "" when there is none or it was not looked up
	Hello  string     // argument of HELO or EHLO
	ESMTP  bool       // said EHLO
	TLS    bool
	Time   time.Time // when the message arrived; rules compare Date with it
}

// An Envelope is what MAIL and RCPT said.
type Envelope struct {
	Known bool   // false when the mail did not come by SMTP
	From  string // reverse path without brackets, "" is the null sender
	To    []string
}

// Auth holds results of sender authentication in the words of RFC 8601
// section 2.7; "" means not evaluated. Domains are in lower case, with A-labels,
// and without a final dot.
type Auth struct {
	SPF, DKIM, DMARC, ARC string
	// IPRev is the result of the iprev method, RFC 8601 section 2.7.3: whether
	// the client's host name is confirmed by its address.
	IPRev string

	// SPFDomain is the domain that SPF was evaluated for, and SPFHello says that
	// it was the name in HELO or EHLO, not the envelope sender's.
	SPFDomain string
	SPFHello  bool
	// SPFExempt says that the result of SPF serves DMARC only: the test is off,
	// or client, sender or recipients are exempt from it.
	SPFExempt bool
	// Signatures are the DKIM signatures that were looked at, in the order of the
	// header.
	Signatures []Signature

	// From is the Author Domain of RFC 9989 section 3.2.2, "" when there is not
	// exactly one, and Organization the Organizational Domain that it belongs to.
	From, Organization string
	// Policy is what the owner of From asks for mail that fails DMARC: "none",
	// "quarantine" or "reject"; "" when no record was found.
	Policy string
	// Unclear says that a reader may be shown a domain as the author's for which
	// DMARC could not be evaluated, because there is not exactly one that can be
	// read with certainty.
	Unclear bool
	// Aligned says that a domain aligned with From passed SPF or DKIM, whether it
	// has a DMARC record or not.
	Aligned bool

	// Sealer is the domain of the newest ARC set, and Chain the number of sets.
	Sealer string
	Chain  int
	// SealerTrusted says that Sealer is one whose word counts here.
	SealerTrusted bool
}

// A Signature is what became of one DKIM signature.
type Signature struct {
	Domain, Selector string // d= and s=
	Result           string // RFC 8601 section 2.7.1
	Reason           string // why it did not pass; not for the outside
	Aligned          bool   // with Auth.From
	Partial          bool   // l= leaves a part of the body unsigned
	Testing          bool   // the key says t=y
}

// Tell sets one fact, written as text: "client" (address), "helo", "ptr",
// "from", "to" (one recipient more) or "time" (RFC 3339) of session and
// envelope; "spf", "dkim", "dmarc" (result and policy, or "unclear"), "arc" (result, and "trusted") or "iprev";
// "found" (symbol and detail); or "answer" (question => answer), after which
// nothing else is answered. It serves whoever builds a mail from a file: test cases and samples.
func (m *Mail) Tell(fact, value string) (err error) {
	value = strings.TrimSpace(value)
	switch fact {
	case "client":
		m.Session.Client, err = netip.ParseAddr(value)
	case "helo":
		m.Session.Hello, m.Session.ESMTP = value, true
	case "ptr":
		m.Session.PTR = value
	case "from":
		m.Envelope.Known = true
		m.Envelope.From = strings.Trim(value, "<>")
	case "to":
		m.Envelope.Known = true
		m.Envelope.To = append(m.Envelope.To, strings.Trim(value, "<>"))
	case "time":
		m.Session.Time, err = time.Parse(time.RFC3339, value)
	case "spf":
		m.Auth.SPF = value
	case "dkim":
		m.Auth.DKIM = value
	case "dmarc": // the result, and the domain's policy
		m.Auth.DMARC, m.Auth.Policy, _ = strings.Cut(value, " ")
		if m.Auth.Policy == "unclear" {
			m.Auth.Policy, m.Auth.Unclear = "", true
		}
	case "arc": // the result, and "trusted" if the sealer is
		trust := ""
		m.Auth.ARC, trust, _ = strings.Cut(value, " ")
		m.Auth.SealerTrusted = trust == "trusted"
	case "iprev":
		m.Auth.IPRev = value
	case "found": // a symbol, and its detail
		h := Hit{}
		h.Symbol, h.Detail, _ = strings.Cut(value, " ")
		m.Found = append(m.Found, h)
	case "answer": // a question => what the network said to it
		question, answer, _ := strings.Cut(value, "=>")
		if m.Answers == nil {
			m.Answers = Replay(map[string]string{})
		}
		m.Answers.said[strings.TrimSpace(question)] = strings.TrimSpace(answer)
	default:
		return fmt.Errorf("unknown fact %q; client, helo, ptr, from, to, time, spf, dkim, dmarc, arc, iprev, found and answer are known", fact)
	}
	if err != nil {
		return fmt.Errorf("reading fact %s %q: %w", fact, value, err)
	}
	return nil
}
