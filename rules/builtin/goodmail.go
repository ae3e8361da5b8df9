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

// Spam of our own writing, packed likewise: the folder spam of testdata.
//
//go:embed spammail.tar.gz
var packedSpam []byte

// A Message is one that new rules are tried on before they come into force.
type Message struct {
	Name string // of its file
	Raw  []byte // with CRLF
}

// GoodMail returns messages that nobody would call spam.
func GoodMail() ([]Message, error) { return unpackMail(packedGood) }

// SpamMail returns messages that everybody would call spam.
func SpamMail() ([]Message, error) { return unpackMail(packedSpam) }

func unpackMail(packed []byte) ([]Message, error) {
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking mail: %w", err)
	}
	var list []Message
	for in := tar.NewReader(unpacked); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking mail: %w", err)
		}
		raw, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("unpacking mail: %w", err)
		}
		list = append(list, Message{h.Name, bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))})
	}
}
