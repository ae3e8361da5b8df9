package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"spamcatcher/gateway/relay/relaytest"
)

// A sessionModel is what RFC 5321 and its extensions say of a session's state. It
// makes commands, sensible and senseless ones, together with the only answer
// that a server in that state may give.
type sessionModel struct {
	*rand.Rand
	hello, mail, chunks bool
	rcpts, tried        int
	errors, junk        int // of which a session may have 20 and 100
	over                bool
	taken               int // messages answered 250

	line string   // the command, or several in one
	want []string // its answers
	last bool     // nothing may be sent behind it before its answer: RFC 2920 section 3.1
	body string   // what is sent after the answer
	ends string   // what the body is answered
}

func (m *sessionModel) expect(line, want string) { m.line, m.want = line, append(m.want, want) }

// fail expects an error.
func (m *sessionModel) fail(line, want string) {
	if m.errors++; m.errors > 20 {
		want, m.over = "421 4.7.0", true
	}
	m.expect(line, want)
}

// spent expects the end if there were too many commands without mail.
func (m *sessionModel) spent(line string) bool {
	if m.junk < 100 {
		return false
	}
	m.expect(line, "421 4.7.0")
	m.over = true
	return true
}

// idle expects the answer to a command that moves no mail.
func (m *sessionModel) idle(line, want string) bool {
	if m.spent(line) {
		return false
	}
	m.junk++
	m.expect(line, want)
	return true
}

func (m *sessionModel) fatal(line, want string) {
	m.expect(line, want)
	m.over = true
}

func (m *sessionModel) reset() { m.mail, m.chunks, m.rcpts, m.tried = false, false, 0, 0 }

// pick returns one of the texts.
func (m *sessionModel) pick(texts ...string) string { return texts[m.IntN(len(texts))] }

// cased writes a command in any case.
func (m *sessionModel) cased(text string) string {
	switch m.IntN(4) {
	case 0:
		return strings.ToLower(text)
	case 1:
		b := []byte(text)
		for i := range b {
			if b[i] >= 'A' && b[i] <= 'Z' && m.IntN(2) == 0 {
				b[i] += 'a' - 'A'
			}
		}
		return string(b)
	}
	return text
}

// bad are arguments that are wrong in themselves, with their answers.
var (
	badMail = [][2]string{
		{"MAIL", "501 5.5.4"}, {"MAIL TO:<a@example.net>", "501 5.5.4"}, {"MAIL FROM:<a@>", "501 5.1.7"}, {"MAIL FROM:<a@example..net>", "501 5.1.7"},
		{"MAIL FROM:<a@example.net", "501 5.1.7"}, {"MAIL FROM:a@example.net>", "501 5.1.7"}, {"MAIL FROM:<a b@example.net>", "501 5.1.7"}, {"MAIL FROM:<a\x01@example.net>", "501 5.1.7"},
		{"MAIL FROM:<a@example.net> SIZE=x", "501 5.5.4"}, {"MAIL FROM:<a@example.net> SIZE=-1", "501 5.5.4"}, {"MAIL FROM:<a@example.net> SIZE=99999999999", "552 5.3.4"},
		{"MAIL FROM:<a@example.net> BODY=BINARYMIME", "501 5.5.4"}, {"MAIL FROM:<a@example.net> RET=FULL", "555 5.5.4"}, {"MAIL FROM:<a@example.net> SIZE=1 SIZE=1", "501 5.5.4"},
		{"MAIL FROM:<\xfc@example.net>", "553 5.6.7"}, {"MAIL FROM:<\"a b\"@example.net>", "553 5.1.7"},
	}
	badRcpt = [][2]string{
		{"RCPT TO:<>", "501 5.1.3"}, {"RCPT TO:<b>", "501 5.1.3"}, {"RCPT TO:<b@[300.1.1.1]>", "501 5.1.3"}, {"RCPT TO:<@example.org>", "501 5.1.3"},
		{"RCPT TO:<b@example.org> NOTIFY=NEVER", "555 5.5.4"}, {"RCPT TO:<b%c@example.org>", "550 5.7.1"}, {"RCPT TO:<\"b\\\"c\"@example.org>", "553 5.1.3"},
		{"RCPT TO:<" + strings.Repeat("b", 65) + "@example.org>", "501 5.1.3"}, {"RCPT TO:<b@example.org", "501 5.1.3"}, {"RCPT TO:<\xc3\xbc@example.org>", "553 5.6.7"},
	}
)

