// Package yara turns YARA rules into one compiled set, and bytes into the rules
// that match them. Without cgo it says that it is unavailable.
package yara
