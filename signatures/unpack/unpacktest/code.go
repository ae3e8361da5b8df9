package unpacktest

import (
	"bytes"
	"image"
	"image/color"
	"image/png"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// QR is a PNG picture of side × side dots with a code.
func QR(text string, side int) []byte {
	m := must(qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, side, side, nil))
	p := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if m.Get(x, y) {
				p.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	check((&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, p))
	return b.Bytes()
}
