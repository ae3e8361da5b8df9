package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"
)

// watch reloads on SIGHUP, and when a file that the configuration consists of
// has changed, until ctx ends.
func (s *service) watch(ctx context.Context, g *global, flags overrides) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	seen := s.now.Load().stamps()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			s.log.Info("reloading, as SIGHUP asks")
		case <-tick.C:
			if reflect.DeepEqual(seen, s.now.Load().stamps()) {
				continue
			}
			s.log.Info("reloading, as a file changed")
		}
		// What changes while the files are read is read at the next tick.
		seen = s.now.Load().stamps()
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
		if next, warnings, err = prepare(c); err == nil {
			for _, w := range c.Warnings {
				s.log.Warn("configuration", "warning", w)
			}
			for _, w := range warnings {
				s.log.Warn("sender list", "warning", w)
			}
			if fixed := fixedChanges(s.now.Load().config, c); len(fixed) > 0 {
				s.log.Warn("these settings take effect at the next start", "settings", strings.Join(fixed, " "))
			}
			s.now.Store(next)
			s.judge.Swap(next.plan)
			s.log.Info("reloaded", "plan", next.plan.ID(), "to", strings.Join(s.destinations(), " "))
			return
		}
	}
	s.log.Error("the new configuration is refused, the old one stays", "error", err)
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
	slices.Sort(files)
	stamps := map[string]stamp{}
	for _, name := range files {
		if info, err := os.Stat(name); err == nil {
			stamps[name] = stamp{info.Size(), info.ModTime()}
		}
	}
	return stamps
}
