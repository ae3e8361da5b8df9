package wire_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"spamcatcher/gateway/wire"
)

// A script is a connection whose client says what it has to say, one segment a
// read, and hangs up.
type script struct {
	segments [][]byte
	said     bytes.Buffer
	writes   int
	closed   chan struct{}
	once     sync.Once
}

func (s *script) Read(p []byte) (int, error) {
	for len(s.segments) > 0 && len(s.segments[0]) == 0 {
		s.segments = s.segments[1:]
	}
	if len(s.segments) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.segments[0])
	s.segments[0] = s.segments[0][n:]
	return n, nil
}
func (s *script) Write(p []byte) (int, error)      { s.writes++; return s.said.Write(p) }
func (s *script) Close() error                     { s.once.Do(func() { close(s.closed) }); return nil }
func (s *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// pause separates what a client sends in one write from the next.
const pause = "\xfe"

// play runs a script and returns the server's replies, in how many writes they
// came, and what the backend saw.
func play(t testing.TB, cfg wire.Config, input string, cut int) (replies string, writes int, r *recorder) {
	c := &script{closed: make(chan struct{})}
	for segment := range strings.SplitSeq(input, pause) {
		b := []byte(segment)
		for cut > 0 && len(b) > cut {
			c.segments = append(c.segments, b[:cut])
			b = b[cut:]
		}
		c.segments = append(c.segments, b)
	}
	r = &recorder{}
	p := newPipes()
	s := serve(t, p, cfg, r)
	p.conns <- c
	stuck := time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("a session does not end: %q cut %d", input, cut)) })
	defer stuck.Stop()
	<-c.closed
	for s.Stats().Open > 0 {
		time.Sleep(time.Microsecond)
	}
	if n := s.Stats().Panics; n > 0 {
		t.Fatal("panic")
	}
	return c.said.String(), c.writes, r
}

var (
	replyLine = regexp.MustCompile(`^[2345][0-9][0-9][ -][ -~]*$`)
	statusful = regexp.MustCompile(`^[0-9]{3}[ -][245]\.[0-9]{1,3}\.[0-9]{1,3} `)
	mailbox   = regexp.MustCompile(`^[^@<>()",:;\\\[\] \x00-\x1f\x7f]+@([^@<>()",:;\\\[\] \x00-\x1f\x7f]+|\[[0-9A-Za-z.:]+\])$`)
)

// FuzzSession plays any client. The replies are checked for their form, and the
// session is replayed from them by a reader that looks at one octet at a time:
// what the backend got must be what that reader finds.
func FuzzSession(f *testing.F) {
	for _, p := range probes {
		f.Add(strings.Join(p.writes, pause), uint8(0))
	}
	for _, p := range before {
		for _, a := range after {
			f.Add(hello+pause+mail+rcpt+"DATA\r\n"+pause+outer+p+"."+a+smuggled+"QUIT\r\n", uint8(len(p)+3*len(a)))
		}
	}
	for _, form := range relayForms {
		f.Add(hello+pause+mail+"RCPT TO:"+form.rcpt+"\r\n"+rcpt+"BDAT 5\r\nab\r\ncBDAT 0 LAST\r\n"+mail, uint8(7))
	}
	f.Add(hello+pause+mail+rcpt+"DATA\r\n..a\r\n.\r\n"+mail+rcpt+"DATA\r\n"+strings.Repeat("0123456789\r\n", 200)+".\r\nQUIT\r\n", uint8(0))
	cfg := wire.Config{MaxMessageBytes: 2000, Memory: 5000, ETRN: func(*wire.Conn, string) *wire.Reply { return &wire.Reply{Code: 250} }}
	f.Fuzz(func(t *testing.T, input string, cut uint8) {
		if len(input) > 100_000 {
			return
		}
		replies, _, r := play(t, cfg, input, int(cut))
		checkCalls(t, r.log())
		replay(t, strings.ReplaceAll(input, pause, ""), replies, r.take())
	})
}

