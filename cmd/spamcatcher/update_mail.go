package main

import (
	"slices"

	"spamcatcher/rules/builtin"
)

// bundledMessages are those inside the program that new rules are tried on.
type bundledMessages struct{ good, spam, tests []tried }

func bundledMail() (*bundledMessages, error) {
	good, err := builtin.GoodMail()
	if err != nil {
		return nil, err
	}
	spam, err := builtin.SpamMail()
	if err != nil {
		return nil, err
	}
	triedOf := func(list []builtin.Message) (all []tried) {
		for _, m := range list {
			all = append(all, tried{name: m.Name, raw: m.Raw})
		}
		return all
	}
	return &bundledMessages{triedOf(good), triedOf(spam), testMessages()}, nil
}

// testMessages are harmless, and what every filter must find. They are put
// together here: whoever looks at the program must not find them in it.
func testMessages() []tried {
	message := func(name, text string) tried {
		return tried{name: name, raw: []byte("From: test@example.org\r\nTo: test@example.net\r\nSubject: A test of the filter\r\n" +
			"Date: Mon, 16 Nov 2026 09:12:44 +0100\r\nMessage-ID: <test@example.org>\r\n\r\n" + text + "\r\n")}
	}
	eicar := slices.Concat([]byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-`), []byte(`STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`))
	gtube := slices.Concat([]byte("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-"), []byte("STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"))
	return []tried{message("the test file EICAR", string(eicar)), message("the test message GTUBE", string(gtube))}
}

// weigh refuses what harms these messages; the standings are of all of them, in
// the order good, spam, tests.
func (b *bundledMessages) weigh(was, is []standing) error {
	if err := weighGood(b.good, was, is); err != nil {
		return err
	}
	n, m := len(b.good), len(b.good)+len(b.spam)
	if err := weighSpam(b.spam, was[n:], is[n:]); err != nil {
		return err
	}
	return weighTests(b.tests, was[m:], is[m:])
}
