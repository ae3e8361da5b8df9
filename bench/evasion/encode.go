package evasion

import (
	"math/rand/v2"
	"strings"
	"unicode/utf8"
)

// encodings say the same in other bytes.
func encodings() []Trick {
	wired := func(name, what string, make func(r *rand.Rand, n *node) wire) Trick {
		return Trick{Name: name, What: what, change: func(l *letter, r *rand.Rand, _ *Good) {
			for _, n := range l.texts() {
				n.wire = make(r, n)
			}
		}}
	}
	return []Trick{
		wired("base64-odd-lines", "base64 in lines of 1 to 90 characters", func(r *rand.Rand, _ *node) wire {
			return wire{encoding: "base64", lengths: func() int { return 1 + r.IntN(90) }}
		}),
		wired("base64-one-line", "base64 in one line", func(*rand.Rand, *node) wire {
			return wire{encoding: "base64", lengths: func() int { return 1 << 30 }}
		}),
		wired("base64-noise", "base64 with characters between that decoders skip", func(*rand.Rand, *node) wire {
			return wire{encoding: "base64", noise: " \t!\r\n"}
		}),
		{Name: "base64-all", What: "text, subject and sender in base64, in words of 3 characters", change: func(l *letter, r *rand.Rand, _ *Good) {
			for _, n := range l.texts() {
				n.wire.encoding = "base64"
			}
			if s := l.get("Subject"); s != "" {
				l.set("Subject", wordsApart(s, 3))
			}
			name, address := l.sender()
			if name != "" {
				l.set("From", wordsApart(name, 3)+"\r\n <"+address+">")
			}
		}},
		wired("qp-all", "quoted-printable with every byte encoded", func(*rand.Rand, *node) wire {
			return wire{encoding: "quoted-printable", all: true}
		}),
		wired("utf16", "UTF-16 in base64", func(*rand.Rand, *node) wire {
			return wire{encoding: "base64", charset: "utf-16", utf16: true}
		}),
		{Name: "wrong-charset", What: "a charset that is unknown or another one's", change: func(l *letter, r *rand.Rand, _ *Good) {
			// Only what all charsets have in common remains readable, so
			// other letters go out as entities.
			for _, n := range l.texts() {
				if ascii([]byte(n.text)) < len(n.text) {
					if n.mediaType == "text/plain" {
						continue
					}
					n.text = escapeForeign(n.text)
				}
				all := []string{"x-unknown", "unknown-8bit", "windows-1256", "iso-8859-8-i", "koi8-u", "utf8mb4", "x-mac-farsi", "cp932"}
				n.wire = wire{charset: all[r.IntN(len(all))], encoding: "quoted-printable"}
			}
		}},
	}
}

// escapeForeign writes all but ASCII as HTML entities. In tags that is right
// too, inside of attributes.
func escapeForeign(s string) string {
	var b strings.Builder
	for _, c := range s {
		if c < utf8.RuneSelf {
			b.WriteRune(c)
		} else {
			_, markup := entities(rand.New(rand.NewPCG(1, uint64(c))), string(c))
			b.WriteString(markup)
		}
	}
	return b.String()
}

// sender is the display name and the address of From.
func (l *letter) sender() (name, address string) {
	from := l.get("From")
	i := strings.LastIndexByte(from, '<')
	if i < 0 {
		return "", strings.TrimSpace(from)
	}
	address, _, _ = strings.Cut(from[i+1:], ">")
	return strings.Trim(strings.TrimSpace(from[:i]), `"`), strings.TrimSpace(address)
}
