package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"spamcatcher/bayes"
	"spamcatcher/engine"
	"spamcatcher/gateway/policy"
	"spamcatcher/rules"
	"spamcatcher/rules/builtin"
	"spamcatcher/rules/update"
	"spamcatcher/signatures"
)

// What a bundle may change.
const (
	// goodFlagged is the share of the bundled good mail that may come to be above
	// 50 that was not, in per cent.
	goodFlagged = 0.5
	// aloneIsChance: of few recent messages, a single one is a large share; one
	// alone never refuses a bundle.
	aloneIsChance = 1
	// slower is how many times as long as with the rules in force judging may take,
	// beyond slowerBy, which is what a busy machine may be late.
	slower   = 5
	slowerBy = 250 * time.Millisecond
	// maxNamed bounds the messages that a refusal names.
	maxNamed = 5
)

// A rehearsal finds out what a bundle would do, before it comes into force.
//
// First everything in it must compile: rules, prices, model, every signature that
// is not left out for what this program cannot do; the rules' own samples must
// come out as they say; and all together must make a plan with the site's own
// rules. Then mail is judged by the plan in force and by the new one, both without
// network: the good mail inside the program, and what the gateway judged lately.
// The new one may flag hardly any of the good mail and find no virus in it, and
// may change the outcome of few of the recent messages. It may also not take much
// longer.
type rehearsal struct {
	config func() *Config // in force
	recent *recent        // nil: nothing was judged lately
	// changes is told what the last bundle that passed would change. nil: nobody is.
	changes func(lines []string)
}

// try is update.Config.Try.
func (t *rehearsal) try(ctx context.Context, dir string) error {
	c := t.config()
	if err := soundRules(dir); err != nil {
		return err
	}
	if err := soundSignatures(dir); err != nil {
		return err
	}
	old := *c
	old.Warnings = nil
	before, err := newEngine(&old)
	if err != nil {
		return fmt.Errorf("%w: what is in force does not compile: %w", update.ErrAgain, err)
	}
	after, err := newEngine(c.with(dir))
	if err != nil {
		return err
	}
	good, err := builtin.GoodMail()
	if err != nil {
		return fmt.Errorf("%w: %w", update.ErrAgain, err)
	}
	var list []tried
	for _, m := range good {
		list = append(list, tried{name: m.Name, raw: m.Raw})
	}
	list = append(list, t.recent.all()...)
	was, is, err := compareJudges(ctx, before, after, list, c.scales())
	if err != nil {
		return err
	}
	if err := weighGood(list[:len(good)], was, is); err != nil {
		return err
	}
	if err := weighRecent(list[len(good):], was[len(good):], is[len(good):], c.UpdateShare); err != nil {
		return err
	}
	if t.changes != nil {
		t.changes(planChanges(before.Plan(), after.Plan()))
	}
	return nil
}

// soundRules compiles the rules and the model of a bundle, and runs the rules on
// their samples.
func soundRules(dir string) error {
	list, err := builtin.From(os.DirFS(dir))
	if err != nil {
		return fmt.Errorf("its rules cannot be read: %w", err)
	}
	set, err := rules.Compile(list)
	if err != nil {
		return fmt.Errorf("its rules do not compile: %w", err)
	}
	if failures := set.Test(); len(failures) > 0 {
		lines := []string{fmt.Sprintf("%d samples of its rules do not come out as they say", len(failures))}
		for _, f := range failures[:min(maxNamed, len(failures))] {
			lines = append(lines, f.String())
		}
		return errors.New(strings.Join(lines, "; "))
	}
	data, err := os.ReadFile(filepath.Join(dir, "model.bin"))
	if err == nil {
		_, err = bayes.Read(data)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("its model cannot be read: %w", err)
	}
	return nil
}

// soundSignatures compiles the signatures of a bundle alone.
func soundSignatures(dir string) error {
	dir = filepath.Join(dir, "signatures")
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	set, err := signatures.Load(false, []string{dir})
	if err != nil {
		return fmt.Errorf("its signatures cannot be read: %w", err)
	}
	problems := set.Report().Problems
	if len(problems) == 0 {
		return nil
	}
	var lines []string
	for _, p := range problems[:min(maxNamed, len(problems))] {
		lines = append(lines, problemText(filepath.Base(p.File), p.Line, p.Msg))
	}
	return fmt.Errorf("%d of its signatures do not compile: %s", len(problems), strings.Join(lines, "; "))
}

// scales are 50 and every threshold that is configured anywhere.
func (c *Config) scales() []policy.Threshold {
	half, _ := policy.ParseThreshold(50.0) // a number from 0 to 100
	list := []policy.Threshold{half}
	all := []policy.Settings{c.Global}
	for _, s := range slices.Concat(c.ByDomain, c.ByAddress) {
		all = append(all, s.Settings)
	}
	for _, s := range all {
		for _, t := range thresholds {
			if at := *t.field(&s); at.Set() && !slices.Contains(list, at) {
				list = append(list, at)
			}
		}
	}
	return list
}

// A standing is what of a verdict decides what happens to a message.
type standing struct {
	flagged bool
	virus   string
	sides   string // for each scale, whether it is reached; then whether it is a virus
}

func standingOf(v engine.Verdict, scales []policy.Threshold) standing {
	s := standing{virus: v.Virus}
	for i, t := range scales {
		reached := t.Reached(v.Score, v.LogOdds)
		s.flagged = s.flagged || i == 0 && reached
		s.sides += fmt.Sprintf("%t ", reached)
	}
	s.sides += fmt.Sprint(v.Virus != "")
	return s
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

// weighRecent refuses what changes the outcome of too many recent messages. share
// is in per cent.
func weighRecent(list []tried, was, is []standing, share int) error {
	var changed []string
	for i, m := range list {
		if was[i].sides != is[i].sides {
			changed = append(changed, m.String())
		}
	}
	if len(changed) > aloneIsChance && float64(len(changed)) > float64(share)/100*float64(len(list)) {
		return fmt.Errorf("it changes what happens to %d of %d recent messages, more than %d %%: %s", len(changed), len(list), share, first(changed))
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

// planChanges says in a few lines how the prices of two plans differ.
func planChanges(before, after *engine.Plan) []string {
	if before.ID() == after.ID() {
		return []string{"nothing that a message is judged by changes"}
	}
	old, now := map[string]float64{}, map[string]float64{}
	for _, s := range before.Symbols() {
		old[s.Name] = s.Share
	}
	for _, s := range after.Symbols() {
		now[s.Name] = s.Share
	}
	var added, removed, changed []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		switch price, known := old[name]; {
		case !known:
			added = append(added, fmt.Sprintf("%s %+.2f", name, now[name]/engine.Point))
		case math.Abs(price-now[name]) > 1e-9:
			changed = append(changed, fmt.Sprintf("%s %+.2f -> %+.2f", name, price/engine.Point, now[name]/engine.Point))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, still := now[name]; !still {
			removed = append(removed, name)
		}
	}
	lines := []string{fmt.Sprintf("%d symbols: %d new, %d gone, %d with other points; what is behind the others may differ, too", len(now), len(added), len(removed), len(changed))}
	for _, part := range []struct {
		what  string
		names []string
	}{{"new", added}, {"gone", removed}, {"other points", changed}} {
		if len(part.names) > 0 {
			const shown = 20
			more := ""
			if len(part.names) > shown {
				more = fmt.Sprintf(" and %d more", len(part.names)-shown)
			}
			lines = append(lines, part.what+": "+strings.Join(part.names[:min(shown, len(part.names))], ", ")+more)
		}
	}
	return lines
}
