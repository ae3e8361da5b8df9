//go:build !cgo

package yara

import (
	"context"
	"testing"
)

func TestWithoutCgoThatIsSaid(t *testing.T) {
	if Available() == nil {
		t.Error("available without cgo")
	}
	if r, _, err := Compile([]Source{{File: "a", Text: "rule a { condition: true }"}}); err == nil || r != nil {
		t.Errorf("compiled without cgo: %v, %v", r, err)
	}
	var r Rules
	if _, err := r.Scan(context.Background(), nil, Facts{}, 0); err == nil {
		t.Error("scanned without cgo")
	}
	if r.Close(); r.Len() != 0 {
		t.Error("rules without cgo")
	}
}
