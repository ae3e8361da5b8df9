package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// Bounds of the sample of mail that was judged lately.
const (
	recentCount = 200
	recentEach  = 64 << 10 // bytes of one message; larger ones are not kept
	recentBytes = 8 << 20  // of all
	// recentShare: once there are enough, one message of so many takes the place of
	// another, so that the sample is spread over the last some thousand.
	recentShare = 16
)

// A recent is a sample of the mail that the gateway judged lately, against which
// new rules are tried. It is in memory only: mail is never written to disk for it.
type recent struct {
	mu    sync.Mutex
	mail  []recentMail
	bytes int
}

// recentMail is one message with the facts that rules look at. Its answers of the
// network are left out: without network, old and new rules see the same.
type recentMail struct {
	raw   []byte
	facts engine.Mail // without message
}

// add may keep a message.
func (r *recent) add(m *engine.Mail) {
	raw := m.Message.Raw()
	if len(raw) == 0 || len(raw) > recentEach {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mail) >= recentCount && rand.N(recentShare) != 0 {
		return
	}
	for len(r.mail) >= recentCount || r.bytes+len(raw) > recentBytes {
		i := rand.N(len(r.mail))
		r.bytes -= len(r.mail[i].raw)
		r.mail[i] = r.mail[len(r.mail)-1]
		r.mail[len(r.mail)-1] = recentMail{}
		r.mail = r.mail[:len(r.mail)-1]
	}
	facts := engine.Mail{Session: m.Session, Envelope: m.Envelope, Auth: m.Auth, Found: m.Found}
	r.mail = append(r.mail, recentMail{bytes.Clone(raw), facts})
	r.bytes += len(raw)
}

// all are the messages of the sample.
func (r *recent) all() []tried {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]tried, len(r.mail))
	for i, m := range r.mail {
		list[i] = tried{raw: m.raw, facts: m.facts}
	}
	return list
}

// remembering is a judge that keeps a sample of what it judged while there is a
// rule channel.
type remembering struct {
	*engine.Engine
	service *service
}

func (r remembering) Judge(ctx context.Context, m *engine.Mail) engine.Verdict {
	v := r.Engine.Judge(ctx, m)
	if r.service.now.Load().config.UpdateURL != "" {
		r.service.recent.add(m)
	}
	return v
}

// tried is a message that new rules are tried on.
type tried struct {
	name  string // "" means its Message-ID
	raw   []byte
	facts engine.Mail
}

// mail is the message to be judged, parsed anew each time: no judge profits from
// what another one made of it.
func (t tried) mail() *engine.Mail {
	m := t.facts
	m.Message = message.Parse(t.raw, message.Limits{})
	return &m
}

// String names the message in what is said of it.
func (t tried) String() string {
	if t.name != "" {
		return t.name
	}
	if id := message.Parse(t.raw, message.Limits{}).Header().Get("Message-ID"); id != "" {
		return printable(id)
	}
	return "a message without Message-ID"
}
