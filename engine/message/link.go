package message

// A Link is one reference to somewhere else.
type Link struct {
	URL    string // as found, HTML entities decoded, control characters trimmed
	Norm   string // for matching: scheme and host in lower case, percent-encoding of unreserved characters undone, default port dropped, IDN as punycode
	Scheme string // lower case
	Host   string // lower case, without port; the domain of a mailto:
	Text   string // the visible text of the anchor, "" for bare links
	// Source is "text", "href", "image", "form", "meta", "area", "style",
	// "header", "attachment", or "encoded" for a link found inside another.
	Source string
	// Deceptive says that Text shows another host than the registered domain
	// that the link leads to.
	Deceptive  bool
	IP         bool // the host is an IP address in any notation
	Punycode   bool // the host has an xn-- label
	UserInfo   bool // something stands before an @ in front of the host
	Obfuscated bool // the host is percent-encoded or written in another odd way
}

func findLinks(m *Message) []Link { return nil }
