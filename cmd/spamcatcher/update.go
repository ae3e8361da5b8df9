package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"spamcatcher/bayes"
	"spamcatcher/engine"
	"spamcatcher/rules"
	"spamcatcher/rules/builtin"
	"spamcatcher/rules/update"
)

// adopted is the bundle of the rule channel that a configuration is with. It is
// looked up once, so that rules, model and signatures are of the same one.
type adopted struct {
	dir   string      // of its files; "" is what the program has inside
	trial bool        // it is only being tried: nothing may stand in for it
	keys  update.Keys // of the configuration, as they were when it was read
}

// updateDir is where the bundles of the rule channel stand.
func (c *Config) updateDir() string { return filepath.Join(c.State, "update") }

// updateKeys are the keys that the channel's bundles are signed with.
func (c *Config) updateKeys() (update.Keys, error) {
	keys, err := update.ParseKeys(c.UpdateKeys...)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: update.key: %w", c.origins["update.key"], err)}
	}
	return keys, nil
}

// bundleDir is the directory of the bundle in force, "" where there is none.
// Without a key none is believed.
func (c *Config) bundleDir() string {
	if c.adopted == nil {
		c.adopted = &adopted{}
		if len(c.UpdateKeys) > 0 {
			keys, err := c.updateKeys()
			if err != nil {
				c.warn("%v; the rules of the channel are not used", err)
				return ""
			}
			c.adopted.keys = keys
			b, problems := update.Open(c.updateDir(), keys)
			for _, p := range problems {
				c.warn("rules of the channel: %v", p)
			}
			if b != nil {
				c.adopted.dir = b.Dir
				if b.OldKey {
					c.warn("the rules of version %d of the channel are signed with a key that is not configured any more; they stay until newer ones come", b.Version)
				}
			} else if len(problems) > 0 {
				c.warn("rules of the channel: those inside the program are in force")
			}
		}
	}
	return c.adopted.dir
}

// with is c with what is in a directory in the place of the bundle in force.
func (c *Config) with(bundle string) *Config {
	other := *c
	other.Warnings = nil
	other.adopted = &adopted{dir: bundle, trial: true}
	return &other
}

// bundleSignatures is the directory of the bundle's signatures, "" for none.
func bundleSignatures(c *Config) string {
	if c.bundleDir() == "" {
		return ""
	}
	dir := filepath.Join(c.bundleDir(), "signatures")
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return ""
	}
	return dir
}

// ownRules are those of the bundle in force, or those inside the program.
func (c *Config) ownRules() ([]rules.Rule, error) {
	if dir := c.bundleDir(); dir != "" {
		return builtin.From(os.DirFS(dir))
	}
	return builtin.Rules()
}

// baseModel is the model of the bundle in force, or the one inside the program.
func (c *Config) baseModel() (*bayes.Model, error) {
	if dir := c.bundleDir(); dir != "" {
		data, err := os.ReadFile(filepath.Join(dir, "model.bin"))
		switch {
		case err == nil:
			m, err := bayes.Read(data)
			if err != nil {
				return nil, fmt.Errorf("model.bin of the rule channel: %w", err)
			}
			return m, nil
		case !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("the model of the rule channel: %w", err)
		}
	}
	return bayes.Embedded()
}

// model is the site's, or the base where the site has none of its own.
func (c *Config) model() (*bayes.Model, error) { return bayes.LoadModelOr(c.bayesDir(), c.baseModel) }

// compilePlan compiles signatures and plan of c. Where a bundle that was good when
// it was adopted can no longer be used, because the program or the configuration
// has changed since, c goes without it, and says so.
func compilePlan(c *Config, k *gatekeeper, old *knownSignatures) (*knownSignatures, *engine.Plan, error) {
	known, plan, err := compileAsIs(c, k, old)
	if err == nil || c.bundleDir() == "" || c.adopted.trial {
		return known, plan, err
	}
	bundle := c.adopted
	c.adopted = &adopted{keys: bundle.keys}
	known, plan, without := compileAsIs(c, k, old)
	if without != nil { // then it is not the bundle
		c.adopted = bundle
		return nil, nil, err
	}
	c.warn("the rules of the channel cannot be used, those inside the program are in force: %v", err)
	return known, plan, nil
}

