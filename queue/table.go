package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables looks at the end of every table that the index consists of: when one is cut or full of zeros, Badger panics
// in a goroutine of its own, which kills the process at every start.
//
// What is in the directory but not in the manifest may be in any state after a crash, and Badger removes it.
func checkTables(dir string, o badger.Options) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger panicked: %v", p)
		}
	}()
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, o.ExternalMagicVersion, o)
	if err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	for n := range manifest.Tables {
		if err := checkTable(table.NewFilename(n, dir)); err != nil {
			return err
		}
	}
	return nil
}

// checkTable checks the end of a table: block index, its length 4 bytes, checksum, its length 4 bytes. The checksum is a
// protocol buffer of kind and value.
func checkTable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	// last returns the n bytes before end.
	last := func(n int64) []byte {
		if n < 0 || n > end || err != nil {
			return nil
		}
		end -= n
		b := make([]byte, n)
		if _, err = f.ReadAt(b, end); err != nil {
			return nil
		}
		return b
	}
	length := func() int64 {
		if b := last(4); b != nil {
			return int64(binary.BigEndian.Uint32(b))
		}
		return -1
	}
	damaged := fmt.Errorf("table %s is damaged", name)
	n := length()
	if n > 64 {
		return damaged
	}
	sum := last(n)
	index := last(length())
	if err != nil {
		return fmt.Errorf("reading table %s: %w", name, err)
	}
	if len(sum) == 0 || len(index) == 0 {
		return damaged
	}
	kind, value, ok := tableSum(sum)
	if !ok || kind == 0 && value != uint64(crc32.Checksum(index, castagnoli)) {
		return damaged
	}
	return nil
}

// tableSum decodes a checksum: field 1, what it is (0 = CRC-32C), and field 2, what it should be.
func tableSum(b []byte) (kind, value uint64, ok bool) {
	r := reader{b: b}
	for len(r.b) > 0 {
		switch r.uvarint() {
		case 1 << 3:
			kind = r.uvarint()
		case 2 << 3:
			value = r.uvarint()
		default:
			return 0, 0, false
		}
	}
	return kind, value, !r.bad
}
