package fingerprint

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"

	"spamcatcher/engine/message"
)

// A Kind is what a fingerprint was taken of, one word.
type Kind string

const (
	Text       Kind = "text"       // exactly this text
	Fuzzy      Kind = "fuzzy"      // a text like this
	Attachment Kind = "attachment" // exactly this file
	Picture    Kind = "picture"    // exactly this picture
	Links      Kind = "links"      // the shapes of all links together
	Link       Kind = "link"       // the shape of one link
)

// kindLabels stand in names, with the version of the digest: another way to
// take it is another label.
var kindLabels = map[Kind]string{Text: "t1", Fuzzy: "f1", Attachment: "a1", Picture: "p1", Links: "m1", Link: "l1"}

const (
	bandCount   = 40 // bands of a fuzzy digest
	rowsPerBand = 2  // minima in a band
	bandBits    = 20 // that are kept of a band
	// MinBands is how many bands two texts must share to be called alike.
	MinBands   = 4
	fuzzyBytes = bandCount * bandBits / 8
	// maxPrints bounds the fingerprints of a message, and so its queries.
	maxPrints = 6
	// minAttachment is the least size of a file that has a fingerprint, in
	// bytes: pixels that count readers and empty files are everybody's.
	minAttachment = 512
	// minPicture is that of a picture: what is smaller is a logo, a button or
	// somebody's face.
	minPicture = 20 << 10
)

// An ID is an exact digest: SHA-256, cut.
type ID [16]byte

// Bands is a fuzzy digest: each number holds bandBits bits.
type Bands [bandCount]uint32

// Common is the number of bands that two digests share. Its expectation is
// bandCount·J², where J is the resemblance of the texts.
func (b Bands) Common(other Bands) (n int) {
	for i := range b {
		if b[i] == other[i] {
			n++
		}
	}
	return n
}

// MaxZone is the longest name of a zone below which every name fits, in
// characters: 255 octets (RFC 1035 section 2.3.4) less the labels of a fuzzy
// digest, and the zone's first length and the root.
const MaxZone = 255 - 166 - 2

// A Print is one fingerprint of a message.
type Print struct {
	Kind  Kind
	ID    ID    // of an exact kind
	Bands Bands // of Fuzzy
	// Of is what it was taken of: a file name, the shape of a link. It stays on
	// this machine. It comes from the mail.
	Of string
}

// Of takes the fingerprints of a message, at most six, the most telling first.
// It takes time linear in the message.
func Of(m *message.Message) (list []Print) {
	stream, weight := letters(m)
	if telling(stream) {
		list = append(list, Print{Kind: Fuzzy, Bands: fuzzy(stream), Of: fmt.Sprintf("%d letters", len(stream))})
	}
	if weight >= minExact {
		list = append(list, Print{Kind: Text, ID: exactText(stream), Of: fmt.Sprintf("%d letters", len(stream))})
	}
	list = append(list, attachments(m)...)
	return append(list, links(m, maxPrints-len(list))...)
}

// attachments are the fingerprints of the two largest files, pictures last.
// Pictures that the text shows are no files: good mail has logos, and whoever
// imitates it has the same; nor are small ones.
func attachments(m *message.Message) (list []Print) {
	var files []message.Attachment
	for _, a := range m.Attachments() {
		if a.Size < minAttachment || len(a.Part.Children) != 0 || slices.ContainsFunc(files, func(b message.Attachment) bool { return a.Part == b.Part }) {
			continue
		}
		if picture(a) && (a.Size < minPicture || a.Part.Disposition == "inline" || a.Part.Header.Has("Content-ID")) {
			continue
		}
		files = append(files, a)
	}
	slices.SortStableFunc(files, func(a, b message.Attachment) int {
		if picture(a) != picture(b) {
			if picture(a) {
				return 1
			}
			return -1
		}
		return b.Size - a.Size
	})
	for _, f := range files {
		sum := sha256.Sum256(f.Part.Decoded())
		p := Print{Kind: Attachment, ID: ID(sum[:16]), Of: f.Name}
		if picture(f) {
			p.Kind = Picture
		}
		if !slices.ContainsFunc(list, func(q Print) bool { return q.ID == p.ID }) {
			list = append(list, p)
		}
		if len(list) == 2 {
			break
		}
	}
	return list
}

