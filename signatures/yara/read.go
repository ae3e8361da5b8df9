package yara

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSource bounds a file of rules, in bytes. The largest public ones have about
// 2 MB.
const maxSource = 64 << 20

// Read returns the files *.yar and *.yara in dir and below it, sorted by their
// paths relative to dir, which name them. A file or directory that cannot be read,
// dir itself too, is a problem, and left out.
func Read(dir string) ([]Source, []Problem) {
	var sources []Source
	var problems []Problem
	root := os.DirFS(dir)
	fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			problems = append(problems, Problem{File: filepath.Join(dir, name), Msg: err.Error()})
			return nil
		}
		suffix := strings.ToLower(filepath.Ext(name))
		if entry.IsDir() || suffix != ".yar" && suffix != ".yara" {
			return nil
		}
		text, err := readFile(root, name)
		if err != nil {
			problems = append(problems, Problem{File: name, Msg: err.Error()})
			return nil
		}
		sources = append(sources, Source{File: name, Text: text})
		return nil
	})
	return sources, problems
}

// readFile reads a file, or what a symbolic link leads to, if it is a regular
// file of bounded size.
func readFile(root fs.FS, name string) (string, error) {
	info, err := fs.Stat(root, name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("not a regular file")
	}
	if info.Size() > maxSource {
		return "", fmt.Errorf("%d bytes, more than %d", info.Size(), maxSource)
	}
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}
