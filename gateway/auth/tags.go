package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// tags is a tag list: RFC 6376 section 3.2. Names are case-sensitive.
type tags map[string]string

// parseTags reads a tag list. A name that is there twice makes all of it
// invalid. White space around names and values is dropped.
func parseTags(s string) (tags, error) {
	list := tags{}
	for rest := s; rest != ""; {
		var spec string
		spec, rest, _ = strings.Cut(rest, ";")
		spec = trim(spec)
		if spec == "" {
			if trim(rest) == "" {
				break
			}
			return nil, errors.New("empty tag")
		}
		name, value, ok := strings.Cut(spec, "=")
		if name = trim(name); !ok || !isTagName(name) {
			return nil, fmt.Errorf("no tag: %.20q", spec)
		}
		if _, twice := list[name]; twice {
			return nil, fmt.Errorf("tag %.20q twice", name)
		}
		list[name] = trim(value)
	}
	return list, nil
}

func isTagName(name string) bool {
	for i := range len(name) {
		c := name[i] | 0x20
		if !('a' <= c && c <= 'z' || i > 0 && ('0' <= name[i] && name[i] <= '9' || name[i] == '_')) {
			return false
		}
	}
	return name != ""
}

func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// compact drops all white space.
func compact(s string) string {
	if strings.IndexAny(s, " \t\r\n") < 0 {
		return s
	}
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }), "")
}

// list splits a value at its colons.
func (t tags) list(name string) []string {
	parts := strings.Split(compact(t[name]), ":")
	for i, p := range parts {
		parts[i] = strings.ToLower(p)
	}
	return parts
}

// number reads an unsigned decimal of at most 76 digits, the longest that the
// RFC allows for l=; what exceeds 63 bits is the largest number.
func (t tags) number(name string) (n int64, given bool, err error) {
	text, given := t[name]
	if !given {
		return 0, false, nil
	}
	if text == "" || len(text) > 76 || strings.Trim(text, "0123456789") != "" {
		return 0, true, fmt.Errorf("%s= is no number", name)
	}
	n, err = strconv.ParseInt(text, 10, 64)
	if err != nil {
		n = 1<<63 - 1
	}
	return n, true, nil
}

func (t tags) bytes(name string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(compact(t[name]))
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%s= is no base64", name)
	}
	return b, nil
}
