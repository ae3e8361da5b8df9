package picture

import (
	"bytes"
	"html"
	"strings"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"

	"spamcatcher/signatures/unpack/format"
)

// drawn reads codes that are drawn with characters: the blocks of Unicode, in
// text or in a page, one or two rows of modules a line.
type drawn struct{}

func (drawn) Name() string { return "drawn" }

// Bounds of a drawing.
const (
	drawnText  = 512 << 10 // bytes of text looked at
	drawnLines = 400
)

// block is how UTF-8 of the block elements begins, U+2580 to U+259F.
var block = []byte("\xe2\x96")

func (drawn) Reads(f *format.File) bool {
	if f.Kind == format.Mail || f.Type != "" && f.Type != "text/html" {
		return false
	}
	// A code of the smallest version has more blocks than this; seldom anything
	// else has.
	return bytes.Count(f.Data[:min(len(f.Data), drawnText)], block) >= 60
}

func (drawn) Open(j *format.Job, f *format.File) error {
	text := string(f.Data[:min(len(f.Data), drawnText)])
	if f.Type == "text/html" || strings.Contains(f.Declared, "html") {
		text = untagged(text)
	}
	var rows [][]rune
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if strings.ContainsAny(line, "█▀▄▌▐") {
			rows = append(rows, []rune(line))
			if len(rows) > drawnLines {
				break
			}
			continue
		}
		// White rows of the margin are blank lines; a line of words ends a drawing.
		if len(rows) > 0 && strings.TrimSpace(line) != "" {
			if err := report(j, f, drawing(rows)); err != nil {
				return err
			}
			rows = nil
		}
	}
	return report(j, f, drawing(rows))
}

// untagged makes lines of a page.
func untagged(s string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		k := strings.IndexByte(s, '>')
		if k < 0 {
			s = ""
			break
		}
		name := strings.ToLower(s[:min(k, 3)])
		if strings.HasPrefix(name, "br") || strings.HasPrefix(name, "/p") || strings.HasPrefix(name, "/di") || strings.HasPrefix(name, "/tr") || strings.HasPrefix(name, "/li") {
			b.WriteByte('\n')
		}
		s = s[k+1:]
	}
	b.WriteString(s)
	return strings.ReplaceAll(html.UnescapeString(b.String()), "\u00a0", " ")
}

// drawing reads the code that rows of blocks draw, in every way in which they can
// be meant: two rows of modules a line or one, modules one or two characters wide,
// dark on light or light on dark.
func drawing(rows [][]rune) []string {
	if len(rows) < 10 {
		return nil
	}
	halves := false
	for _, row := range rows {
		halves = halves || strings.ContainsAny(string(row), "▀▄")
	}
	var modules [][]bool
	for _, row := range rows {
		upper, lower := make([]bool, 0, len(row)), make([]bool, 0, len(row))
		for _, r := range row {
			upper = append(upper, r == '█' || r == '▀')
			lower = append(lower, r == '█' || r == '▄')
		}
		modules = append(modules, upper)
		if halves {
			modules = append(modules, lower)
		}
	}
	widths := []int{1, 2}
	if halves {
		widths = widths[:1]
	}
	for _, width := range widths {
		for _, light := range []bool{false, true} {
			if text := grid(modules, width, light); text != "" {
				return []string{text}
			}
		}
	}
	return nil
}

// grid decodes a square of modules within a margin.
func grid(modules [][]bool, width int, light bool) string {
	full := func(x, y int) bool {
		x *= width
		if y >= len(modules) || x >= len(modules[y]) {
			return light // what is not drawn is the margin
		}
		return modules[y][x]
	}
	across := 0
	for _, row := range modules {
		across = max(across, (len(row)+width-1)/width)
	}
	// The code's own corner: the first dark module, row by row and column by column.
	left, right, top, bottom := across, -1, len(modules), -1
	for y := range modules {
		for x := range across {
			if full(x, y) != light {
				left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
			}
		}
	}
	if light {
		// The drawing is what is light: the code lies where it is not, within it.
		left, right, top, bottom = within(modules, full, across)
	}
	size := max(right-left, bottom-top) + 1
	if size < 21 || size > 177 || (size-17)%4 != 0 {
		return ""
	}
	bits, err := gozxing.NewSquareBitMatrix(size)
	if err != nil {
		return ""
	}
	for y := range size {
		for x := range size {
			if full(left+x, top+y) != light {
				bits.Set(x, y)
			}
		}
	}
	result, err := decoder.NewDecoder().Decode(bits, nil)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(result.GetText())
}

// within is the box around what is not drawn, in a drawing of what is light.
func within(modules [][]bool, full func(x, y int) bool, across int) (left, right, top, bottom int) {
	left, right, top, bottom = across, -1, len(modules), -1
	for y := range modules {
		begun := false
		last := -1
		for x := range across {
			if full(x, y) {
				begun = true
				last = x
			}
		}
		if !begun {
			continue
		}
		begun = false
		for x := range last {
			if full(x, y) {
				begun = true
			} else if begun {
				left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
			}
		}
	}
	return left, right, top, bottom
}