// next makes the next command.
func (m *sessionModel) next() {
	m.line, m.want, m.last, m.body, m.ends = "", nil, false, "", ""
	switch n := m.IntN(1000); {
	case n < 90 || !m.hello && n < 400:
		line := m.cased("EHLO") + " client.example.net"
		if n%2 == 0 {
			line = m.cased("HELO") + " [192.0.2.1]"
		}
		m.last = true
		if m.hello && m.idle(line, "250") || !m.hello && !m.spent(line) {
			if !m.hello {
				m.expect(line, "250")
			}
			m.hello = true
			m.reset()
		}
	case n < 100:
		m.last = true
		line := m.pick("EHLO", "HELO", "EHLO a b", "EHLO \xff")
		if m.spent(line) {
			return
		}
		if m.hello {
			m.junk++
		}
		m.fail(line, "501")
	case n < 240 || m.hello && !m.mail && n < 350:
		line, bad := m.cased("MAIL FROM:")+m.pick("<a@example.net>", "<>", " <a@example.net> SIZE=100", "<@x.example:a@example.net>", "<a@example.net> BODY=8BITMIME"), ""
		if m.IntN(6) == 0 {
			b := badMail[m.IntN(len(badMail))]
			line, bad = b[0], b[1]
		}
		switch {
		case strings.Contains(line, "\x01"): // seen before all else
			m.fail(line, bad)
		case !m.hello || m.mail:
			m.fail(line, "503 5.5.1")
		case bad != "":
			m.fail(line, bad)
		case !m.spent(line):
			m.expect(line, "250 2.1.0")
			m.mail = true
		}
	case n < 500:
		line, want := m.cased("RCPT TO:")+m.pick("<b@example.org>", "<c@EXAMPLE.org>", "<postmaster>", " <d.e@example.org>", "<@x.example,@y.example:b@example.org>"), "250 2.1.5"
		b := badRcpt[m.IntN(len(badRcpt))]
		kind := m.IntN(10)
		if kind == 0 {
			line, want = b[0], b[1]
		} else if kind == 1 {
			line, want = m.cased("RCPT TO:")+m.pick("<b@elsewhere.example>", "<b@sub.example.org>", "<b@[192.0.2.1]>"), "550 5.7.1"
		}
		switch {
		case !m.mail || m.chunks:
			m.fail(line, "503 5.5.1")
		case kind == 0:
			m.tried++
			m.fail(line, want)
		default:
			m.tried++
			if m.spent(line) {
				return
			}
			m.expect(line, want)
			if kind == 1 {
				m.junk++
			} else {
				m.rcpts++
			}
		}
	case n < 640:
		m.data()
	case n < 760:
		m.bdat()
	case n < 800:
		if m.idle(m.cased("RSET"), "250 2.0.0") {
			m.reset()
		}
	case n < 840:
		m.idle(m.pick("NOOP", "noop", "NOOP something"), "250 2.0.0")
	case n < 860:
		m.idle(m.pick("VRFY b", "VRFY <b@example.org>"), "252 2.1.5")
	case n < 870:
		m.idle("HELP", "214 2.0.0")
	case n < 890:
		line := "ETRN " + m.pick("example.org", "@example.org", "#x", "elsewhere.example")
		switch {
		case !m.hello || m.mail:
			m.fail(line, "503 5.5.1")
		default:
			m.idle(line, "459 4.7.1")
		}
	case n < 910:
		m.fail(m.pick("RSET now", "QUIT now", "DATA now", "STARTTLS now", "VRFY"), "501 5.5.4")
	case n < 930:
		m.fail(m.pick("EXPN b", "TURN", "SEND FROM:<a@example.net>", "AUTH PLAIN", "STARTTLS"), "502 5.5.1")
	case n < 960:
		junk := make([]byte, m.IntN(40))
		for i := range junk {
			if junk[i] = byte(m.IntN(256)); junk[i] < ' ' || junk[i] == 0x7f {
				junk[i] = '~'
			}
		}
		word, _, _ := strings.Cut("X"+string(junk), " ")
		if len(word) > 16 { // no verb is so long
			m.fail("X"+string(junk), "500 5.5.2")
		} else {
			m.fail("X"+string(junk), "500 5.5.1")
		}
	case n < 970:
		m.fail(m.pick("", "   "), "500 5.5.2")
	case n < 980:
		m.fail(m.pick("NO\x00OP", "\x1b[A", "X\tY"), "501 5.5.2")
	case n < 985:
		m.fatal(m.pick("NOOP\nNOOP", "NO\rOP", "\nNOOP"), "500 5.5.2")
	case n < 988:
		m.fatal("NOOP "+strings.Repeat("x", 2048+m.IntN(5000)), "500 5.5.2")
	case n < 991:
		m.fatal("GET / HTTP/1.1", "221 2.7.0")
	case n < 994:
		m.fatal("QUIT", "221 2.0.0")
	default:
		m.idle("NOOP "+strings.Repeat("y", m.IntN(1900)), "250 2.0.0")
	}
}

