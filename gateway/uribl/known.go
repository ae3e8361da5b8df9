package uribl

import (
	_ "embed"
	"strings"
)

//go:embed known.txt
var knownText string

// wellKnown returns the registered domains that no list is asked about: they
// stand in mail of every kind, no list that deserves its name has them, and
// asking would only spend the questions of a mail and the patience of lists.
func wellKnown() map[string]bool {
	known := map[string]bool{}
	for line := range strings.Lines(knownText) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			for name := range strings.FieldsSeq(line) {
				known[name] = true
			}
		}
	}
	return known
}
