package wire

import (
	"bytes"
	"strconv"
	"strings"
)

// A Reply is what a client is told.
type Reply struct {
	Code     int    // 200 to 599
	Enhanced string // RFC 3463 status code, "5.7.1"; "" means a general one wherever RFC 2034 wants one
	Text     string // one or more lines, separated by "\n"
	Close    bool   // the connection ends after it
}

// maxReplyText keeps a reply line within 512 octets, code and CRLF included.
// RFC 5321 section 4.5.3.1.5
const maxReplyText = 480

// append writes the reply in wire form. With enhanced, every line of a 2xx, 4xx
// or 5xx reply carries a status code of the reply's class (RFC 2034 section 4);
// without, only if the reply names one itself.
func (r *Reply) append(b []byte, enhanced bool) []byte {
	status := r.Enhanced
	class := byte('0' + r.Code/100)
	switch {
	case class == '3':
		status = ""
	case status == "" && !enhanced:
	case status == "" || status[0] != class:
		status = string(class) + ".0.0"
	}
	for text, more := r.Text, true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if more {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if status != "" {
			b = append(append(b, status...), ' ')
		}
		b = appendPrintable(b, strings.TrimSuffix(line, "\r"))
		b = append(b, "\r\n"...)
	}
	return b
}

// appendPrintable appends text as printable ASCII, so that nothing which a
// client or a DNS server said can end the line or hide in it.
func appendPrintable(b []byte, text string) []byte {
	if len(text) > maxReplyText {
		text = text[:maxReplyText]
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < ' ' || c > '~' {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// parseReply reads a complete reply of go-smtp, which has its status code on
// the last line only.
func parseReply(b []byte) (r Reply, ok bool) {
	b = bytes.TrimSuffix(b, []byte("\r\n"))
	var lines []string // but the last
	for {
		line, rest, more := bytes.Cut(b, []byte("\r\n"))
		if len(line) < 4 {
			return r, false
		}
		code, err := strconv.Atoi(string(line[:3]))
		if err != nil || code < 200 || code > 599 {
			return r, false
		}
		r.Code = code
		line = line[4:]
		if more {
			lines, b = append(lines, string(line)), rest
			continue
		}
		if status, text, found := bytes.Cut(line, []byte(" ")); found && isStatus(status) {
			r.Enhanced, line = string(status), text
		}
		if r.Text = string(line); lines != nil {
			r.Text = strings.Join(append(lines, r.Text), "\n")
		}
		return r, true
	}
}

// isStatus reports whether b is an enhanced status code: class, subject and
// detail. RFC 3463 section 2
func isStatus(b []byte) bool {
	digits, dots := 0, 0
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9' && digits < 3:
			digits++
		case c == '.' && digits > 0 && dots < 2 && (dots > 0 || i == 1):
			digits, dots = 0, dots+1
		default:
			return false
		}
	}
	return dots == 2 && digits > 0
}
