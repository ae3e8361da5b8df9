package policy

import (
	"context"
	"maps"
	"slices"

	"spamcatcher/engine"
	"spamcatcher/gateway/dnslist"
)

// The symbols of the gate's own tests.
const (
	symbolPTRMissing     = "PTR_MISSING"
	symbolPTRUnconfirmed = "PTR_UNCONFIRMED"
	symbolSenderMissing  = "SENDER_DOMAIN_MISSING"
	symbolSenderNullMX   = "SENDER_NULL_MX"
	symbolSenderLiteral  = "SENDER_LITERAL"
	symbolGreylistNew    = "GREYLIST_NEW"
	symbolUnanswered     = "DNS_UNANSWERED"
)

// gateSymbols are the symbols with their prices in points.
var gateSymbols = []struct {
	engine.Symbol
	points float64
}{
	{engine.Symbol{Name: symbolPTRMissing, Description: "the client's address has no host name"}, 1.5},
	{engine.Symbol{Name: symbolPTRUnconfirmed, Description: "the client's host name does not have its address"}, 0.5},
	{engine.Symbol{Name: symbolSenderMissing, Description: "the sender's domain does not exist"}, 3},
	{engine.Symbol{Name: symbolSenderNullMX, Description: "the sender's domain says that it takes no mail"}, 1.5},
	{engine.Symbol{Name: symbolSenderLiteral, Description: "the sender's domain is an address"}, 0.5},
	{engine.Symbol{Name: symbolGreylistNew, Description: "the sender has not written to the recipient lately, and was not made to wait"}, 0.2},
	{engine.Symbol{Name: symbolUnanswered, Description: "tests of the connection were left out, because nobody could tell"}, 0},
}

// A Found is the engine's view of the gate: a check that reports what was found
// before the message came. It asks nobody.
type Found struct {
	symbols []engine.Symbol
	prices  map[string]float64
}

// NewCheck makes the check named "policy". The lists are those that clients are
// looked up in; nil for none.
func NewCheck(lists *dnslist.Set) *Found {
	f := &Found{prices: map[string]float64{}}
	for _, s := range gateSymbols {
		f.symbols = append(f.symbols, s.Symbol)
		f.prices[s.Name] = s.points * engine.Point
	}
	if lists != nil {
		for _, s := range lists.Symbols(dnslist.Clients) {
			f.symbols = append(f.symbols, engine.Symbol{Name: s.Name, Description: s.Description})
			f.prices[s.Name] = s.Points * engine.Point
		}
	}
	return f
}

// Name is "policy".
func (f *Found) Name() string { return "policy" }

// Symbols are those of the tests and of the lists.
func (f *Found) Symbols() []engine.Symbol { return slices.Clone(f.symbols) }

// Prices are the symbols' prices in log-odds.
func (f *Found) Prices() map[string]float64 { return maps.Clone(f.prices) }

// Inspect returns what was found, except what another plan's lists found: a
// symbol that is not declared any more, after a reload in between.
func (f *Found) Inspect(_ context.Context, m *engine.Mail) ([]engine.Hit, error) {
	var hits []engine.Hit
	for _, h := range m.Found {
		if _, ok := f.prices[h.Symbol]; ok {
			hits = append(hits, h)
		}
	}
	return hits, nil
}