// data makes DATA, and what a client sends after it or, wrongly, behind it.
func (m *sessionModel) data() {
	line := m.cased("DATA")
	switch {
	case !m.mail || m.chunks || m.tried == 0:
		m.fail(line, "503 5.5.1")
	case m.rcpts == 0:
		m.fail(line, "554 5.5.1")
	default:
		m.expect(line, "354")
		body := "Subject: random\r\n\r\n..stuffed\r\n" + m.pick("DATA\r\n", "RSET\r\n", "x\r\n", "") + ".\r\n"
		ends := "250 2.0.0"
		if m.IntN(20) == 0 {
			body, ends = "Subject: bare\r\n\r\n"+m.pick("a\nb", "a\rb", "\x00", "\n.\n", "\r.\r")+"\r\n.\r\n", "550 5.5.2"
			m.over = true
		} else {
			m.taken++
			m.junk = 0
			m.reset()
		}
		if m.IntN(4) == 0 { // it does not wait for 354
			m.line += "\r\n" + strings.TrimSuffix(body, "\r\n")
			m.want = append(m.want, ends)
		} else {
			m.last, m.body, m.ends = true, body, ends
		}
		return
	}
	if m.IntN(3) == 0 && !m.over { // the message follows regardless
		for _, part := range [][2]string{{"Subject: random", "500 5.5.1"}, {"", "500 5.5.2"}, {".", "500 5.5.1"}} {
			if !m.over {
				m.fail(m.line+"\r\n"+part[0], part[1])
			}
		}
	}
}

// bdat makes a chunk.
func (m *sessionModel) bdat() {
	if m.IntN(40) == 0 {
		m.fatal(m.pick("BDAT", "BDAT x", "BDAT 5 FIRST", "BDAT -5 LAST", "BDAT 5  6 LAST", "BDAT 5\x00"), "501 5.5.4")
		return
	}
	text := m.pick("", "", "x", "NOOP\r\n", "Subject: a chunk\r\n\r\n", "\r\n.\r\n", "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n")
	last := m.IntN(2) == 0
	line := fmt.Sprintf("%s %d", m.cased("BDAT"), len(text))
	if last {
		line += " " + m.cased("LAST")
	}
	// The line's own end is added where it is sent.
	m.body, m.last = "", false
	whole := line + "\r\n" + text
	switch {
	case len(text) == 0 && !last && m.spent(whole):
	case m.rcpts == 0:
		if len(text) == 0 && !last {
			m.junk++
		}
		m.chunks = false
		m.fail(whole, "503 5.5.1")
	case last:
		m.expect(whole, "250 2.0.0")
		m.taken++
		m.junk = 0
		m.reset()
	default:
		if len(text) == 0 {
			m.junk++
		}
		m.expect(whole, "250 2.0.0")
		m.chunks = true
	}
	m.line = whole + "\x00chunk"
}

