package fingerprint

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"spamcatcher/engine/message"
)

func parse(raw string) *message.Message {
	return message.Parse([]byte(strings.ReplaceAll(raw, "\n", "\r\n")), message.Limits{})
}

// inCommon are the exact fingerprints that two messages share, and the bands.
func inCommon(a, b *message.Message) (same []Print, bands int) {
	for _, p := range Of(a) {
		for _, q := range Of(b) {
			switch {
			case p.Kind != q.Kind:
			case p.Kind == Fuzzy:
				bands = p.Bands.Common(q.Bands)
			case p.ID == q.ID:
				same = append(same, p)
			}
		}
	}
	return same, bands
}

// ordinary and fraud have nothing to do with each other.
const (
	ordinary = "Could you send me the drawings of the second floor before lunch on Thursday? The builder wants to order the windows, and the kitchen has to be measured again because of the pipe that nobody had seen. Tell Martha that the key is with the neighbour. Best wishes, Otto"
	fraud    = "I have an offer of forty million dollars for you from the estate of a late client of our bank, whose heirs could never be found. Kindly answer with your full name, telephone and the number of your account, so that the transfer can begin without delay. Yours, Barrister Williams"
)

// TestShared: what good mail has in common with the spam that imitates it, or
// is sent the same way, is no fingerprint.
func TestShared(t *testing.T) {
	html := func(body string) string {
		return "From: a@x.example\nTo: b@y.example\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n" + body + "\n"
	}
	plain := func(body string) string { return "From: a@x.example\nTo: b@y.example\nSubject: x\n\n" + body + "\n" }
	link := func(text, target string) string { return html("<p>" + text + "</p><a href='" + target + "'>here</a>") }
	sentByOthers := func(text, token string) string {
		return html("<p>" + text + "</p><a href='https://u" + token + ".ct.mailer.example/ls/click?upn=" + token + "XyZ'>Read</a> <a href='https://u" + token + ".ct.mailer.example/wf/unsubscribe?upn=" + token +
			"'>Leave</a> <a href='https://www.linkedin.com/comm/psettings/email-unsubscribe?lipi=" + token + "'>Settings</a> <a href='https://bank.example/privacy/terms.html'>Terms</a>")
	}
	logo := func(text string, size int, field string) string {
		return "From: a@x.example\nTo: b@y.example\nMIME-Version: 1.0\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>" + text +
			"</p><img src='cid:logo'>\n--b\nContent-Type: image/png; name=logo.png\n" + field + "\nContent-Transfer-Encoding: base64\n\n" +
			base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n"+strings.Repeat("the bytes of a logo ", size/20))) + "\n--b--\n"
	}
	const disclaimer = "This message and any files that come with it are meant only for the person or the company to whom they are addressed and may hold information that is confidential or protected by law. If you are not the one to whom it was sent, please tell the sender at once by return of mail and delete it from your system; you must not copy, pass on or otherwise use what is in it. Opinions are those of the writer and need not be those of the company. Mail cannot be guaranteed to be free of errors or of harmful programs, for which the company takes no liability whatsoever. Please think of the environment before you print this message."
	const footer = "You are receiving this message because you or somebody else gave us your address at a fair, in a shop or in one of our competitions during the last year. To unsubscribe from this and all other lists of the house of Harbour and Daughters in the future follow the link. Our privacy policy tells what is done with addresses."
	bounced := func(host, to string) string {
		return "From: Mail system <MAILER-DAEMON@" + host + ">\nTo: b@y.example\nSubject: Undelivered Mail Returned to Sender\n\nThis is the mail system at host " + host +
			".\n\nYour message could not be handed over to one or more of those to whom it was sent. It is attached below. For help please write to the postmaster, and put this report with it. You may take your own text out of the message.\n\n<" + to + ">: user unknown\n"
	}
	reported := func(host string) string {
		return "From: postmaster@" + host + "\nTo: b@y.example\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\n" +
			strings.Repeat("Your message could not be delivered to some of those to whom it was sent, and the server of the other side gave these reasons for it. ", 3) +
			"\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; " + host + "\n\n--b--\n"
	}
	away := func(name string) string {
		return "From: " + name + "@x.example\nTo: b@y.example\nAuto-Submitted: auto-replied (vacation)\n\nThank you for your message. I am out of the office until the end of the month and read mail seldom. In urgent matters please turn to my colleagues in the office, who will gladly be of help to you. Otherwise I shall answer when I am back. " + name + "\n"
	}
	for name, pair := range map[string][2]string{
		"a mailer's links":         {sentByOthers("Your invoice for the month of May is ready to be seen by you.", "123456"), sentByOthers("Win a watch tonight with nothing more than a move of the mouse", "987654")},
		"a meeting":                {link("x", "https://us02web.zoom.us/j/81234567890?pwd=QWxhZGRpbg"), link("y", "https://us05web.zoom.us/j/99876543210?pwd=b3BlbnNlc2Ft")},
		"a form":                   {link("x", "https://docs.google.com/forms/d/e/1FAIpQLSd8x/viewform?usp=sf_link"), link("y", "https://docs.google.com/forms/d/e/9ZZZpQLSd8x/viewform?usp=sf_link")},
		"a shared file":            {link("x", "https://drive.google.com/file/d/1AbCdEf/view?usp=sharing"), link("y", "https://drive.google.com/file/d/9XyZ1/view?usp=sharing")},
		"a call":                   {link("x", "https://teams.microsoft.com/l/meetup-join/19%3ameeting_abc1/0?context=x"), link("y", "https://teams.microsoft.com/l/meetup-join/19%3ameeting_zzz9/0?context=y")},
		"a list":                   {link("x", "https://list.example.org/mailman/listinfo/beekeepers1"), link("y", "https://list.example.org/mailman/listinfo/chess22")},
		"links as everybody's":     {link("x", "https://harbour.example/account/login/index.php?user=1"), link("y", "https://meadow.example/account/login/index.php?user=7")},
		"a logo":                   {logo(ordinary, 4000, "Content-ID: <logo>\nContent-Disposition: inline"), logo(fraud, 4000, "Content-ID: <logo>\nContent-Disposition: inline")},
		"a large picture":          {logo(ordinary, 90000, "Content-ID: <logo>"), logo(fraud, 90000, "Content-ID: <logo>")},
		"an attached little one":   {logo(ordinary, 15000, "Content-Disposition: attachment"), logo(fraud, 15000, "Content-Disposition: attachment")},
		"a disclaimer":             {plain(ordinary + "\n\n" + disclaimer), plain(fraud + "\n\n" + disclaimer)},
		"a disclaimer, marked off": {plain(ordinary + "\n-- \n" + disclaimer), plain(fraud + "\n-- \n" + disclaimer)},
		"little but disclaimer":    {plain("See you at five.\n\n" + disclaimer), plain("Call me now.\n\n" + disclaimer)},
		"a footer":                 {plain("We have new rakes.\n\n" + footer), plain("Your parcel waits.\n\n" + footer)},
		"a footer in HTML":         {html("<p>We have new rakes.</p><p>" + footer + "</p>"), html("<p>Your parcel waits.</p><div>" + footer + "</div>")},
		"a signature": {plain("Thank you.\n-- \nOtto Fairweather, head of purchasing\nHarbour and Daughters, makers of rakes, spades and wheelbarrows since the days of the old queen\nRiver Lane, opposite the town hall\nour stall at the market is open on all days but Mondays"),
			plain("Not this time.\n-- \nOtto Fairweather, head of purchasing\nHarbour and Daughters, makers of rakes, spades and wheelbarrows since the days of the old queen\nRiver Lane, opposite the town hall\nour stall at the market is open on all days but Mondays")},
		"bounces":           {bounced("mx1.example.com", "a@example.com"), bounced("relay.example.net", "z@example.net")},
		"delivery reports":  {reported("mx1.example.com"), reported("relay.example.net")},
		"automatic answers": {away("anna"), away("bert")},
	} {
		if same, bands := inCommon(parse(pair[0]), parse(pair[1])); len(same) != 0 || bands > 1 {
			t.Errorf("%s: %d bands in common, and %+v", name, bands, same)
		}
	}
	// A file that calls itself a picture, and one that is attached as such.
	for _, c := range []struct {
		raw  string
		kind Kind
	}{
		{logo(ordinary, 90000, "Content-Disposition: attachment"), Picture},
		{strings.Replace(logo(ordinary, 4000, "Content-ID: <logo>\nContent-Disposition: inline"), base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n"))[:8], "JVBERi0x", 1), Attachment},
	} {
		if p := printOf(parse(c.raw), c.kind); p == nil {
			t.Errorf("no %s among %+v", c.kind, Of(parse(c.raw)))
		}
	}
	if a, b := strength(Print{Kind: Picture}, answer{level: 3}), strength(Print{Kind: Attachment}, answer{level: 3}); a*2.9 > b {
		t.Errorf("a picture counts %.2f, a file %.2f", a, b)
	}
}

// TestPhrases: what is left out is only sentences of footers and disclaimers.
func TestPhrases(t *testing.T) {
	for text, want := range map[string]string{
		"the price. unsubscribe here. the end.":                                   "the price.\n the end.",
		"un-sub scribe\nthe end":                                                  "\nthe end",
		"this is confidential. answer at once.":                                   "this is confidential. answer at once.",
		"a. intended recipient. b. privileged. c. it was received by mistake. d.": "a.\n b.\n c.\n d.",
		"": "", "......": "......", "the last sentence can unsubscribe": "\n",
	} {
		if got := substance(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	for _, list := range [][]string{footers, disclaimers} {
		for _, p := range list {
			if strings.Trim(p, "abcdefghijklmnopqrstuvwxyz") != "" || len(p) < 6 {
				t.Errorf("phrase %q", p)
			}
			if got := substance(p); p[0] != 0 && len(list) == len(footers) && got == p && list[0] == footers[0] {
				t.Errorf("%q is not found", p)
			}
		}
	}
}

// TestHiding: what costs a spammer nothing does not take his fingerprints away.
func TestHiding(t *testing.T) {
	text := "The membership that you never asked for will be renewed tonight, and the yearly amount is taken from the account that we have on file. To cancel the renewal call our billing department within the next hours and keep your card at hand; after midnight no refund can be granted by anybody, as the terms say. Your billing department waits for the call and will help with everything that has to be done."
	target := "https://win.prize-now.example/claim/reward/now.php?case=1"
	letter := func(header, body string) *message.Message {
		return parse("From: a@x.example\nSubject: x\n" + header + "\n\n" + body + "\n")
	}
	original := letter("To: b@y.example", text+"\n\n"+target)
	r := rand.New(rand.NewPCG(5, 6))
	some := func(n int) string {
		words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '.' || r == ';' })
		r.Shuffle(len(words), func(i, k int) { words[i], words[k] = words[k], words[i] })
		return strings.Join(words[:n], " ")
	}
	for name, m := range map[string]*message.Message{
		"words of the text as a name in Reply-To": letter(fmt.Sprintf("To: b@y.example\nReply-To: %s <a@x.example>", some(35)), text+"\n\n"+target),
		"in From":                             letter(fmt.Sprintf("From: %s <a@x.example>\nTo: b@y.example", some(35)), text+"\n\n"+target),
		"in To":                               letter(fmt.Sprintf("To: %s <b@y.example>", some(35)), text+"\n\n"+target),
		"in Cc":                               letter(fmt.Sprintf("To: b@y.example\nCc: %s <c@y.example>", some(35)), text+"\n\n"+target),
		"a recipient in the spammer's domain": letter("To: b@y.example, c@prize-now.example", text+"\n\n"+target),
		"an automatic mail":                   letter("To: b@y.example\nAuto-Submitted: auto-generated", text+"\n\n"+target),
		"a report without report":             letter("To: b@y.example\nMIME-Version: 1.0\nContent-Type: multipart/report; boundary=b", "--b\n\n"+text+"\n\n"+target+"\n--b--"),
		"a line of a signature on top":        letter("To: b@y.example", "-- \n"+text+" "+text+"\n\n"+target),
		"one word of a disclaimer":            letter("To: b@y.example", strings.ReplaceAll(text, ".", " is confidential.")+"\n\n"+target),
		"a footer":                            letter("To: b@y.example", text+"\n\n"+target+"\n\nTo unsubscribe write to us."),
	} {
		same, bands := inCommon(original, m)
		links := 0
		for _, p := range same {
			if p.Kind == Link || p.Kind == Links {
				links++
			}
		}
		if bands < MinBands || links != 2 {
			t.Errorf("%s: %d bands, and %+v", name, bands, same)
		}
	}
	// Links into the recipients' own domains are not asked about; who they are
	// the envelope says.
	prints := outside(Of(original), []string{"b@y.example", "d@prize-now.example"})
	for _, p := range prints {
		if p.Kind == Link {
			t.Errorf("a link into the recipient's domain is asked about: %s", p.Of)
		}
	}
}
