package clamav

import "fmt"

const (
	targetAny  = 0
	targetPE   = 1
	targetHTML = 3
	targetELF  = 6
	targetText = 7
)

// targets are the conditions for ClamAV's target types, over the external
// variables that every rule has, or the first bytes where those say more.
var targets = map[int]string{
	targetAny:  "",
	targetPE:   "uint16(0) == 0x5a4d and uint32(uint32(0x3c)) == 0x4550",
	2:          `(uint32be(0) == 0xd0cf11e0 or kind == "macro" or kind == "stream")`,
	targetHTML: `(filetype == "text/html" or content_type startswith "text/html" or kind == "script")`,
	4:          `(kind == "mail" or filetype == "message/rfc822")`,
	5:          `filetype startswith "image/"`,
	targetELF:  "uint32be(0) == 0x7f454c46",
	targetText: `(kind != "mail" and (filetype == "" or filetype startswith "text/" or kind == "script" or kind == "macro"))`,
	9:          "(uint32(0) == 0xfeedface or uint32(0) == 0xfeedfacf or uint32be(0) == 0xfeedface or uint32be(0) == 0xfeedfacf or uint32be(0) == 0xcafebabe)",
	10:         `filetype == "application/pdf"`,
	11:         `filetype == "application/x-shockwave-flash"`,
	12:         "uint32be(0) == 0xcafebabe",
}

// guard is the condition that a file is of the target type, "" for any.
func guard(target int) (string, error) {
	condition, ok := targets[target]
	if !ok {
		return "", skip(fmt.Sprintf("target type %d", target))
	}
	return condition, nil
}

// normal are the modifiers of a signature for normalised files.
func normal(target int) modifiers {
	if target == targetHTML || target == targetText {
		return modifiers{nocase: true, loose: true}
	}
	return modifiers{}
}
