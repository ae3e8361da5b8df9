package document

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// functionNames are the functions by number that macros of Excel 4 need to do
// harm. [MS-XLS] section 2.5.198.17.
var functionNames = map[uint16]string{53: "GOTO", 54: "HALT", 55: "RETURN", 96: "FORMULA", 110: "EXEC", 111: "CHAR", 132: "FOPEN", 149: "REGISTER", 150: "CALL", 255: "RUN", 267: "REGISTER.ID"}

// sizes are the bytes after a token of an expression, for those of fixed size.
// [MS-XLS] section 2.5.198.
var sizes = map[byte]int{0x01: 4, 0x02: 4, 0x15: 0, 0x16: 0, 0x1C: 1, 0x20: 7, 0x23: 4, 0x24: 4, 0x25: 8, 0x26: 6, 0x27: 6, 0x28: 6, 0x29: 2, 0x2A: 4, 0x2B: 8, 0x2C: 4, 0x2D: 8, 0x39: 6, 0x3A: 6, 0x3B: 10, 0x3C: 6, 0x3D: 10}

// mostExpression bounds an expression; Excel writes 1,800 bytes at most.
const mostExpression = 4096

// expressionText writes the expression of a cell as text: literals, operators and
// functions; a reference is a question mark. What it does not know ends it.
func expressionText(b []byte) string {
	const longest = 1024
	var stack []string
	push := func(s string) {
		if len(stack) < 256 && len(s) <= longest {
			stack = append(stack, s)
		}
	}
	pop := func(n int) []string {
		n = min(n, len(stack))
		list := append([]string(nil), stack[len(stack)-n:]...)
		stack = stack[:len(stack)-n]
		return list
	}
	call := func(id uint16, n int) {
		name := functionNames[id&0x7FFF]
		if name == "" {
			name = "F" + strconv.Itoa(int(id&0x7FFF))
		}
		push(name + "(" + strings.Join(pop(n), ",") + ")")
	}
	operators := "+-*/^&<\x00=\x00>\x00"
	for len(b) > 0 {
		token := b[0]
		b = b[1:]
		kind := token
		if token >= 0x40 {
			kind = token&0x1F | 0x20 // the class of the token's value
		}
		size, fixed := sizes[kind]
		switch {
		case kind >= 0x03 && kind <= 0x0E:
			sign := "?"
			if int(kind-3) < len(operators) && operators[kind-3] != 0 {
				sign = operators[kind-3 : kind-2]
			}
			push(strings.Join(pop(2), sign))
		case kind >= 0x0F && kind <= 0x14: // ranges and signs
		case kind == 0x17:
			if len(b) < 2 {
				return strings.Join(stack, ",")
			}
			n := int(b[0])
			if b[1]&1 != 0 {
				n *= 2
			}
			text := b[2:min(len(b), 2+n)]
			b = b[2+len(text):]
			push(`"` + strings.ReplaceAll(string(narrowed(text)), `"`, `""`) + `"`)
		case kind == 0x19:
			if len(b) < 3 {
				return strings.Join(stack, ",")
			}
			skip := 3
			if b[0]&4 != 0 {
				skip += 2 * (int(binary.LittleEndian.Uint16(b[1:])) + 1)
			}
			b = b[min(skip, len(b)):]
		case kind == 0x1D && len(b) >= 1:
			push(strconv.FormatBool(b[0] != 0))
			b = b[1:]
		case kind == 0x1E && len(b) >= 2:
			push(strconv.Itoa(int(binary.LittleEndian.Uint16(b))))
			b = b[2:]
		case kind == 0x1F && len(b) >= 8:
			push(strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(b)), 'g', -1, 64))
			b = b[8:]
		case kind == 0x21 && len(b) >= 2:
			call(binary.LittleEndian.Uint16(b), 1)
			b = b[2:]
		case kind == 0x22 && len(b) >= 3:
			call(binary.LittleEndian.Uint16(b[1:]), int(b[0]&0x7F))
			b = b[3:]
		case fixed && size <= len(b):
			if kind >= 0x20 || kind == 0x16 {
				push("?")
			}
			b = b[size:]
		default:
			return strings.Join(stack, ",")
		}
	}
	return strings.Join(stack, ",")
}
