package picture

import (
	"context"
	"image/color"
	"slices"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
)

// TestPicturesLeftOut: a picture in which no code was looked for is marked, so that
// pictures which use the allowance up hide none.
func TestPicturesLeftOut(t *testing.T) {
	code := pngOf(paper(250, 250, 255).draw(matrix(t, lure), 125, 125, 4, 0, 0, 255))
	var small [][]byte
	for i := range pictureMost {
		s := paper(30, 30, 255)
		s.SetGray(i%30, i/30, color.Gray{})
		small = append(small, pngOf(s))
	}
	var wide [][]byte
	for i := range 3 {
		wide = append(wide, pngOf(paper(3000, 3000+i, 255)))
	}
	for name, c := range map[string]struct {
		files  [][]byte
		marked bool
	}{
		"one":                 {[][]byte{code}, false},
		"as many as may be":   {append(slices.Clone(small[1:]), code), false},
		"behind small ones":   {append(slices.Clone(small), code), true},
		"behind large ones":   {append(wide, code), true},
		"too large":           {[][]byte{declared(5000, 5000)}, true},
		"a line":              {[][]byte{declared(5000, 10), declared(5000, 100)}, false},
		"broken":              {[][]byte{code[:20], []byte("\x89PNG\r\n\x1a\n")}, false},
		"points of a web bug": {slices.Repeat([][]byte{pngOf(paper(1, 1, 255))}, 100), false},
	} {
		j := format.NewJob(context.Background(), format.Limits{Time: 20 * time.Second}, Formats(), nil, func(*format.File) error { return nil })
		for _, b := range c.files {
			j.Emit(&format.File{Kind: format.Part, Data: b})
		}
		marked := slices.ContainsFunc(j.Marks(), func(m format.Mark) bool { return m.Kind == format.LimitPictures })
		if marked != c.marked {
			t.Errorf("%s: %q, want %v", name, j.Marks(), c.marked)
		}
	}
}
