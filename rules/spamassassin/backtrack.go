package spamassassin

// Where RE2 can't say what a pattern means (assertions about more than one
// byte, references to groups, possessive repetitions), what RE2 found is
// verified by trying the alternatives one after another, as Perl does. That can
// take exponential time, so steps are counted, never time: the answer is the
// same on any machine.

const (
	// verifySteps bounds the steps of one attempt at one place.
	verifySteps = 1500000
	// totalSteps bounds those of one rule in one mail, mailSteps those of all.
	totalSteps = 1500000
	mailSteps  = 3000000
)

// next is what must match behind a part.
type next func(at int) bool

// step matches a part at an offset and asks next for the rest.
type step func(v *verifier, at int, then next) bool

// verifier is the state of one attempt.
type verifier struct {
	text   string
	steps  int
	groups []int // begin and end of each group, -1 not set
}

// program is a pattern made ready to be verified. It is immutable.
type program struct {
	run      step
	groups   int
	anchored bool // can match at the beginning only
}

func newProgram(re *regex) *program {
	return &program{build(re.root, follow{any: true}), re.groups, anchoredAt(re.root)}
}

// matchAt tells whether the pattern matches text at an offset, and where the
// match ends. budget is what steps are left; it is lowered.
func (p *program) matchAt(text string, at int, budget *int) (end int, ok bool) {
	v := verifier{text: text, steps: min(verifySteps, *budget), groups: make([]int, 2*p.groups+2)}
	given := v.steps
	for i := range v.groups {
		v.groups[i] = -1
	}
	ok = p.run(&v, at, func(to int) bool {
		end = to
		return true
	})
	*budget -= given - max(0, v.steps)
	return end, ok && v.steps > 0
}

func (v *verifier) spend() bool {
	v.steps--
	return v.steps > 0
}

// follow is which bytes may stand behind a part; any when that is not known.
type follow struct {
	set byteSet
	any bool
}

// before is what may stand before what follows when n stands there.
func (f follow) before(n *node) follow {
	set, any := firstBytes(n)
	if any {
		return follow{set.union(f.set), f.any || unknownFirst(n)}
	}
	return follow{set: set}
}

// unknownFirst says whether what a part begins with can't be told.
func unknownFirst(n *node) bool {
	switch n.op {
	case opBackref, opIf, opEnd, opEndNL, opLineEnd, opLineBegin, opBegin, opLook:
		return true
	}
	for _, sub := range n.subs {
		if unknownFirst(sub) {
			return true
		}
	}
	return false
}

func build(n *node, f follow) step {
	switch n.op {
	case opEmpty:
		return func(v *verifier, at int, then next) bool { return then(at) }
	case opSet:
		set := n.set
		return func(v *verifier, at int, then next) bool {
			return at < len(v.text) && set.has(v.text[at]) && v.spend() && then(at+1)
		}
	case opCat:
		return buildCat(n.subs, f)
	case opAlt:
		alts := make([]step, len(n.subs))
		for i, sub := range n.subs {
			alts[i] = build(sub, f)
		}
		return func(v *verifier, at int, then next) bool {
			for _, alt := range alts {
				if !v.spend() {
					return false
				}
				if alt(v, at, then) {
					return true
				}
			}
			return false
		}
	case opGroup:
		inner, i := build(n.subs[0], f), 2*n.n
		return func(v *verifier, at int, then next) bool {
			from, to := v.groups[i], v.groups[i+1]
			if inner(v, at, func(end int) bool {
				f, t := v.groups[i], v.groups[i+1]
				v.groups[i], v.groups[i+1] = at, end
				if then(end) {
					return true
				}
				v.groups[i], v.groups[i+1] = f, t
				return false
			}) {
				return true
			}
			v.groups[i], v.groups[i+1] = from, to
			return false
		}
	case opAtomic:
		inner := build(n.subs[0], follow{any: true})
		return func(v *verifier, at int, then next) bool {
			end, ok := v.once(inner, at)
			return ok && then(end)
		}
	case opLook:
		return buildLook(n)
	case opBackref:
		return buildBackref(n)
	case opIf:
		yes, no, i := build(n.subs[0], f), build(n.subs[1], f), 2*n.n
		return func(v *verifier, at int, then next) bool {
			if v.groups[i] >= 0 {
				return yes(v, at, then)
			}
			return no(v, at, then)
		}
	case opRepeat:
		return buildRepeat(n, f)
	}
	kind := n.op
	return func(v *verifier, at int, then next) bool { return v.holds(kind, at) && then(at) }
}

