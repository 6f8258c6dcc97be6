package pull

import (
	"fmt"
	"slices"
	"strings"

	"weir/internal/fetch"
	"weir/internal/session"
)

// memory is what is known of one source from its openings before.
type memory struct {
	place   fetch.Place // how far it has been read; of one reader at a time
	failure *Failure    // nil: it has not failed since it was live. The pull's mu guards it
}

// memories are those of a list of sources. Another list is another one's.
type memories struct {
	of   []string
	list []memory
}

// Failure is why a source failed when it was tried last. It holds no secret.
type Failure struct {
	Source string // redacted
	Reason session.Reason
	Err    error // with the source
	Absent bool  // it is no fault: the source says that nobody publishes the stream, or sends none of it
}

// absent reports whether a source that ended so is well and has no stream. One that takes a player and never sends anything is a server
// that lets players wait for a publisher.
func absent(e end) bool {
	switch session.ReasonOf(e.err) {
	case session.StreamEnded, session.NotFound:
		return true
	case session.Idle:
		return e.lived == 0
	}
	return false
}

// maxFailure bounds what the failure of one of several sources adds to a text, in bytes.
const maxFailure = 256

// memory returns what is known of source number i of a plan.
func (p *pull) memory(plan *Plan, i int) *memory {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.recall(plan, i)
}

// recall is memory. mu is held.
func (p *pull) recall(plan *Plan, i int) *memory {
	if !slices.Equal(p.known.of, plan.Sources) {
		p.known = memories{plan.Sources, make([]memory, len(plan.Sources))}
	}
	return &p.known.list[i]
}

// failed notes how a source of a plan has failed. It returns that with the source, if it does not name it.
func (p *pull) failed(plan *Plan, e end) Failure {
	source, err := session.Redact(plan.Sources[e.number]), e.err
	if !strings.HasPrefix(err.Error(), source) {
		err = fmt.Errorf("%s: %w", source, err)
	}
	f := Failure{source, session.ReasonOf(err), err, absent(e)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recall(plan, e.number).failure = &f
	return f
}

// failures returns those of the sources that have failed since they were live, in the order of the plan. mu is held.
func (p *pull) failures() (list []Failure) {
	if !slices.Equal(p.known.of, p.plan.Sources) {
		return nil
	}
	for i := range p.known.list {
		if f := p.known.list[i].failure; f != nil {
			list = append(list, *f)
		}
	}
	return list
}
