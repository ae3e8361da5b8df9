package builtin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"io"
)

// Good mail of our own writing, packed: the folders good and shapes of testdata.
// UPDATE_GOODMAIL=1 go test ./rules/builtin -run TestGoodMailIsPacked makes it
// anew.
//
//go:embed goodmail.tar.gz
var packedGood []byte

// A GoodMessage is a message that nobody would call spam.
type GoodMessage struct {
	Name string // of its file
	Raw  []byte // with CRLF
}

// GoodMail returns good mail that new rules are tried on before they come into
// force.
func GoodMail() ([]GoodMessage, error) {
	unpacked, err := gzip.NewReader(bytes.NewReader(packedGood))
	if err != nil {
		return nil, fmt.Errorf("unpacking good mail: %w", err)
	}
	var list []GoodMessage
	for in := tar.NewReader(unpacked); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking good mail: %w", err)
		}
		raw, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("unpacking good mail: %w", err)
		}
		list = append(list, GoodMessage{h.Name, bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))})
	}
}
