package engine

// A Verdict is what Judge found out about one mail: a pure function of the
// mail, the plan, and the answers that the network gave.
type Verdict struct {
	// Score is the probability of spam in per cent, 0 to 100.
	Score float64
	// LogOdds is the natural logarithm of the odds of spam: the bias and
	// the symbols' shares added in order. Score is 100·logistic(LogOdds),
	// unless Virus is set.
	LogOdds float64
	// Bias is what the score starts from, in log-odds.
	Bias float64
	// Symbols are the hits in plan order, each with its share of LogOdds.
	Symbols []Scored
	// Faults are the checks that failed, panicked or came too late.
	Faults []Fault
	// Virus is the name of the signature that matched, "" for none. It
	// makes the score 100.
	Virus string
	// TimedOut says that a check missed the deadline, so that the score
	// comes from the rules alone.
	TimedOut bool
	// Plan identifies the plan that judged.
	Plan string
}

// A Scored is one hit with its share of the result.
type Scored struct {
	Name        string
	Share       float64 // in log-odds
	Detail      string
	Description string
}

// A Fault is a check that did not do its work on one mail.
type Fault struct {
	Check string
	Kind  FaultKind
	Err   string // for the log, never for a client
}

// FaultKind says how a check failed.
type FaultKind string

const (
	FaultError FaultKind = "error"
	FaultPanic FaultKind = "panic"
	FaultLate  FaultKind = "late"
	// FaultBusy: so many earlier calls of the check are still running past
	// their deadlines that it was not started.
	FaultBusy FaultKind = "busy"
	// FaultSymbol: the check reported a symbol that it never declared, or a
	// strength that is not a finite number.
	FaultSymbol FaultKind = "symbol"
)
