package policy

import (
	"bytes"
	"fmt"
	"os"
	"strings"

	"spamcatcher/gateway/domain"
)

// maxListBytes bounds the size of a list file.
const maxListBytes = 64 << 20

// A List is a set of senders: addresses, domains, and domains with all their
// subdomains. It is immutable; nil is the empty list.
type List struct {
	addresses map[string]struct{} // local@domain, lower case
	domains   map[string]struct{} // exactly this domain
	trees     map[string]struct{} // this domain and its subdomains; written with a leading dot, kept without
}

// LoadList reads a list file: one entry a line, mailbox@domain, domain, or
// .domain for a domain with its subdomains; # starts a comment, white space
// around an entry is ignored. A bad line is reported with file and line number
// and skipped. A file that cannot be read is reported and gives an empty list.
func LoadList(path string) (*List, []error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxListBytes {
		return &List{}, []error{fmt.Errorf("reading sender list: %s: larger than %d bytes", path, maxListBytes)}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return &List{}, []error{fmt.Errorf("reading sender list: %w", err)}
	}
	return ParseList(path, text)
}

// ParseList is LoadList for text that was read already; name stands for the
// file in errors.
func ParseList(name string, text []byte) (*List, []error) {
	l := &List{map[string]struct{}{}, map[string]struct{}{}, map[string]struct{}{}}
	var errs []error
	text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line, _, _ = bytes.Cut(line, []byte("#"))
		entry := strings.TrimSpace(string(line))
		if entry != "" && !l.add(entry) {
			if len(entry) > 100 {
				entry = entry[:100] + "…"
			}
			errs = append(errs, fmt.Errorf("%s:%d: %q is neither mailbox@domain nor domain nor .domain; the line is skipped", name, number, entry))
		}
	}
	return l, errs
}

func (l *List) add(entry string) bool {
	if strings.Contains(entry, "@") {
		address, ok := foldAddress(entry)
		if ok {
			l.addresses[address] = struct{}{}
		}
		return ok
	}
	name, tree := strings.CutPrefix(entry, ".")
	domain, ok := domain.Fold(name)
	switch {
	case !ok:
	case tree:
		l.trees[domain] = struct{}{}
	default:
		l.domains[domain] = struct{}{}
	}
	return ok
}

// Len is the number of entries.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.addresses) + len(l.domains) + len(l.trees)
}

// addressRank is the rank of an address entry; domain entries rank by their
// number of labels, far below it.
const addressRank = 1 << 20

// match returns the rank of the most specific entry that matches the folded
// address, and the entry as it is written in a file; 0 when there is none. An
// address ranks above a domain, a domain above the trees that it lies in, and
// a smaller tree above a larger one.
func (l *List) match(address string) (rank int, entry string) {
	if l == nil {
		return 0, ""
	}
	if _, ok := l.addresses[address]; ok {
		return addressRank, address
	}
	domain := address[strings.LastIndexByte(address, '@')+1:]
	if _, ok := l.domains[domain]; ok {
		return 2*labels(domain) + 1, domain
	}
	if tree := inTree(l.trees, domain); tree != "" {
		return 2 * labels(tree), "." + tree
	}
	return 0, ""
}

func labels(domain string) int { return strings.Count(domain, ".") + 1 }

// inTree returns the smallest tree of the set that domain lies in, "" for none.
func inTree[T any](trees map[string]T, domain string) string {
	if len(trees) == 0 {
		return ""
	}
	for domain != "" {
		if _, ok := trees[domain]; ok {
			return domain
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return ""
}

// foldAddress brings an address to the form in which addresses are compared:
// lower case, the domain in ASCII, a quoted local part without its quotes. RFC
// 5321 section 2.4 leaves the case of local parts to their host; a list of
// senders does not.
func foldAddress(address string) (string, bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return "", false
	}
	local := address[:at]
	quoted := len(local) >= 2 && local[0] == '"' && local[len(local)-1] == '"'
	if quoted {
		local = unquote(local[1 : len(local)-1])
	}
	for _, r := range local {
		if r < ' ' || r == 0x7f || !quoted && (r == ' ' || r == '@' || r == '<' || r == '>' || r == ',') {
			return "", false
		}
	}
	host, ok := domain.Fold(address[at+1:])
	return strings.ToLower(local) + "@" + host, ok && local != "" && len(local) <= 256
}

func unquote(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
