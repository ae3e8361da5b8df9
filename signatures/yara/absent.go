//go:build !cgo

package yara

import (
	"context"
	"errors"
	"time"
)

var errAbsent = errors.New("yara: this program was built without cgo, so it has no signatures but its own few")

// Available says why there is no YARA.
func Available() error { return errAbsent }

// Rules cannot be had without cgo.
type Rules struct{}

// Compile returns why it cannot.
func Compile(sources []Source) (*Rules, []Problem, error) { return nil, nil, errAbsent }

// Scan returns why it cannot.
func (r *Rules) Scan(ctx context.Context, data []byte, f Facts, limit time.Duration) ([]Match, error) {
	return nil, errAbsent
}

// Len is 0.
func (r *Rules) Len() int { return 0 }

// Close does nothing.
func (r *Rules) Close() {}
