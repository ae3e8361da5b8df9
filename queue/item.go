package queue

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// State is where one recipient of an item stands.
type State uint8

const (
	// Pending: not tried yet.
	Pending State = iota
	// Deferred: tried, refused for now (4xx, no connection); will be tried again.
	Deferred
	// Delivered: the next hop took the message. Final.
	Delivered
	// Failed: refused for good (5xx), or the item's lifetime is over. Final.
	Failed
)

// Final reports whether a recipient in this state will never be tried again.
func (s State) Final() bool { return s == Delivered || s == Failed }

// String returns the state's lower-case name.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Deferred:
		return "deferred"
	case Delivered:
		return "delivered"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Draft is a message on its way into the queue. Put does not keep or change it.
type Draft struct {
	ID         string            // unique: 1 to 64 letters, digits, '.', '_', '-', not beginning with '.'; "" = made by Put
	Sender     string            // reverse path; "" = null sender
	Recipients []string          // forward paths, 1 to 5,000
	Body       [][]byte          // the message as it goes out, in pieces that are written one after the other
	UTF8       bool              // the message needs SMTPUTF8 (RFC 6531)
	EightBit   bool              // the message was declared BODY=8BITMIME (RFC 6152)
	Hold       string            // why the item is held; "" = it is not. A held item is never attempted until it is released
	Note       map[string]string // small and opaque, for listings: score, subject, client…; at most 16 KiB in all
	Lifetime   time.Duration     // how long delivery is tried; 0 = Config.Lifetime
}

// Item is one message in the queue with what is known of its delivery. Items handed out are copies.
type Item struct {
	ID         string
	Sender     string // "" = null sender
	Recipients []Recipient
	Received   time.Time // when Put took it
	Next       time.Time // when the next attempt is due, if its lane is not down by then; zero while held
	Expires    time.Time // when delivery is given up: its lifetime after Received or the last release (wall time)
	Warned     time.Time // when the sender was told of the delay, or found not to be told (null sender); zero = was not
	Tried      time.Time // when the last attempt ended; zero = never
	Attempts   int       // attempts begun
	History    []Attempt // the last attempts, oldest first, at most 10
	Crashes    int       // attempts in a row whose result was never recorded: the process died in them
	Size       int64     // bytes of body
	Hold       string    // why it is held; "" = it is not
	UTF8       bool
	EightBit   bool
	Note       map[string]string
	Lane       string        // the destination it waits for, as of when it was scheduled last
	Lifetime   time.Duration // as in its Draft

	of string // the item that it is a notification about; "" = it is none. Only in the spool
}

// Attempt is what one attempt brought.
type Attempt struct {
	Time                        time.Time // when it ended
	Server, Reply               string    // who said what, for the first recipient that was not delivered, or else the first; at most 200 bytes of it
	Delivered, Deferred, Failed int       // recipients
	Down                        bool      // the destination was down
}

// Pending returns the recipients that are not final yet, in order: those that an attempt must try.
func (it *Item) Pending() []Recipient {
	var open []Recipient
	for _, r := range it.Recipients {
		if !r.State.Final() {
			open = append(open, r)
		}
	}
	return open
}

// Recipient is one forward path of an item and its state.
type Recipient struct {
	Address  string
	State    State
	Attempts int       // attempts that had an answer for this recipient: none of those that found the destination down
	Reply    string    // the last reply, e.g. "450 4.2.0 mailbox busy", at most 500 bytes of it; "" = none yet
	Server   string    // who gave the reply; "" = unknown
	Changed  time.Time // when State or Reply was last set
}

// Result is what one attempt brought for one recipient.
type Result struct {
	Recipient string
	State     State  // Delivered, Deferred or Failed; anything else counts as Deferred
	Reply     string // e.g. "250 2.0.0 ok"
	Server    string // who said it
	Down      bool   // the destination could not be reached or talked to (or says 421): tells nothing about this message
	Silent    bool   // tells nothing about the destination: the message can never be sent, or the attempt was interrupted
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a fresh item id: 21 lower-case letters and digits which sort by the time of the call (ms), 56 of their bits random.
func NewID() string { return newID(time.Now()) }

func newID(now time.Time) string {
	var b [13]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:])
	return idEncoding.EncodeToString(b[:])
}

func checkID(id string) error {
	if len(id) == 0 || len(id) > 64 || id[0] == '.' {
		return fmt.Errorf("queue id %q: not 1 to 64 characters or begins with a dot", id)
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("queue id %q: only letters, digits, '.', '_' and '-' may occur", id)
		}
	}
	return nil
}

// domain returns the lower-case domain of an address, "" if it has none.
func domain(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}
