package evasion

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// headings forge header fields.
func headings() []Trick {
	heading := func(name, what string, change func(l *letter, r *rand.Rand, good *Good)) Trick {
		return Trick{Name: name, What: what, change: change}
	}
	return []Trick{
		heading("subject", "a subject of good mail", goodSubject),
		heading("sender", "a person's name and address as sender", goodSender),
		heading("threading", "Re:, In-Reply-To and References", threading),
		heading("list", "the fields of a mailing list", mailingList),
		heading("all-fields", "good subject, sender, threading and list fields", func(l *letter, r *rand.Rand, good *Good) {
			goodSubject(l, r, good)
			goodSender(l, r, good)
			threading(l, r, good)
			mailingList(l, r, good)
		}),
		heading("fields-and-prose", "all that, and sentences of good mail in front and behind", func(l *letter, r *rand.Rand, good *Good) {
			goodSubject(l, r, good)
			goodSender(l, r, good)
			threading(l, r, good)
			mailingList(l, r, good)
			for _, n := range l.texts() {
				n.insert(good.text(r, 700)+"\n\n", false)
				n.insert("\n\n"+good.text(r, 700), true)
			}
		}),
	}
}

func goodSubject(l *letter, r *rand.Rand, good *Good) {
	l.setSubject(good.Subjects[r.IntN(len(good.Subjects))])
}

// goodSender is a sender like those of ordinary mail: a person at a firm.
func goodSender(l *letter, r *rand.Rand, _ *Good) {
	given := []string{"Anna", "Thomas", "Julia", "Peter", "Laura", "Martin", "Claire", "David", "Sofia", "Daniel"}
	family := []string{"Weiss", "Keller", "Martin", "Novak", "Larsen", "Brown", "Rossi", "Meyer", "Dubois", "Clark"}
	domains := []string{"boatworks.example.org", "kellerundpartner.example", "northlab.example.net", "city-library.example.org", "hydrosys.example.com"}
	g, f, d := given[r.IntN(len(given))], family[r.IntN(len(family))], domains[r.IntN(len(domains))]
	address := strings.ToLower(g + "." + f + "@" + d)
	// Answers must still reach the spammer if answers are what he lives on.
	if _, own := l.sender(); l.get("Reply-To") == "" && l.link() == "" && strings.Contains(own, "@") {
		l.set("Reply-To", own)
	}
	l.set("From", g+" "+f+" <"+address+">")
	l.drop("Sender")
	if l.get("Return-Path") != "" {
		l.set("Return-Path", "<"+address+">")
	}
	l.set("Message-ID", fmt.Sprintf("<%08x.%06x@%s>", r.Uint32(), r.IntN(1<<24), d))
}

func threading(l *letter, r *rand.Rand, _ *Good) {
	_, address := l.sender()
	_, domain, _ := strings.Cut(address, "@")
	if domain == "" {
		domain = "example.net"
	}
	id := func(d string) string { return fmt.Sprintf("<%08x.%04x@%s>", r.Uint32(), r.IntN(1<<16), d) }
	first, last := id(domain), id("example.com")
	l.set("In-Reply-To", last)
	l.set("References", first+"\r\n\t"+last)
	if s := l.get("Subject"); !strings.HasPrefix(strings.ToLower(s), "re:") {
		l.setSubject("Re: " + s)
	}
}

func mailingList(l *letter, _ *rand.Rand, _ *Good) {
	l.drop("List-Id", "List-Unsubscribe", "List-Post", "List-Help", "List-Subscribe", "List-Archive", "Precedence", "X-Mailman-Version", "X-BeenThere")
	for _, f := range []field{
		{"X-BeenThere", "members@lists.example.org"},
		{"X-Mailman-Version", "2.1.39"},
		{"Precedence", "list"},
		{"List-Id", "Members of the association <members.lists.example.org>"},
		{"List-Unsubscribe", "<https://lists.example.org/options/members>,\r\n\t<mailto:members-request@lists.example.org?subject=unsubscribe>"},
		{"List-Archive", "<https://lists.example.org/archive/members/>"},
		{"List-Post", "<mailto:members@lists.example.org>"},
		{"List-Help", "<mailto:members-request@lists.example.org?subject=help>"},
		{"Errors-To", "members-bounces@lists.example.org"},
		{"Sender", "members-bounces@lists.example.org"},
	} {
		l.set(f.name, f.value)
	}
}