// once matches inner the first way it can.
func (v *verifier) once(inner step, at int) (end int, ok bool) {
	ok = inner(v, at, func(to int) bool {
		end = to
		return true
	})
	return end, ok
}

func (v *verifier) holds(kind op, at int) bool {
	n := len(v.text)
	switch kind {
	case opBegin:
		return at == 0
	case opLineBegin:
		return at == 0 || v.text[at-1] == '\n'
	case opEnd:
		return at == n
	case opEndNL:
		return at == n || at == n-1 && v.text[at] == '\n'
	case opLineEnd:
		return at == n || v.text[at] == '\n'
	case opWordEdge, opNotEdge:
		left := at > 0 && wordSet.has(v.text[at-1])
		right := at < n && wordSet.has(v.text[at])
		return (left != right) == (kind == opWordEdge)
	}
	return false
}

func buildCat(subs []*node, f follow) step {
	// Runs of single bytes are one step.
	var steps []step
	behind := make([]follow, len(subs))
	for i := len(subs) - 1; i >= 0; i-- {
		behind[i] = f
		f = f.before(subs[i])
	}
	for i := 0; i < len(subs); {
		j := i
		for j < len(subs) && subs[j].op == opSet {
			j++
		}
		if j-i < 2 {
			steps = append(steps, build(subs[i], behind[i]))
			i++
			continue
		}
		run := make([]byteSet, 0, j-i)
		for _, n := range subs[i:j] {
			run = append(run, n.set)
		}
		steps = append(steps, func(v *verifier, at int, then next) bool {
			if at+len(run) > len(v.text) {
				return false
			}
			for k := range run {
				if !run[k].has(v.text[at+k]) {
					return false
				}
			}
			return v.spend() && then(at+len(run))
		})
		i = j
	}
	if len(steps) == 1 {
		return steps[0]
	}
	first, rest := steps[0], chain(steps[1:])
	return func(v *verifier, at int, then next) bool {
		return first(v, at, func(to int) bool { return rest(v, to, then) })
	}
}

func chain(steps []step) step {
	if len(steps) == 1 {
		return steps[0]
	}
	first, rest := steps[0], chain(steps[1:])
	return func(v *verifier, at int, then next) bool {
		return first(v, at, func(to int) bool { return rest(v, to, then) })
	}
}

func buildLook(n *node) step {
	inner, negated := build(n.subs[0], follow{any: true}), n.negated
	if !n.behind {
		return func(v *verifier, at int, then next) bool {
			if !v.spend() {
				return false
			}
			_, ok := v.once(inner, at)
			if v.steps <= 0 {
				return false
			}
			return ok != negated && then(at)
		}
	}
	least, most := width(n.subs[0])
	return func(v *verifier, at int, then next) bool {
		found := false
		for w := least; w <= most && w <= at && !found; w++ {
			if !v.spend() {
				return false
			}
			found = inner(v, at-w, func(to int) bool { return to == at })
		}
		if v.steps <= 0 {
			return false
		}
		return found != negated && then(at)
	}
}

func buildBackref(n *node) step {
	i, fold := 2*n.n, n.fold
	return func(v *verifier, at int, then next) bool {
		if v.groups[i] < 0 || !v.spend() {
			return false
		}
		want := v.text[v.groups[i]:v.groups[i+1]]
		if at+len(want) > len(v.text) {
			return false
		}
		for k := range len(want) {
			a, b := want[k], v.text[at+k]
			if a != b && !(fold && a|32 == b|32 && a|32 >= 'a' && a|32 <= 'z') {
				return false
			}
		}
		return then(at + len(want))
	}
}

