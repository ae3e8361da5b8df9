package engine

import "context"

// A Check inspects a mail and reports the symbols that it found. It never
// scores and never decides. It must be safe for any number of goroutines.
type Check interface {
	// Name is one lower-case word, unique in a plan.
	Name() string
	// Symbols lists every symbol that Inspect may report.
	Symbols() []Symbol
	// Inspect returns what was found. It must return soon after ctx ends.
	// Hits returned beside an error count; the error becomes a Fault.
	Inspect(ctx context.Context, m *Mail) ([]Hit, error)
}

// A Combiner derives hits from hits: what several findings mean together.
type Combiner interface {
	Name() string
	Symbols() []Symbol
	// Combine is given all hits so far, in plan order, and returns the new
	// ones. It must not change the slice it is given.
	Combine(m *Mail, hits []Hit) []Hit
}

// A Symbol is the name of a finding, written ASPECT_FINDING. Once released it
// never changes its meaning.
type Symbol struct {
	Name        string
	Description string
	// Malware says that a hit makes the score 100 whatever else was found;
	// the hit's Detail then names the signature.
	Malware bool
}

// A Hit is one symbol found in one mail.
type Hit struct {
	Symbol string
	// Detail is what was found: the matched text, a name, a number. It comes
	// from the mail: whoever prints it must treat it as hostile.
	Detail string
	// Strength multiplies the symbol's price. 0 means 1, so that checks
	// which only say yes or no need not set it.
	Strength float64
}
