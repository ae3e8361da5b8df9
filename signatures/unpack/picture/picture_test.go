package picture

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	stdimage "image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/image/bmp"

	"spamcatcher/signatures/unpack/format"
)

const lure = "https://login.example.net/verify?user=anna%40example.org&id=20931"

// matrix is the modules of a code, without margin.
func matrix(t testing.TB, text string) *gozxing.BitMatrix {
	t.Helper()
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 0, 0, map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_MARGIN: 0})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A scene is a picture in which codes are drawn.
type scene struct{ *stdimage.Gray }

func paper(width, height int, shade byte) scene {
	s := scene{stdimage.NewGray(stdimage.Rect(0, 0, width, height))}
	for i := range s.Pix {
		s.Pix[i] = shade
	}
	return s
}

// draw puts a code of modules of a size, turned by degrees, around a point.
func (s scene) draw(m *gozxing.BitMatrix, cx, cy int, module, degrees float64, dark, light byte) scene {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	n := float64(m.GetWidth())
	reach := int((n+8)*module*0.75) + 1
	for y := max(0, cy-reach); y < min(s.Rect.Dy(), cy+reach); y++ {
		for x := max(0, cx-reach); x < min(s.Rect.Dx(), cx+reach); x++ {
			dx, dy := float64(x-cx)+0.5, float64(y-cy)+0.5
			u, v := (dx*cos+dy*sin)/module+n/2, (dy*cos-dx*sin)/module+n/2
			switch {
			case u < -4 || v < -4 || u > n+4 || v > n+4:
			case u >= 0 && v >= 0 && u < n && v < n && m.Get(int(u), int(v)):
				s.SetGray(x, y, color.Gray{Y: dark})
			default:
				s.SetGray(x, y, color.Gray{Y: light})
			}
		}
	}
	return s
}

// photo is a picture with much in it and no code.
func photo(width, height int) *stdimage.RGBA {
	img := stdimage.NewRGBA(stdimage.Rect(0, 0, width, height))
	r := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			v := 128 + 60*math.Sin(float64(x)/37)*math.Cos(float64(y)/23) + 40*math.Sin(float64(x*y)/9000) + float64(r.IntN(24))
			c := byte(max(0, min(255, v)))
			img.SetRGBA(x, y, color.RGBA{c, c / 2, 255 - c, 255})
		}
	}
	return img
}

func pngOf(img stdimage.Image) []byte {
	var b bytes.Buffer
	png.Encode(&b, img)
	return b.Bytes()
}

func jpegOf(img stdimage.Image, quality int) []byte {
	var b bytes.Buffer
	jpeg.Encode(&b, img, &jpeg.Options{Quality: quality})
	return b.Bytes()
}

// opened is the texts and links found in files.
func opened(t testing.TB, files ...[]byte) (texts, links []string) {
	t.Helper()
	j := format.NewJob(context.Background(), format.Limits{Time: 20 * time.Second}, Formats(), nil, func(*format.File) error { return nil })
	for i, b := range files {
		j.Emit(&format.File{Kind: format.Part, Name: fmt.Sprint(i), Data: b})
	}
	for _, err := range j.Faults() {
		t.Fatal(err)
	}
	for _, m := range j.Marks() {
		if m.Kind == format.Code {
			texts = append(texts, m.Detail)
		}
	}
	return texts, j.Links()
}

