package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"spamcatcher/queue"
	"spamcatcher/rules/update"
)

// watch reloads on SIGHUP, and when a file that the configuration consists of
// has changed, until ctx ends.
func (s *service) watch(ctx context.Context, hangup <-chan os.Signal, g *global, flags overrides) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	seen := s.now.Load().stamps()
	last := seen
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			s.log.Info("reloading, as SIGHUP asks")
		case <-tick.C:
			// A file that still changes may be half written.
			before := last
			last = s.now.Load().stamps()
			if reflect.DeepEqual(seen, last) || !reflect.DeepEqual(before, last) {
				continue
			}
			s.log.Info("reloading, as a file changed")
		}
		// What changes while the files are read is read at the next tick.
		seen = s.now.Load().stamps()
		last = seen
		s.reload(g, flags)
	}
}

// reload reads everything again. All that can fail comes first and touches
// nothing; then what is in force is swapped, which cannot fail.
func (s *service) reload(g *global, flags overrides) {
	c, err := loadConfig(g, flags)
	if err == nil {
		var next *inForce
		var warnings []error
		if next, warnings, err = prepare(c, s.network, s.now.Load()); err == nil {
			err = s.now.Load().replaceable(next)
		}
		if err == nil {
			s.warn(c, warnings)
			if fixed := fixedChanges(s.now.Load().config, c); len(fixed) > 0 {
				s.log.Warn("these settings take effect at the next start", "settings", strings.Join(fixed, " "))
			}
			if gone := s.now.Load().vanished(next); len(gone) > 0 {
				s.log.Warn("these domains have no destinations any more; mail that waits for them goes the way of other mail, or waits on if they are not served at all", "domains", strings.Join(gone, " "))
			}
			old := s.now.Swap(next)
			s.judge.Swap(next.plan)
			s.network.follow(s.ctx, next)
			known := next.known.Report()
			s.log.Info("reloaded", "plan", next.plan.ID(), "to", strings.Join(s.destinations(), " "), "domains", len(next.domains.All()), "signatures", known.Rules+known.Hashes)
			s.follow(old, next)
			if old.known != next.known {
				s.retire(old.known, old.config.CheckTimeout)
			}
			return
		}
	}
	s.log.Error("the new configuration is refused, the old one stays", "error", err)
}

// follow lets mail that waits follow a change of destinations, at once.
func (s *service) follow(old, next *inForce) {
	lanes := old.moved(next)
	if len(lanes) == 0 && reflect.DeepEqual(old.lanes(), next.lanes()) {
		return
	}
	s.background.Go(func() {
		s.following.Lock() // one at a time
		defer s.following.Unlock()
		n, err := s.queue.Relane(s.ctx)
		for _, lane := range lanes {
			if err == nil {
				_, err = s.queue.Flush(queue.Filter{Lane: &lane})
			}
		}
		if err != nil && s.ctx.Err() == nil {
			s.log.Error("mail that waits could not follow the new configuration; it is tried when its time comes", "error", err)
		} else if n > 0 {
			s.log.Info("mail that waits has a new destination", "messages", n)
		}
	})
}

// replaceable says why next must not take the place of f while mail flows, if
// so. A file that is mislaid, empty or cut short for a moment looks like a
// configuration that asks for less: mail would be diverted, everybody's mail
// relayed, or every blocked sender welcome. Who means it starts the program
// again.
func (f *inForce) replaceable(next *inForce) error {
	old, c := f.config, next.config
	switch {
	case len(old.Outgoing) > 0 && len(c.Outgoing) == 0:
		return fmt.Errorf("%s: outgoing_smtp: there is no server any more, mail would go into the Maildir (restart if that is meant)", c.File)
	case len(old.ours()) > 0 && len(c.ours()) == 0:
		return fmt.Errorf("%s: relay_domains: there is none any more, nor a domain with destinations: mail for every domain would be relayed (restart if that is meant)", c.File)
	}
	if err := f.known.lost(next.known); err != nil {
		return err
	}
	for _, file := range next.unread {
		if slices.Contains(old.listFiles(), file) && !slices.Contains(f.unread, file) {
			return fmt.Errorf("the sender list %s can no longer be read", file)
		}
	}
	return nil
}

// maxListWarnings bounds what is logged of a sender list that is none.
const maxListWarnings = 20

// warn logs what is wrong with a configuration that is taken all the same.
func (s *service) warn(c *Config, lists []error) {
	for _, w := range c.Warnings {
		s.log.Warn("configuration", "warning", w)
	}
	for i, w := range lists {
		if i == maxListWarnings {
			s.log.Warn("sender list", "warning", fmt.Sprintf("%d more bad lines (spamcatcher config check shows them)", len(lists)-i))
			break
		}
		about := "sender list"
		if errors.As(w, new(signatureWarning)) {
			about = "signatures"
		}
		s.log.Warn(about, "warning", w)
	}
}

// fixedChanges are the settings that differ and take effect at a start only.
func fixedChanges(old, new *Config) []string {
	var keys []string
	for _, s := range settings {
		if s.fixed && s.show(old) != s.show(new) {
			keys = append(keys, s.key)
		}
	}
	return keys
}

// A stamp says which state of a file was read.
type stamp struct {
	size int64
	time time.Time
}

// stamps are the states of all files that the configuration consists of.
func (f *inForce) stamps() map[string]stamp {
	files := f.config.listFiles()
	if f.config.File != "" {
		files = append(files, f.config.File)
	}
	for _, pattern := range f.config.RuleFiles {
		found, _ := filepath.Glob(pattern) // a bad pattern was refused when it was read
		files = append(files, found...)
	}
	for _, path := range f.config.SpamAssassin {
		found, _ := filepath.Glob(filepath.Join(path, "*.cf"))
		files = append(append(files, path), found...)
	}
	files = append(files, filepath.Join(f.config.bayesDir(), "model")) // what train and learn make
	files = append(files, update.CurrentFile(f.config.updateDir()))    // which rules of the channel are in force
	files = append(files, f.config.UpdateKeys...)                      // those that are files
	slices.Sort(files)
	stamps := maps.Clone(f.known.now(f.config))
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			stamps[name] = stamp{info.Size(), info.ModTime()}
		}
	}
	return stamps
}
