package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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
	// spamLost is the share of the bundled spam that is found, and may be no longer,
	// in per cent.
	spamLost = 2
	// clearlySpam is a score that nobody argues about. Of the bundled spam that has
	// it, clearlyLost may come to be below, in per cent: a model alone still finds
	// most of it, and nothing surely, when the rules are gone.
	clearlySpam = 90
	clearlyLost = 10
	// clearlyGood: a recent message with a lower score harms somebody when it comes
	// to be treated worse. Of the others newer rules are to say something new: a
	// bundle against a wave of spam that is under way is about them.
	clearlyGood = 20
	// leastRecent: fewer recent messages say nothing of a share.
	leastRecent = 50
	// aloneIsChance: a single message may be the one in question; one alone never
	// refuses a bundle.
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
// come out as they say; and all together must make a plan, with what the program
// has inside, and with the site's own rules. Then mail is judged by the plan in
// force and by the new one, both without network: the good mail and the spam
// inside the program, the two test messages EICAR and GTUBE, and what the gateway
// judged lately. The new one may flag hardly any of the good mail and find no virus
// in it, may lose hardly any of the spam, and harm few of the recent messages. It
// may also not take much longer.
//
// A refusal is final where the bundle is at fault alone: whatever the site's rules,
// its mail and its machine are. Every other one is an update.ErrAgain.
type rehearsal struct {
	config func() *Config // in force
	recent *recent        // nil: nothing was judged lately
	// known are the signatures in force, which are not compiled again. nil: none.
	known func() *knownSignatures
	// publishing refuses also what cannot be tried here, and may be elsewhere.
	publishing bool
	// changes is told what the last bundle that passed would change. nil: nobody is.
	changes func(lines []string)
}

// A bundleFault is what is wrong with a bundle wherever it is tried.
type bundleFault struct{ error }

func (f bundleFault) Unwrap() error { return f.error }

func faultOf(format string, args ...any) error { return bundleFault{fmt.Errorf(format, args...)} }

// try is update.Config.Try.
func (t *rehearsal) try(ctx context.Context, dir string) error {
	type result struct {
		changes []string
		err     error
	}
	// To compile takes as long as it takes; who is to end does not wait for it.
	done := make(chan result, 1)
	c := t.config()
	go func() {
		changes, err := t.rehearse(ctx, c, dir)
		done <- result{changes, err}
	}()
	var r result
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r = <-done:
	}
	var fault bundleFault
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case t.config() != c:
		return fmt.Errorf("%w: the configuration was changed meanwhile", update.ErrAgain)
	case r.err != nil && errors.As(r.err, &fault) && !scarce(r.err):
		return r.err
	case r.err != nil:
		return fmt.Errorf("%w: %w", update.ErrAgain, r.err)
	}
	if t.changes != nil {
		t.changes(r.changes)
	}
	return nil
}

// scarce says whether an error is of what a machine can run out of, though it may
// have come to us as text.
func scarce(err error) bool {
	for _, n := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC, syscall.EIO, syscall.EDQUOT, syscall.EACCES, syscall.EAGAIN} {
		if errors.Is(err, n) || strings.Contains(err.Error(), n.Error()) {
			return true
		}
	}
	return strings.Contains(err.Error(), "insufficient memory") // libyara's words
}

// rehearse says what the bundle in dir would change.
func (t *rehearsal) rehearse(ctx context.Context, c *Config, dir string) (changes []string, err error) {
	alone, err := t.compileAlone(dir)
	if err != nil {
		return nil, err
	}
	defer alone.known.Close()
	old := *c
	old.Warnings = nil
	var running *knownSignatures
	if t.known != nil {
		running = t.known()
	}
	before, known, err := trialEngine(&old, running)
	if err != nil {
		return nil, fmt.Errorf("what is in force does not compile: %w", err)
	}
	if known != running {
		defer known.Close()
	}
	after, known, err := trialEngine(c.with(dir), nil)
	if err != nil {
		return nil, fmt.Errorf("with the rules of this site: %w", err)
	}
	defer known.Close()
	bundled, err := bundledMail()
	if err != nil {
		return nil, err
	}
	list := slices.Concat(bundled.good, bundled.spam, bundled.tests)
	n := len(list)
	list = append(list, t.recent.all()...)
	was, is, err := compareJudges(ctx, before, after, list, c.scales())
	if err != nil {
		return nil, err
	}
	if err := bundled.weigh(was[:n], is[:n]); err != nil {
		return nil, alone.blame(ctx, bundled, err)
	}
	if err := weighRecent(list[n:], was[n:], is[n:], c.UpdateShare); err != nil {
		return nil, err
	}
	return planChanges(before.Plan(), after.Plan()), nil
}