func buildRepeat(n *node, f follow) step {
	least, most := n.min, n.max
	if most < 0 {
		most = 1 << 30
	}
	if n.subs[0].op == opSet {
		// Giving back is of no use where what follows can't begin with what
		// was taken.
		set := n.subs[0].set
		return repeatSet(set, least, most, n.lazy, n.atomic || !n.lazy && !f.any && set.intersect(f.set).empty())
	}
	inner, lazy := build(n.subs[0], f.before(&node{op: opRepeat, subs: n.subs, max: -1})), n.lazy
	var loop func(v *verifier, at, from, count int, then next) bool
	loop = func(v *verifier, at, from, count int, then next) bool {
		if !v.spend() {
			return false
		}
		// An empty round that is not needed would go on for ever.
		more := count < most && !(count > least && at == from)
		again := func() bool {
			return more && inner(v, at, func(to int) bool { return loop(v, to, at, count+1, then) })
		}
		if count < least {
			return again()
		}
		if lazy {
			return then(at) || again()
		}
		return again() || then(at)
	}
	all := func(v *verifier, at int, then next) bool { return loop(v, at, -1, 0, then) }
	if !n.atomic {
		return all
	}
	return func(v *verifier, at int, then next) bool {
		end, ok := v.once(all, at)
		return ok && then(end)
	}
}

func repeatSet(set byteSet, least, most int, lazy, atomic bool) step {
	return func(v *verifier, at int, then next) bool {
		if !v.spend() {
			return false
		}
		if lazy {
			for count, to := 0, at; ; count, to = count+1, to+1 {
				if count >= least && (!v.spend() || then(to)) {
					return v.steps > 0
				}
				if count >= most || to >= len(v.text) || !set.has(v.text[to]) {
					return false
				}
			}
		}
		to := at
		for to < len(v.text) && to-at < most && set.has(v.text[to]) {
			to++
		}
		if atomic {
			return to-at >= least && then(to)
		}
		for ; to-at >= least; to-- {
			if !v.spend() {
				return false
			}
			if then(to) {
				return true
			}
		}
		return false
	}
}

// groupsAt matches at an offset and returns where the groups begin and end, -1
// for those that took no part.
func (p *program) groupsAt(text string, at int) (groups []int, ok bool) {
	v := verifier{text: text, steps: verifySteps, groups: make([]int, 2*p.groups+2)}
	for i := range v.groups {
		v.groups[i] = -1
	}
	ok = p.run(&v, at, func(int) bool { return true })
	return v.groups, ok && v.steps > 0
}

// firstGroup returns what the first group of the leftmost match holds, "" if
// there is none.
func (p *program) firstGroup(text string, budget *int) string {
	for at := 0; at <= len(text) && *budget > 0; at++ {
		v := verifier{text: text, steps: min(verifySteps, *budget), groups: make([]int, 2*p.groups+2)}
		given := v.steps
		for i := range v.groups {
			v.groups[i] = -1
		}
		ok := p.run(&v, at, func(int) bool { return true })
		*budget -= given - max(0, v.steps) + 1
		if ok && v.steps > 0 {
			if p.groups > 0 && v.groups[2] >= 0 {
				return text[v.groups[2]:v.groups[3]]
			}
			return ""
		}
		if p.anchored {
			break
		}
	}
	return ""
}

// anchoredAt says whether a pattern can match at the beginning only.
func anchoredAt(n *node) bool {
	switch n.op {
	case opBegin:
		return true
	case opCat:
		return anchoredAt(n.subs[0])
	case opGroup, opAtomic:
		return anchoredAt(n.subs[0])
	case opAlt:
		for _, sub := range n.subs {
			if !anchoredAt(sub) {
				return false
			}
		}
		return len(n.subs) > 0
	}
	return false
}
