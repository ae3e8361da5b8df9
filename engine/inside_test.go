package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// mailCheck is a check that sees the mail.
type mailCheck struct {
	check
	see func(ctx context.Context, m *engine.Mail) error
}

func (c mailCheck) Inspect(ctx context.Context, m *engine.Mail) ([]engine.Hit, error) {
	return nil, c.see(ctx, m)
}

// TestInside: what one check finds in attachments reaches another, whatever
// becomes of the first; and nobody waits in vain.
func TestInside(t *testing.T) {
	for name, c := range map[string]struct {
		opener func(ctx context.Context, m *engine.Mail) error
		want   string
	}{
		"told": {func(_ context.Context, m *engine.Mail) error {
			m.Inside.Tell(message.ReadLinks([]string{"http://example.com/x"}))
			m.Inside.Tell(nil)
			return nil
		}, "example.com"},
		"told nothing": {func(context.Context, *engine.Mail) error { return nil }, ""},
		"an error":     {func(context.Context, *engine.Mail) error { return errors.New("broken") }, ""},
		"a panic":      {func(context.Context, *engine.Mail) error { panic("broken") }, ""},
		"too late": {func(ctx context.Context, _ *engine.Mail) error {
			<-ctx.Done()
			return nil
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			heard := make(chan string, 1)
			listener := func(ctx context.Context, m *engine.Mail) error {
				host := ""
				for _, l := range m.Inside.Links(ctx) {
					host += l.Host
				}
				heard <- host
				return nil
			}
			plan, err := engine.NewPlan(engine.PlanConfig{
				Checks: []engine.Check{mailCheck{check{name: "listens"}, listener}, mailCheck{check{name: "opens"}, c.opener}},
				Opener: "opens",
			})
			if err != nil {
				t.Fatal(err)
			}
			e, err := engine.New(plan, engine.Config{Timeout: 200 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			m := mail()
			e.Judge(t.Context(), m)
			if got := <-heard; got != c.want {
				t.Errorf("heard of %q, want %q", got, c.want)
			}
			if m.Inside != nil {
				t.Error("the caller's mail was changed")
			}
		})
	}
	if _, err := engine.NewPlan(engine.PlanConfig{Checks: []engine.Check{finds("a")}, Opener: "b"}); err == nil {
		t.Error("an opener that is no check")
	}
	if links := (*engine.Inside)(nil).Links(t.Context()); links != nil {
		t.Error(links)
	}
}
