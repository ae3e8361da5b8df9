package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"spamcatcher/signatures/unpack/archive"
)

// decodeWord as the only argument makes the program a decoder of compressed RAR
// archives: it reads one from its standard input and writes the members to its
// standard output. See archive.DecodeRAR.
const decodeWord = "decode-rar"

// Bounds of a decoder. Its time is bounded by who starts it as well.
const (
	decoderMemory  = 96 << 20 // bytes from which on the garbage collector works harder
	decoderAddress = 2 << 30  // bytes of address space, of which the Go runtime reserves most
	decoderCPU     = 30       // seconds
	maxDecoders    = 2        // at a time
)

// decodeIfAsked ends the process when it is a decoder. It must be called before
// anything else happens.
func decodeIfAsked() {
	if len(os.Args) != 2 || os.Args[1] != decodeWord {
		return
	}
	// Where setting limits is forbidden to the service, the deadline remains.
	for kind, most := range map[int]uint64{unix.RLIMIT_CPU: decoderCPU, unix.RLIMIT_AS: decoderAddress, unix.RLIMIT_FSIZE: 0, unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 3} {
		_ = unix.Setrlimit(kind, &unix.Rlimit{Cur: most, Max: most})
	}
	if err := archive.DecodeRAR(context.Background(), os.Stdin, os.Stdout); err != nil {
		os.Exit(exitFailure)
	}
	os.Exit(0)
}

// decoders starts processes that decode; no more than maxDecoders work at a time.
type decoders struct{ places chan struct{} }

func newDecoders() *decoders { return &decoders{make(chan struct{}, maxDecoders)} }

// run is a format.Limits.Run.
func (d *decoders) run(ctx context.Context, decoder string, in io.Reader, out func(io.Reader) error) error {
	if decoder != archive.RARDecoder {
		return fmt.Errorf("no decoder %q", decoder)
	}
	select {
	case d.places <- struct{}{}:
		defer func() { <-d.places }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// The kernel's name for this very program, which may have been replaced on disk.
	c := exec.CommandContext(ctx, "/proc/self/exe", decodeWord)
	c.Dir = "/"
	c.Env = []string{fmt.Sprintf("GOMEMLIMIT=%d", decoderMemory), "GOMAXPROCS=1", "GOGC=50", "GOTRACEBACK=none"}
	c.Stdin = in
	c.WaitDelay = time.Second
	answer, err := c.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting a decoder: %w", err)
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("starting a decoder: %w", err)
	}
	err = out(answer)
	_ = c.Process.Kill() // what it may still have to say is not wanted
	if ended := c.Wait(); err == nil && ctx.Err() != nil {
		err = errors.Join(ctx.Err(), ended)
	}
	return err
}
