// Package signatures turns the parts of a message into the names of the
// malware found in them. It knows one signature so far, the EICAR test file,
// with which an administrator proves that malware is caught.
package signatures

import (
	"bytes"
	"context"

	"spamcatcher/engine"
)

// Symbol is the finding of malware; the hit's detail names the signature.
const Symbol = "VIRUS_SIGNATURE"

// A signature is a sequence of bytes that only one thing contains.
type signature struct {
	name    string
	pattern []byte
}

// A Check looks for signatures in every part, however it was encoded, and in
// every reading of an ambiguous message.
type Check struct{ signatures []signature }

// New returns the check with the signatures that are built in.
func New() *Check {
	return &Check{[]signature{{
		name: "EICAR-Test-File",
		// In two halves, so that no scanner takes this program for the test
		// file.
		pattern: []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD` + `-ANTIVIRUS-TEST-FILE!$H+H*`),
	}}}
}

// Name is "signatures".
func (c *Check) Name() string { return "signatures" }

// Symbols is the one symbol.
func (c *Check) Symbols() []engine.Symbol {
	return []engine.Symbol{{Name: Symbol, Description: "Contains malware that a signature names", Malware: true}}
}

// Inspect reports each signature once.
func (c *Check) Inspect(ctx context.Context, m *engine.Mail) ([]engine.Hit, error) {
	var hits []engine.Hit
	for _, s := range c.signatures {
		for _, p := range m.Message.Parts() {
			if err := ctx.Err(); err != nil {
				return hits, err
			}
			if len(p.Children) == 0 && bytes.Contains(p.Decoded(), s.pattern) {
				hits = append(hits, engine.Hit{Symbol: Symbol, Detail: s.name})
				break
			}
		}
	}
	return hits, nil
}
