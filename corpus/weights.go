package corpus

import (
	"maps"
	"math"
	"slices"
)

// Weights says how much each message counts so that both classes count the
// same, a set counts within its class by the square root of its messages
// (each further message of one source tells less that is new), and no set has
// more than the given share of its class. They add up to 1 for each class.
// Where a class has too few sets for the share, its sets count the same.
func Weights(messages []Message, share float64) []float64 {
	weights := make([]float64, len(messages))
	for _, spam := range []bool{false, true} {
		count := map[string]int{}
		for _, m := range messages {
			if m.Spam == spam {
				count[m.Set()]++
			}
		}
		size := map[string]float64{}
		for name, n := range count {
			size[name] = math.Sqrt(float64(n))
		}
		shares := capped(size, share)
		for i, m := range messages {
			if m.Spam == spam {
				weights[i] = shares[m.Set()] / float64(count[m.Set()])
			}
		}
	}
	return weights
}

// capped are the sets' shares by their sizes, none above limit: what the
// largest have too much goes to the others by their sizes.
func capped(size map[string]float64, limit float64) map[string]float64 {
	shares := map[string]float64{}
	names := slices.Sorted(maps.Keys(size))
	limit = max(limit, 1/float64(max(1, len(names))))
	held := map[string]bool{}
	for {
		rest, total := 1.0, 0.0
		for _, name := range names {
			if held[name] {
				rest -= limit
			} else {
				total += size[name]
			}
		}
		again := false
		for _, name := range names {
			switch {
			case held[name]:
				shares[name] = limit
			default:
				shares[name] = max(0, rest) * size[name] / total
				if shares[name] > limit*(1+1e-12) {
					held[name], again = true, true
				}
			}
		}
		if !again {
			return shares
		}
	}
}
