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

// printableLines is printable for text of several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = printable(strings.TrimPrefix(line, "\t"))
	}
	return strings.Join(lines, "\n")
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
