package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"spamcatcher/bayes"
	"spamcatcher/engine"
	"spamcatcher/gateway"
	"spamcatcher/gateway/auth"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/relay"
	"spamcatcher/rules"
	"spamcatcher/rules/spamassassin"
	"spamcatcher/signatures"
	"spamcatcher/signatures/unpack/format"
)

// newPlan is the plan that c asks for: its rules, its model, the checks of k, and
// the signatures known.
func newPlan(c *Config, k *gatekeeper, known *signatures.Set) (*engine.Plan, error) {
	list, err := loadRules(c)
	if err != nil {
		return nil, err
	}
	model, err := c.model()
	if err != nil {
		return nil, err
	}
	site, err := loadSpamAssassin(c, model)
	if err != nil {
		return nil, err
	}
	return planWith(list, model, site, k, signatures.New(signatures.Config{Set: known, Limits: c.unpackLimits()}))
}

// planOf is planWith for rules, model and the built-in signatures alone. Without a
// model the rules judge alone.
func planOf(list []rules.Rule, model *bayes.Model) (*engine.Plan, error) {
	known, err := builtInSignatures()
	if err != nil {
		return nil, err
	}
	return planWith(list, model, nil, &gatekeeper{}, signatures.New(signatures.Config{Set: known, Limits: format.Limits{Run: newDecoders().run}}))
}

// planWith names every check, in order. This list is the plan. First come those
// that are local and take time linear in the message: none needs the deadline,
// and a goroutine of its own would cost a mail more than its check. Then malware,
// because what a small attachment expands to can take long, and those
// that ask the network. site are the site's SpamAssassin rules, nil for none;
// where both have a symbol, the site's stands.
func planWith(list []rules.Rule, model *bayes.Model, site *spamassassin.Set, k *gatekeeper, malware *signatures.Check) (*engine.Plan, error) {
	first := []priced{auth.NewCheck(), policy.NewCheck(k.lists)}
	var asking []priced // rules may name their symbols also where DNS is not asked
	if k.links != nil {
		asking = append(asking, k.links)
	}
	if k.print != nil {
		asking = append(asking, k.print)
	}
	if model != nil {
		first = append(first, model)
	}
	foreign := []string{bayes.TextSymbol, bayes.WordsSymbol}
	for _, check := range slices.Concat(first, []priced{malware}, asking) {
		for _, s := range check.Symbols() {
			if !slices.Contains(foreign, s.Name) {
				foreign = append(foreign, s.Name)
			}
		}
	}
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
		First:     []engine.Check{set},
		Checks:    []engine.Check{malware},
		Opener:    signatures.Name,
		Combiners: []engine.Combiner{set},
		Prices:    set.Prices(),
		Bias:      engine.DefaultBias,
		Digest:    set.Digest() + " " + malware.Digest(),
	}
	maps.Copy(c.Prices, malware.Prices())
	for _, check := range first {
		c.First = append(c.First, check)
		maps.Copy(c.Prices, check.Prices())
	}
	for _, check := range asking {
		if !k.asks {
			break
		}
		c.Checks = append(c.Checks, check)
		maps.Copy(c.Prices, check.Prices())
	}
	if model != nil {
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

// priced is a check that brings its prices along.
type priced interface {
	engine.Check
	Prices() map[string]float64 // in log-odds
}

func newEngine(c *Config) (*engine.Engine, error) {
	k, err := newGatekeeper(c, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	_, plan, err := compilePlan(c, k, nil)
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
	gatekeeper
	known  *knownSignatures
	plan   *engine.Plan
	unread []string // sender lists that could not be read
}

// prepare builds what c asks for, touching nothing. n is nil where no mail comes;
// old is what is in force, nil at the start.
func prepare(c *Config, n *network, old *inForce) (*inForce, []error, error) {
	p, warnings, err := newPolicy(c)
	if err != nil {
		return nil, warnings, usageError{err}
	}
	domains, more, err := newDomains(c)
	warnings = append(warnings, more...)
	if err != nil {
		return nil, warnings, usageError{err}
	}
	var before *gatekeeper
	if old != nil {
		before = &old.gatekeeper
	}
	k, err := newGatekeeper(c, n, p, before)
	if err != nil {
		return nil, warnings, err
	}
	var knownBefore *knownSignatures
	if old != nil {
		knownBefore = old.known
	}
	known, plan, err := compilePlan(c, k, knownBefore)
	if err != nil {
		return nil, warnings, err
	}
	warnings = append(warnings, known.warnings()...)
	next := &inForce{config: c, domains: domains, policy: p, gatekeeper: *k, known: known, plan: plan}
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
