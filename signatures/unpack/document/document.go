// Package document turns documents into what is hidden in them: macros, scripts,
// objects, streams and links.
package document

import "spamcatcher/signatures/unpack/format"

// Formats are those that this package reads, in the order in which they are tried.
func Formats() []format.Format {
	return []format.Format{
		ole{}, rtf{}, officeXML{}, binarySheet{}, activeMime{}, sheetText{}, addIn{},
		pdfFormat{}, htmlFormat{}, encodedFormat{}, noteFormat{}, linkFormat{}, addressFormat{}, archiveFormat{},
	}
}
