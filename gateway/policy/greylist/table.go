package greylist

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
)

// checkTables opens every table of the database on its own, because over a
// damaged one Badger panics in a goroutine that nobody can recover. What is in
// the directory but not in the manifest may be in any state after a crash, and
// Badger removes it.
func checkTables(o badger.Options) error {
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
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
		if err := checkTable(table.NewFilename(n, o.Dir)); err != nil {
			return fmt.Errorf("table %d: %w", n, err)
		}
	}
	return nil
}

// checkTable reads a table from a copy in memory, at most some MiB.
func checkTable(name string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged: %v", p)
		}
	}()
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := table.OpenTable(&z.MmapFile{Data: b, Fd: f}, table.Options{ReadOnly: true, BlockSize: 4 << 10, ChkMode: options.OnBlockRead})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}
