package document

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"slices"
	"strings"
	"testing"

	stdimage "image"

	"golang.org/x/image/bmp"

	"spamcatcher/signatures/unpack/format"
)

// TestPDFPictures has a pattern drawn in every way in which documents hold
// pictures, and sees that it comes out dark where it is dark.
func TestPDFPictures(t *testing.T) {
	const n = 40
	dark := func(x, y int) bool { return (x/4+y/8)%2 == 0 }
	samples := func(components int, value func(dark bool) byte) []byte {
		var b []byte
		for y := range n {
			for x := range n {
				b = append(b, bytes.Repeat([]byte{value(dark(x, y))}, components)...)
			}
		}
		return b
	}
	ink := func(d bool) byte {
		if d {
			return 10
		}
		return 240
	}
	bits := func(set bool) []byte {
		b := make([]byte, n*n/8)
		for i := range n * n {
			if dark(i%n, i/n) == set {
				b[i/8] |= 0x80 >> (i % 8)
			}
		}
		return b
	}
	entries := fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d /Filter /FlateDecode ", n, n)
	for name, s := range map[string]string{
		"grey":          streamOf(entries+"/BitsPerComponent 8 /ColorSpace /DeviceGray", deflated(samples(1, ink))),
		"RGB":           streamOf(entries+"/BitsPerComponent 8 /ColorSpace /DeviceRGB", deflated(samples(3, ink))),
		"one bit":       streamOf(entries+"/BitsPerComponent 1 /ColorSpace /DeviceGray", deflated(bits(false))),
		"indexed":       streamOf(entries+"/BitsPerComponent 1 /ColorSpace [/Indexed /DeviceRGB 1 <ffffff000000>]", deflated(bits(true))),
		"indexed, refs": streamOf(entries+"/BitsPerComponent 1 /ColorSpace [/Indexed /DeviceRGB 1 11 0 R]", deflated(bits(true))),
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Data: pdfOf("", s, streamOf("", []byte("\xff\xff\xff\x00\x00\x00")))})
		i := slices.IndexFunc(o.files, func(f format.File) bool { return f.Type == "image/bmp" })
		if i < 0 {
			t.Errorf("%s: no picture", name)
			continue
		}
		img, err := bmp.Decode(bytes.NewReader(o.files[i].Data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for y := range n {
			for x := range n {
				if v, _, _, _ := img.At(x, y).RGBA(); v < 0x8000 != dark(x, y) {
					t.Fatalf("%s: wrong at %d, %d", name, x, y)
				}
			}
		}
	}
	var b bytes.Buffer
	jpeg.Encode(&b, stdimage.NewGray(stdimage.Rect(0, 0, n, n)), nil)
	own := strings.Replace(streamOf(entries, b.Bytes()), "FlateDecode", "DCTDecode", 1)
	o := openPart(t, format.Limits{}, nil, format.File{Data: pdfOf("", own)})
	if !slices.ContainsFunc(o.files, func(f format.File) bool { return bytes.Equal(f.Data, b.Bytes()) }) {
		t.Error("a JPEG was not handed on")
	}
	banner := strings.Replace(streamOf(entries+"/BitsPerComponent 8", deflated(samples(1, ink))), "/Height 40", "/Height 2", 1)
	if o := openPart(t, format.Limits{}, nil, format.File{Data: pdfOf("", banner)}); len(o.files) > 1 {
		t.Error("a ribbon was handed on")
	}
}

// TestPDFVector has a pattern drawn as rectangles.
func TestPDFVector(t *testing.T) {
	const n = 25
	dark := func(x, y int) bool { return (x*7+y*3)%5 < 2 }
	draw := func(flip bool) []byte {
		var b strings.Builder
		b.WriteString("1 1 1 rg 0 0 600 800 re f 0 g\n")
		for y := range n {
			for x := range n {
				if !dark(x, y) {
					continue
				}
				if flip {
					fmt.Fprintf(&b, "%.2f %.2f 2.50 -2.50 re f\n", 100+2.5*float64(x), 500-2.5*float64(y))
				} else {
					fmt.Fprintf(&b, "%.2f %.2f 2.50 2.50 re f\n", 100+2.5*float64(x), 500-2.5*float64(y+1))
				}
			}
		}
		return []byte(b.String())
	}
	for _, flip := range []bool{false, true} {
		o := openPart(t, format.Limits{}, nil, format.File{Data: pdfOf("", streamOf("/Filter /FlateDecode", deflated(draw(flip))))})
		i := slices.IndexFunc(o.files, func(f format.File) bool { return f.Type == "image/bmp" })
		if i < 0 {
			t.Fatal("no picture")
		}
		img, err := bmp.Decode(bytes.NewReader(o.files[i].Data))
		if err != nil {
			t.Fatal(err)
		}
		for y := range n {
			for x := range n {
				if v, _, _, _ := img.At(4*vectorPixels+vectorPixels*x+2, 4*vectorPixels+vectorPixels*y+2).RGBA(); v < 0x8000 != dark(x, y) {
					t.Fatalf("wrong at %d, %d", x, y)
				}
			}
		}
	}
	table := strings.Repeat("10 20 300 15 re f\n", 59)
	if o := openPart(t, format.Limits{}, nil, format.File{Data: pdfOf("", streamOf("", []byte(table)))}); slices.ContainsFunc(o.files, func(f format.File) bool { return f.Type == "image/bmp" }) {
		t.Error("a table was handed on as a picture")
	}
}
