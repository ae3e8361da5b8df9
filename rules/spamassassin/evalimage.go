package spamassassin

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// pictureFacts are what rules ask about attached images of one type, or all.
type pictureFacts struct {
	count int
	area  float64
	sizes map[[2]int]bool // height, width
	names map[string]bool
}

// images returns the facts of a type: gif, png, jpeg or all.
func (m *mail) images(kind string) *pictureFacts {
	if m.pictures == nil {
		m.pictures = map[string]*pictureFacts{}
		for _, k := range []string{"gif", "png", "jpeg", "all"} {
			m.pictures[k] = &pictureFacts{sizes: map[[2]int]bool{}, names: map[string]bool{}}
		}
		m.walk(m.addImage)
	}
	if f := m.pictures[kind]; f != nil {
		return f
	}
	return &pictureFacts{}
}

func (m *mail) addImage(e *entity) {
	kind, ok := strings.CutPrefix(e.kind, "image/")
	if kind == "jpg" {
		kind = "jpeg"
	}
	if !ok || !e.leaf || m.pictures[kind] == nil || kind == "all" || strings.ToLower(e.last("content-transfer-encoding")) != "base64" {
		return
	}
	data := e.decode()
	h, w := imageSize(kind, data)
	for _, f := range []*pictureFacts{m.pictures[kind], m.pictures["all"]} {
		f.count++
		if h > 0 && w > 0 {
			f.area += float64(h) * float64(w)
			f.sizes[[2]int{h, w}] = true
			if e.name != "" {
				m.pictures["all"].names[e.name] = true
			}
		}
	}
}

func imageSize(kind, data string) (height, width int) {
	d := []byte(data[:min(len(data), 1<<20)])
	switch kind {
	case "gif":
		if len(d) >= 13 && (string(d[:6]) == "GIF87a" || string(d[:6]) == "GIF89a") {
			return int(binary.LittleEndian.Uint16(d[8:])), int(binary.LittleEndian.Uint16(d[6:]))
		}
	case "png":
		if len(d) >= 24 && string(d[:8]) == "\x89PNG\r\n\x1a\n" && string(d[12:16]) == "IHDR" {
			return int(binary.BigEndian.Uint32(d[20:]) & 0x7fffffff), int(binary.BigEndian.Uint32(d[16:]) & 0x7fffffff)
		}
	case "jpeg":
		if len(d) < 2 || d[0] != 0xff || d[1] != 0xd8 {
			return 0, 0
		}
		for at := 2; at+4 <= len(d); {
			mark, size := d[at+1], int(binary.BigEndian.Uint16(d[at+2:]))
			if d[at] != 0xff || mark == 0xda || mark == 0xd9 || size < 2 {
				break
			}
			if mark >= 0xc0 && mark <= 0xcf && mark != 0xc4 && mark != 0xc8 && mark != 0xcc {
				if at+9 > len(d) {
					break
				}
				return int(binary.BigEndian.Uint16(d[at+5:])), int(binary.BigEndian.Uint16(d[at+7:]))
			}
			at += 2 + size
		}
	}
	return 0, 0
}

// ofType splits the arguments of functions that begin with a type of image.
func ofType(args []string) (kind string, low, high float64, err error) {
	if len(args) < 2 {
		return "", 0, 0, fmt.Errorf("needs a type and a range")
	}
	low, high, err = bounds(args[1:])
	return args[0], low, high, err
}

func imageCount(_ *compiled, args []string) (evalCall, error) {
	kind, low, high, err := ofType(args)
	return func(m *mail) float64 { return truth(atLeastUpTo(float64(m.images(kind).count), low, high)) }, err
}

func pixelCoverage(_ *compiled, args []string) (evalCall, error) {
	kind, low, high, err := ofType(args)
	return func(m *mail) float64 { return truth(atLeastUpTo(m.images(kind).area, low, high)) }, err
}

func imageTextRatio(_ *compiled, args []string) (evalCall, error) {
	kind, low, high, err := ofType(args)
	return func(m *mail) float64 {
		area, n := m.images(kind).area, 0
		for _, l := range m.body() {
			n += len(l)
		}
		return truth(area > 0 && n > 0 && atLeastBelow(float64(n)/area, low, high))
	}, err
}

func numbers(args []string) ([]int, error) {
	out := make([]int, len(args))
	for i, a := range args {
		n, err := strconv.Atoi(a)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number", clip(a, 20))
		}
		out[i] = n
	}
	return out, nil
}

func imageSizeExact(_ *compiled, args []string) (evalCall, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("needs a type, a height and a width")
	}
	n, err := numbers(args[1:])
	return func(m *mail) float64 { return truth(m.images(args[0]).sizes[[2]int{n[0], n[1]}]) }, err
}

func imageSizeRange(_ *compiled, args []string) (evalCall, error) {
	if len(args) < 3 {
		return nil, fmt.Errorf("needs a type, a height and a width")
	}
	n, err := numbers(args[1:])
	return func(m *mail) float64 {
		for s := range m.images(args[0]).sizes {
			if s[0] >= n[0] && s[1] >= n[1] && (len(n) < 3 || s[0] <= n[2]) && (len(n) < 4 || s[1] <= n[3]) {
				return 1
			}
		}
		return 0
	}, err
}

func imageNameRegex(_ *compiled, args []string) (evalCall, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("needs a pattern")
	}
	source, flags := args[0], ""
	if s, f, err := delimited(source); err == nil {
		source, flags = s, f
	}
	re, err := parseRegex(source, flags)
	if err != nil {
		return nil, err
	}
	p := newSingle(re)
	return func(m *mail) float64 {
		budget := totalSteps
		for name := range m.images("all").names {
			if p.holds(name, &budget) {
				return 1
			}
		}
		return 0
	}, nil
}
