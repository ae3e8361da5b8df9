// Package picture turns pictures into the links that are drawn in them as codes.
package picture

import "spamcatcher/signatures/unpack/format"

// Formats are those that this package reads, in the order in which they are tried.
func Formats() []format.Format { return []format.Format{image{}, drawn{}} }
