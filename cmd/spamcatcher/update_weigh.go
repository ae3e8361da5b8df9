package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"spamcatcher/engine"
	"spamcatcher/gateway/policy"
)

// A standing is what of a verdict decides what happens to a message.
type standing struct {
	score   float64
	flagged bool // 50 is reached
	virus   string
	reached []bool // for each scale, whether it is
	late    bool   // not everything was looked at
}

// found says whether it is spam, or worse.
func (s standing) found() bool { return s.flagged || s.virus != "" }

func standingOf(v engine.Verdict, scales []policy.Threshold) standing {
	s := standing{score: v.Score, virus: v.Virus, late: v.TimedOut || len(v.Faults) > 0}
	for _, t := range scales {
		s.reached = append(s.reached, t.Reached(v.Score, v.LogOdds))
	}
	s.flagged = s.reached[0]
	return s
}

// harmed says whether a message that was clearly good is treated worse.
func harmed(was, is standing) bool {
	if was.score >= clearlyGood || was.found() {
		return false
	}
	for i, reached := range is.reached {
		if reached && !was.reached[i] {
			return true
		}
	}
	return is.virus != ""
}

// judgeList judges every message, for at most limit in all; 0 is no limit. late
// says that the time was not enough.
func judgeList(ctx context.Context, judge *engine.Engine, list []tried, scales []policy.Threshold, limit time.Duration) (all []standing, took time.Duration, late bool, err error) {
	type answer struct {
		all  []standing
		took time.Duration
	}
	done := make(chan answer, 1)
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		if len(list) > 0 {
			judge.Judge(bounded, list[0].mail()) // what is done once is not measured
		}
		begin := time.Now()
		var all []standing
		for _, m := range list {
			if bounded.Err() != nil {
				break
			}
			all = append(all, standingOf(judge.Judge(bounded, m.mail()), scales))
		}
		done <- answer{all, time.Since(begin)}
	}()
	// A rule that never ends keeps its goroutine, but not us.
	var timeUp <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		timeUp = timer.C
	}
	select {
	case a := <-done:
		return a.all, a.took, false, ctx.Err()
	case <-timeUp:
		return nil, limit, true, nil
	case <-ctx.Done():
		return nil, 0, false, ctx.Err()
	}
}

// compareJudges judges every message by both judges, and refuses the second one
// if it is much slower.
func compareJudges(ctx context.Context, before, after *engine.Engine, list []tried, scales []policy.Threshold) (was, is []standing, err error) {
	was, usual, _, err := judgeList(ctx, before, list, scales, 0)
	if err != nil {
		return nil, nil, err
	}
	is, took, late, err := judgeList(ctx, after, list, scales, 2*slower*usual+4*slowerBy)
	if err != nil {
		return nil, nil, err
	}
	if late || took > slower*usual+slowerBy {
		// Perhaps the machine became busy meanwhile: then the old rules are slow, too.
		_, again, _, err := judgeList(ctx, before, list, scales, 0)
		if err != nil {
			return nil, nil, err
		}
		if usual = max(usual, again); late || took > slower*usual+slowerBy {
			return nil, nil, fmt.Errorf("judging %d messages takes %v and more, %v with the rules in force: more than %d times as long", len(list), took.Round(time.Millisecond), usual.Round(time.Millisecond), slower)
		}
	}
	return was, is, nil
}

// weighGood refuses what harms the bundled good mail.
func weighGood(list []tried, was, is []standing) error {
	var viruses, flagged []string
	for i, m := range list {
		if is[i].virus != "" && was[i].virus == "" {
			viruses = append(viruses, fmt.Sprintf("%s (%s)", m, printable(is[i].virus)))
		}
		if is[i].flagged && !was[i].flagged {
			flagged = append(flagged, m.String())
		}
	}
	if len(viruses) > 0 {
		return fmt.Errorf("it finds a virus in %d of %d good messages: %s", len(viruses), len(list), first(viruses))
	}
	if float64(len(flagged)) > goodFlagged/100*float64(len(list)) {
		return fmt.Errorf("it takes %d of %d good messages for spam that were not: %s", len(flagged), len(list), first(flagged))
	}
	return nil
}

// weighSpam refuses what no longer finds the bundled spam.
func weighSpam(list []tried, was, is []standing) error {
	lose := func(what string, share float64, has func(standing) bool) error {
		var lost []string
		found := 0
		for i, m := range list {
			if has(was[i]) {
				found++
				if !has(is[i]) {
					lost = append(lost, m.String())
				}
			}
		}
		if float64(len(lost)) > share/100*float64(found) {
			return fmt.Errorf("it no longer finds %d of %d spam messages%s: %s", len(lost), found, what, first(lost))
		}
		return nil
	}
	if err := lose("", spamLost, standing.found); err != nil {
		return err
	}
	return lose(fmt.Sprintf(" with a score of %d", clearlySpam), clearlyLost, func(s standing) bool { return s.score >= clearlySpam || s.virus != "" })
}

// weighTests refuses what no longer finds one of the test messages.
func weighTests(list []tried, was, is []standing) error {
	for i, m := range list {
		if was[i].found() && !is[i].found() || was[i].virus != "" && is[i].virus == "" {
			return fmt.Errorf("it no longer finds %s", m)
		}
	}
	return nil
}

// weighRecent refuses what harms too many recent messages: good ones that are
// treated worse, and spam that is no longer found. share is in per cent.
func weighRecent(list []tried, was, is []standing, share int) error {
	if len(list) < leastRecent {
		return nil
	}
	var good, lost []string
	for i, m := range list {
		switch {
		case harmed(was[i], is[i]):
			good = append(good, m.String())
		case was[i].found() && !is[i].found():
			lost = append(lost, m.String())
		}
	}
	n := len(good) + len(lost)
	if n > aloneIsChance && float64(n) > float64(share)/100*float64(len(list)) {
		return fmt.Errorf("it harms %d of %d recent messages, more than %d %% (%d that were good are treated worse, %d that were spam are no longer found): %s", n, len(list), share, len(good), len(lost), first(slices.Concat(good, lost)))
	}
	return nil
}

// first are the first of some names.
func first(names []string) string {
	text := strings.Join(names[:min(maxNamed, len(names))], ", ")
	if more := len(names) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
