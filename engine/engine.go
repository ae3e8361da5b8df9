package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// DefaultTimeout is how long the checks of one mail may take.
const DefaultTimeout = 5 * time.Second

// Config of an Engine.
type Config struct {
	// Timeout bounds the checks of one mail, the first ones excepted. 0
	// means DefaultTimeout.
	Timeout time.Duration
	// MaxLate is how many calls of one check may be running past their
	// deadline before the check is left out. 0 means 64.
	MaxLate int
}

// An Engine judges mail by the plan in force. It is safe for any number of
// goroutines.
type Engine struct {
	timeout time.Duration
	maxLate int64
	plan    atomic.Pointer[running]
}

// running is a plan with the counts of its checks' late calls.
type running struct {
	*Plan
	late []atomic.Int64 // by index of Plan.checks
}

// New makes an engine that judges by plan.
func New(plan *Plan, c Config) (*Engine, error) {
	if plan == nil {
		return nil, errors.New("engine: no plan")
	}
	if c.Timeout < 0 || c.MaxLate < 0 {
		return nil, fmt.Errorf("engine: negative limit in %+v", c)
	}
	e := &Engine{timeout: c.Timeout, maxLate: int64(c.MaxLate)}
	if e.timeout == 0 {
		e.timeout = DefaultTimeout
	}
	if e.maxLate == 0 {
		e.maxLate = 64
	}
	e.Swap(plan)
	return e, nil
}

// Swap puts plan in force for every mail that is judged from now on. A mail
// under way keeps the plan it began with.
func (e *Engine) Swap(plan *Plan) {
	e.plan.Store(&running{Plan: plan, late: make([]atomic.Int64, len(plan.checks))})
}

// Plan returns the plan in force.
func (e *Engine) Plan() *Plan { return e.plan.Load().Plan }

// answer is what one check had to say.
type answer struct {
	check int
	hits  []Hit
	fault *Fault
}

// Judge finds the verdict on m. It never fails: a check that errs, panics or
// is late becomes a Fault in the verdict.
//
// The first checks run in this goroutine, one after the other, while the
// others run side by side. What the others found counts only if all of them
// kept the deadline or failed by themselves; if one is late, the score comes
// from the first checks alone, so that it does not depend on which of the
// others happened to be quick. A malware hit counts in any case.
func (e *Engine) Judge(ctx context.Context, m *Mail) Verdict {
	plan := e.plan.Load()
	// A verdict is owed even to a caller in a hurry: the first checks see a
	// context that does not end.
	always := context.WithoutCancel(ctx)
	if len(plan.checks) > 0 { // else nobody needs the clock
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.timeout)
		defer cancel()
	}

	if plan.opener >= 0 {
		open := *m
		open.Inside = newInside()
		m = &open
	}

	var v Verdict
	answers, busy := e.start(ctx, plan, m)

	var hits []Hit
	for _, check := range plan.first {
		found, fault := inspect(always, check, m)
		hits = append(hits, plan.accept(check.Name(), found, &v)...)
		if fault != nil {
			v.Faults = append(v.Faults, *fault)
		}
	}

	found, late := collect(ctx, plan, answers)
	v.TimedOut = late
	for i, a := range found {
		name := plan.checks[i].Name()
		switch {
		case busy[i]:
			v.Faults = append(v.Faults, Fault{Check: name, Kind: FaultBusy, Err: "too many earlier calls are still running"})
			v.TimedOut = true
		case a == nil:
			v.Faults = append(v.Faults, Fault{Check: name, Kind: FaultLate, Err: context.Cause(ctx).Error()})
		case a.fault != nil:
			v.Faults = append(v.Faults, *a.fault)
		}
	}
	for i, a := range found {
		if a == nil {
			continue
		}
		for _, h := range plan.accept(plan.checks[i].Name(), a.hits, &v) {
			if !v.TimedOut || plan.symbols[h.Symbol].Malware {
				hits = append(hits, h)
			}
		}
	}
	for _, combiner := range plan.combiners {
		derived, fault := combine(combiner, m, hits)
		hits = append(slices.Clip(hits), plan.accept(combiner.Name(), derived, &v)...)
		if fault != nil {
			v.Faults = append(v.Faults, *fault)
		}
	}
	plan.price(&v, hits)
	return v
}

// start runs the plan's checks, each in a goroutine that sends exactly one
// answer. A check with too many late calls is not started; busy says so.
func (e *Engine) start(ctx context.Context, plan *running, m *Mail) (answers chan answer, busy []bool) {
	if len(plan.checks) == 0 {
		return nil, nil
	}
	// Room for all, so that a late check can always send and end.
	answers = make(chan answer, len(plan.checks))
	busy = make([]bool, len(plan.checks))
	for i, check := range plan.checks {
		if plan.late[i].Load() >= e.maxLate {
			busy[i] = true
			answers <- answer{check: i}
			if i == plan.opener {
				m.Inside.Tell(nil)
			}
			continue
		}
		go func() {
			stop := context.AfterFunc(ctx, func() { plan.late[i].Add(1) })
			hits, fault := inspect(ctx, check, m)
			if i == plan.opener {
				m.Inside.Tell(nil) // if the check did not: nobody waits in vain
			}
			answers <- answer{check: i, hits: hits, fault: fault}
			if !stop() {
				plan.late[i].Add(-1)
			}
		}()
	}
	return answers, busy
}

// collect waits for the answers until ctx ends and returns them by the index
// of their check, nil for those that did not come.
func collect(ctx context.Context, plan *running, answers chan answer) (found []*answer, late bool) {
	if len(plan.checks) == 0 {
		return nil, false
	}
	found = make([]*answer, len(plan.checks))
	for range plan.checks {
		select {
		case a := <-answers:
			found[a.check] = &a
			continue
		default:
		}
		select {
		case a := <-answers:
			found[a.check] = &a
		case <-ctx.Done():
			return found, true
		}
	}
	return found, false
}

// accept returns the hits that can be priced and explained: owner declared
// their symbols and their strength is a finite number. Another one is a fault.
func (p *Plan) accept(owner string, hits []Hit, v *Verdict) []Hit {
	invalid := func(h Hit) bool {
		s, ok := p.symbols[h.Symbol]
		return !ok || s.owner != owner || math.IsNaN(h.Strength) || math.IsInf(h.Strength, 0)
	}
	if !slices.ContainsFunc(hits, invalid) {
		return hits
	}
	kept := make([]Hit, 0, len(hits))
	for _, h := range hits {
		if invalid(h) {
			v.Faults = append(v.Faults, Fault{Check: owner, Kind: FaultSymbol, Err: fmt.Sprintf("symbol %q with strength %v: not declared by it, or not a finite number", h.Symbol, h.Strength)})
			continue
		}
		kept = append(kept, h)
	}
	return kept
}

func inspect(ctx context.Context, check Check, m *Mail) (hits []Hit, fault *Fault) {
	defer func() {
		if r := recover(); r != nil {
			hits, fault = nil, &Fault{Check: check.Name(), Kind: FaultPanic, Err: fmt.Sprint(r)}
		}
	}()
	hits, err := check.Inspect(ctx, m)
	if err != nil {
		fault = &Fault{Check: check.Name(), Kind: FaultError, Err: err.Error()}
	}
	return hits, fault
}

func combine(c Combiner, m *Mail, hits []Hit) (derived []Hit, fault *Fault) {
	defer func() {
		if r := recover(); r != nil {
			derived, fault = nil, &Fault{Check: c.Name(), Kind: FaultPanic, Err: fmt.Sprint(r)}
		}
	}()
	return c.Combine(m, hits), nil
}
