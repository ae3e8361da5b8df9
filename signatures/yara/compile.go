//go:build cgo

package yara

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/hillu/go-yara/v4"
)

// Available is nil: libyara is linked.
func Available() error { return nil }

// configure sets what libyara keeps for the whole process. It keeps a copy of up
// to 512 bytes for each of up to a million matches of a string, which nobody here
// reads.
var configure = sync.OnceValue(func() error { return yara.SetConfiguration(yara.ConfigMaxMatchData, 0) })

// Compile compiles the sources into one set. A source that does not compile is a
// problem and left out, the others stay. include statements are errors, since they
// read the disk. It returns an error only if the library has none for the sources,
// as when memory is short.
//
// A compiler cannot be used after an error. So all are compiled as if there were
// none, which is true most of the time; if there is one, every source is tried with
// a compiler of its own, and what passes is compiled together.
func Compile(sources []Source) (*Rules, []Problem, error) {
	if err := configure(); err != nil {
		return nil, nil, fmt.Errorf("configuring libyara: %w", err)
	}
	groups, wrong, err := compileBundles(bundles(sources))
	if err != nil {
		return nil, nil, err
	}
	var problems []Problem
	if wrong != nil {
		if sources, problems, err = try(sources); err != nil {
			return nil, nil, err
		}
		if groups, wrong, err = compileBundles(bundles(sources)); err != nil {
			return nil, nil, err
		}
		if wrong != nil {
			// A source fell apart in the wrong places.
			if groups, wrong, err = compileBundles([]bundle{{sources: sources}}); err != nil {
				return nil, nil, err
			}
		}
		if wrong != nil {
			return nil, nil, fmt.Errorf("compiling all rules together: %s", wrong)
		}
	}
	giveBack() // what compilers took
	return newRules(groups, sources), problems, nil
}

// newRules returns the groups as one set.
func newRules(groups []*group, sources []Source) *Rules {
	r := &Rules{
		groups: groups,
		slots:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		closed: make(chan struct{}),
	}
	type name struct{ space, rule string }
	names := map[name]bool{}
	var files []string
	for _, s := range sources {
		files = append(files, s.File)
	}
	for _, g := range groups {
		g.files = files
		for _, rule := range g.rules.GetRules() {
			names[name{rule.Namespace(), rule.Identifier()}] = true
		}
	}
	r.count = len(names)
	return r
}

// compileBundles compiles each bundle, or returns the first error of one.
func compileBundles(list []bundle) ([]*group, *Problem, error) {
	var groups []*group
	for _, b := range list {
		rules, wrong, err := together(b.sources)
		if wrong != nil || err != nil {
			for _, g := range groups {
				g.rules.Destroy()
			}
			return nil, wrong, err
		}
		groups = append(groups, &group{need: b.need, rules: rules, externals: used(b.sources)})
	}
	return groups, nil, nil
}

// together compiles all sources into one set, or returns the first error of one.
func together(sources []Source) (*yara.Rules, *Problem, error) {
	compiler, err := newCompiler()
	if err != nil {
		return nil, nil, err
	}
	defer compiler.Destroy()
	for i, s := range sources {
		if s.Text == "" {
			continue
		}
		// The namespace is the source's number: two may have the same name.
		if p := add(compiler, s, strconv.Itoa(i)); p != nil {
			return nil, p, nil
		}
	}
	rules, err := compiler.GetRules()
	if err == nil {
		rules, err = fitted(rules)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("compiling rules: %w", err)
	}
	return rules, nil, nil
}

// fitted is the same rules in memory of their size. What a compiler makes of them
// stands in a dozen megabytes however few they are.
func fitted(rules *yara.Rules) (*yara.Rules, error) {
	defer rules.Destroy()
	var b bytes.Buffer
	if err := rules.Write(&b); err != nil {
		return nil, err
	}
	return yara.ReadRules(&b)
}

// try compiles every source by itself.
func try(sources []Source) (good []Source, problems []Problem, err error) {
	for _, s := range sources {
		compiler, err := newCompiler()
		if err != nil {
			return nil, nil, err
		}
		if p := add(compiler, s, ""); p != nil {
			problems = append(problems, *p)
		} else {
			good = append(good, s)
		}
		compiler.Destroy()
	}
	return good, problems, nil
}

// newCompiler returns a compiler that knows the externals and reads no files.
func newCompiler() (*yara.Compiler, error) {
	compiler, err := yara.NewCompiler()
	if err != nil {
		return nil, fmt.Errorf("making a compiler: %w", err)
	}
	compiler.DisableIncludes()
	for _, e := range externals() {
		if err := compiler.DefineVariable(e.name, ""); err != nil {
			compiler.Destroy()
			return nil, fmt.Errorf("defining %s: %w", e.name, err)
		}
	}
	return compiler, nil
}

// add compiles one source and returns its first error.
func add(compiler *yara.Compiler, s Source, namespace string) *Problem {
	if i := strings.IndexByte(s.Text, 0); i >= 0 {
		return &Problem{File: s.File, Line: 1 + strings.Count(s.Text[:i], "\n"), Msg: "a NUL byte"}
	}
	err := compiler.AddString(s.Text, namespace)
	if len(compiler.Errors) > 0 {
		first := compiler.Errors[0]
		return &Problem{File: s.File, Line: first.Line, Msg: first.Text}
	}
	if err == nil {
		return nil
	}
	return &Problem{File: s.File, Msg: err.Error()}
}
