package bayes

import _ "embed"

// The model in the binary, made by `make model`.
//
//go:embed model.bin
var embedded []byte

// The lessons in the binary, made by `make model` from good mail and spam of
// our own writing.
//
//go:embed anchors.bin
var embeddedAnchors []byte

// Embedded is the model that a fresh installation judges by.
func Embedded() (*Model, error) { return Read(embedded) }
