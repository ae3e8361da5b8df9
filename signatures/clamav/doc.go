// Package clamav turns ClamAV's signature files into a table of hashes and into
// YARA rules, and counts what cannot be translated.
package clamav
