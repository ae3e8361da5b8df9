// Package archive turns archives and compressed files into their members.
package archive

import "spamcatcher/signatures/unpack/format"

// Formats are those that this package reads, in the order in which they are tried.
func Formats() []format.Format { return nil }
