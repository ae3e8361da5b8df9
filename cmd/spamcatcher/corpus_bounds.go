package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"

	"spamcatcher/engine"
)

// Bounds of a price that no line of a bounds file speaks of, in points: 5
// points are a score of 50, so no finding condemns a message alone; and what
// speaks for a message can be put there by its sender.
const (
	mostPoints  = 4.4
	leastPoints = -1.5
)

// A bound holds the prices of some symbols within limits, in points.
type bound struct {
	Symbols []string // names or globs
	Min     *float64
	Max     *float64
	Why     string
}

// bounds are the limits of a fit.
type bounds struct {
	bias *bound
	list []bound
}

// loadBounds reads a file of [[bound]] tables; "" is no file.
func loadBounds(file string) (bounds, error) {
	if file == "" {
		return bounds{}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return bounds{}, usageError{fmt.Errorf("reading bounds: %w", err)}
	}
	var doc struct {
		Bias  *bound
		Bound []bound
	}
	meta, err := toml.Decode(string(text), &doc)
	if err != nil {
		return bounds{}, usageError{fmt.Errorf("%s: %w", file, err)}
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return bounds{}, usageError{fmt.Errorf("%s: unknown key %q", file, unknown[0])}
	}
	all := doc.Bound
	if doc.Bias != nil {
		all = append(slices.Clone(all), *doc.Bias)
	}
	for i, b := range all {
		fail := func(format string, args ...any) error {
			return usageError{fmt.Errorf("%s: bound %d %q: %s", file, i+1, b.Symbols, fmt.Sprintf(format, args...))}
		}
		switch {
		case b.Why == "":
			return bounds{}, fail("it says not why")
		case b.Min == nil && b.Max == nil:
			return bounds{}, fail("neither min nor max")
		case b.Min != nil && math.IsNaN(*b.Min) || b.Max != nil && math.IsNaN(*b.Max) || b.Min != nil && b.Max != nil && *b.Min > *b.Max:
			return bounds{}, fail("min is above max, or no number")
		case len(b.Symbols) == 0 && i < len(doc.Bound):
			return bounds{}, fail("no symbols")
		}
		for _, glob := range b.Symbols {
			if _, err := filepath.Match(glob, ""); err != nil {
				return bounds{}, fail("%q: %v", glob, err)
			}
		}
	}
	return bounds{doc.Bias, doc.Bound}, nil
}

// of returns the limits of a symbol's price in points. Every line that names
// the symbol holds; a price keeps the sign that judgement gave it, since a
// rule that says "spam" and is rare on the spam at hand must not become a way
// to buy a lower score. A line may ask for more than the usual limits only
// where it names the symbol itself, not by a glob.
func (b bounds) of(symbol string, prior float64) (low, high float64, err error) {
	low, high = leastPoints, mostPoints
	if prior >= 0 {
		low = 0
	} else {
		high = 0
	}
	for _, line := range b.list {
		for _, glob := range line.Symbols {
			if ok, _ := filepath.Match(glob, symbol); !ok { // a bad pattern was refused
				continue
			}
			if line.Min != nil && (*line.Min > low || glob == symbol) {
				low = *line.Min
			}
			if line.Max != nil && (*line.Max < high || glob == symbol) {
				high = *line.Max
			}
			break
		}
	}
	if low > high {
		return 0, 0, usageError{fmt.Errorf("the bounds of %s contradict each other: %v to %v", symbol, low, high)}
	}
	return low, high, nil
}

// ofBias returns the limits of the bias in points; without a line it stays
// where it is.
func (b bounds) ofBias() (low, high float64) {
	low, high = engine.DefaultBias/engine.Point, engine.DefaultBias/engine.Point
	if b.bias != nil && b.bias.Min != nil {
		low = *b.bias.Min
	}
	if b.bias != nil && b.bias.Max != nil {
		high = *b.bias.Max
	}
	return min(low, high), max(low, high)
}
