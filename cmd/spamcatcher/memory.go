package main

import (
	"log/slog"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryHere returns how many bytes of memory the program may use: the limit
// of its control group, else the machine's memory; 0 when neither is known.
func memoryHere() uint64 {
	limit, err := memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)()
	if err != nil {
		return 0
	}
	return limit
}

// messageMemory is the default of limits.memory: an eighth of the memory,
// since a message under way needs several times its size (what arrives, its
// decoded parts, what goes into the queue); 64 MiB at least and 512 MiB at
// most.
func messageMemory(here uint64) int64 {
	const least, most = 64 << 20, 512 << 20
	if here == 0 {
		return most
	}
	return int64(min(max(here/8, least), most))
}

// limitMemory makes the garbage collector work harder when the memory that
// the program may use runs short. The environment variable GOMEMLIMIT, where
// it is set, decides instead.
func limitMemory() {
	// Without a known limit there is none to keep.
	_, _ = memlimit.SetGoMemLimitWithOpts(
		memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)),
		memlimit.WithRatio(0.8),
		memlimit.WithLogger(slog.New(slog.DiscardHandler)),
	)
}