// wire returns the octets of the command.
func (m *sessionModel) wire() string {
	if text, ok := strings.CutSuffix(m.line, "\x00chunk"); ok {
		return text
	}
	return m.line + "\r\n"
}

// session has one session of at most n commands and returns how many it had.
func (m *sessionModel) session(address string, n int) (commands int, err error) {
	a, err := attack(address)
	if err != nil {
		return 0, err
	}
	defer a.Close()
	var history []string
	for commands < n && !m.over {
		var group strings.Builder
		var want []string
		for range 1 + m.IntN(12) {
			m.next()
			group.WriteString(m.wire())
			want = append(want, m.want...)
			commands++
			if m.last || m.over {
				break
			}
		}
		history = append(history, group.String())
		fail := func(format string, args ...any) (int, error) {
			return commands, fmt.Errorf(format+"; the session was %q", append(args, history[max(0, len(history)-4):])...)
		}
		if err := a.send(group.String()); err != nil && !m.over {
			return fail("%v", err)
		}
		for i, w := range want {
			a.plain = w == "250" || w == "501"
			got, err := a.hear()
			if err != nil || got.String() != w {
				return fail("reply %d of %d: %s %q, %v; want %s", i+1, len(want), got, got.lines, err, w)
			}
		}
		if m.body != "" {
			history = append(history, m.body)
			if err := a.send(m.body); err != nil {
				return fail("%v", err)
			}
			if got, err := a.hear(); err != nil || got.String() != m.ends {
				return fail("message: %s %q, %v; want %s", got, got.lines, err, m.ends)
			}
		}
	}
	if !m.over {
		if err := a.must(221, "QUIT"); err != nil {
			return commands, fmt.Errorf("%w; the session was %q", err, history)
		}
	}
	return commands, a.ended()
}

// TestRandomCommands sends 40,000 random commands (300,000 in the long form), in groups, over thousands of
// sessions. Every reply must be the one that the model of the session's state
// wants; every message that was answered 250, and no other, must reach the server
// behind. SPAMCATCHER_SEED repeats a run.
func TestRandomCommands(t *testing.T) {
	const sessions = 4
	commands := int64(40_000)
	if torture() {
		commands = 300_000
	}
	seed := uint64(20261122)
	if text := os.Getenv("SPAMCATCHER_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	behind := relaytest.Start(t, relaytest.Script{Quiet: true})
	p := start(t, t.TempDir(), fmt.Sprintf("hostname = 'mx.example.org'\ntls.starttls = false\n[[domain]]\nname = 'example.org'\ndestinations = [%q]\netrn_from = ['192.0.2.1']\n", behind.Addr))
	var done, taken, opened, wrong atomic.Int64
	var wg sync.WaitGroup
	for range sessions {
		wg.Go(func() {
			for done.Load() < commands && wrong.Load() < 10 {
				number := opened.Add(1)
				m := &sessionModel{Rand: rand.New(rand.NewPCG(seed, uint64(number)))}
				n, err := m.session(p.address, 200)
				done.Add(int64(n))
				taken.Add(int64(m.taken))
				if err != nil {
					wrong.Add(1)
					t.Errorf("seed %d, session %d: %v", seed, number, err)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("FIGURES seed %d: %d commands in %d sessions, %d messages taken", seed, done.Load(), opened.Load(), taken.Load())
	if wrong.Load() == 0 {
		waitFor(t, "the messages behind", func() bool { return int64(behind.Count()) >= taken.Load() })
		if got := int64(behind.Count()); got != taken.Load() {
			t.Errorf("%d messages reached the server behind, %d were taken", got, taken.Load())
		}
	}
	for _, f := range slices.Concat(p.faults(), behind.Offences()) {
		t.Error(f)
	}
}
