package native

import "strings"

// Nearest returns the key that a mistyped word was probably meant to be: the
// one at the least edit distance, "" when none is near.
func Nearest(word string, keys []string) string {
	best, at := "", 1+len(word)/2
	for _, key := range keys {
		if n := distance(strings.ToLower(word), key); n < at {
			best, at = key, n
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace to make one
// word of the other (Levenshtein 1965).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
