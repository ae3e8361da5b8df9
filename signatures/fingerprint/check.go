package fingerprint

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"spamcatcher/engine"
)

// A Lookup asks DNS for the IPv4 addresses of a name. It returns nil and no
// error if there is no such name or it has none, and an error for everything
// else; it returns soon after ctx ends.
type Lookup func(ctx context.Context, name string) ([]netip.Addr, error)

// Config says which network is asked.
type Config struct {
	Zone    string // at most MaxZone characters
	Lookup  Lookup
	Timeout time.Duration // for all queries of a mail, which run side by side: 3 s
}

// A Check asks the network about the fingerprints of mails: at most six DNS
// queries a mail.
type Check struct{ c Config }

// New returns the check. It asks nothing before its first mail.
func New(c Config) (*Check, error) {
	c.Zone = strings.ToLower(strings.Trim(c.Zone, "."))
	if c.Zone == "" || len(c.Zone) > MaxZone || strings.ContainsAny(c.Zone, " \t\\/@\"") || strings.Contains(c.Zone, "..") {
		return nil, fmt.Errorf("fingerprints: %q is not the name of a zone of at most %d characters", c.Zone, MaxZone)
	}
	if c.Lookup == nil {
		return nil, errors.New("fingerprints: nobody to ask")
	}
	if c.Timeout <= 0 {
		c.Timeout = 3 * time.Second
	}
	return &Check{c}, nil
}

// Name is "fingerprints".
func (*Check) Name() string { return "fingerprints" }

const (
	textSymbol       = "FINGERPRINT_TEXT"
	fuzzySymbol      = "FINGERPRINT_FUZZY"
	attachmentSymbol = "FINGERPRINT_ATTACHMENT"
	linksSymbol      = "FINGERPRINT_LINKS"
	goodSymbol       = "FINGERPRINT_GOOD"
	unansweredSymbol = "FINGERPRINT_UNANSWERED"
)

// Symbols lists what may be found.
func (*Check) Symbols() []engine.Symbol {
	return []engine.Symbol{
		{Name: textSymbol, Description: "Others have reported exactly this text as spam"},
		{Name: fuzzySymbol, Description: "Others have reported a text much like this one as spam"},
		{Name: attachmentSymbol, Description: "Others have reported this attachment as spam"},
		{Name: linksSymbol, Description: "Others have reported mail with links of this shape as spam"},
		{Name: goodSymbol, Description: "Others have reported this text, or one much like it, as wanted"},
		{Name: unansweredSymbol, Description: "The fingerprint network did not answer everything"},
	}
}

// Prices are those of a report by many; few reporters and less likeness give
// less, see strength.
func (*Check) Prices() map[string]float64 {
	return map[string]float64{
		textSymbol:       4 * engine.Point,
		fuzzySymbol:      3.5 * engine.Point,
		attachmentSymbol: 4 * engine.Point,
		linksSymbol:      2.5 * engine.Point,
		goodSymbol:       -1.5 * engine.Point,
		unansweredSymbol: 0,
	}
}

// errAnswer is an answer that no server of this kind gives: somebody on the
// way answers every question, or the zone belongs to somebody else.
var errAnswer = errors.New("not the answer of a fingerprint server")

// Inspect asks about all fingerprints side by side. A question that panics is
// unanswered, and an error beside what the others found.
func (c *Check) Inspect(ctx context.Context, m *engine.Mail) ([]engine.Hit, error) {
	prints := outside(Of(m.Message), m.Envelope.To)
	if len(prints) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.c.Timeout)
	defer cancel()
	said := make([]answer, len(prints))
	failed := make([]error, len(prints))
	var asking sync.WaitGroup
	panicked := make([]error, len(prints))
	for i, p := range prints {
		asking.Go(func() {
			defer func() { // the engine's own does not reach here
				if r := recover(); r != nil {
					panicked[i] = fmt.Errorf("asking about a fingerprint panicked: %v", r)
					failed[i] = panicked[i]
				}
			}()
			said[i], failed[i] = c.ask(ctx, m.Answers, p)
		})
	}
	asking.Wait()
	return hits(prints, said, failed), errors.Join(panicked...)
}

// outside leaves out links into the recipients' own domains, by the envelope:
// what lies in their network is nobody else's business, and the header can name
// anybody.
func outside(prints []Print, recipients []string) []Print {
	own := map[string]bool{}
	for _, to := range recipients[:min(len(recipients), 100)] {
		if at := strings.LastIndexByte(to, '@'); at >= 0 {
			own[registered(strings.ToLower(to[at+1:]))] = true
		}
	}
	return slices.DeleteFunc(prints, func(p Print) bool {
		host, _, _ := strings.Cut(p.Of, "/")
		host, _, _ = strings.Cut(host, "?")
		return p.Kind == Link && own[registered(host)]
	})
}

