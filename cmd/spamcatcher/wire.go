package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"sync/atomic"

	"spamcatcher/bayes"
	"spamcatcher/engine"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/relay"
	"spamcatcher/queue"
	"spamcatcher/rules"
	"spamcatcher/rules/spamassassin"
	"spamcatcher/signatures"
)

// newPlan is the plan that c asks for: its rules and its model.
func newPlan(c *Config) (*engine.Plan, error) {
	list, err := loadRules(c)
	if err != nil {
		return nil, err
	}
	model, err := bayes.LoadModel(c.bayesDir())
	if err != nil {
		return nil, err
	}
	site, err := loadSpamAssassin(c, model)
	if err != nil {
		return nil, err
	}
	return planWith(list, model, site)
}

// planOf names every check, in order. This list is the plan. All of them are
// local and take time linear in the message, so none needs the deadline; a
// goroutine of its own would cost a mail more than its check. Without a model
// the rules judge alone.
func planOf(list []rules.Rule, model *bayes.Model) (*engine.Plan, error) {
	return planWith(list, model, nil)
}

// planWith is planOf with the site's SpamAssassin rules, nil for none. Where
// both have a symbol, the site's stands.
func planWith(list []rules.Rule, model *bayes.Model, site *spamassassin.Set) (*engine.Plan, error) {
	malware := signatures.New()
	foreign := []string{signatures.Symbol, bayes.TextSymbol, bayes.WordsSymbol}
	if site != nil {
		list, _ = yield(list, site.Symbols())
		for _, s := range site.Symbols() {
			foreign = append(foreign, s.Name)
		}
	}
	set, err := rules.Compile(list, foreign...)
	if err != nil {
		return nil, usageError{err}
	}
	c := engine.PlanConfig{
		First:     []engine.Check{set, malware},
		Combiners: []engine.Combiner{set},
		Prices:    set.Prices(),
		Bias:      engine.DefaultBias,
		Digest:    set.Digest(),
	}
	if model != nil {
		c.First = append(c.First, model)
		maps.Copy(c.Prices, model.Prices())
		c.Bias += model.Bias()
		c.Digest += " " + model.Digest()
	}
	if site != nil {
		c.First = append(c.First, site)
		c.Combiners = append([]engine.Combiner{site}, c.Combiners...)
		maps.Copy(c.Prices, site.Prices())
		c.Digest += " " + site.Digest()
	}
	plan, err := engine.NewPlan(c)
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