// checkCalls checks the order of what go-smtp told the backend, and every
// address.
func checkCalls(t *testing.T, calls []string) {
	mail, rcpts := false, 0
	for _, call := range calls {
		word, arg, _ := strings.Cut(call, " ")
		switch word {
		case "reset":
			mail, rcpts = false, 0
		case "mail":
			if mail || arg != "" && (!mailbox.MatchString(arg) || !utf8.ValidString(arg)) {
				t.Fatalf("%q in %q", call, calls)
			}
			mail = true
		case "rcpt":
			if !mail || !mailbox.MatchString(arg) || !utf8.ValidString(arg) {
				t.Fatalf("%q in %q", call, calls)
			}
			rcpts++
		case "data":
			if !mail || rcpts == 0 {
				t.Fatalf("%q in %q", call, calls)
			}
		default:
			t.Fatalf("%q in %q", call, calls)
		}
	}
}

// replay reads input as RFC 5321 says, with the server's replies telling what
// was accepted, and compares the messages that it finds with those that arrived.
func replay(t *testing.T, input, replies string, got []received) {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(replies, "\r\n"), "\r\n") {
		if !replyLine.MatchString(line) || len(line) > 510 {
			t.Fatalf("reply line %q", line)
		}
		lines = append(lines, line)
	}
	next := func() string { // the last line of the next reply
		for len(lines) > 0 {
			line := lines[0]
			lines = lines[1:]
			if line[3] == ' ' {
				return line
			}
		}
		return ""
	}
	expect := func(body string) {
		if naiveFlaw(body) {
			t.Fatalf("message %q accepted", body)
		}
		if len(got) == 0 || got[0].body != body {
			t.Fatalf("message %q, received %+v", body, got)
		}
		got = got[1:]
	}
	if r := next(); !strings.HasPrefix(r, "220 mx.example.com ESMTP") {
		t.Fatalf("banner %q", r)
	}
	chunks := ""
	for {
		end := strings.Index(input, "\n")
		if end < 0 {
			break
		}
		line := strings.TrimRight(input[:end], "\r ")
		input = input[end+1:]
		r := next()
		verb, arg, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if hello := verb == "EHLO" || verb == "HELO"; !hello && r != "" && r[0] != '3' && (!statusful.MatchString(r) || r[4] != r[0]) {
			t.Fatalf("%q: reply %q", line, r)
		}
		if r == "" || strings.HasPrefix(r, "421") || strings.HasPrefix(r, "221") {
			break
		}
		switch {
		case verb == "DATA" && r[:3] == "354":
			body, rest, ok := naiveData(input)
			if !ok {
				input = ""
				break
			}
			input = rest
			switch r := next(); {
			case strings.HasPrefix(r, "250 2.0.0"):
				expect(body)
			case strings.HasPrefix(r, "550 5.5.2"):
				if !naiveFlaw(body) {
					t.Fatalf("message %q refused", body)
				}
				input = ""
			case r == "":
				t.Fatalf("no reply to message %q", body)
			}
		case verb == "BDAT" && r[:3] != "501" && r[:3] != "500":
			size, last, _ := strings.Cut(strings.Trim(arg, " "), " ")
			n, err := strconv.Atoi(size)
			if err != nil {
				t.Fatalf("%q: reply %q", line, r)
			}
			if n > len(input) {
				input = ""
				break
			}
			chunk := input[:n]
			input = input[n:]
			switch {
			case r[:3] != "250":
				chunks = ""
			case last == "":
				chunks += chunk
			default:
				chunks += chunk
				if chunks != "" && !strings.HasSuffix(chunks, "\n") {
					chunks += "\r\n"
				}
				expect(chunks)
				chunks = ""
			}
		case (verb == "RSET" || verb == "EHLO" || verb == "HELO") && r[:3] == "250":
			chunks = ""
		}
	}
	if len(got) > 0 {
		t.Fatalf("messages out of nowhere: %+v", got)
	}
	for range lines {
		if r := next(); r != "" && r[0] == '2' {
			t.Fatalf("reply %q to nothing", r)
		}
	}
}

// naiveData is the state machine of RFC 5321 section 4.5.2, one octet at a time.
func naiveData(input string) (body, rest string, ok bool) {
	var b strings.Builder
	begin := true
	for i := 0; i < len(input); i++ {
		if begin && input[i] == '.' {
			if strings.HasPrefix(input[i:], ".\r\n") {
				return b.String(), input[i+3:], true
			}
			begin = false
			continue
		}
		b.WriteByte(input[i])
		begin = input[i] == '\n' && i > 0 && input[i-1] == '\r'
	}
	return "", "", false
}