func TestCodes(t *testing.T) {
	m := matrix(t, lure)
	grayToGIF := func(img stdimage.Image) []byte {
		var b bytes.Buffer
		gif.Encode(&b, img, nil)
		return b.Bytes()
	}
	toBMP := func(img stdimage.Image) []byte {
		var b bytes.Buffer
		bmp.Encode(&b, img)
		return b.Bytes()
	}
	transparent := stdimage.NewNRGBA(stdimage.Rect(0, 0, 300, 300))
	for y := range 300 {
		for x := range 300 {
			if u, v := (x-40)/5, (y-40)/5; x >= 40 && y >= 40 && u < m.GetWidth() && v < m.GetHeight() && m.Get(u, v) {
				transparent.SetNRGBA(x, y, color.NRGBA{A: 255})
			}
		}
	}
	shadow := paper(400, 400, 255).draw(m, 200, 200, 7, 0, 20, 240)
	for y := range 400 {
		for x := range 400 {
			shadow.Pix[y*400+x] = byte(int(shadow.Pix[y*400+x]) * (60 + x/2) / 260)
		}
	}
	noisy := paper(500, 500, 230).draw(m, 250, 250, 8, 0, 30, 220)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range noisy.Pix {
		noisy.Pix[i] = byte(max(0, min(255, int(noisy.Pix[i])+r.IntN(60)-30)))
	}
	for name, b := range map[string][]byte{
		"png":                 pngOf(paper(250, 250, 255).draw(m, 125, 125, 4, 0, 0, 255)),
		"jpeg":                jpegOf(paper(250, 250, 255).draw(m, 125, 125, 4, 0, 0, 255), 60),
		"gif":                 grayToGIF(paper(250, 250, 255).draw(m, 125, 125, 4, 0, 0, 255)),
		"bmp":                 toBMP(paper(250, 250, 255).draw(m, 125, 125, 4, 0, 0, 255)),
		"small modules":       pngOf(paper(120, 120, 255).draw(m, 60, 60, 2, 0, 0, 255)),
		"large":               pngOf(paper(1900, 1900, 255).draw(m, 950, 950, 38, 0, 0, 255)),
		"in a corner of much": pngOf(paper(1600, 1200, 255).draw(m, 1400, 1000, 4, 0, 0, 255)),
		"turned 30 degrees":   pngOf(paper(400, 400, 255).draw(m, 200, 200, 6, 30, 0, 255)),
		"upside down":         pngOf(paper(400, 400, 255).draw(m, 200, 200, 6, 180, 0, 255)),
		"light on dark":       pngOf(paper(300, 300, 0).draw(m, 150, 150, 5, 0, 255, 0)),
		"low contrast":        pngOf(paper(300, 300, 200).draw(m, 150, 150, 5, 0, 150, 200)),
		"transparent":         pngOf(transparent),
		"under a shadow":      jpegOf(shadow, 80),
		"noisy":               jpegOf(noisy, 70),
	} {
		texts, links := opened(t, b)
		if !slices.Equal(texts, []string{lure}) || !slices.Equal(links, []string{lure}) {
			t.Errorf("%s: texts %q, links %q", name, texts, links)
		}
	}
	two := paper(700, 350, 255).draw(m, 170, 170, 6, 0, 0, 255).draw(matrix(t, "WIFI:S:guests;T:WPA;P:harmless;;"), 530, 170, 6, 0, 0, 255)
	texts, links := opened(t, pngOf(two))
	slices.Sort(texts)
	if len(texts) != 2 || !slices.Equal(links, []string{lure}) {
		t.Errorf("two codes: texts %q, links %q", texts, links)
	}
}

func TestNoCode(t *testing.T) {
	finder := paper(400, 400, 255) // finder patterns without a code between them
	for _, at := range [][2]int{{50, 50}, {300, 50}, {50, 300}} {
		for y := range 70 {
			for x := range 70 {
				u, v := x/10, y/10
				ring := min(u, v, 6-u, 6-v)
				if ring != 1 {
					finder.SetGray(at[0]+x, at[1]+y, color.Gray{})
				}
			}
		}
	}
	for name, b := range map[string][]byte{
		"photo":    jpegOf(photo(800, 600), 85),
		"white":    pngOf(paper(800, 600, 255)),
		"patterns": pngOf(finder),
		"broken":   pngOf(photo(100, 100))[:3000],
	} {
		if texts, links := opened(t, b); len(texts)+len(links) > 0 {
			t.Errorf("%s: %q %q", name, texts, links)
		}
	}
	for text, want := range map[string]string{
		"https://a.example.net/x":           "https://a.example.net/x",
		"HTTPS://A.EXAMPLE.NET/X":           "HTTPS://A.EXAMPLE.NET/X",
		"see http://a.example.net":          "http://a.example.net",
		"a.example.net/x":                   "http://a.example.net/x",
		"URLTO:title:http://b.example.net/": "http://b.example.net/",
		"BEGIN:VCARD\nFN:Anna":              "",
		"12345678":                          "",
		"ticket 44.7":                       "",
		"mailto:anna@example.org":           "",
	} {
		if got := address(text); got != want {
			t.Errorf("address(%q) = %q, want %q", text, got, want)
		}
	}
}

