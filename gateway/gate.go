package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"spamcatcher/engine/message"
	"spamcatcher/gateway/auth"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/wire"
)

// greet returns the question that is asked about every connection before the
// banner: first other's, if there is one, then the gate's.
func (s *Server) greet(other func(netip.Addr) *wire.Reply) func(netip.Addr) *wire.Reply {
	return func(client netip.Addr) *wire.Reply {
		if other != nil {
			if r := other(client); r != nil {
				return r
			}
		}
		r := s.gate().Greet(s.ctx, client)
		if r == nil {
			return nil
		}
		s.turned.Add(1)
		s.logRefusal(client, "", "", "", r)
		return &wire.Reply{Code: r.Code, Enhanced: fmt.Sprintf("%d.%d.%d", r.Status[0], r.Status[1], r.Status[2]), Text: r.Text, Close: r.Close}
	}
}

// turnAway makes the reply to a client that the gate refuses. The connection ends
// after it, whatever the client has sent ahead; unless a recipient was accepted
// before, who is to get the message.
func (s *session) turnAway(r *policy.Refusal, to string) error {
	hello, _ := s.conn.Hello()
	s.turned.Add(1)
	s.logRefusal(s.conn.Client().Addr(), hello, s.from, to, r)
	if r.Close && len(s.to) == 0 {
		s.conn.CloseAfterReply()
		ahead := slices.DeleteFunc(s.conn.Ahead(), func(to string) bool { return !s.policy().Accepts(to) })
		s.visit.Note(ahead[:min(len(ahead), s.maxRecipients-1)])
	}
	return replyTo(r)
}

// identify completes a mail with what DNS says of its sender. What is not known
// after half of the time for checks stays unknown. SPF, which DMARC has to wait
// for, gets half of that; what else the gate has asked is answered meanwhile.
// Signatures are verified over the message as it came, with the fields that were
// stripped because nobody else may write them.
func (s *session) identify(ctx context.Context, d *delivery) {
	ctx, cancel := context.WithTimeout(ctx, s.checkTime/2)
	defer cancel()
	soon, stop := context.WithTimeout(ctx, s.checkTime/4)
	said := s.visit.SPF(soon)
	stop()
	spf := auth.SPF{Result: said.Result, Domain: said.Domain, Hello: said.Hello, Exempt: said.Exempt}
	if v := s.auth(); v != nil {
		came := *d.mail
		if d.forged > 0 { // who signed the message may have signed what was stripped
			came.Message = message.Parse(s.conn.Message(), s.limits)
		}
		d.mail.Auth = v.Verify(ctx, &came, spf)
	} else {
		d.mail.Auth.SPF, d.mail.Auth.SPFDomain, d.mail.Auth.SPFHello, d.mail.Auth.SPFExempt = spf.Result, spf.Domain, spf.Hello, spf.Exempt
	}
	f := s.visit.Facts(ctx)
	d.mail.Session.PTR, d.mail.Auth.IPRev, d.mail.Found = f.PTR, f.IPRev, f.Found
	d.skipped = f.Skipped
	for _, fault := range f.Faults {
		s.panics.Add(1)
		s.log.LogAttrs(ctx, levelFault, "test panicked", slog.String("id", d.id), slog.String("error", clipTo(fault, maxLoggedList)))
	}
}
