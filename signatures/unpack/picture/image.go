package picture

import (
	"bytes"
	"fmt"
	stdimage "image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"time"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"

	"spamcatcher/signatures/unpack/format"
)

// Bounds of one picture, and of all pictures of a message.
const (
	sideLeast   = 20 // pixels; the smallest code has 21 modules a side
	sideMost    = 4000
	memoryMost  = 24 << 20 // bytes that the decoded picture takes
	pixelsMost  = 24 << 20 // of all pictures of a message
	pictureMost = 40
	timeMost    = 600 * time.Millisecond // of all pictures of a message
)

// image reads pictures for QR codes (ISO/IEC 18004): what a code says is marked,
// and noted as a link if it is an address. A picture's size is looked at before
// anything is decoded.
type image struct{}

func (image) Name() string { return "picture" }

func (image) Reads(f *format.File) bool {
	switch f.Type {
	case "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp":
		return true
	}
	return false
}

// codec is the library that reads a media type.
func codec(kind string) (config func(io.Reader) (stdimage.Config, error), decode func(io.Reader) (stdimage.Image, error)) {
	switch kind {
	case "image/png":
		return png.DecodeConfig, png.Decode
	case "image/jpeg":
		return jpeg.DecodeConfig, jpeg.Decode
	case "image/gif":
		return gif.DecodeConfig, gif.Decode
	case "image/webp":
		return webp.DecodeConfig, webp.Decode
	}
	return bmp.DecodeConfig, bmp.Decode
}

func (image) Open(j *format.Job, f *format.File) error {
	config, decode := codec(f.Type)
	c, err := config(bytes.NewReader(f.Data))
	if err != nil {
		return nil // a picture that nobody sees shows no code
	}
	pixels := int64(c.Width) * int64(c.Height)
	if c.Width < sideLeast || c.Height < sideLeast || c.Width > 12*c.Height || c.Height > 12*c.Width {
		return nil
	}
	if c.Width > sideMost || c.Height > sideMost || pixels*bytesOf(c.ColorModel) > memoryMost {
		j.Mark(f, format.LimitPictures, fmt.Sprintf("%d x %d", c.Width, c.Height))
		return nil
	}
	if !j.Spend("pictures", 1, pictureMost) || !j.Spend("pixels", pixels, pixelsMost) || !j.Spend("time of pictures", 0, int64(timeMost)) {
		j.Mark(f, format.LimitPictures, "")
		return nil
	}
	start := time.Now()
	defer func() { j.Spend("time of pictures", int64(time.Since(start)), int64(timeMost)) }()
	img, err := decode(bytes.NewReader(f.Data))
	if err != nil && img == nil {
		return nil // what there is of a broken picture is shown
	}
	if err := j.Check(); err != nil {
		return err
	}
	return report(j, f, read(greyOf(img)))
}

// report marks the texts of codes.
func report(j *format.Job, f *format.File, texts []string) error {
	for _, text := range texts {
		j.Mark(f, format.Code, text[:min(len(text), 2000)])
		if address := address(text); address != "" {
			j.Link(f, address)
		}
	}
	return j.Check()
}

// bytesOf is what a pixel takes when it is decoded.
func bytesOf(m color.Model) int64 {
	switch m {
	case color.GrayModel:
		return 1
	case color.Gray16Model:
		return 2
	case color.YCbCrModel:
		return 3
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	}
	if _, ok := m.(color.Palette); ok {
		return 1
	}
	return 4
}

// A grey is a picture in lightness, row by row.
type grey struct {
	pix           []byte
	width, height int
}

// greyOf converts a picture, on white where it is transparent.
func greyOf(img stdimage.Image) grey {
	r := img.Bounds()
	g := grey{width: r.Dx(), height: r.Dy()}
	switch m := img.(type) {
	case *stdimage.Gray:
		if m.Stride == g.width {
			g.pix = m.Pix
			return g
		}
	case *stdimage.YCbCr:
		if m.YStride == g.width {
			g.pix = m.Y[:g.width*g.height]
			return g
		}
	}
	g.pix = make([]byte, g.width*g.height)
	rows := func(row func(y int, out []byte)) grey {
		for y := range g.height {
			row(y, g.pix[y*g.width:(y+1)*g.width])
		}
		return g
	}
	switch m := img.(type) {
	case *stdimage.Gray:
		return rows(func(y int, out []byte) { copy(out, m.Pix[y*m.Stride:]) })
	case *stdimage.YCbCr:
		return rows(func(y int, out []byte) { copy(out, m.Y[y*m.YStride:]) })
	case *stdimage.Paletted:
		var table [256]byte
		for i, c := range m.Palette {
			r, g, b, a := c.RGBA()
			table[i] = onWhite(byte(r>>8), byte(g>>8), byte(b>>8), byte(a>>8), true)
		}
		return rows(func(y int, out []byte) {
			for x, i := range m.Pix[y*m.Stride : y*m.Stride+g.width] {
				out[x] = table[i]
			}
		})
	case *stdimage.NRGBA:
		return rows(func(y int, out []byte) {
			in := m.Pix[y*m.Stride:]
			for x := range out {
				out[x] = onWhite(in[4*x], in[4*x+1], in[4*x+2], in[4*x+3], false)
			}
		})
	case *stdimage.RGBA:
		return rows(func(y int, out []byte) {
			in := m.Pix[y*m.Stride:]
			for x := range out {
				out[x] = onWhite(in[4*x], in[4*x+1], in[4*x+2], in[4*x+3], true)
			}
		})
	}
	return rows(func(y int, out []byte) {
		for x := range out {
			c := color.RGBAModel.Convert(img.At(r.Min.X+x, r.Min.Y+y)).(color.RGBA)
			out[x] = onWhite(c.R, c.G, c.B, c.A, true)
		}
	})
}

// onWhite is the lightness of a pixel that lies on white; scaled says that the
// colours were multiplied with their opacity.
func onWhite(r, g, b, a byte, scaled bool) byte {
	v := (uint32(r)*2 + uint32(g)*5 + uint32(b)) / 8
	if !scaled {
		v = v * uint32(a) / 255
	}
	return byte(min(255, v+255-uint32(a)))
}
