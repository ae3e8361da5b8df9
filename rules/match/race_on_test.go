//go:build race

package match

// underRace: the race detector is at work.
const underRace = true
