package lookup

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/miekg/dns"
	"golang.org/x/net/idna"
)

// ErrBadName is the answer to what cannot be a name of DNS: an empty name or
// label, a label of more than 63 octets, a name of more than 255. So it does
// not exist, and nobody is asked: errors.Is(ErrBadName, ErrNoName).
var ErrBadName = fmt.Errorf("not a domain name: %w", ErrNoName)

// canonical returns the one way in which a name is written here: lower case,
// escapes only where they are needed, no final dot; "" is the root.
func canonical(name string) (string, error) {
	if plain(name) {
		return name, nil
	}
	switch name {
	case ".":
		return "", nil
	case "":
		return "", ErrBadName
	}
	ascii, escaped := true, false
	for i := range len(name) {
		if c := name[i]; !escaped && (c < '!' || c == 0x7f) {
			return "", ErrBadName // not the presentation format
		} else if c > 0x7f {
			ascii = false
		}
		escaped = name[i] == '\\' && !escaped
	}
	if !ascii {
		// RFC 5891 section 5: what people write is asked for in ASCII.
		if strings.Contains(name, `\`) || !utf8.ValidString(name) {
			return "", ErrBadName
		}
		var err error
		if name, err = idna.New(idna.MapForLookup(), idna.StrictDomainName(false)).ToASCII(name); err != nil {
			return "", ErrBadName
		}
	}
	// RFC 1035 section 2.3.4: the limits are those of the wire format.
	var wire [255]byte
	end, err := dns.PackDomainName(dns.Fqdn(name), wire[:], 0, nil, false)
	if err != nil {
		return "", ErrBadName
	}
	name, _, err = dns.UnpackDomainName(wire[:end], 0)
	if err != nil {
		return "", ErrBadName
	}
	return inReply(name), nil
}

// plain says whether a name is canonical at first sight, as nearly all are.
func plain(name string) bool {
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_':
			if label++; label > 63 {
				return false
			}
		default:
			return false
		}
	}
	return label > 0
}

// inReply is canonical for a name that the library unpacked.
func inReply(name string) string {
	return strings.TrimSuffix(strings.ToLower(name), ".")
}

// unescape turns a string of a TXT record as the library writes it, with \" \\
// and \DDD, into its octets.
func unescape(b *strings.Builder, text string) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			i++
			c = text[i]
			if i+2 < len(text) && digit(c) && digit(text[i+1]) && digit(text[i+2]) {
				c = (c-'0')*100 + (text[i+1]-'0')*10 + text[i+2] - '0'
				i += 2
			}
		}
		b.WriteByte(c)
	}
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
