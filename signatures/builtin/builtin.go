package builtin

import (
	"embed"
	"io/fs"

	"spamcatcher/signatures/yara"
)

//go:embed rules/*.yar
var files embed.FS

// Sources are the embedded files, sorted by name.
func Sources() []yara.Source {
	var sources []yara.Source
	names, err := fs.Glob(files, "rules/*.yar")
	for _, name := range names {
		text, readErr := files.ReadFile(name)
		if err != nil || readErr != nil {
			panic("builtin: an embedded file cannot be read: " + name)
		}
		sources = append(sources, yara.Source{File: "builtin/" + name[len("rules/"):], Text: string(text)})
	}
	return sources
}
