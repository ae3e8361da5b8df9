//go:build race

package rules_test

// underRace: everything takes about ten times as long.
const underRace = true
