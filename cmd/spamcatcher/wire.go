package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"spamcatcher/engine"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/relay"
	"spamcatcher/queue"
	"spamcatcher/rules"
	"spamcatcher/signatures"
)

// newPlan names every check, in order. This list is the plan.
func newPlan(c *Config) (*engine.Plan, error) {
	list, err := loadRules(c)
	if err != nil {
		return nil, err
	}
	malware := signatures.New()
	set, err := rules.Compile(list, signatures.Symbol)
	if err != nil {
		return nil, usageError{err}
	}
	plan, err := engine.NewPlan(engine.PlanConfig{
		First:     []engine.Check{set},
		Checks:    []engine.Check{malware},
		Combiners: []engine.Combiner{set},
		Prices:    set.Prices(),
		Digest:    set.Digest(),
	})
	if err != nil {
		return nil, usageError{err}
	}
	return plan, nil
}

func newEngine(c *Config) (*engine.Engine, error) {
	plan, err := newPlan(c)
	if err != nil {
		return nil, err
	}
	return engine.New(plan, engine.Config{Timeout: c.CheckTimeout})
}

// inForce is what a reload replaces as a whole.
type inForce struct {
	config *Config
	policy *policy.Policy
	plan   *engine.Plan
	unread []string // sender lists that could not be read
}

// prepare builds what c asks for, touching nothing.
func prepare(c *Config) (*inForce, []error, error) {
	p, warnings, err := newPolicy(c)
	if err != nil {
		return nil, warnings, usageError{err}
	}
	plan, err := newPlan(c)
	if err != nil {
		return nil, warnings, err
	}
	next := &inForce{config: c, policy: p, plan: plan}
	for _, w := range warnings {
		var path *fs.PathError
		if errors.As(w, &path) {
			next.unread = append(next.unread, path.Path)
		}
	}
	return next, warnings, nil
}

// A destination delivers to the outgoing servers, or into the Maildir where
// there are none. It asks what is in force at every attempt, so that waiting
// mail follows a reload.
type destination struct {
	now     *atomic.Pointer[inForce]
	relay   *relay.Relay
	maildir *relay.Maildir
}

func newDestination(now *atomic.Pointer[inForce], hold func(id, reason string), log *slog.Logger) (*destination, error) {
	c := now.Load().config
	var source netip.Addr
	if c.Source != "" {
		var err error
		if source, err = netip.ParseAddr(c.Source); err != nil {
			return nil, fmt.Errorf("relay.source: %w", err)
		}
	}
	servers, err := relay.New(relay.Config{
		Hostname:   c.Hostname,
		Servers:    func() []string { return now.Load().config.Outgoing },
		TLS:        relay.TLSMode(c.RelayTLS),
		SourceAddr: source,
		MaxIdle:    c.Workers,
		Hold:       hold,
		Log:        log,
	})
	if err != nil {
		return nil, err
	}
	maildir, err := relay.NewMaildir(c.maildir())
	if err != nil {
		return nil, err
	}
	return &destination{now: now, relay: servers, maildir: maildir}, nil
}

// Deliver is queue.Deliverer's.
func (d *destination) Deliver(ctx context.Context, it *queue.Item, body io.ReadSeeker) []queue.Result {
	if len(d.now.Load().config.Outgoing) == 0 {
		return d.maildir.Deliver(ctx, it, body)
	}
	return d.relay.Deliver(ctx, it, body)
}
