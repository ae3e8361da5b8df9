//go:build cgo

package builtin

import (
	"context"
	"os"
	"testing"
	"time"

	"spamcatcher/signatures/yara"
)

func TestPerf(t *testing.T) {
	sources := Sources()
	if s := os.Getenv("SET"); s != "" {
		sources, _ = yara.Read("/work/shared/suites/yara/" + s)
	}
	r, _, err := yara.Compile(sources)
	if err != nil {
		t.Fatal(err)
	}
	type x struct {
		d []byte
		f yara.Facts
	}
	var all []x
	n := 0
	files := goodMail(t, 8)
	walk(t, files, func(file string, data []byte, f yara.Facts) { all = append(all, x{append([]byte{}, data...), f}); n += len(data) })
	start := time.Now()
	k := 0
	for time.Since(start) < 3*time.Second {
		k++
		for _, a := range all {
			r.Scan(context.Background(), a.d, a.f, time.Second)
		}
	}
	t.Logf("%d messages %d files %d bytes: %v a message", len(files), len(all), n, time.Since(start)/time.Duration(k*len(files)))
}
