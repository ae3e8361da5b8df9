package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds on what a server may answer. A reply beyond maxReply octets in all ends the connection; of a line, maxReplyLine octets are kept.
// RFC 5321 section 4.5.3.1.5: the maximum total length of a reply line is 512 octets.
const (
	maxReply      = 64 << 10
	maxReplyLine  = 512
	maxReplyLines = 128
	maxReplyText  = 500 // octets of a reply that are kept in a result
)

var (
	errReplyLong = errors.New("reply of more than 64 kB")
	errReplyForm = errors.New("malformed reply")
)

// A reply is one SMTP reply: a code and one or more lines of text, at most maxReplyLines of maxReplyLine octets.
type reply struct {
	code  int
	lines []string
}

func (r reply) class() int { return r.code / 100 }

// enhanced returns the enhanced status code at the beginning of the reply, such as "4.5.3", or "".
func (r reply) enhanced() string {
	if len(r.lines) == 0 {
		return ""
	}
	return enhancedCode(r.lines[0])
}

// String returns the reply on one line of at most maxReplyText octets of printable text, e.g. "550 5.1.1 no such user".
func (r reply) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%03d", r.code)
	status := r.enhanced()
	for i, line := range r.lines {
		// RFC 2034 section 4: every line of a reply repeats the enhanced status code.
		if i > 0 && status != "" {
			line = strings.TrimSpace(strings.TrimPrefix(line, status))
		}
		if line == "" {
			continue
		}
		b.WriteByte(' ')
		b.WriteString(printable(line))
		if b.Len() >= maxReplyText {
			break
		}
	}
	return cut(b.String(), maxReplyText)
}

// enhancedCode returns the enhanced status code that text begins with, or "".
// RFC 3463 section 2: class "." subject "." detail; class is 2, 4 or 5, the others have one to three digits.
func enhancedCode(text string) string {
	word, _, _ := strings.Cut(text, " ")
	fields := strings.Split(word, ".")
	if len(fields) != 3 || (fields[0] != "2" && fields[0] != "4" && fields[0] != "5") {
		return ""
	}
	for _, f := range fields[1:] {
		if len(f) == 0 || len(f) > 3 || strings.Trim(f, "0123456789") != "" {
			return ""
		}
	}
	return word
}

// readReply reads one reply from r and at most maxReply octets. It reads no further than the reply's end.
func readReply(r *bufio.Reader) (reply, error) {
	var rep reply
	left := maxReply
	for {
		line, n, err := readLine(r, left)
		if err != nil {
			return reply{}, err
		}
		left -= n
		code, more, text, err := parseLine(line)
		if err != nil {
			return reply{}, err
		}
		if rep.code != 0 && code != rep.code {
			// RFC 5321 section 4.2.1: the code is the same on every line of a reply.
			return reply{}, fmt.Errorf("%w: code %d after %d", errReplyForm, code, rep.code)
		}
		rep.code = code
		if len(rep.lines) < maxReplyLines {
			rep.lines = append(rep.lines, text)
		}
		if !more {
			return rep, nil
		}
	}
}

// readLine reads one line and returns its first maxReplyLine octets without the line end, and how many octets were read.
func readLine(r *bufio.Reader, left int) (line string, n int, err error) {
	var kept []byte
	for {
		part, err := r.ReadSlice('\n')
		n += len(part)
		if n > left {
			return "", n, errReplyLong
		}
		if room := maxReplyLine - len(kept); room > 0 {
			kept = append(kept, part[:min(room, len(part))]...)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", n, err
		}
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(kept), "\n"), "\r"), n, nil
}

// parseLine takes a reply line apart.
// RFC 5321 section 4.2: Reply-code is %x32-35 %x30-35 %x30-39; "-" follows on all lines but the last, which has SP or nothing.
func parseLine(line string) (code int, more bool, text string, err error) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '9' || line[2] < '0' || line[2] > '9' {
		return 0, false, "", fmt.Errorf("%w: %q", errReplyForm, cut(printable(line), 60))
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, "", nil
	}
	switch line[3] {
	case ' ':
		return code, false, line[4:], nil
	case '-':
		return code, true, line[4:], nil
	}
	return 0, false, "", fmt.Errorf("%w: %q", errReplyForm, cut(printable(line), 60))
}

// printable returns s with everything but printable characters replaced by "?".
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// cut returns at most n octets of s, never a part of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
