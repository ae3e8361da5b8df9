package engine

import (
	"context"
	"sync"

	"spamcatcher/engine/message"
)

// Inside is what stands inside the attachments of a mail, where the text of the
// message does not show it. One check of a plan opens them (PlanConfig.Opener) and
// tells what it found; others wait for it. A nil Inside has nothing.
type Inside struct {
	once  sync.Once
	told  chan struct{}
	links []message.Link
}

func newInside() *Inside { return &Inside{told: make(chan struct{})} }

// Tell says which links were found. Only the first call counts.
func (i *Inside) Tell(links []message.Link) {
	if i == nil {
		return
	}
	i.once.Do(func() {
		i.links = links
		close(i.told)
	})
}

// Links waits until they are known, or until ctx ends: then there are none.
func (i *Inside) Links(ctx context.Context) []message.Link {
	if i == nil {
		return nil
	}
	select {
	case <-i.told:
		return i.links
	case <-ctx.Done():
		return nil
	}
}
