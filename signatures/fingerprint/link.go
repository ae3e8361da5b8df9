package fingerprint

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"spamcatcher/engine/message"
)

// A link's shape is what is left of it when that is taken out which a mass
// mailer changes from copy to copy:
//
//	https://a1b2c3.shop.example/c/84711/offer-spring.html?id=f00ba4&u=17#top
//	*.shop.example/c/*/offer-spring.html?id&u
//
// The scheme, the port, values of the query and the fragment go; a label of the
// host or a piece of the path that is a number or looks like a token becomes *.
// The shape of all links together has no registered domains (they are thrown
// away daily), only their public suffixes.
//
// Links that good mail has as well are not taken: below domains that many share,
// and those that let readers leave, complain or be counted; a spam that imitates
// somebody's mail has that mail's footer.

const (
	maxPieces   = 12  // of a path, keys of a query
	maxLinks    = 500 // of a message that are looked at
	maxShapes   = 64  // different shapes among them
	minLiteral  = 4   // letters that must be left of a path to be telling
	minTogether = 12  // in all links together, in words that few sites have
)

type shape struct {
	host    hostShape
	rest    string
	literal int // letters of path and query that were left
	telling int // those of words that few sites have
	// furniture is a link that stands in mail of every kind.
	furniture bool
}

// A hostShape is a host by itself and among all.
type hostShape struct {
	single, together string
	shared           bool // by so many that its shapes say nothing of who sends
}

// links are at most most fingerprints: of the links together, then of single
// ones.
func links(m *message.Message, most int) (list []Print) {
	hosts := map[string]hostShape{}
	var shapes []shape
	all := m.Links()
	for _, l := range all[:min(len(all), maxLinks)] {
		if l.Source == "header" || l.Source == "attachment" || l.Source == "image" || l.Host == "" || !strings.HasPrefix(l.Scheme, "http") && l.Scheme != "ftp" {
			continue
		}
		h, known := hosts[l.Host]
		if !known {
			h = shapeOfHost(l.Host)
			hosts[l.Host] = h
		}
		if h.shared {
			continue
		}
		s := shapeOf(l, h)
		if s.furniture {
			continue
		}
		if !slices.Contains(shapes, s) {
			if shapes = append(shapes, s); len(shapes) == maxShapes {
				break
			}
		}
	}
	var together []string
	telling := 0
	for _, s := range shapes {
		if one := s.host.together + s.rest; !slices.Contains(together, one) {
			together = append(together, one)
			telling += s.telling
		}
	}
	if telling >= minTogether && most > 0 {
		slices.Sort(together)
		list = append(list, linkPrint(Links, strings.Join(together, "\n")))
	}
	for _, s := range shapes {
		if s.literal >= minLiteral && len(list) < most {
			list = append(list, linkPrint(Link, s.host.single+s.rest))
		}
	}
	return list
}

func linkPrint(kind Kind, of string) Print {
	sum := sha256.Sum256([]byte(of))
	return Print{Kind: kind, ID: ID(sum[:16]), Of: of}
}

func registered(host string) string {
	d, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return d
}

// piece writes a piece of the path or a key and counts what it says.
func (s *shape) piece(b *strings.Builder, piece string) {
	pieceShape(b, piece, func(word string) {
		if furnitureWords[word] {
			s.furniture = true
			return
		}
		s.literal += len(word)
		if !commonWords[word] {
			s.telling += len(word)
		}
	})
}

func shapeOf(l message.Link, h hostShape) (s shape) {
	_, rest, _ := strings.Cut(l.Norm, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[i:]
	} else {
		rest = ""
	}
	rest, _, _ = strings.Cut(rest, "#")
	path, query, _ := strings.Cut(rest, "?")
	var b strings.Builder
	for i, piece := range strings.Split(strings.Trim(path, "/"), "/") {
		if i == maxPieces {
			break
		}
		b.WriteByte('/')
		s.piece(&b, piece)
	}
	if query != "" {
		keys := strings.Split(query, "&")
		for i, k := range keys[:min(len(keys), maxPieces)] {
			if i == 0 {
				b.WriteByte('?')
			} else {
				b.WriteByte('&')
			}
			key, _, valued := strings.Cut(k, "=")
			if !valued && len(key) > 8 {
				key = "*" // a token without a key
			}
			s.piece(&b, key)
		}
	}
	s.host, s.rest = h, b.String()
	return s
}

// shapeOfHost leaves at most four labels below the registered domain.
func shapeOfHost(host string) (h hostShape) {
	if _, err := netip.ParseAddr(host); err == nil {
		return hostShape{single: host, together: "address"}
	}
	domain := registered(host)
	h.shared = sharedDomains[domain]
	var labels strings.Builder
	if sub := strings.TrimSuffix(strings.TrimSuffix(host, domain), "."); sub != "" && sub != "www" {
		all := strings.Split(sub, ".")
		for _, label := range all[max(0, len(all)-4):] {
			pieceShape(&labels, label, func(string) {})
			labels.WriteByte('.')
		}
	}
	suffix, _ := publicsuffix.PublicSuffix(host)
	h.single = labels.String() + domain
	h.together = labels.String() + "<" + suffix + ">"
	return h
}

// pieceShape writes a piece of a path or host: words as they are, tokens as *.
// It calls left for every word that it leaves, in lower case.
func pieceShape(b *strings.Builder, piece string, left func(word string)) {
	for piece != "" {
		n := 0
		for n < len(piece) && alphanumeric(piece[n]) {
			n++
		}
		if n == 0 {
			if c := piece[0]; c != '%' && c < 0x80 {
				b.WriteByte(c)
			}
			piece = piece[1:]
			continue
		}
		if word := piece[:n]; token(word) {
			b.WriteByte('*')
		} else {
			word = strings.ToLower(word)
			b.WriteString(word)
			left(word)
		}
		piece = piece[n:]
	}
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// token tells whether a word was made by a machine: it has a digit, is long
// beyond words, changes case inside, or has hardly a vowel.
func token(word string) bool {
	upper, lower, vowels, changes := 0, 0, 0, 0
	for i := range len(word) {
		switch c := word[i]; {
		case '0' <= c && c <= '9':
			return true
		case 'A' <= c && c <= 'Z':
			if i > 0 && 'a' <= word[i-1] && word[i-1] <= 'z' {
				changes++
			}
			upper++
		default:
			lower++
		}
		if strings.IndexByte("aeiouyAEIOUY", word[i]) >= 0 {
			vowels++
		}
	}
	n := len(word)
	return n > 24 || changes > 2 || n >= 8 && (vowels*6 < n || changes > 1 && n < 16 && upper > 2 && lower > 2) || n >= 6 && vowels == 0
}
