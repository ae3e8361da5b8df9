package relay

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// The ends of data by which one server's message becomes another server's two: what may stand before and after the dot.
var (
	smugglePrefixes = []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n\x00", "\r\x00\n", "\n\n", "\r\n\n"}
	smuggleSuffixes = []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\x00\n", " \r\n", "\x00\r\n"}
)

// Of the 72 ends, the true one and ". " are only CRLF lines and are sent with the dot stuffed; the other 70 are never sent.
func TestNoEndOfDataVariantLeaves(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, nil, s.Addr)
	sent, kept := 0, 0
	for _, p := range smugglePrefixes {
		for _, x := range smuggleSuffixes {
			text := "Subject: outer\r\n\r\nbody" + p + "." + x + "MAIL FROM:<x@example.test>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nSubject: inner\r\n\r\nhello\r\n.\r\n"
			before := len(s.Messages())
			got := deliver(t, r, text, "b@example.org")
			switch now := s.Messages()[before:]; {
			case len(now) == 0:
				kept++
				if got[0].State != queue.Deferred || !strings.HasPrefix(got[0].Reply, "451 4.3.5 message not transmissible") {
					t.Errorf("%q.%q: %+v", p, x, got)
				}
			case len(now) == 1:
				sent++
				if now[0].Text() != text {
					t.Errorf("%q.%q: sent %q", p, x, now[0].Data)
				}
				if rest := strings.ReplaceAll(string(now[0].Data), "\r\n", ""); strings.ContainsAny(rest, "\r\n\x00") {
					t.Errorf("%q.%q: sent bare octets %q", p, x, now[0].Data)
				}
			default:
				t.Errorf("%q.%q: became %d messages", p, x, len(now))
			}
		}
	}
	if sent != 2 || kept != 70 {
		t.Errorf("%d sent, %d kept; want 2 and 70", sent, kept)
	}
	for _, l := range s.Lines() {
		if strings.Contains(l, "x@example.test") || strings.Contains(l, "y@example.org") {
			t.Errorf("a smuggled command: %q", l)
		}
	}
	innocent(t, s)
}

// stuffed is the plain way to do what stuffer does.
func stuffed(text string) string {
	if text != "" && !strings.HasSuffix(text, "\r\n") {
		text += "\r\n"
	}
	return strings.ReplaceAll("\r\n"+text, "\r\n.", "\r\n..")[2:] + ".\r\n"
}

func stuffAll(r io.Reader, size int, buffer int) (string, error) {
	var out bytes.Buffer
	w := &stuffer{buf: make([]byte, 0, buffer), flush: func(p []byte, last bool) error {
		if last != bytes.HasSuffix(p, []byte(".\r\n")) && last {
			return errors.New("last block without the dot line")
		}
		out.Write(p)
		return nil
	}}
	p := make([]byte, size)
	for {
		n, err := r.Read(p)
		if _, e := w.Write(p[:n]); e != nil {
			return out.String(), e
		}
		if err != nil {
			break
		}
	}
	err := w.end()
	return out.String(), err
}

func TestStuffer(t *testing.T) {
	long := strings.Repeat(".\r\n..a\r\n"+strings.Repeat("y", 500)+"\r\n", 300)
	for _, text := range []string{"", "\r\n", ".", ".\r\n", "..", "a", "a\r\n", "a\r\n.", "a\r\n.b\r\n", "\r\n.\r\n", "a.b\r\n...\r\n", "\r\n.\r\n.\r\n", long, strings.Repeat(".", 100000)} {
		for _, size := range []int{1, 2, 3, 7, 1000, 1 << 20} {
			got, err := stuffAll(strings.NewReader(text), size, blockLen)
			if err != nil || got != stuffed(text) {
				t.Errorf("%.20q in pieces of %d: %.40q, %v", text, size, got, err)
			}
		}
		m, err := load(strings.NewReader(text), int64(len(text)))
		if err != nil {
			t.Errorf("%.20q: %v", text, err)
		} else if end := strings.TrimSuffix(stuffed(text), ".\r\n"); int64(len(strings.ReplaceAll("\r\n"+end, "\r\n..", "\r\n."))-2) != m.size {
			t.Errorf("%.20q: size %d, sent %d", text, m.size, len(end))
		}
	}
	for _, text := range []string{"\n", "\r", "a\rb", "a\r" + strings.Repeat("b", 20000), "a\nb", "\r\r\n", "\r\n\n", "\n\r\n", "a\r\n\r", "a\x00b", "\r\x00\n", "\x00"} {
		for _, pad := range []string{"", strings.Repeat("z", 16<<10-1), strings.Repeat("z", 16<<10-2), strings.Repeat("z", 16<<10), strings.Repeat("abc\r\n", 60000)} {
			for _, size := range []int{1, 1000, 1 << 20} {
				out, err := stuffAll(strings.NewReader(pad+text), size, blockLen)
				if !errors.Is(err, errPoison) {
					t.Errorf("%q after %d octets, in pieces of %d: %v", text, len(pad), size, err)
				}
				if rest := strings.ReplaceAll(out, "\r\n", ""); strings.ContainsAny(rest, "\r\n\x00") {
					t.Errorf("%q after %d octets, in pieces of %d: bare octets left", text, len(pad), size)
				}
			}
			if _, err := load(strings.NewReader(pad+text), int64(len(pad+text))); !errors.Is(err, errPoison) {
				t.Errorf("load %q after %d octets: %v", text, len(pad), err)
			}
		}
	}
}

