package relay

import (
	"context"
	"io"
	"net/netip"
	"strings"

	"spamcatcher/queue"
)

// A Route says where mail for a recipient goes, and how.
type Route struct {
	Name    string     // what the lane of its mail is called; for people
	Servers []string   // "host[:port]", port 25 if none, asked in turn; one named twice gets two shares; none = Config.Local delivers
	TLS     TLSMode    // (TLSMay)
	Source  netip.Addr // local address to leave from (the kernel's choice)
	// Closed says why nothing can be sent now, by configuration: its recipients are deferred, and nobody is asked. "": it can.
	Closed string
	// Pins are SHA-256 digests, in hex, of a server's certificate (DER) or of its public key (SubjectPublicKeyInfo). With TLSVerify a
	// server must then show one of them, and neither name, nor issuer, nor dates count; the other modes do not look at them.
	Pins []string
}

// identity returns a text that two routes share only if they are the same, whatever they are called.
func (r Route) identity() string {
	var b strings.Builder
	for _, s := range r.Servers {
		b.WriteString(s)
		b.WriteByte(' ')
	}
	b.WriteByte('\n')
	b.WriteString(string(r.TLS))
	b.WriteByte('\n')
	if r.Source.IsValid() {
		b.WriteString(r.Source.String())
	}
	for _, p := range r.Pins {
		b.WriteByte('\n')
		b.WriteString(p)
	}
	if r.Closed != "" {
		b.WriteString("\nclosed " + r.Closed)
	}
	return b.String()
}

// A group is those recipients of one attempt that take the same route.
type group struct {
	route    Route
	identity string
	to       []queue.Recipient
	results  []*queue.Result // one for each of to
}

// groups asks for the route of each recipient and puts those with the same one together, in the order of their first recipients.
func (r *Relay) groups(it *queue.Item, pending []queue.Recipient, results []queue.Result) []*group {
	var all []*group
	known := map[string]*group{}
	for i, p := range pending {
		results[i] = queue.Result{Recipient: p.Address, State: queue.Deferred}
		route := r.routeOf(it, p.Address)
		// Domains may share a lane and have different servers, so the name alone does not make two routes the same.
		id := route.identity()
		g := known[id]
		if g == nil {
			g = &group{route: route, identity: id}
			known[id] = g
			all = append(all, g)
		}
		g.to, g.results = append(g.to, p), append(g.results, &results[i])
	}
	return all
}

// routeOf asks for the route of one recipient of an item.
func (r *Relay) routeOf(it *queue.Item, recipient string) Route {
	if r.cfg.Notices != nil && it.Sender == "" && it.Note[noticeOf] != "" {
		return r.cfg.Notices(recipient)
	}
	return r.cfg.Route(recipient)
}

const noServer = "451 4.3.5 no server to deliver to is configured"

// closed defers the recipients of a route that is closed.
func (g *group) closed() {
	for _, res := range g.results {
		res.Reply, res.Silent = "451 4.3.5 "+printable(g.route.Closed), true
	}
}

// local delivers to the recipients of a route without servers.
func (r *Relay) local(ctx context.Context, it *queue.Item, g *group, body io.ReadSeeker) {
	if r.cfg.Local == nil {
		for _, res := range g.results {
			res.Reply, res.Down = noServer, true
		}
		return
	}
	part := *it
	part.Recipients = g.to
	got := r.cfg.Local.Deliver(ctx, &part, body)
	for i, res := range g.results {
		if i < len(got) && got[i].Recipient == res.Recipient {
			*res = got[i]
		} else {
			res.Reply = "451 4.3.0 no result"
		}
	}
}
