package main

import "testing"

func TestMessageMemory(t *testing.T) {
	for here, want := range map[uint64]int64{0: 512 << 20, 256 << 20: 64 << 20, 512 << 20: 64 << 20, 2 << 30: 256 << 20, 64 << 30: 512 << 20} {
		if got := messageMemory(here); got != want {
			t.Errorf("with %d MiB: %d MiB, want %d", here>>20, got>>20, want>>20)
		}
	}
	if memoryHere() == 0 {
		t.Error("the memory of this machine is not known")
	}
}
