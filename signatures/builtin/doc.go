// Package builtin turns the signature files embedded in the binary into sources
// for the compiler of signatures/yara.
package builtin