// trialEngine is newEngine for a trial, with the signatures that it judges by. Who
// does not get back what is in force closes them.
func trialEngine(c *Config, running *knownSignatures) (*engine.Engine, *knownSignatures, error) {
	k, err := newGatekeeper(c, nil, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	known, plan, err := compilePlan(c, k, running)
	if err != nil {
		return nil, nil, err
	}
	e, err := engine.New(plan, engine.Config{Timeout: c.CheckTimeout})
	return e, known, err
}

// A lone is a bundle without a site.
type lone struct {
	plan  *engine.Plan
	known *signatures.Set
}

// compileAlone compiles a bundle alone, and runs its rules on their samples.
func (t *rehearsal) compileAlone(dir string) (*lone, error) {
	list, err := builtin.From(os.DirFS(dir))
	if err != nil {
		return nil, faultOf("its rules cannot be read: %w", err)
	}
	set, err := rules.Compile(list)
	if err != nil {
		return nil, faultOf("its rules do not compile: %w", err)
	}
	if failures := set.Test(); len(failures) > 0 {
		lines := []string{fmt.Sprintf("%d samples of its rules do not come out as they say", len(failures))}
		for _, f := range failures[:min(maxNamed, len(failures))] {
			lines = append(lines, f.String())
		}
		return nil, faultOf("%s", strings.Join(lines, "; "))
	}
	model, err := bayes.Embedded()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(dir, "model.bin"))
	if err == nil {
		model, err = bayes.Read(data)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, faultOf("its model cannot be read: %w", err)
	}
	known, err := t.compileSignatures(filepath.Join(dir, "signatures"))
	if err != nil {
		return nil, err
	}
	plan, err := planWith(list, model, nil, &gatekeeper{}, signatures.New(signatures.Config{Set: known}))
	if err != nil {
		known.Close()
		return nil, faultOf("its rules do not fit this program: %w", err)
	}
	return &lone{plan, known}, nil
}

// compileSignatures compiles the signatures of a bundle alone.
func (t *rehearsal) compileSignatures(dir string) (*signatures.Set, error) {
	var directories []string
	if _, err := os.Stat(dir); err == nil {
		directories = []string{dir}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	set, err := signatures.Load(false, directories)
	if err != nil {
		return nil, faultOf("its signatures cannot be read: %w", err)
	}
	if problems := set.Report().Problems; len(problems) > 0 {
		set.Close()
		var lines []string
		for _, p := range problems[:min(maxNamed, len(problems))] {
			lines = append(lines, problemText(filepath.Base(p.File), p.Line, p.Msg))
		}
		return nil, faultOf("%d of its signatures do not compile: %s", len(problems), strings.Join(lines, "; "))
	}
	if t.publishing {
		if err := untried(directories, set.Unavailable()); err != nil {
			set.Close()
			return nil, err
		}
	}
	return set, nil
}

// untried names signatures that are not compiled where YARA is not available, for
// the reason why.
func untried(directories []string, why error) error {
	if why == nil {
		return nil
	}
	var names []string
	for _, dir := range directories {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			switch strings.ToLower(filepath.Ext(path)) {
			case ".yar", ".yara", ".ndb", ".ndu", ".ldb", ".ldu":
				names = append(names, filepath.Base(path))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%s cannot be tried: YARA is unavailable: %w", first(names), why)
}

// blame says whether what was found against a bundle, with the rules of the site,
// is so without them: then it is the bundle's fault.
func (l *lone) blame(ctx context.Context, mail *bundledMessages, found error) error {
	list, err := builtin.Rules()
	if err != nil {
		return err
	}
	model, err := bayes.Embedded()
	if err != nil {
		return err
	}
	none, err := signatures.Load(false, nil)
	if err != nil {
		return err
	}
	inside, err := planWith(list, model, nil, &gatekeeper{}, signatures.New(signatures.Config{Set: none}))
	if err != nil {
		return err
	}
	before, err := engine.New(inside, engine.Config{})
	if err != nil {
		return err
	}
	after, err := engine.New(l.plan, engine.Config{})
	if err != nil {
		return err
	}
	was, is, err := compareJudges(ctx, before, after, slices.Concat(mail.good, mail.spam, mail.tests), (&Config{}).scales())
	if err != nil {
		return err
	}
	if mail.weigh(was, is) == nil || slices.ContainsFunc(slices.Concat(was, is), func(s standing) bool { return s.late }) {
		return fmt.Errorf("with what else this site has: %w", found)
	}
	return bundleFault{found}
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
