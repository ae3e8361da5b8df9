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
	return priced(list, prices), nil
}

// From returns the rules of a bundle: its files rules/*.toml in the place of the
// embedded ones, and its rules/prices.toml in the place of the embedded prices.
// What the bundle leaves out stays as it is embedded.
func From(bundle fs.FS) ([]rules.Rule, error) {
	names, err := fs.Glob(bundle, "rules/*.toml")
	if err != nil {
		return nil, err
	}
	const prices = "rules/" + pricesFile
	names = slices.DeleteFunc(names, func(name string) bool { return name == prices })
	list, err := AsWritten()
	if len(names) > 0 {
		list, err = native.Load(bundle, names...)
	}
	if err != nil {
		return list, err
	}
	p, err := Prices()
	if text, missing := fs.ReadFile(bundle, prices); missing == nil {
		p, err = native.ParsePrices(prices, text)
	} else if !errors.Is(missing, fs.ErrNotExist) {
		err = missing
	}
	if err != nil {
		return list, err
	}
	return priced(list, p), nil
}

// priced lays fitted points over those that the rules' files give.
func priced(list []rules.Rule, p native.Prices) []rules.Rule {
	for i := range list {
		if points, ok := p.Points[list[i].Symbol]; ok {
			list[i].Points = points
		}
	}
	return list
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
