// Package builtin turns the rule files embedded in the binary into rules.
package builtin

import (
	"embed"

	"spamcatcher/rules"
	"spamcatcher/rules/native"
)

//go:embed *.toml
var files embed.FS

// Rules returns the rules of the embedded set, in the order of file names.
func Rules() ([]rules.Rule, error) { return native.Load(files, "*.toml") }
