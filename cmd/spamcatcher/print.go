package main

import (
	"maps"
	"slices"
	"strings"
	"unicode"
)

// printable makes text from a message safe for a terminal: what cannot be
// printed is written as a question mark.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "?"))
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
