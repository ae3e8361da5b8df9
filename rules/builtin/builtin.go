// Package builtin turns the rule files embedded in the binary into rules.
package builtin

import (
	"embed"
	"errors"
	"io/fs"
	"slices"

	"spamcatcher/rules"
	"spamcatcher/rules/native"
)

//go:embed *.toml
var files embed.FS

// pricesFile is no rule file: it holds the points that `spamcatcher corpus
// fit` found.
const pricesFile = "prices.toml"

// Rules returns the rules of the embedded set, in the order of file names,
// with their fitted points.
func Rules() ([]rules.Rule, error) {
	list, err := AsWritten()
	if err != nil {
		return list, err
	}
	prices, err := Prices()
	if err != nil {
		return list, err
	}
	for i := range list {
		if points, ok := prices.Points[list[i].Symbol]; ok {
			list[i].Points = points
		}
	}
	return list, nil
}

// AsWritten returns the rules with the points that their files give by
// judgement. A fit begins from these.
func AsWritten() ([]rules.Rule, error) {
	names, err := fs.Glob(files, "*.toml")
	if err != nil {
		return nil, err
	}
	return native.Load(files, slices.DeleteFunc(names, func(name string) bool { return name == pricesFile })...)
}

// Prices returns the fitted points of the embedded rules, and of what other
// checks find if that was fitted with them; none where nothing was fitted.
func Prices() (native.Prices, error) {
	text, err := files.ReadFile(pricesFile)
	if errors.Is(err, fs.ErrNotExist) {
		return native.Prices{}, nil
	}
	if err != nil {
		return native.Prices{}, err
	}
	return native.ParsePrices(pricesFile, text)
}
