package update

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// bounds are how much may come out of a bundle.
type bounds struct {
	files int   // and directories
	bytes int64 // of all files together
}

// maxDepth is how many names a path in a bundle may have.
const maxDepth = 6

// unpack writes the files of a tar.gz below dir, which exists, and puts them on
// stable storage. Whatever is not a plain file or a directory with a plain name
// in one of the places that a bundle has, comes twice, or is more than the bounds
// allow, makes the whole bundle an error.
func unpack(r io.Reader, dir string, b bounds) error {
	packed, err := gzip.NewReader(bufio.NewReader(r))
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	// What a header may take is bounded by the tar reader, to 1 MiB each; what all
	// may take, the zeros of sparse files apart, by this.
	left := &io.LimitedReader{R: packed, N: b.bytes + int64(b.files)*4096 + 1<<20}
	in := tar.NewReader(left)
	made := map[string]bool{dir: true}
	seen := map[string]bool{}
	for members := 0; ; members++ {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if left.N <= 0 {
			return fmt.Errorf("unpacking: more than %d bytes", b.bytes)
		}
		if err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
		if members == b.files {
			return fmt.Errorf("unpacking: more than %d files", b.files)
		}
		name := h.Name
		switch {
		case h.Typeflag == tar.TypeDir:
			name = strings.TrimSuffix(name, "/")
		case h.Typeflag != tar.TypeReg:
			return fmt.Errorf("unpacking: %q is of type %q, no plain file", h.Name, h.Typeflag)
		}
		if !allowed(name, h.Typeflag == tar.TypeDir) {
			return fmt.Errorf("unpacking: a bundle has no %q", h.Name)
		}
		place := filepath.Join(dir, filepath.FromSlash(name))
		if h.Typeflag == tar.TypeDir {
			if err := makeDirs(dir, place, made); err != nil {
				return fmt.Errorf("unpacking: %w", err)
			}
			continue
		}
		if seen[name] {
			return fmt.Errorf("unpacking: %q is there twice", name)
		}
		seen[name] = true
		if err := makeDirs(dir, filepath.Dir(place), made); err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
		n, err := writeFile(place, in, b.bytes)
		if err != nil {
			return fmt.Errorf("unpacking %s: %w", name, err)
		}
		if b.bytes -= n; b.bytes < 0 {
			return errors.New("unpacking: more bytes than a bundle may have")
		}
	}
	// The checksum of gzip is behind the last byte.
	if n, err := io.Copy(io.Discard, left); err != nil {
		return fmt.Errorf("unpacking: %w", err)
	} else if n > 1<<20 || left.N <= 0 {
		return errors.New("unpacking: there is something behind the end")
	}
	for d := range made {
		if err := syncDir(d); err != nil {
			return fmt.Errorf("unpacking: %w", err)
		}
	}
	return nil
}

// allowed says whether a bundle may have a file, or a directory, of this path.
func allowed(path string, directory bool) bool {
	names := strings.Split(path, "/")
	if len(names) > maxDepth {
		return false
	}
	for _, name := range names {
		if !plainName(name) {
			return false
		}
	}
	switch {
	case directory:
		return names[0] == "signatures" || path == "rules"
	case path == "model.bin":
		return true
	case names[0] == "rules":
		return len(names) == 2 && strings.HasSuffix(path, ".toml")
	}
	return names[0] == "signatures" && len(names) > 1
}

// makeDirs makes the directory path below dir, and notes what it made.
func makeDirs(dir, path string, made map[string]bool) error {
	if made[path] {
		return nil
	}
	if err := makeDirs(dir, filepath.Dir(path), made); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	made[path] = true
	return nil
}

// writeFile writes at most max bytes into a new file, on stable storage, and
// returns how many there were; one more than max says that there are more.
func writeFile(name string, from io.Reader, max int64) (int64, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, io.LimitReader(from, max+1))
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	return n, err
}
