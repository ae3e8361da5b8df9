package format

import (
	"slices"
	"strings"
	"time"
)

// The most bytes that are kept of what a mail makes up.
const (
	maxName   = 1024
	maxPath   = 2048
	maxDetail = 512
	maxLink   = 4096
)

// Mark notes something remarkable about f. The same is noted once; a limit once
// in all.
func (j *Job) Mark(f *File, kind, detail string) {
	j.noting.Lock()
	defer j.noting.Unlock()
	n := j.counts[kind]
	if n >= j.limits.Marks || n > 0 && strings.HasPrefix(kind, "limit_") {
		return
	}
	m := Mark{Kind: kind, Detail: strings.ToValidUTF8(detail[:min(len(detail), maxDetail)], "\uFFFD")}
	if f != nil {
		m.Path = f.Path()
		m.Path = m.Path[max(0, len(m.Path)-maxPath):]
	}
	for _, known := range j.marks {
		if known == m {
			return
		}
	}
	if j.counts == nil {
		j.counts = make(map[string]int)
	}
	j.counts[kind] = n + 1
	j.marks = append(j.marks, m)
}

// Link notes an address that f leads to and that the text of the message does not
// show.
func (j *Job) Link(f *File, address string) {
	j.noting.Lock()
	defer j.noting.Unlock()
	if len(j.links) >= j.limits.Links || len(address) > maxLink || address == "" {
		return
	}
	if _, known := j.noted[address]; known {
		return
	}
	if j.noted == nil {
		j.noted = make(map[string]struct{})
	}
	address = strings.Clone(address)
	j.noted[address] = struct{}{}
	j.links = append(j.links, address)
}

// fault notes an error of ours.
func (j *Job) fault(err error) {
	j.noting.Lock()
	defer j.noting.Unlock()
	j.faults = append(j.faults, err)
}

// Marks are those made so far, in order. Like Links, Faults and End it may be
// called while the Job's goroutine works.
func (j *Job) Marks() []Mark {
	j.noting.Lock()
	defer j.noting.Unlock()
	return slices.Clone(j.marks)
}

// Links are those noted so far, each once.
func (j *Job) Links() []string {
	j.noting.Lock()
	defer j.noting.Unlock()
	return slices.Clone(j.links)
}

// Faults are errors of ours: panics of a format, and what visit returned.
func (j *Job) Faults() []error {
	j.noting.Lock()
	defer j.noting.Unlock()
	return slices.Clone(j.faults)
}

// End is when the job's time is over. Waiting for a place in the Gate moves it.
func (j *Job) End() time.Time {
	j.noting.Lock()
	defer j.noting.Unlock()
	return j.end
}

func (j *Job) setEnd(end time.Time) {
	j.noting.Lock()
	defer j.noting.Unlock()
	j.end = end
}

// Bytes is how many bytes were unpacked.
func (j *Job) Bytes() int64 { return j.bytes }

// Files is how many files were found inside others.
func (j *Job) Files() int { return j.files }
