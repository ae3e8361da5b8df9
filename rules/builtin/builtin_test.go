package builtin

import (
	"errors"
	"slices"
	"testing"

	"spamcatcher/rules"
)

// compiled returns the embedded set. Faults in its files fail the test, each
// with its place; the rules without fault are tested all the same.
func compiled(t testing.TB) *rules.Ruleset {
	t.Helper()
	list, err := Rules()
	if err != nil {
		t.Errorf("loading the embedded rules:\n%v", err)
	}
	for range 20 {
		rs, err := rules.Compile(list)
		if err == nil {
			return rs
		}
		t.Errorf("compiling the embedded rules:\n%v", err)
		list = without(list, err)
	}
	t.Fatal("giving up")
	return nil
}

// without leaves out the rules that an error of Compile names.
func without(list []rules.Rule, err error) []rules.Rule {
	faults := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		faults = joined.Unwrap()
	}
	return slices.DeleteFunc(list, func(r rules.Rule) bool {
		for _, f := range faults {
			var e *rules.Error
			if errors.As(f, &e) && e.File == r.File && (e.Line == r.Line || e.Line == r.At.Line) {
				return true
			}
		}
		return false
	})
}

func TestSamples(t *testing.T) {
	rs := compiled(t)
	for _, f := range rs.Test() {
		t.Error(f)
	}
	r := rs.Report()
	t.Logf("%d symbols, %d terms, %d samples; by kind %v", r.Symbols, r.Terms, r.Samples, r.Kinds)
	t.Logf("patterns without literal: %v", r.Literalless)
	if r.Symbols < 150 {
		t.Errorf("%d symbols; at least 150 are promised", r.Symbols)
	}
	if r.Samples < 2*r.Symbols {
		t.Errorf("%d samples for %d symbols", r.Samples, r.Symbols)
	}
}

func TestDescriptionsDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, s := range compiled(t).Symbols() {
		if other, twice := seen[s.Description]; twice {
			t.Errorf("%s and %s have the same description %q", other, s.Name, s.Description)
		}
		seen[s.Description] = s.Name
	}
	if len(seen) < 150 {
		t.Errorf("only %d descriptions", len(seen))
	}
}
