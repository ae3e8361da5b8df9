package engine

import (
	"errors"
	"maps"
	"sync"
)

// ErrUnanswered is what a question gets that was not answered when the mail
// was judged first.
var ErrUnanswered = errors.New("not answered at the time")

// Answers keeps what the network said about one mail, so that the mail can be
// judged again and give the same verdict. It is safe for any number of
// goroutines. A nil Answers keeps nothing.
type Answers struct {
	mu   sync.Mutex
	said map[string]string
	past bool // no more questions are asked
}

// Replay returns the answers of an earlier time: question to answer. Nothing
// more is asked.
func Replay(said map[string]string) *Answers {
	return &Answers{said: maps.Clone(said), past: true}
}

// Ask returns the answer to a question, a short text that names who is asked
// about what. The network is asked by ask, unless this is a replay; its errors
// are not kept, so that a replay finds ErrUnanswered in their place.
func (a *Answers) Ask(question string, ask func() (string, error)) (string, error) {
	if a == nil {
		return ask()
	}
	a.mu.Lock()
	answer, known := a.said[question]
	a.mu.Unlock()
	if known {
		return answer, nil
	}
	if a.past {
		return "", ErrUnanswered
	}
	answer, err := ask()
	if err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.said == nil {
		a.said = map[string]string{}
	}
	a.said[question] = answer
	return answer, nil
}

// All returns a copy of what was said.
func (a *Answers) All() map[string]string {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.said)
}