// drawnCode draws a code as terminals do: two rows a line.
func drawnCode(m *gozxing.BitMatrix, light bool, margin int) string {
	n := m.GetWidth()
	dark := func(x, y int) bool {
		x, y = x-margin, y-margin
		return x >= 0 && y >= 0 && x < n && y < n && m.Get(x, y)
	}
	var b strings.Builder
	for y := 0; y < n+2*margin; y += 2 {
		for x := range n + 2*margin {
			up, down := dark(x, y) != light, dark(x, y+1) != light
			if y+1 >= n+2*margin {
				down = false
			}
			switch {
			case up && down:
				b.WriteString("█")
			case up:
				b.WriteString("▀")
			case down:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestDrawn(t *testing.T) {
	m := matrix(t, lure)
	var wide strings.Builder
	for y := range m.GetHeight() {
		for x := range m.GetWidth() {
			if m.Get(x, y) {
				wide.WriteString("██")
			} else {
				wide.WriteString("  ")
			}
		}
		wide.WriteString("\n")
	}
	cases := map[string]string{
		"dark on light":     "Please scan this code:\n\n" + drawnCode(m, false, 0) + "\nThank you\n",
		"light on dark":     "Please scan\n" + drawnCode(m, true, 2) + "\nThank you\n",
		"light, odd margin": drawnCode(m, true, 1),
		"two characters":    "Scan\n" + wide.String() + "\nThank you\n",
		"in a page":         "<html><body><p>Scan</p><pre>" + drawnCode(m, false, 0) + "</pre></body></html>",
		"lines of a page":   "<html><body>" + strings.ReplaceAll(strings.ReplaceAll(drawnCode(m, false, 0), " ", "&nbsp;"), "\n", "<br>") + "</body></html>",
	}
	if program, err := exec.LookPath("qrencode"); err != nil {
		t.Log("qrencode is not installed: its drawings are not tested")
	} else {
		for _, kind := range []string{"UTF8", "UTF8i"} {
			out, err := exec.Command(program, "-t", kind, "-o", "-", lure).Output()
			if err != nil {
				t.Fatal(err)
			}
			cases["qrencode "+kind] = string(out)
		}
	}
	for name, text := range cases {
		texts, links := opened(t, []byte(text))
		if !slices.Equal(texts, []string{lure}) || !slices.Equal(links, []string{lure}) {
			t.Errorf("%s: texts %q, links %q", name, texts, links)
		}
	}
	bars := strings.Repeat("██████████▄▄▄▄▄▄     42 %\n", 30)
	if texts, _ := opened(t, []byte(bars)); len(texts) > 0 {
		t.Errorf("bars: %q", texts)
	}
}

// TestPeer reads what another program wrote.
func TestPeer(t *testing.T) {
	program, err := exec.LookPath("qrencode")
	if err != nil {
		t.Skip("qrencode is not installed: only codes of our own writer are tested")
	}
	for _, level := range []string{"L", "M", "Q", "H"} {
		for _, size := range []string{"1", "3", "8"} {
			out, err := exec.Command(program, "-l", level, "-s", size, "-o", "-", lure).Output()
			if err != nil {
				t.Fatal(err)
			}
			texts, _ := opened(t, out)
			if want := size != "1"; slices.Equal(texts, []string{lure}) != want && want {
				t.Errorf("level %s, %s pixels a module: %q", level, size, texts)
			}
		}
	}
}

// declared is a PNG whose header says a size that its data is not.
func declared(width, height uint32) []byte {
	b := pngOf(paper(30, 30, 255))
	binary.BigEndian.PutUint32(b[16:], width)
	binary.BigEndian.PutUint32(b[20:], height)
	binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
	return b
}

func TestPictureBombs(t *testing.T) {
	tiles := stdimage.NewGray(stdimage.Rect(0, 0, 2000, 2000)) // nothing but finder patterns
	for y := range 2000 {
		for x := range 2000 {
			u, v := x%9, y%9
			if u == 8 || v == 8 || u == 7 || v == 7 || min(u, v, 6-u, 6-v) == 1 {
				tiles.Pix[y*2000+x] = 255
			}
		}
	}
	m := matrix(t, lure)
	many := make([][]byte, 300)
	for i := range many {
		many[i] = pngOf(paper(400, 400+i, 255).draw(m, 200, 200, 5, 0, 0, 255))
	}
	for name, files := range map[string][][]byte{
		"60000 x 60000 declared": {declared(60000, 60000)},
		"4000 x 4000 declared":   {declared(4000, 4000)},
		"finder patterns":        {pngOf(tiles)},
		"300 pictures":           many,
		"large photo":            {jpegOf(paper(4000, 3000, 99), 80)},
	} {
		start := time.Now()
		texts, _ := opened(t, files...)
		took := time.Since(start)
		t.Logf("%-24s %4.0f ms, %d codes", name, took.Seconds()*1000, len(texts))
		if took > 6*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

func BenchmarkPicture(b *testing.B) {
	m := matrix(b, lure)
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"photo 800x600 jpeg", jpegOf(photo(800, 600), 85)},
		{"photo 1600x1200 jpeg", jpegOf(photo(1600, 1200), 85)},
		{"photo 4000x3000 jpeg", jpegOf(paper(4000, 3000, 99), 85)},
		{"logo 300x100 png", pngOf(paper(300, 100, 255))},
		{"screenshot 1200x800 png", pngOf(paper(1200, 800, 255))},
		{"code 250x250 png", pngOf(paper(250, 250, 255).draw(m, 125, 125, 4, 0, 0, 255))},
		{"dot 1x1", pngOf(paper(1, 1, 255))},
	} {
		b.Run(c.name, func(b *testing.B) {
			want := 0
			if strings.HasPrefix(c.name, "code") {
				want = 1
			}
			for b.Loop() {
				if texts, _ := opened(b, c.data); len(texts) != want {
					b.Fatalf("%q", texts)
				}
			}
		})
	}
	g := greyOf(photo(1600, 1200))
	b.Run("search only, 1600x1200", func(b *testing.B) {
		for b.Loop() {
			if len(read(g)) > 0 {
				b.Fatal("a code in a photo")
			}
		}
	})
}

func FuzzPicture(f *testing.F) {
	m := matrix(f, lure)
	f.Add(pngOf(paper(60, 60, 255).draw(m, 30, 30, 1, 0, 0, 255)))
	f.Add(jpegOf(paper(120, 120, 255).draw(m, 60, 60, 2, 0, 0, 255), 50))
	f.Add(declared(4000, 4000))
	f.Add([]byte(drawnCode(m, true, 2)))
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		opened(t, data)
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%v for %d bytes", took, len(data))
		}
	})
}
