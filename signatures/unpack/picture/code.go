package picture

import (
	"math"
	"slices"
	"strings"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

// Bounds of the search in one picture.
const (
	findersMost = 64 // finder patterns: a picture with more is a test card
	triplesMost = 40 // threes of them that are tried
	codesMost   = 8
	large       = 1200 // pixels a side from which a smaller copy is looked at
)

// read finds the codes in a picture. Finder patterns are looked for here and not
// by the library, which takes time cubic in their number; it samples the modules,
// corrects errors and decodes, which is bounded.
func read(g grey) []string {
	for {
		b := threshold(g)
		found := b.centres()
		texts := b.codes(found[1], false)
		if len(texts) == 0 {
			texts = b.codes(found[0], true)
		}
		if len(texts) > 0 || max(g.width, g.height) < large {
			return texts
		}
		g = half(g)
	}
}

// half is the picture at half its size, which takes noise and screens out.
func half(g grey) grey {
	h := grey{width: g.width / 2, height: g.height / 2}
	h.pix = make([]byte, h.width*h.height)
	for y := range h.height {
		a, b := g.pix[2*y*g.width:], g.pix[(2*y+1)*g.width:]
		out := h.pix[y*h.width : (y+1)*h.width]
		for x := range out {
			out[x] = byte((int(a[2*x]) + int(a[2*x+1]) + int(b[2*x]) + int(b[2*x+1])) / 4)
		}
	}
	return h
}

// side is that of the blocks of pixels that have a threshold of their own.
const side = 8

// A bitonal is a picture whose pixels are dark or light, as they are compared with
// the threshold of their block.
type bitonal struct {
	grey
	limits []byte
	across int // blocks in a row
}

// at is 1 for a dark pixel, 0 for a light one.
func (b *bitonal) at(x, y int) byte {
	if b.pix[y*b.width+x] <= b.limits[y/side*b.across+x/side] {
		return 1
	}
	return 0
}

// row writes the pixels of a row, from x on, as 1 and 0.
func (b *bitonal) row(y int, out []byte) {
	in := b.pix[y*b.width : (y+1)*b.width]
	limits := b.limits[y/side*b.across:]
	for x := 0; x < len(in); x += side {
		limit := limits[x/side]
		for k := x; k < min(x+side, len(in)); k++ {
			// Without a branch: what is above the limit borrows.
			out[k] = 1 - byte((uint16(limit)-uint16(in[k]))>>15)
		}
	}
}

// threshold finds the thresholds. They follow the shades of the surroundings, so
// that shadows do not matter.
func threshold(g grey) *bitonal {
	across, down := (g.width+side-1)/side, (g.height+side-1)/side
	means := make([]int, across*down) // of blocks that have dark and light in them, 0 for others
	darkest, lightest := 255, 0
	for by := range down {
		y0, y1 := by*side, min(g.height, by*side+side)
		for bx := range across {
			x0, x1 := bx*side, min(g.width, bx*side+side)
			sum, least, most := 0, byte(255), byte(0)
			n := 0
			for y := y0; y < y1; y += 2 {
				line := g.pix[y*g.width+x0 : y*g.width+x1]
				n += len(line)
				for _, v := range line {
					sum += int(v)
					least, most = min(least, v), max(most, v)
				}
			}
			mean := sum / n
			darkest, lightest = min(darkest, mean), max(lightest, mean)
			if most-least >= 24 {
				means[by*across+bx] = (mean + (int(least)+int(most))/2) / 2
			}
		}
	}
	// Among blocks of one shade each, the middle of the picture's shades decides.
	middle := (darkest + lightest) / 2
	b := &bitonal{grey: g, limits: make([]byte, across*down), across: across}
	for by := range down {
		for bx := range across {
			sum, n := 0, 0
			for y := max(0, by-2); y <= min(down-1, by+2); y++ {
				for _, m := range means[y*across+max(0, bx-2) : y*across+min(across-1, bx+2)+1] {
					if m > 0 {
						sum += m
						n++
					}
				}
			}
			b.limits[by*across+bx] = byte(middle)
			if n > 0 {
				b.limits[by*across+bx] = byte(sum / n)
			}
		}
	}
	return b
}

// A centre is the middle of a finder pattern.
type centre struct {
	x, y, module float64
	count        int
}

// centres finds the finder patterns, the light ones first: five runs in the
// proportion 1:1:3:1:1 along a row, and through its middle along a column and the
// row again. ISO/IEC 18004 section 6.3.3.
func (b *bitonal) centres() (found [2][]centre) {
	row := make([]byte, b.width)
	checks := 0
	step := 2
	if b.height > 600 {
		step = 3
	}
	for y := 1; y < b.height; y += step {
		b.row(y, row)
		var runs [5]int
		start := 0
		for x := 1; x <= b.width; x++ {
			if x < b.width && row[x] == row[x-1] {
				continue
			}
			runs[0], runs[1], runs[2], runs[3] = runs[1], runs[2], runs[3], runs[4]
			runs[4] = x - start
			start = x
			// Most runs of most pictures are told apart by this.
			if 2*runs[2] <= 3*runs[4] || 2*runs[2] <= 3*runs[0] || !proportion(runs) {
				continue
			}
			if checks++; checks > 20000 {
				return [2][]centre{}
			}
			first := row[x-1]
			total := runs[0] + runs[1] + runs[2] + runs[3] + runs[4]
			cx := x - runs[4] - runs[3] - (runs[2]+1)/2
			cy, tall, ok := through(func(i int) byte { return b.at(cx, i) }, b.height, y, first)
			if !ok || !alike(tall, total) {
				continue
			}
			mx, wide, ok := through(func(i int) byte { return b.at(i, int(cy)) }, b.width, cx, first)
			if !ok || !alike(wide, total) {
				continue
			}
			if len(found[first]) <= findersMost {
				found[first] = merge(found[first], centre{mx, cy, float64(tall+wide) / 14, 1})
			}
		}
	}
	for i := range found {
		if len(found[i]) > findersMost {
			found[i] = nil
		}
	}
	return found
}

// proportion says whether five runs are 1:1:3:1:1, give or take half a module.
func proportion(runs [5]int) bool {
	total := 0
	for _, n := range runs {
		if n == 0 {
			return false
		}
		total += n
	}
	if total < 7 {
		return false
	}
	off := func(n, modules int) bool {
		d := 7*n - modules*total
		return 2*max(d, -d) >= modules*total
	}
	return !off(runs[0], 1) && !off(runs[1], 1) && !off(runs[2], 3) && !off(runs[3], 1) && !off(runs[4], 1)
}

// through measures the five runs around place at on a line of n pixels.
func through(line func(int) byte, n, at int, first byte) (middle float64, total int, ok bool) {
	var runs [5]int
	i := at
	end := 0
	for k, colour := range [3]byte{first, 1 - first, first} {
		for i >= 0 && line(i) == colour && runs[2-k] <= n/2 {
			runs[2-k]++
			i--
		}
	}
	i = at + 1
	for k, colour := range [3]byte{first, 1 - first, first} {
		for i < n && line(i) == colour && runs[2+k] <= n/2 {
			runs[2+k]++
			i++
		}
		if k == 0 {
			end = i
		}
	}
	if !proportion(runs) {
		return 0, 0, false
	}
	return float64(end) - float64(runs[2])/2, runs[0] + runs[1] + runs[2] + runs[3] + runs[4], true
}

func alike(a, b int) bool { return 5*max(a-b, b-a) <= 2*max(a, b) }

// merge adds a centre to the ones found, or to the one that it is.
func merge(found []centre, c centre) []centre {
	for i := range found {
		f := &found[i]
		if math.Abs(f.x-c.x) <= 2*f.module && math.Abs(f.y-c.y) <= 2*f.module && c.module < 1.6*f.module && f.module < 1.6*c.module {
			n := float64(f.count)
			f.x, f.y, f.module = (f.x*n+c.x)/(n+1), (f.y*n+c.y)/(n+1), (f.module*n+c.module)/(n+1)
			f.count++
			return found
		}
	}
	return append(found, c)
}

// A triple is three finder patterns that may belong to one code.
type triple struct {
	a, b, c int
	skew    float64 // how far from two sides of one length at a right angle
}

// triples orders the threes of centres, the likeliest first.
func triples(found []centre) []triple {
	var list []triple
	for a := range found {
		for b := a + 1; b < len(found); b++ {
			for c := b + 1; c < len(found); c++ {
				least := min(found[a].module, found[b].module, found[c].module)
				most := max(found[a].module, found[b].module, found[c].module)
				if most > 1.5*least {
					continue
				}
				sides := []float64{distance(found[a], found[b]), distance(found[b], found[c]), distance(found[a], found[c])}
				slices.Sort(sides)
				// Version 1 has 14 modules between centres, version 40 has 170.
				if modules := sides[0] / most; modules < 9 || sides[1]/least > 220 {
					continue
				}
				skew := math.Abs(sides[1]/sides[0]-1) + math.Abs(sides[2]*sides[2]/(sides[0]*sides[0]+sides[1]*sides[1])-1)
				if skew < 0.6 {
					list = append(list, triple{a, b, c, skew})
				}
			}
		}
	}
	slices.SortFunc(list, func(x, y triple) int {
		switch {
		case x.skew < y.skew:
			return -1
		case x.skew > y.skew:
			return 1
		}
		return 0
	})
	return list[:min(len(list), triplesMost)]
}

func distance(a, b centre) float64 { return math.Hypot(a.x-b.x, a.y-b.y) }

// codes decodes what lies between threes of centres.
func (b *bitonal) codes(found []centre, inverted bool) (texts []string) {
	list := triples(found)
	if len(list) == 0 {
		return nil
	}
	bits, err := gozxing.NewBitMatrix(b.width, b.height)
	if err != nil {
		return nil
	}
	row := make([]byte, b.width)
	for y := range b.height {
		b.row(y, row)
		for x, v := range row {
			if (v == 1) != inverted {
				bits.Set(x, y)
			}
		}
	}
	used := make([]bool, len(found))
	for _, t := range list {
		if used[t.a] || used[t.b] || used[t.c] || len(texts) >= codesMost {
			continue
		}
		text, ok := decode(bits, found[t.a], found[t.b], found[t.c])
		if !ok {
			continue
		}
		used[t.a], used[t.b], used[t.c] = true, true, true
		if text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// decode reads one code.
func decode(bits *gozxing.BitMatrix, a, b, c centre) (text string, ok bool) {
	point := func(c centre) *detector.FinderPattern { return detector.NewFinderPattern1(c.x, c.y, c.module) }
	bl, tl, tr := gozxing.ResultPoint_OrderBestPatterns(point(a), point(b), point(c))
	info := detector.NewFinderPatternInfo(bl.(*detector.FinderPattern), tl.(*detector.FinderPattern), tr.(*detector.FinderPattern))
	sampled, err := detector.NewDetector(bits).ProcessFinderPatternInfo(info)
	if err != nil {
		return "", false
	}
	result, err := decoder.NewDecoder().Decode(sampled.GetBits(), nil)
	if err != nil {
		return "", false
	}
	return strings.TrimSpace(result.GetText()), true
}

// address is the address in the text of a code; "" if it leads nowhere.
func address(text string) string {
	lower := strings.ToLower(text)
	for _, scheme := range []string{"http://", "https://"} {
		if i := strings.Index(lower, scheme); i >= 0 && len(lower) == len(text) {
			found := text[i:]
			if k := strings.IndexAny(found, " \r\n\t<>\""); k >= 0 {
				found = found[:k]
			}
			return found
		}
	}
	if rest, ok := strings.CutPrefix(lower, "urlto:"); ok && rest != "" {
		_, found, _ := strings.Cut(text[len("urlto:"):], ":")
		return found
	}
	if strings.HasPrefix(lower, "www.") && !strings.ContainsAny(text, " \n") {
		return "http://" + text
	}
	// A bare host with a path, as some generators write it.
	host, _, _ := strings.Cut(lower, "/")
	if name, top, ok := cutLast(host, "."); ok && len(name) > 0 && len(top) >= 2 && len(top) <= 24 && !strings.ContainsAny(lower, " \n@:;,") && strings.IndexFunc(top, func(r rune) bool { return r < 'a' || r > 'z' }) < 0 {
		return "http://" + text
	}
	return ""
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
