package archive

import (
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// unreadable knows containers that nothing here opens, so that they are marked
// instead of passed over.
type unreadable struct{}

// unreadables are what containers begin with.
var unreadables = [...]struct {
	at          int
	magic, name string
}{
	{7, "**ACE**", "ace"},
	{0, "MSWIM\x00\x00\x00", "wim"},
	{0, "ITSF\x03\x00\x00\x00", "chm"},
	{20, "\xdc\xa7\xc4\xfd", "zoo"},
	{0, "SIT!", "stuffit"},
	{0, "StuffIt (c)1997", "stuffit"},
	{0, "ALZ\x01", "alz"},
	{0, "EGGA\x00\x01", "egg"},
	{0, "ISc(", "installshield"},
	{0, "hsqs", "squashfs"},
	{0, "xar!\x00\x1c", "xar"},
	{0, "LRZI\x00", "lrzip"},
	{0, "Rar!\x1a\x08", "rar"},
	{0, "RE~^", "rar 1.4"},
	{0, "PA30", "msdelta"},
	{0, "KWAJ\x88\xf0\x27\xd1", "kwaj"},
}

func (unreadable) Name() string { return "unreadable" }

func (unreadable) Reads(f *format.File) bool { return unreadableName(f.Data) != "" }

func unreadableName(b []byte) string {
	if len(b) < 64 {
		return ""
	}
	for i := range unreadables {
		u := &unreadables[i]
		if b[u.at] == u.magic[0] && string(b[u.at:u.at+len(u.magic)]) == u.magic {
			return u.name
		}
	}
	if len(b) > 512 && strings.HasPrefix(string(b[len(b)-512:len(b)-508]), "koly") {
		return "dmg"
	}
	return ""
}

func (unreadable) Open(j *format.Job, f *format.File) error {
	j.Mark(f, format.Unreadable, unreadableName(f.Data))
	return nil
}