// picture tells whether a file shows a picture and can do nothing else, by its
// bytes: what calls itself one and is none is a file.
func picture(a message.Attachment) bool {
	kind := a.Detected
	if kind == "" {
		kind = a.Declared
	}
	return strings.HasPrefix(kind, "image/") && kind != "image/svg+xml"
}

// digits is base32 with the extended hex alphabet (RFC 4648 section 7) in lower
// case, whose letters are those of host names.
var digits = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// maxLabel is the longest label of a name. RFC 1035 section 2.3.4
const maxLabel = 63

// Name is the name that is asked for in a zone, without a final dot.
func (p Print) Name(zone string) string { return p.label() + "." + zone }

// label is the name without the zone.
func (p Print) label() string {
	text := digits.EncodeToString(p.payload())
	var b strings.Builder
	for len(text) > maxLabel {
		b.WriteString(text[:maxLabel] + ".")
		text = text[maxLabel:]
	}
	b.WriteString(text + "." + kindLabels[p.Kind])
	return b.String()
}

func (p Print) payload() []byte {
	if p.Kind != Fuzzy {
		return p.ID[:]
	}
	b := make([]byte, 0, fuzzyBytes)
	for i := 0; i < bandCount; i += 2 {
		two := uint64(p.Bands[i])<<bandBits | uint64(p.Bands[i+1])
		b = append(b, byte(two>>32), byte(two>>24), byte(two>>16), byte(two>>8), byte(two))
	}
	return b
}

// readBands reads fuzzyBytes bytes of payload.
func readBands(b []byte) (bands Bands) {
	for i := 0; i < bandCount; i += 2 {
		two := uint64(b[0])<<32 | uint64(b[1])<<24 | uint64(b[2])<<16 | uint64(b[3])<<8 | uint64(b[4])
		bands[i], bands[i+1] = uint32(two>>bandBits), uint32(two&(1<<bandBits-1))
		b = b[5:]
	}
	return bands
}

// Short names a fingerprint in a few characters, for people and records: its
// kind and a digest of 128 bits.
func (p Print) Short() string {
	id := p.ID
	if p.Kind == Fuzzy {
		sum := sha256.Sum256(p.payload())
		id = ID(sum[:16])
	}
	return string(p.Kind) + " " + digits.EncodeToString(id[:])
}

// ErrName is a name that is no fingerprint's.
var ErrName = errors.New("not a fingerprint's name")

// ParseName reads what Name wrote, the zone left off, in any case.
func ParseName(label string) (Print, error) {
	dot := strings.LastIndexByte(label, '.')
	if dot < 0 || len(label) > 255 {
		return Print{}, ErrName
	}
	var p Print
	for kind, l := range kindLabels {
		if strings.EqualFold(label[dot+1:], l) {
			p.Kind = kind
		}
	}
	payload, err := digits.DecodeString(strings.ToLower(strings.ReplaceAll(label[:dot], ".", "")))
	switch {
	case err != nil || p.Kind == "":
		return Print{}, ErrName
	case p.Kind == Fuzzy && len(payload) == fuzzyBytes:
		p.Bands = readBands(payload)
	case p.Kind != Fuzzy && len(payload) == len(p.ID):
		p.ID = ID(payload)
	default:
		return Print{}, ErrName
	}
	// One fingerprint has one name: labels cut elsewhere are refused, and so are
	// bits that no digit needs.
	if !strings.EqualFold(p.label(), label) || !bytes.Equal(p.payload(), payload) {
		return Print{}, ErrName
	}
	return p, nil
}
