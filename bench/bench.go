// Package bench turns a fixed set of messages into figures of the per-message
// path: time, allocations, and whether the answer is right. A fast wrong
// answer is worth nothing, so each message says what it must come out as.
package bench

import (
	"encoding/base64"
	"fmt"
	"strings"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// A Message of the fixed set.
type Message struct {
	Name string
	Raw  []byte
	Spam bool // must score above 50; the others must not
	// Parts and Links are what the parser must find.
	Parts, Links int
}

// Messages is the fixed set: written for this purpose, the same at every
// call, from 1 KB to 1 MB.
func Messages() []Message {
	return []Message{
		{Name: "reply-1k", Raw: crlf(reply), Parts: 1},
		{Name: "scam-2k", Raw: crlf(scam), Spam: true, Parts: 1},
		{Name: "phish-4k", Raw: crlf(phish()), Spam: true, Parts: 3, Links: 3},
		{Name: "newsletter-16k", Raw: crlf(newsletter(24)), Parts: 3, Links: 74},
		{Name: "newsletter-64k", Raw: crlf(newsletter(110)), Parts: 3, Links: 332},
		{Name: "attachment-256k", Raw: crlf(attachment(180 << 10)), Parts: 3},
		{Name: "attachment-1m", Raw: crlf(attachment(740 << 10)), Parts: 3},
	}
}

// Parse parses one message and checks what was found.
func (m Message) Parse() (*message.Message, error) {
	p := message.Parse(m.Raw, message.Limits{})
	if got := len(p.Parts()); got != m.Parts {
		return nil, fmt.Errorf("%s: %d parts, want %d", m.Name, got, m.Parts)
	}
	return p, nil
}

// Check says whether a verdict on the message is right.
func (m Message) Check(v engine.Verdict) error {
	if len(v.Faults) > 0 {
		return fmt.Errorf("%s: faults %v", m.Name, v.Faults)
	}
	if (v.Score > 50) != m.Spam {
		return fmt.Errorf("%s: score %.1f, and spam is %t: %v", m.Name, v.Score, m.Spam, v.Symbols)
	}
	return nil
}

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

const head = `Received: from mail.example.org (mail.example.org [192.0.2.25])
	by mx.example.net with ESMTPS id 4Zk1; Tue, 17 Nov 2026 08:01:05 +0000
Date: Tue, 17 Nov 2026 09:01:02 +0100
MIME-Version: 1.0
`

const reply = head + `From: Anna Weiss <anna@example.org>
To: Jan de Vries <jan@example.net>
Subject: Re: drawings for the boathouse
Message-ID: <20261117080102.GB512@mail.example.org>
In-Reply-To: <20261116190211.GA77@example.net>
References: <20261116190211.GA77@example.net>
Content-Type: text/plain; charset=utf-8

Hello Jan,

thank you, the second drawing is the right one. The beam over the door has to be
thirty millimetres longer, and I would like to see the window on the west side.

On Monday, Jan de Vries wrote:
> Two versions are attached. The first has the door in the middle, the second
> moves it to the left, so that the mast fits through.

I am in the office until four.

Anna
`

const scam = head + `From: "Barrister Paul Mensah" <paul.mensah.chambers@freemail.example>
Reply-To: <paul.mensah.private@othermail.example>
To: undisclosed-recipients:;
Subject: CONFIDENTIAL: YOUR INHERITANCE FUND OF US$9,800,000.00
Message-ID: <88213@freemail.example>
Content-Type: text/plain; charset=utf-8

Dear Beneficiary,

I am Barrister Paul Mensah, the personal attorney to a late client who bears the
same surname as you and who died with his entire family without leaving a next of
kin. Before his death he deposited the sum of nine million eight hundred thousand
United States dollars with a bank here, which will be confiscated unless a next of
kin comes forward. I want to present you as the next of kin, so that the fund is
transferred into your bank account and shared between us: 50 % for me, 40 % for you
and 10 % for the expenses. The transaction is legal and one hundred percent risk
free. Keep it strictly confidential and reply urgently with your full name, your
address, your telephone number, your occupation, your bank account details and a
copy of your passport or driver's licence.

Yours faithfully,
Barrister Paul Mensah
`

func phish() string {
	return head + `From: "Mailbox Administrator" <it-helpdesk@example.com>
To: <user@example.net>
Subject: Action required: your password expires today
Message-ID: <a1b2c3@example.com>
Content-Type: multipart/alternative; boundary="sep"

--sep
Content-Type: text/plain; charset=utf-8

Your mailbox password expires today. Verify your account at http://192.0.2.99/login/verify.php
--sep
Content-Type: text/html; charset=utf-8

<html><body style="font-family:Arial"><table width="600"><tr><td>
<p>Dear user@example.net,</p>
<p>Your mailbox password will <b>expire today</b>. Your account will be suspended and
incoming messages will be lost unless you verify your account within 24 hours.</p>
<p><a href="http://192.0.2.99/login/verify.php?user=user@example.net">https://mail.example.net/keep-password</a></p>
<p>Click the link above to keep your current password. Failure to verify will result in
permanent suspension of your mailbox.</p>
<div style="display:none">` + strings.Repeat("meeting minutes invoice travel garden weather ", 30) + `</div>
<p>Mailbox Administrator, IT Help Desk</p></td></tr></table></body></html>
--sep--
`
}

func newsletter(articles int) string {
	var text, html strings.Builder
	for i := range articles {
		fmt.Fprintf(&text, "Article %d: what we learned about raised beds\nhttps://garden.example.org/articles/%d\n\n", i, i)
		fmt.Fprintf(&html, `<tr><td style="padding:8px"><h2 style="color:#234">Article %d</h2><p>What we learned about raised beds in a wet
autumn: drainage first, then mulch, and why number %d of our list of tools stays in the shed until March.</p>
<a href="https://garden.example.org/articles/%d">Read more</a> <a href="https://garden.example.org/articles/%d/comments">Comments</a></td></tr>
`, i, i, i, i)
	}
	return head + `From: Garden Weekly <news@garden.example.org>
To: <user@example.net>
Subject: Garden Weekly: raised beds in a wet autumn
Message-ID: <weekly-46@garden.example.org>
List-Id: Garden Weekly <weekly.garden.example.org>
List-Unsubscribe: <https://garden.example.org/unsubscribe/46>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Content-Type: multipart/alternative; boundary="sep"

--sep
Content-Type: text/plain; charset=utf-8

` + text.String() + `
--sep
Content-Type: text/html; charset=utf-8

<html><head><title>Garden Weekly</title></head><body><table>` + html.String() + `</table>
<p>You get this because you subscribed. <a href="https://garden.example.org/unsubscribe/46">Unsubscribe</a></p></body></html>
--sep--
`
}

func attachment(size int) string {
	content := make([]byte, size)
	state := uint32(1)
	for i := range content { // Numerical Recipes' generator
		state = state*1664525 + 1013904223
		content[i] = byte(state >> 24)
	}
	copy(content, "%PDF-1.7\n")
	var lines strings.Builder
	encoded := base64.StdEncoding.EncodeToString(content)
	for len(encoded) > 76 {
		lines.WriteString(encoded[:76] + "\n")
		encoded = encoded[76:]
	}
	lines.WriteString(encoded + "\n")
	return head + `From: Anna Weiss <anna@example.org>
To: Jan de Vries <jan@example.net>
Subject: Drawings
Message-ID: <20261117080109.GB513@mail.example.org>
Content-Type: multipart/mixed; boundary="sep"

--sep
Content-Type: text/plain; charset=utf-8

Hello Jan, here are the drawings as discussed. Anna
--sep
Content-Type: application/pdf; name="drawings.pdf"
Content-Disposition: attachment; filename="drawings.pdf"
Content-Transfer-Encoding: base64

` + lines.String() + `--sep--
`
}