// ask asks about one fingerprint. The question in the mail's records is the
// zone and the fingerprint's short name.
func (c *Check) ask(ctx context.Context, answers *engine.Answers, p Print) (answer, error) {
	text, err := answers.Ask(c.c.Zone+" "+p.Short(), func() (string, error) {
		list, err := c.c.Lookup(ctx, p.Name(c.c.Zone))
		if err != nil {
			return "", err
		}
		words := make([]string, 0, 4)
		for _, a := range list[:min(len(list), 4)] {
			words = append(words, a.String())
		}
		return strings.Join(words, " "), nil
	})
	if err != nil || text == "" {
		return answer{}, err
	}
	address, _, _ := strings.Cut(text, " ")
	return readAddress(address, p.Kind)
}

// readAddress reads what answer.address wrote.
func readAddress(text string, kind Kind) (a answer, err error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || !addr.Unmap().Is4() {
		return a, errAnswer
	}
	b := addr.Unmap().As4()
	a.class, a.level = int(b[2]), int(b[3]&15)
	if b[0] != 127 || b[1] != 0 || a.class != classSpam && a.class != classHam || a.level == 0 || kind != Fuzzy && b[3] > 15 {
		return answer{}, errAnswer
	}
	if kind == Fuzzy {
		a.common = int(b[3] >> 4) // of 15
	}
	return a, nil
}

// strength is the share of a symbol's price: of level 1 (few reporters) 0.6,
// a tenth more for each doubling, at most 1.2. A text that is just alike
// enough counts two thirds of what a nearly equal one does, the shape of a
// single link three fifths of that of all, a picture a third of another file.
func strength(p Print, a answer) float64 {
	s := min(0.5+0.1*float64(a.level), 1.2)
	switch p.Kind {
	case Fuzzy:
		s *= float64(30+a.common) / 45
	case Link:
		s *= 0.6
	case Picture:
		s /= 3
	}
	return s
}

var symbolOf = map[Kind]string{Text: textSymbol, Fuzzy: fuzzySymbol, Attachment: attachmentSymbol, Picture: attachmentSymbol, Links: linksSymbol, Link: linksSymbol}

// hits turns answers into at most one hit of each symbol, the strongest. A
// text that is known exactly is not counted as alike once more. Only texts can
// speak for a mail, and only if nothing speaks against it: files and links of
// good mail are easily borrowed.
func hits(prints []Print, said []answer, failed []error) (list []engine.Hit) {
	best := map[string]engine.Hit{}
	unanswered := 0
	for i, p := range prints {
		a, symbol := said[i], symbolOf[p.Kind]
		switch {
		case failed[i] != nil:
			unanswered++
			continue
		case a.class == 0:
			continue
		case a.class == classHam:
			if p.Kind != Text && p.Kind != Fuzzy {
				continue
			}
			symbol = goodSymbol
		}
		h := engine.Hit{Symbol: symbol, Strength: strength(p, a), Detail: detail(p, a)}
		if h.Strength > best[symbol].Strength {
			best[symbol] = h
		}
	}
	if _, exact := best[textSymbol]; exact {
		delete(best, fuzzySymbol)
	}
	for _, symbol := range []string{textSymbol, fuzzySymbol, attachmentSymbol, linksSymbol} {
		if h, ok := best[symbol]; ok {
			list = append(list, h)
		}
	}
	if h, ok := best[goodSymbol]; ok && len(list) == 0 {
		list = append(list, h)
	}
	if unanswered > 0 {
		list = append(list, engine.Hit{Symbol: unansweredSymbol, Detail: fmt.Sprintf("%d of %d", unanswered, len(prints))})
	}
	return list
}

func detail(p Print, a answer) string {
	text := fmt.Sprintf("level %d", a.level)
	if p.Kind == Fuzzy {
		text += fmt.Sprintf(", likeness %d of 15", a.common)
	}
	if p.Of != "" && p.Kind != Text && p.Kind != Fuzzy {
		of := strings.ReplaceAll(p.Of, "\n", " ")
		text += ": " + strings.ToValidUTF8(of[:min(len(of), 100)], "")
	}
	return text
}

// Test asks the network whether it lives: its test entry must be listed, and a
// fingerprint that no message has must not be.
func (c *Check) Test(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.c.Timeout)
	defer cancel()
	list, err := c.c.Lookup(ctx, testLabels[0]+"."+c.c.Zone)
	if err != nil {
		return fmt.Errorf("asking %s for its test entry: %w", c.c.Zone, err)
	}
	if len(list) != 1 || list[0].Unmap() != netip.AddrFrom4([4]byte{127, 0, 0, 2}) {
		return fmt.Errorf("%s: the test entry is %v, not 127.0.0.2", c.c.Zone, list)
	}
	if list, err = c.c.Lookup(ctx, Print{Kind: Text}.Name(c.c.Zone)); err != nil {
		return fmt.Errorf("asking %s for what nobody reports: %w", c.c.Zone, err)
	}
	if len(list) != 0 {
		return fmt.Errorf("%s lists everything: %v for a fingerprint that no message has", c.c.Zone, list)
	}
	return nil
}