func compileAsIs(c *Config, k *gatekeeper, old *knownSignatures) (*knownSignatures, *engine.Plan, error) {
	known, err := loadSignatures(c, old)
	if err != nil {
		return nil, nil, err
	}
	plan, err := newPlan(c, k, known.Set)
	if err != nil {
		return nil, nil, err
	}
	return known, plan, nil
}

// newChannel is the rule channel of c, whose bundles are tried by t.
func newChannel(c *Config, t *rehearsal, retry bool, log *slog.Logger, clock func() time.Time) (*update.Channel, error) {
	if c.UpdateURL == "" {
		return nil, usageError{errors.New("update.url is not set: there is no rule channel")}
	}
	keys := c.channelChoice().keys
	if len(keys) == 0 { // or it says why there are none
		var err error
		if keys, err = c.updateKeys(); err != nil {
			return nil, err
		}
	}
	channel, err := update.New(update.Config{
		URL: c.UpdateURL, Keys: keys, Dir: c.updateDir(), Interval: c.RuleUpdate, Try: t.try,
		Circumstances: func() string { return t.config().circumstances() }, Retry: retry, Log: log, Now: clock,
	})
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: update.url: %w", c.origins["update.url"], err)}
	}
	return channel, nil
}

// checkUpdateURL and checkUpdateKey are the checks of the settings.
func checkUpdateURL(s string) error { return update.CheckURL(s) }

func checkUpdateKey(s string) error {
	_, err := update.ParseKeys(s)
	return err
}

// channelChoice is what of a configuration makes another channel of it.
type channelChoice struct {
	url      string
	keys     update.Keys // not their files' names: a file may be replaced
	interval time.Duration
}

func (c *Config) channelChoice() channelChoice {
	c.bundleDir() // reads the keys, if nobody did
	return channelChoice{c.UpdateURL, c.adopted.keys, c.RuleUpdate}
}

// circumstances names what, of program and configuration, a trial depends on: what
// was refused is tried again when it changes.
func (c *Config) circumstances() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %q %d %t %t\n", version, c.channelChoice().keys, c.UpdateShare, c.BuiltinRules, c.BuiltinSignatures)
	var files []string
	for _, pattern := range c.RuleFiles {
		found, _ := filepath.Glob(pattern) // a bad pattern was refused when it was read
		files = append(files, found...)
	}
	for _, path := range c.SpamAssassin {
		found, _ := filepath.Glob(filepath.Join(path, "*.cf"))
		files = append(append(files, path), found...)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			fmt.Fprintf(h, "%q %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// updateRules asks the rule channel until ctx ends. A channel that a reload
// brings, or changes, is asked from then on. What is adopted comes into force as
// every other change of a file does: the reload watches for it.
func (s *service) updateRules(ctx context.Context) {
	for ctx.Err() == nil {
		choice := s.now.Load().config.channelChoice()
		same, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if choice.url == "" {
				return
			}
			// Each trial is against what is in force when it takes place.
			channel, err := newChannel(s.now.Load().config, s.rehearsal(), false, s.log, s.clock)
			if err == nil {
				err = channel.Run(same)
			}
			if err != nil && same.Err() == nil {
				s.log.Error("the rule channel is not asked", "error", err)
			}
		}()
		tick := time.NewTicker(time.Second)
		for ctx.Err() == nil && reflect.DeepEqual(choice, s.now.Load().config.channelChoice()) {
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
		tick.Stop()
		cancel()
		<-ended
	}
}

// rehearsal tries bundles against what is in force, and mail that was judged lately.
func (s *service) rehearsal() *rehearsal {
	return &rehearsal{
		config: func() *Config { return s.now.Load().config },
		known:  func() *knownSignatures { return s.now.Load().known },
		recent: &s.recent,
	}
}