func FuzzStuffer(f *testing.F) {
	f.Add([]byte("a\r\n.\r\nb"), 3)
	f.Add([]byte("\r\n.\r\n"), 1)
	f.Add([]byte("a\n.\nb\r"), 2)
	f.Add([]byte("\r\x00\n"), 100)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if size < 1 || size > 1<<16 {
			return
		}
		clean := !bytes.ContainsAny(bytes.ReplaceAll(text, []byte("\r\n"), nil), "\r\n\x00")
		// What is left when the pairs are gone may make new pairs: CR CR LF LF.
		if i := bytes.Index(text, []byte("\r\r\n")); i >= 0 {
			clean = false
		}
		out, err := stuffAll(bytes.NewReader(text), size, blockLen)
		if (err == nil) != clean {
			t.Fatalf("%q: %v", text, err)
		}
		if err == nil && out != stuffed(string(text)) {
			t.Fatalf("%q: sent %q", text, out)
		}
		if rest := strings.ReplaceAll(out, "\r\n", "\x01"); strings.ContainsAny(rest, "\r\n\x00") {
			t.Fatalf("%q: sent %q", text, out)
		}
		m, lerr := load(iotestSeeker{bytes.NewReader(text)}, int64(len(text)/2))
		if (lerr == nil) != clean {
			t.Fatalf("%q: load %v", text, lerr)
		}
		if lerr == nil {
			head, _, _ := strings.Cut("\r\n"+string(text), "\r\n\r\n")
			if m.eightBit != !ascii(string(text)) || m.utf8Head != !ascii(head) {
				t.Fatalf("%q: eightBit %v, utf8Head %v", text, m.eightBit, m.utf8Head)
			}
		}
	})
}

// iotestSeeker reads one octet at a time.
type iotestSeeker struct{ *bytes.Reader }

func (s iotestSeeker) Read(p []byte) (int, error) { return iotest.OneByteReader(s.Reader).Read(p) }

func TestHeadScan(t *testing.T) {
	for text, want := range map[string]bool{
		"A: b\r\n\r\nö": false, "A: ö\r\n\r\nb": true, "\r\nö": false, "ö": true, "A: b\r\n\r\n": false, "A: b\r\nö\r\n\r\nx": true,
	} {
		for size := 1; size < len(text)+1; size++ {
			var h headScan
			for p := []byte(text); len(p) > 0; {
				n := min(size, len(p))
				h.see(p[:n])
				p = p[n:]
			}
			if h.eightBit != want {
				t.Errorf("%q in pieces of %d: %v", text, size, h.eightBit)
			}
		}
	}
}

// A message that changes between the look and the sending is still never sent with a bare line end.
func TestMessageThatChanges(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	good := strings.Repeat("abc\r\n", 100000)
	body := &changing{first: good, later: good + "x\n.\r\n"}
	it := item(good, "b@example.org")
	got := newRelay(t, nil, s.Addr).Deliver(t.Context(), it, body)
	if got[0].State != queue.Deferred || len(s.Messages()) != 0 {
		t.Errorf("%+v, %d messages", got, len(s.Messages()))
	}
	innocent(t, s)
}

type changing struct {
	first, later string
	seeks        int
	r            *strings.Reader
}

func (c *changing) Read(p []byte) (int, error) { return c.r.Read(p) }

func (c *changing) Seek(int64, int) (int64, error) {
	if c.seeks++; c.seeks == 1 {
		c.r = strings.NewReader(c.first)
	} else {
		c.r = strings.NewReader(c.later)
	}
	return 0, nil
}

func TestMessageThatCannotBeRead(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, nil, s.Addr)
	got := r.Deliver(t.Context(), item(hello, "b@example.org"), failing{})
	if got[0].State != queue.Deferred || !strings.HasPrefix(got[0].Reply, "451 4.3.0 ") || s.Conns() != 0 {
		t.Errorf("%+v, %d connections", got, s.Conns())
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error)       { return 0, errors.New("input/output error") }
func (failing) Seek(int64, int) (int64, error) { return 0, nil }
