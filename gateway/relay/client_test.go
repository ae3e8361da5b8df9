package relay

import (
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"

	"spamcatcher/gateway/relay/relaytest"
)

// Why there is a client of our own: what go-smtp's lets through, counted beside ours. Only ours must be without fault; when
// the library's figures in the log are zero as well, this package can become a thin layer over it.
func TestBesideTheLibrarysClient(t *testing.T) {
	type figures struct{ bare, injected, octets int }
	count := func(send func(address, from, text string)) (f figures) {
		for _, p := range smugglePrefixes {
			for _, x := range smuggleSuffixes {
				s := relaytest.Start(t, relaytest.Script{})
				send(s.Addr, "a@example.com", "Subject: x\r\n\r\nbody"+p+"."+x+"end\r\n")
				if len(s.Offences()) > 0 {
					f.bare++
				}
				s.Close()
			}
		}
		s := relaytest.Start(t, relaytest.Script{})
		send(s.Addr, "a> SIZE=1 <b@example.com", hello)
		for _, l := range s.Lines() {
			if strings.HasPrefix(l, "MAIL FROM:<a>") {
				f.injected++
			}
		}
		var octets atomic.Int64
		s = relaytest.Start(t, relaytest.Script{Stream: func(line string, w io.Writer) bool {
			if !strings.HasPrefix(line, "RCPT") {
				return false
			}
			piece := strings.Repeat("250-and another thing\r\n", 1000)
			for octets.Load() < 64<<20 {
				n, err := io.WriteString(w, piece)
				octets.Add(int64(n))
				if err != nil {
					return true
				}
			}
			return true
		}})
		send(s.Addr, "a@example.com", hello)
		s.Close()
		f.octets = int(octets.Load())
		return f
	}
	library := count(func(address, from, text string) {
		c, err := smtp.Dial(address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SendMail(from, []string{"b@example.org"}, strings.NewReader(text))
	})
	ours := count(func(address, from, text string) {
		it := item(text, "b@example.org")
		it.Sender = from
		newRelay(t, nil, address).Deliver(t.Context(), it, strings.NewReader(text))
	})
	t.Logf("go-smtp: %d of 72 ends of data sent with bare octets, %d injected parameters, %d octets of one reply taken", library.bare, library.injected, library.octets)
	t.Logf("ours:    %d of 72 ends of data sent with bare octets, %d injected parameters, %d octets of one reply taken", ours.bare, ours.injected, ours.octets)
	// What the kernel's buffers hold on both sides was sent, not taken.
	if ours.bare != 0 || ours.injected != 0 || ours.octets > 16<<20 {
		t.Errorf("ours: %+v", ours)
	}
}
