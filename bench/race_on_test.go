//go:build race

package bench_test

// raced says that the race detector watches: memory and time mean nothing.
const raced = true
