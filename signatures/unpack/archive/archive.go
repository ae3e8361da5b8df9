// Package archive turns archives and compressed files into their members.
package archive

import "spamcatcher/signatures/unpack/format"

// Formats are those that this package reads, in the order in which they are tried.
func Formats() []format.Format {
	list := []format.Format{zipFormat{}, tarFormat{}, sevenZip{}, rar{}, cab{}, tnef{}, iso{}, lha{}, arj{}, disk{}, cpio{}, ar{}, rpm{}, binhex{}, szdd{}, cms{}, card{}, macintosh{}, unreadable{}}
	return append(append(list, streams()...), zipGuest{})
}
