package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A mailSink is a server behind the gateway that takes everything except for nobody@, keeps only when it took what, and
// finds out whether it came whole. It can go away and come back.
type mailSink struct {
	addr  string
	delay time.Duration // before each final 250

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
	got      map[delivery][]time.Time // when 250 had been sent
	broken   []string                 // messages that were not whole
	wg       sync.WaitGroup
}

// A delivery is one message for one recipient.
type delivery struct{ id, to string }

// notification is the id of every delivery status notification.
const notification = "notification"

func newSink(t *testing.T, up bool) *mailSink {
	t.Helper()
	s := &mailSink{addr: closedPort(t), open: map[net.Conn]bool{}, got: map[delivery][]time.Time{}}
	if up {
		s.up(t)
	}
	t.Cleanup(s.down)
	return s
}

// up lets the server listen at its address.
func (s *mailSink) up(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[c] = true
			s.mu.Unlock()
			s.wg.Go(func() {
				s.serve(c)
				c.Close()
				s.mu.Lock()
				delete(s.open, c)
				s.mu.Unlock()
			})
		}
	})
}

// down closes the address and all connections.
func (s *mailSink) down() {
	s.mu.Lock()
	if s.listener != nil {
		s.listener.Close()
		s.listener = nil
	}
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *mailSink) serve(c net.Conn) {
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c)
	say := func(reply string) bool {
		out.WriteString(reply + "\r\n")
		return in.Buffered() > 0 || out.Flush() == nil
	}
	if !say("220 sink.example.net ESMTP") {
		return
	}
	var from string
	var to []string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		ok := true
		switch strings.ToUpper(verb) {
		case "EHLO":
			ok = say("250-sink.example.net\r\n250-PIPELINING\r\n250 8BITMIME")
		case "MAIL", "RSET":
			from, to = rest, nil
			ok = say("250 2.0.0 ok")
		case "RCPT":
			address, _, _ := strings.Cut(rest[strings.IndexByte(rest, '<')+1:], ">")
			if strings.HasPrefix(address, "nobody@") {
				ok = say("550 5.1.1 no such mailbox")
				break
			}
			to = append(to, address)
			ok = say("250 2.1.5 ok")
		case "DATA":
			if len(to) == 0 {
				ok = say("554 5.5.1 no recipients")
				break
			}
			if !say("354 go on") || out.Flush() != nil {
				return
			}
			body, err := io.ReadAll(textproto.NewReader(in).DotReader())
			if err != nil {
				return
			}
			time.Sleep(s.delay)
			id, whole := whatCame(body)
			if strings.HasPrefix(from, "FROM:<>") {
				id, whole = notification, bytes.Contains(body, []byte("\nFinal-Recipient:"))
			}
			if !say("250 2.0.0 taken") || out.Flush() != nil {
				return
			}
			now := time.Now()
			s.mu.Lock()
			if !whole {
				s.broken = append(s.broken, fmt.Sprintf("%s for %v: %d octets", id, to, len(body)))
			}
			for _, r := range to {
				s.got[delivery{id, r}] = append(s.got[delivery{id, r}], now)
			}
			s.mu.Unlock()
			to = nil
		case "QUIT":
			say("221 2.0.0 bye")
			return
		default:
			ok = say("502 5.5.1 what?")
		}
		if !ok {
			return
		}
	}
}

// times returns when d was taken.
func (s *mailSink) times(d delivery) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got[d])
}

// all returns everything that was taken.
func (s *mailSink) all() map[delivery][]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := make(map[delivery][]time.Time, len(s.got))
	for d, at := range s.got {
		copied[d] = slices.Clone(at)
	}
	return copied
}

// forget drops what was taken after that moment.
func (s *mailSink) forget(after time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, at := range s.got {
		if at = slices.DeleteFunc(at, func(x time.Time) bool { return x.After(after) }); len(at) == 0 {
			delete(s.got, d)
		} else {
			s.got[d] = at
		}
	}
}

// arrived returns everything that any of the sinks took.
func arrived(sinks ...*mailSink) map[delivery][]time.Time {
	all := map[delivery][]time.Time{}
	for _, s := range sinks {
		for d, at := range s.all() {
			all[d] = append(all[d], at...)
		}
	}
	for _, at := range all {
		slices.SortFunc(at, time.Time.Compare)
	}
	return all
}

func (s *mailSink) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.broken {
		t.Errorf("a message came damaged: %s", b)
	}
}
