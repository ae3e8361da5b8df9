package gateway

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
)

// 250 is said only after Put has returned.
func TestNo250BeforePut(t *testing.T) {
	release, called := make(chan struct{}), make(chan struct{})
	store := &memory{}
	store.fail = func() error { close(called); <-release; return nil }
	b := start(t, Config{Queue: store})
	c := b.dial()
	c.begin()
	c.send("DATA", "354")
	io.WriteString(c.conn, testMessage+".\r\n")
	<-called
	c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.r.Peek(1); err == nil {
		t.Fatalf("something was said before Put returned: %q", n)
	}
	c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	close(release)
	c.want("250 2.0.0 queued as ")
}

// Shutdown lets a message under way finish; idle sessions end.
func TestShutdown(t *testing.T) {
	release, called := make(chan struct{}), make(chan struct{})
	b := start(t, Config{Judge: judge(func(context.Context, *engine.Mail) engine.Verdict {
		close(called)
		<-release
		return engine.Verdict{}
	})})
	idle, busy := b.dial(), b.dial()
	busy.begin()
	busy.send("DATA", "354")
	io.WriteString(busy.conn, testMessage+".\r\n")
	<-called
	done := make(chan error, 1)
	go func() { done <- b.Shutdown(context.Background()) }()
	idle.want("421 4.3.2")
	select {
	case err := <-done:
		t.Fatalf("shut down under a message: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	busy.want("250 2.0.0 queued as ")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(b.store.all()) != 1 {
		t.Error("not queued")
	}
}

// A shutdown that takes too long can be forced, and ends what is judged.
func TestForcedShutdown(t *testing.T) {
	called, ended := make(chan struct{}), make(chan struct{})
	b := start(t, Config{Judge: judge(func(ctx context.Context, _ *engine.Mail) engine.Verdict {
		close(called)
		<-ctx.Done()
		close(ended)
		return engine.Verdict{}
	})})
	c := b.dial()
	c.begin()
	c.send("DATA", "354")
	io.WriteString(c.conn, testMessage+".\r\n")
	<-called
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Shutdown: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	default:
		t.Error("Close returned before the session ended")
	}
	if line, err := c.r.ReadString('\n'); strings.HasPrefix(line, "250") {
		t.Errorf("answered %q, %v", line, err)
	}
}
