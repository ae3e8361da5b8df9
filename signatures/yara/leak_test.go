//go:build cgo

package yara

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func TestLeak(t *testing.T) {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "rule r%d { strings: $a = \"abc%dydef\" $b = /x%d[a-z]+/ condition: any of them or filename == \"x%d\" }\n", i, i, i, i)
	}
	bad := Source{"bad.yar", text.String() + "rule wrong {"}
	good := Source{"good.yar", text.String()}
	for name, f := range map[string]func(){
		"bundles": func() { bundles([]Source{good}) },
		"try good": func() { try([]Source{good}) },
		"try bad": func() { try([]Source{bad}) },
		"compile good": func() { r, _, _ := Compile([]Source{good}); r.Close() },
		"scan": func() { r, _, _ := Compile([]Source{good});r.Scan(context.Background(), []byte("abc7def x8abc"), Facts{Name: "x9"}, time.Second); r.Close() },
		"compile both": func() { r, _, _ := Compile([]Source{good, bad}); r.Close() },
	} {
		for range 5 { f() }
		runtime.GC()
		debug.FreeOSMemory()
		for range 3 {
			before := resident(t)
			for range 20 { f() }
			runtime.GC()
			debug.FreeOSMemory()
			t.Log(name, (resident(t)-before)>>10, "KB")
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Log(m.HeapAlloc>>10, m.HeapSys>>10, m.HeapReleased>>10)
}
