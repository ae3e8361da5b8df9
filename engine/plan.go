package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// A PlanConfig says what a plan is made of.
type PlanConfig struct {
	// First are the checks that answer first and always, one after another
	// and whatever the deadline: the rules. They must take time linear in
	// the message.
	First []Check
	// Checks run side by side under the deadline.
	Checks []Check
	// Opener names the one of Checks that opens attachments and tells Mail.Inside
	// what it found; "" for none.
	Opener string
	// Combiners run after all checks, each seeing the hits of those before.
	Combiners []Combiner
	// Prices are the symbols' prices in log-odds (natural logarithm). A
	// symbol without one is reported with a share of 0.
	Prices map[string]float64
	// Bias is the log-odds of a mail without hits. 0 means DefaultBias.
	Bias float64
	// Digest names the data behind the checks (rule set, model), so that
	// two plans with the same prices and other rules have other ids.
	Digest string
}

// A Plan is what a mail is judged by. It is immutable.
type Plan struct {
	id        string
	first     []Check
	checks    []Check
	opener    int // index in checks, -1 for none
	combiners []Combiner
	bias      float64
	symbols   map[string]pricedSymbol
}

type pricedSymbol struct {
	Symbol
	price float64
	owner string // name of the check or combiner that declares it
}

// NewPlan validates c as a whole: a check named twice, a symbol declared
// twice, a price for a symbol that nobody declares, or a price that is not a
// finite number is an error.
func NewPlan(c PlanConfig) (*Plan, error) {
	p := &Plan{
		first:     slices.Clone(c.First),
		checks:    slices.Clone(c.Checks),
		opener:    slices.IndexFunc(c.Checks, func(x Check) bool { return c.Opener != "" && x.Name() == c.Opener }),
		combiners: slices.Clone(c.Combiners),
		bias:      c.Bias,
		symbols:   map[string]pricedSymbol{},
	}
	if p.bias == 0 {
		p.bias = DefaultBias
	}
	if math.IsNaN(p.bias) || math.IsInf(p.bias, 0) {
		return nil, fmt.Errorf("plan: bias %v is not a finite number", c.Bias)
	}
	if c.Opener != "" && p.opener < 0 {
		return nil, fmt.Errorf("plan: the opener %q is none of the checks", c.Opener)
	}
	names := map[string]bool{}
	for _, check := range slices.Concat(p.first, p.checks) {
		if names[check.Name()] {
			return nil, fmt.Errorf("plan: two checks are named %q", check.Name())
		}
		names[check.Name()] = true
		if err := p.declare(check.Name(), check.Symbols()); err != nil {
			return nil, err
		}
	}
	for _, combiner := range p.combiners {
		// One value may be both a check and a combiner; then its Symbols
		// are declared once.
		if names[combiner.Name()] {
			continue
		}
		names[combiner.Name()] = true
		if err := p.declare(combiner.Name(), combiner.Symbols()); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Prices)) {
		s, ok := p.symbols[name]
		if !ok {
			return nil, fmt.Errorf("plan: symbol %q has a price, but no check declares it", name)
		}
		price := c.Prices[name]
		if math.IsNaN(price) || math.IsInf(price, 0) {
			return nil, fmt.Errorf("plan: the price of symbol %q, %v, is not a finite number", name, price)
		}
		s.price = price
		p.symbols[name] = s
	}
	p.id = p.fingerprint(c.Digest)
	return p, nil
}

func (p *Plan) declare(owner string, symbols []Symbol) error {
	for _, s := range symbols {
		if s.Name == "" {
			return fmt.Errorf("plan: check %q declares a symbol without a name", owner)
		}
		if other, ok := p.symbols[s.Name]; ok {
			return fmt.Errorf("plan: symbol %q is declared by %q and by %q", s.Name, other.owner, owner)
		}
		p.symbols[s.Name] = pricedSymbol{Symbol: s, owner: owner}
	}
	return nil
}

func (p *Plan) fingerprint(digest string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n%s\n", digest, strconv.FormatFloat(p.bias, 'x', -1, 64))
	for _, c := range p.first {
		fmt.Fprintf(h, "first %q\n", c.Name())
	}
	for _, c := range p.checks {
		fmt.Fprintf(h, "check %q\n", c.Name())
	}
	for _, c := range p.combiners {
		fmt.Fprintf(h, "combine %q\n", c.Name())
	}
	for _, name := range slices.Sorted(maps.Keys(p.symbols)) {
		s := p.symbols[name]
		fmt.Fprintf(h, "%q %s %t\n", name, strconv.FormatFloat(s.price, 'x', -1, 64), s.Malware)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// ID identifies the plan: equal ids mean equal checks, prices, bias and digest.
func (p *Plan) ID() string { return p.id }

// Symbols returns every symbol with its price in log-odds, sorted by name.
func (p *Plan) Symbols() []Scored {
	list := make([]Scored, 0, len(p.symbols))
	for _, name := range slices.Sorted(maps.Keys(p.symbols)) {
		s := p.symbols[name]
		list = append(list, Scored{Name: name, Share: s.price, Description: s.Description})
	}
	return list
}