// naiveFlaw reports a CR without LF, an LF without CR, or a NUL.
func naiveFlaw(b string) bool {
	for i := range len(b) {
		if b[i] == 0 || b[i] == '\r' && (i+1 == len(b) || b[i+1] != '\n') || b[i] == '\n' && (i == 0 || b[i-1] != '\r') {
			return true
		}
	}
	return false
}

// TestRandomSessions plays sessions made of commands that are mostly right, some
// of them wrong, in any order and cut anywhere, by the rules of FuzzSession.
func TestRandomSessions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	text := func() string {
		var b strings.Builder
		for range rng.IntN(6) {
			b.WriteString(pick("line\r\n", "\r\n", "..\r\n", "..x\r\n", "RSET\r\n", "DATA\r\n", mail, strings.Repeat("long", 100)+"\r\n"))
			if rng.IntN(20) == 0 {
				b.WriteString(pick("\r", "\n", "\x00", "\r\r\n", ".\n", "\n.\r\n", "x"))
			}
		}
		return b.String()
	}
	cfg := wire.Config{MaxMessageBytes: 1500, Memory: 4000, MaxRecipients: 3, ETRN: func(*wire.Conn, string) *wire.Reply { return &wire.Reply{Code: 250} }}
	messages, commands := 0, 0
	for range 3000 {
		var b strings.Builder
		if rng.IntN(20) > 0 {
			b.WriteString(pick(hello, "HELO x\r\n") + pause)
		}
		for range 5 + rng.IntN(15) {
			commands++
			switch rng.IntN(15) {
			case 9, 10, 11:
				b.WriteString(mail + rcpt + "DATA\r\n" + text() + pick(".\r\n", "\r\n.\r\n"))
			case 12, 13, 14:
				b.WriteString(mail + rcpt)
				for n := rng.IntN(4); n >= 0; n-- {
					chunk := text()
					fmt.Fprintf(&b, "BDAT %d%s\r\n%s", len(chunk), []string{" LAST", "", "", ""}[n], chunk)
				}
			case 0, 1:
				b.WriteString(pick(mail, mail, "MAIL FROM:<> SIZE=99\r\n", "MAIL FROM:<a@example.net> SIZE=9999\r\n", "MAIL FROM:<x y>\r\n"))
			case 2, 3, 4:
				b.WriteString(pick(rcpt, rcpt, "RCPT TO:<c@EXAMPLE.com>\r\n", "RCPT TO:<unknown@example.com>\r\n", "RCPT TO:"+relayForms[rng.IntN(len(relayForms))].rcpt+"\r\n"))
			case 5:
				b.WriteString("DATA\r\n" + text() + pick(".\r\n", "\r\n.\r\n"))
			case 6, 7:
				chunk := text()
				fmt.Fprintf(&b, "BDAT %d%s\r\n%s", len(chunk), pick("", " LAST", " last"), chunk)
			case 8:
				b.WriteString(pick("RSET\r\n", "NOOP\r\n", "FOOB\r\n", pause+hello+pause, "BDAT 3 FOO\r\n", "QUIT\r\n", "ETRN x\r\n", "VRFY x\r\n", "\r\n"))
			}
			if rng.IntN(4) == 0 {
				b.WriteString(pause)
			}
		}
		input := b.String()
		replies, _, r := play(t, cfg, input, rng.IntN(3)*rng.IntN(40))
		messages += len(r.messages)
		checkCalls(t, r.log())
		replay(t, strings.ReplaceAll(input, pause, ""), replies, r.take())
	}
	if messages < 2000 {
		t.Errorf("only %d messages in %d commands: the sessions test too little", messages, commands)
	}
	t.Logf("%d commands, %d messages", commands, messages)
}

// TestNaive keeps the oracle honest.
func TestNaive(t *testing.T) {
	for input, want := range map[string]string{
		".\r\nx":               "|x|true|false",
		"a\r\n.\r\n":           "a\r\n||true|false",
		"..a\r\n...\r\n.\r\n.": ".a\r\n..\r\n|.|true|false",
		"a\n.\r\n\r\n.\r\n":    "a\n.\r\n\r\n||true|true",
		"a\r\n.":               "||false|false",
		"a\r\r\n.\r\n":         "a\r\r\n||true|true",
	} {
		body, rest, ok := naiveData(input)
		if got := fmt.Sprintf("%s|%s|%v|%v", body, rest, ok, naiveFlaw(body)); got != want {
			t.Errorf("%q: %q, want %q", input, got, want)
		}
	}
}
