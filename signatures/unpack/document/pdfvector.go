package document

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"spamcatcher/signatures/unpack/format"
)

// Bounds of codes that are drawn as rectangles.
const (
	vectorLeast    = 60     // rectangles; the smallest code has 21 rows
	vectorMost     = 40_000 // rectangles looked at in one stream
	vectorPictures = 4      // of one document
	vectorModules  = 220    // a side, with a margin
	vectorPixels   = 4      // a module
)

// A box is a rectangle of a page, in the page's units.
type box struct{ x, y, w, h float64 }

// vector hands the small rectangles that a page draws on as a picture, since that
// is how many programs write QR codes: a square for each module, or a strip for a
// run of them. Transformations and colours are left aside: modules have the same.
// ISO 32000-1 section 8.5.2.1: the operator re.
func (p *pdf) vector(data []byte) error {
	if p.vectors >= vectorPictures || bytes.Count(data, []byte(" re")) < vectorLeast {
		return nil
	}
	boxes := rectangles(data)
	if len(boxes) < vectorLeast {
		return nil
	}
	thin := make([]float64, len(boxes))
	for i, b := range boxes {
		thin[i] = min(b.w, b.h)
	}
	slices.Sort(thin)
	unit := thin[len(thin)/2]
	left, bottom, right, top := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	boxes = slices.DeleteFunc(boxes, func(b box) bool {
		return min(b.w, b.h) < 0.8*unit || min(b.w, b.h) > 1.25*unit
	})
	for _, b := range boxes {
		left, right = min(left, b.x), max(right, b.x+b.w)
		bottom, top = min(bottom, b.y), max(top, b.y+b.h)
	}
	across, down := (right-left)/unit, (top-bottom)/unit
	if len(boxes) < vectorLeast || !(across >= 20 && down >= 20 && across < vectorModules && down < vectorModules) {
		return nil
	}
	const margin = 4 * vectorPixels
	width, height := int(across*vectorPixels)+2*margin, int(down*vectorPixels)+2*margin
	grey := bytes.Repeat([]byte{255}, width*height)
	at := func(v float64, most int) int {
		return max(0, min(most, margin+int(math.Round(v/unit*vectorPixels))))
	}
	for _, b := range boxes {
		x0, x1 := at(b.x-left, width), at(b.x-left+b.w, width)
		for y := at(top-b.y-b.h, height); y < at(top-b.y, height); y++ {
			clear(grey[y*width+x0 : y*width+max(x0, x1)])
		}
	}
	p.vectors++
	return p.j.Emit(&format.File{Kind: format.Stream, Name: "drawing", Data: greyBMP(grey, width, height), Unlocked: p.opened})
}

// rectangles are those that a content stream draws.
func rectangles(data []byte) (boxes []box) {
	for len(boxes) < vectorMost {
		i := bytes.Index(data, []byte(" re"))
		if i < 0 {
			return boxes
		}
		head, tail := data[max(0, i-120):i], data[i+3:]
		data = tail
		if len(tail) > 0 && !pdfSpace(tail[0]) {
			continue
		}
		words := bytes.Fields(head)
		if len(words) < 4 {
			continue
		}
		var v [4]float64
		ok := true
		for k := range v {
			f, err := strconv.ParseFloat(string(words[len(words)-4+k]), 64)
			v[k], ok = f, ok && err == nil && math.Abs(f) < 1e6
		}
		b := box{v[0], v[1], v[2], v[3]}
		if b.w < 0 {
			b.x, b.w = b.x+b.w, -b.w
		}
		if b.h < 0 {
			b.y, b.h = b.y+b.h, -b.h
		}
		if ok && b.w > 0 && b.h > 0 {
			boxes = append(boxes, b)
		}
	}
	return boxes
}
