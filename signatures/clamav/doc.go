// Package clamav turns ClamAV's signature files into a table of hashes and into
// YARA rules, and counts what cannot be translated.
//
// Hashes (.hdb .hdu .hsb .hsu) are looked up by Set.Match; .fp and .sfp name files
// that are exempt, .ign and .ign2 signatures that are left out. Body signatures
// (.ndb .ndu .ldb .ldu) become the text of YARA 4.2 rules. Three things differ from
// ClamAV, and are counted as approximations:
//
//   - Signatures for HTML and plain text are written against a normalised copy of
//     the file: lower case, runs of white space made one space, comments and
//     entities gone. The rules here run over the file itself, ignoring case, with
//     any white space for a space; comments and entities are not undone.
//   - In a signature that becomes a regular expression (one that ignores case and
//     has wildcards) an unlimited gap reaches 32,767 bytes.
//   - A Perl regular expression reaches 4,096 bytes from what libyara searches it by.
//
// Beside these, a signature for files of any type is searched for in a text file as
// it is; ClamAV searches its normalised copy too. Pieces of fewer than six bytes,
// which ClamAV passes over, are not.
//
// The other files of ClamAV's databases are counted by their reason.
package clamav
