package corpus

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// Sizes of the picture, in SVG user units: two square panels side by side,
// with room for their axes.
const (
	pictureWidth, pictureHeight = 1120, 585
	panelSize                   = 420
	panelTop                    = 92
	rocLeft, reliabilityLeft    = 90, 640
)

// Colours that differ also for those who see few, on white and in print.
const (
	colourCurve = "#1f5fa8"
	colourBand  = "#c9dcf2"
	colourGrid  = "#e4e7eb"
	colourText  = "#24292f"
	colourFaint = "#6e7781"
	colourMark  = "#c2410c"
)

// Picture draws the ROC curve, its false positives on a logarithmic axis,
// and the reliability curve as SVG.
func Picture(w io.Writer, title string, e Evaluation, f Figures) {
	d := &drawing{w: w}
	d.put(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="13" fill="%s">`, pictureWidth, pictureHeight, pictureWidth, pictureHeight, colourText)
	d.put(`<title>%s</title>`, html.EscapeString(title))
	d.put(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	d.text(rocLeft, 34, "start", 17, "600", colourText, title)
	d.text(rocLeft, 58, "start", 13, "400", colourFaint, fmt.Sprintf("AUC %s · 1-ROCA %s %% · missed at 50: %s %% · flagged at 50: %s %% · ECE %s",
		figure("%.5f", f.AUC.Value), figure("%.3f", 100*(1-f.AUC.Value)), figure("%.2f", 100*f.Missed.Value), figure("%.2f", 100*f.Flagged.Value), figure("%.4f", f.ECE.Value)))
	d.roc(e, f)
	d.reliability(e)
	d.put(`</svg>`)
}

func figure(format string, x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf(format, x)
}

type drawing struct{ w io.Writer }

func (d *drawing) put(format string, args ...any) { fmt.Fprintf(d.w, format+"\n", args...) }

func (d *drawing) text(x, y float64, anchor string, size int, weight, colour, s string) {
	d.put(`<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d" font-weight="%s" fill="%s">%s</text>`, x, y, anchor, size, weight, colour, html.EscapeString(s))
}

func (d *drawing) line(x1, y1, x2, y2 float64, colour string, width float64, dash string) {
	if dash != "" {
		dash = ` stroke-dasharray="` + dash + `"`
	}
	d.put(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"%s/>`, x1, y1, x2, y2, colour, width, dash)
}

// frame draws the axes of a panel with its lower left corner at (left, bottom).
func (d *drawing) frame(left float64, title, x, y string) {
	bottom := float64(panelTop + panelSize)
	d.text(left, panelTop-12, "start", 14, "600", colourText, title)
	d.put(`<rect x="%.1f" y="%d" width="%d" height="%d" fill="none" stroke="%s"/>`, left, panelTop, panelSize, panelSize, colourFaint)
	d.text(left+panelSize/2, bottom+46, "middle", 13, "400", colourText, x)
	d.put(`<text transform="translate(%.1f %.1f) rotate(-90)" text-anchor="middle">%s</text>`, left-54, bottom-panelSize/2, html.EscapeString(y))
}

// roc draws the ROC curve. The false-positive axis begins below the share that
// one message is; recall begins at 50 % where the curve is above it.
func (d *drawing) roc(e Evaluation, f Figures) {
	bottom := float64(panelTop + panelSize)
	floor := math.Pow(10, math.Floor(math.Log10(0.5/float64(max(1, e.Ham)))))
	floor = min(max(floor, 1e-6), 1e-3)
	low := 0.0
	if e.Recall(0.001) > 0.55 {
		low = 0.5
	}
	px := func(fp float64) float64 {
		return rocLeft + panelSize*(math.Log10(max(fp, floor))-math.Log10(floor))/-math.Log10(floor)
	}
	py := func(recall float64) float64 { return bottom - panelSize*(max(recall, low)-low)/(1-low) }
	for decade := floor; decade < 0.99; decade *= 10 {
		for k := 1.0; k < 10; k++ {
			colour := colourGrid
			if k > 1 {
				colour = "#f3f4f6"
			}
			d.line(px(k*decade), panelTop, px(k*decade), bottom, colour, 1, "")
		}
		d.text(px(decade), bottom+20, "middle", 12, "400", colourText, shortPercent(decade))
	}
	d.text(px(1), bottom+20, "middle", 12, "400", colourText, "100 %")
	for r := low; r <= 1.001; r += 0.1 {
		d.line(rocLeft, py(r), rocLeft+panelSize, py(r), colourGrid, 1, "")
		d.text(rocLeft-8, py(r)+4, "end", 12, "400", colourText, fmt.Sprintf("%.0f %%", 100*r))
	}
	var path strings.Builder
	curve := e.ROC()
	for i, p := range curve {
		switch {
		case i == 0:
			fmt.Fprintf(&path, "M%.2f %.2f", px(0), py(p.Recall))
		default:
			// A step with several messages of equal score is a straight line
			// on plain axes; its ends are enough on this one.
			fmt.Fprintf(&path, "L%.2f %.2f", px(p.FalsePositives), py(p.Recall))
		}
	}
	if e.Spam > 0 && e.Ham > 0 {
		d.put(`<path d="%s" fill="none" stroke="%s" stroke-width="2.2" stroke-linejoin="round"/>`, path.String(), colourCurve)
		for _, mark := range []struct {
			fp    float64
			value Interval
		}{{0.001, f.Recall1}, {0.005, f.Recall5}, {0.01, f.Recall}} {
			if mark.fp < floor {
				continue
			}
			x := px(mark.fp)
			d.line(x, py(mark.value.Low), x, py(mark.value.High), colourMark, 2, "")
			d.put(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, x, py(mark.value.Value), colourMark)
		}
		// Words stand where the curve is not: at the lower right.
		y := bottom - 62
		for _, mark := range []struct {
			name  string
			value Interval
		}{{"0.1", f.Recall1}, {"0.5", f.Recall5}, {"1", f.Recall}} {
			d.text(rocLeft+panelSize-14, y, "end", 12, "400", colourMark, fmt.Sprintf("caught at %s %% FP: %.1f %%  [%.1f–%.1f]", mark.name, 100*mark.value.Value, 100*mark.value.Low, 100*mark.value.High))
			y += 20
		}
		d.put(`<circle cx="%.1f" cy="%.1f" r="4" fill="#ffffff" stroke="%s" stroke-width="2"/>`, px(f.Flagged.Value), py(1-f.Missed.Value), colourCurve)
		d.text(px(f.Flagged.Value)+8, py(1-f.Missed.Value)+16, "start", 12, "400", colourCurve, "score 50")
	}
	d.frame(rocLeft, "ROC", "false positives (ham above the threshold)", "spam above the threshold")
}

// reliability draws, for each tenth of the scale, the share of spam against
// the mean score, with 95 % (Wilson) intervals; bars below show how many messages
// each rests on.
func (d *drawing) reliability(e Evaluation) {
	bottom := float64(panelTop + panelSize)
	px := func(score float64) float64 { return reliabilityLeft + panelSize*score }
	py := func(share float64) float64 { return bottom - panelSize*share }
	for k := 0; k <= 10; k += 2 {
		x := float64(k) / 10
		d.line(px(x), panelTop, px(x), bottom, colourGrid, 1, "")
		d.line(reliabilityLeft, py(x), reliabilityLeft+panelSize, py(x), colourGrid, 1, "")
		d.text(px(x), bottom+20, "middle", 12, "400", colourText, fmt.Sprint(10*k))
		d.text(reliabilityLeft-8, py(x)+4, "end", 12, "400", colourText, fmt.Sprintf("%d %%", 10*k))
	}
	most := 1.0
	for _, b := range e.Bins {
		most = max(most, math.Log1p(float64(b.Messages)))
	}
	for i, b := range e.Bins {
		if b.Messages > 0 {
			height := 60 * math.Log1p(float64(b.Messages)) / most
			d.put(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, px(float64(i)/10)+3, bottom-height, panelSize/10.0-6, height, colourBand)
			d.text(px(float64(i)/10+0.05), bottom-height-5, "middle", 10, "400", colourFaint, fmt.Sprint(b.Messages))
		}
	}
	d.line(px(0), py(0), px(1), py(1), colourFaint, 1.2, "5 4")
	var path strings.Builder
	for _, b := range e.Bins {
		if b.Messages == 0 {
			continue
		}
		share := float64(b.Spam) / float64(b.Messages)
		low, high := wilson(b.Spam, b.Messages)
		d.line(px(b.Score), py(low), px(b.Score), py(high), colourCurve, 1.6, "")
		if path.Len() == 0 {
			path.WriteByte('M')
		} else {
			path.WriteByte('L')
		}
		fmt.Fprintf(&path, "%.2f %.2f", px(b.Score), py(share))
	}
	d.put(`<path d="%s" fill="none" stroke="%s" stroke-width="2.2" stroke-linejoin="round"/>`, path.String(), colourCurve)
	for _, b := range e.Bins {
		if b.Messages > 0 {
			d.put(`<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, px(b.Score), py(float64(b.Spam)/float64(b.Messages)), colourCurve)
		}
	}
	d.frame(reliabilityLeft, "Reliability", "score (bars: messages, logarithmic)", "messages that are spam")
}

// wilson is the 95 % score interval of a share (Wilson 1927).
func wilson(k, n int) (low, high float64) {
	const z = 1.96
	p, m := float64(k)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, centre-half), min(1, centre+half)
}

func shortPercent(share float64) string {
	return strings.TrimRight(strings.TrimRight(fmt.Sprintf("%.4f", 100*share), "0"), ".") + " %"
}
