// Package unpacktest turns a file into archives, documents and mails that hold
// it, for tests. Everything is built in memory by the code here, so that no test
// needs a packer or keeps the work of one.
//
// Builders panic when a library refuses what they ask of it: that is an error of
// the test. They write what a well-behaved program would, unless their comment
// says otherwise.
package unpacktest

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
)

// A File is what is put into something.
type File struct {
	Name string
	Data []byte
}

// A buffer collects numbers in little-endian order, as most formats keep them.
type buffer struct{ bytes.Buffer }

func (b *buffer) u8(list ...byte) { b.Write(list) }
func (b *buffer) u16(list ...uint16) {
	for _, n := range list {
		b.Write(binary.LittleEndian.AppendUint16(nil, n))
	}
}
func (b *buffer) u32(list ...uint32) {
	for _, n := range list {
		b.Write(binary.LittleEndian.AppendUint32(nil, n))
	}
}
func (b *buffer) u64(list ...uint64) {
	for _, n := range list {
		b.Write(binary.LittleEndian.AppendUint64(nil, n))
	}
}
func (b *buffer) text(s string) { b.WriteString(s) }

// pad writes zeros up to a multiple of n.
func (b *buffer) pad(n int) {
	if rest := b.Len() % n; rest != 0 {
		b.Write(make([]byte, n-rest))
	}
}

// wide is text in UTF-16, little-endian.
func wide(s string) []byte {
	var b buffer
	b.u16(utf16.Encode([]rune(s))...)
	return b.Bytes()
}

// must takes away an error that only a wrong test can cause.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
