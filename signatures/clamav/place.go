package clamav

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// A place says where in a file a pattern is to be. Its zero value is anywhere.
type place struct {
	base   string // a YARA expression, "" for anywhere
	until  string // the last offset, "" for base alone
	module string // that the expressions need
}

var section = regexp.MustCompile(`^S(\d{1,3}|L)\+(\d+)$`)

// parsePlace reads an offset: * n EOF-n EP+n EP-n Sx+n SL+n SEx, all but the first
// and last with a comma and how much farther a match may be.
func parsePlace(text string, target int) (place, error) {
	if text == "*" {
		return place{}, nil
	}
	base, shift, floating := strings.Cut(text, ",")
	var out place
	executable := func() error {
		switch {
		case target == targetPE:
			out.module = "pe"
		case target == targetELF && strings.HasPrefix(base, "EP"):
			out.module = "elf"
		default:
			return skip("offset in a program that is not PE")
		}
		return nil
	}
	switch {
	case base == "":
		return place{}, fmt.Errorf("empty offset")
	case base[0] >= '0' && base[0] <= '9':
		n, err := number(base)
		if err != nil {
			return place{}, err
		}
		out.base = strconv.Itoa(n)
	case strings.HasPrefix(base, "EOF-"):
		n, err := number(base[4:])
		if err != nil {
			return place{}, err
		}
		out.base = fmt.Sprintf("filesize - %d", n)
	case strings.HasPrefix(base, "EP+"), strings.HasPrefix(base, "EP-"):
		n, err := number(base[3:])
		if err != nil {
			return place{}, err
		}
		if err := executable(); err != nil {
			return place{}, err
		}
		out.base = fmt.Sprintf("%s.entry_point %c %d", out.module, base[2], n)
	case strings.HasPrefix(base, "SE"):
		x, err := number(base[2:])
		if err != nil {
			return place{}, err
		}
		if err := executable(); err != nil {
			return place{}, err
		}
		out.base = fmt.Sprintf("pe.sections[%d].raw_data_offset", x)
		out.until = fmt.Sprintf("%s + pe.sections[%d].raw_data_size", out.base, x)
		floating = false
	case section.MatchString(base):
		m := section.FindStringSubmatch(base)
		n, err := number(m[2])
		if err != nil {
			return place{}, err
		}
		if err := executable(); err != nil {
			return place{}, err
		}
		if m[1] == "L" {
			m[1] = "pe.number_of_sections - 1"
		}
		out.base = fmt.Sprintf("pe.sections[%s].raw_data_offset + %d", m[1], n)
	case base == "VI":
		return place{}, skip("version information of a program")
	case base[0] == '$':
		return place{}, skip("macro group")
	default:
		return place{}, fmt.Errorf("unknown offset %.40q", text)
	}
	if floating {
		n, err := number(shift)
		if err != nil {
			return place{}, err
		}
		if n > 0 {
			out.until = fmt.Sprintf("%s + %d", out.base, n)
		}
	}
	return out, nil
}

// matched is the condition that a string is there.
func (p place) matched(name string) string {
	switch {
	case p.base == "":
		return "$" + name
	case p.until == "":
		return fmt.Sprintf("$%s at %s", name, p.base)
	}
	return fmt.Sprintf("$%s in (%s..%s)", name, p.base, p.until)
}

// counted is the expression for how often it is there, "" if there is none: at one
// place it can be only once, and for a range see atLeast.
func (p place) counted(name string) string {
	if p.base == "" {
		return "#" + name
	}
	return ""
}

// atLeast is the condition that a string is in the range so often. YARA's own
// "#s in (a..b)" is not used: libyara 4.2.3 ends the whole scan with an internal
// error unless a is 0.
func (p place) atLeast(name string, n int) string {
	return fmt.Sprintf("(for %d i in (1..#%s) : (@%s[i] >= %s and @%s[i] <= %s))", n, name, name, p.base, name, p.until)
}

// bytes is the condition that a pattern of known length is at the one place, byte
// by byte: searching a whole file for a few bytes at its beginning would be waste.
func (p place) bytes(pat pattern) (string, bool) {
	if p.base == "" || p.until != "" || len(pat) > 24 || p.module != "" {
		return "", false
	}
	if run, _ := pat.anchor(); run >= 4 {
		return "", false
	}
	var all []string
	for i, b := range pat {
		if b.kind != literal {
			return "", false
		}
		read := fmt.Sprintf("uint8(%s + %d)", p.base, i)
		switch b.mask {
		case 0:
		case 0xff:
			all = append(all, fmt.Sprintf("%s == 0x%02x", read, b.value))
		default:
			all = append(all, fmt.Sprintf("%s & 0x%02x == 0x%02x", read, b.mask, b.value))
		}
	}
	if len(all) == 0 {
		return "", false
	}
	return "(" + strings.Join(all, " and ") + ")", true
}
