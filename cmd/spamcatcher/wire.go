package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"

	"spamcatcher/bayes"
	"spamcatcher/engine"
	"spamcatcher/gateway"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/relay"
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
	config  *Config
	domains *domain.Table
	policy  *policy.Policy
	plan    *engine.Plan
	unread  []string // sender lists that could not be read
}

// prepare builds what c asks for, touching nothing.
func prepare(c *Config) (*inForce, []error, error) {
	p, warnings, err := newPolicy(c)
	if err != nil {
		return nil, warnings, usageError{err}
	}
	domains, more, err := newDomains(c)
	warnings = append(warnings, more...)
	if err != nil {
		return nil, warnings, usageError{err}
	}
	plan, err := newPlan(c)
	if err != nil {
		return nil, warnings, err
	}
	next := &inForce{config: c, domains: domains, policy: p, plan: plan}
	for _, w := range warnings {
		var path *fs.PathError
		if errors.As(w, &path) {
			next.unread = append(next.unread, path.Path)
		}
	}
	return next, warnings, nil
}

// newRelay makes the way out. It asks what is in force at every attempt, so that
// waiting mail follows a reload. What has no servers goes into the Maildir.
func (s *service) newRelay(hold func(id, reason string)) (*relay.Relay, error) {
	c := s.now.Load().config
	maildir, err := relay.NewMaildir(c.maildir())
	if err != nil {
		return nil, err
	}
	return relay.New(relay.Config{
		Hostname: c.Hostname,
		Route:    func(recipient string) relay.Route { return s.now.Load().route(recipient) },
		Notices:  func(sender string) relay.Route { return s.now.Load().noticeRoute(sender) },
		Local:    maildir,
		MaxIdle:  c.Workers,
		Listen:   s.listening,
		Hold:     hold,
		Now:      s.clock,
		Log:      s.log,
	})
}

// verifier asks the servers behind whether a recipient exists.
func verifier(r *relay.Relay) func(context.Context, string) error {
	return func(ctx context.Context, recipient string) error {
		switch r.Verify(ctx, recipient) {
		case relay.Exists:
			return nil
		case relay.Missing:
			return gateway.ErrMailbox
		}
		return gateway.ErrUnsure
	}
}
