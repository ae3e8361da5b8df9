package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"spamcatcher/engine"
	"spamcatcher/gateway/auth"
	"spamcatcher/gateway/policy"
)

// A scorer judges messages without a server: what is known of the sender is what
// the command line tells and, if it may ask, what DNS says.
type scorer struct {
	engine  *engine.Engine
	told    engine.Mail // session and envelope
	network *network    // nil: nobody is asked
	keeper  *gatekeeper

	patience time.Duration // for all that is asked about one message
}

func newScorer(ctx context.Context, c *Config, o scoreOptions) (*scorer, error) {
	s := &scorer{patience: c.CheckTimeout}
	for i, fact := range []string{"client", "helo", "from"} {
		if o.facts[i] == "" {
			continue
		}
		if err := s.told.Tell(fact, o.facts[i]); err != nil {
			return nil, usageError{fmt.Errorf("score: --%s: %w", fact, err)}
		}
	}
	if !o.network {
		var err error
		s.engine, err = newEngine(c)
		return s, err
	}
	asking := *c
	asking.NetCheck = true
	asking.Greylist.Mode = "off"
	for _, t := range []*testChoice{&asking.PTR, &asking.SenderDomain, &asking.SPF, &asking.DNSBL} {
		if t.Mode == "enforce" { // who would have been refused is to be scored
			t.Mode = "score"
		}
	}
	var err error
	if s.network, err = newNetwork(&asking, slog.New(slog.DiscardHandler), nil); err != nil {
		return nil, err
	}
	if s.keeper, err = newGatekeeper(&asking, s.network, &policy.Policy{}, nil); err != nil {
		s.close()
		return nil, err
	}
	_, plan, err := compilePlan(&asking, s.keeper, nil)
	if err == nil {
		s.engine, err = engine.New(plan, engine.Config{Timeout: c.CheckTimeout})
	}
	if err != nil {
		s.close()
		return nil, err
	}
	// As in the gateway, a list that lists the world counts for nothing.
	s.keeper.lists.Test(ctx)
	return s, nil
}

func (s *scorer) close() {
	if s.network != nil {
		s.network.close()
	}
}

// judge completes m, and judges it. All that is asked together has the time of
// one check.
func (s *scorer) judge(ctx context.Context, m *engine.Mail) engine.Verdict {
	m.Session, m.Envelope = s.told.Session, s.told.Envelope
	if s.network == nil {
		return s.engine.Judge(ctx, m)
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	m.Answers = &engine.Answers{}
	half, stop := context.WithTimeout(ctx, s.patience/2)
	defer stop()
	visit := s.keeper.gate.Visit(m.Session.Client)
	defer visit.Close()
	visit.Mail(half, m.Session.Hello, m.Envelope.From)
	visit.Rcpt(half, "")
	said := visit.SPF(half)
	spf := auth.SPF{Result: said.Result, Domain: said.Domain, Hello: said.Hello, Exempt: said.Exempt}
	f := visit.Facts(half)
	m.Session.PTR, m.Found = f.PTR, f.Found
	m.Auth = s.keeper.auth.Verify(half, m, spf)
	m.Auth.IPRev = f.IPRev
	return s.engine.Judge(ctx, m)
}
