package bench_test

import (
	"fmt"
	"testing"

	"spamcatcher/bench"
	"spamcatcher/engine/message"
	"spamcatcher/signatures/fingerprint"
)

// digestJobs are the stage that takes the fingerprints of a message whose views
// are there, on every message of the fixed set.
func digestJobs() (jobs []bench.Job) {
	for _, m := range bench.Messages() {
		viewed := func() any {
			p := message.Parse(m.Raw, message.Limits{})
			views(p)
			return p
		}
		want := fingerprint.Of(viewed().(*message.Message))
		jobs = append(jobs, bench.Job{Stage: "digest", Message: m.Name, Prepare: viewed, Run: func(given any) error {
			got := fingerprint.Of(given.(*message.Message))
			if len(got) != len(want) {
				return fmt.Errorf("%d fingerprints, then %d", len(want), len(got))
			}
			for i := range got {
				if got[i] != want[i] {
					return fmt.Errorf("fingerprint %v, then %v", want[i], got[i])
				}
			}
			return nil
		}})
	}
	return jobs
}

// BenchmarkFingerprints: a message whose views are there to its fingerprints.
func BenchmarkFingerprints(b *testing.B) {
	each(b, func(b *testing.B, m bench.Message) {
		p := message.Parse(m.Raw, message.Limits{})
		views(p)
		want := len(fingerprint.Of(p))
		for b.Loop() {
			if got := len(fingerprint.Of(p)); got != want {
				b.Fatalf("%d fingerprints, then %d", want, got)
			}
		}
	})
}
