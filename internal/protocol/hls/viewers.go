package hls

import (
	"slices"
	"sync"
	"time"

	"weir/internal/session"
)

// maxRemembered bounds the viewers that are remembered without a session. The sessions are
// bounded by the limits of the configuration.
const maxRemembered = 1 << 13

// viewers are those who play, or did a short while ago.
type viewers struct {
	mu     sync.Mutex // guards below; taken before a viewer's
	byKey  map[viewerKey]*viewer
	closed error
}

// get returns a viewer, nil if it is not known.
func (vs *viewers) get(key viewerKey) *viewer {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	return vs.byKey[key]
}

// add returns a viewer, which is known from now on. It fails with the cause of close after that.
func (vs *viewers) add(key viewerKey, g session.Grant) (*viewer, error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.closed != nil {
		return nil, vs.closed
	}
	v := vs.byKey[key]
	if v == nil {
		v = newViewer(key, g)
		vs.byKey[key] = v
	}
	return v, nil
}

// forget forgets a viewer that has no session; one that was sent away only if barred is true.
func (vs *viewers) forget(v *viewer, barred bool) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.session != nil || v.barred != nil && !barred {
		return
	}
	v.forgotten = true
	if vs.byKey[v.key] == v {
		delete(vs.byKey, v.key)
	}
}

func (vs *viewers) list() []*viewer {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	l := make([]*viewer, 0, len(vs.byKey))
	for _, v := range vs.byKey {
		l = append(l, v)
	}
	return l
}

// sweep ends the sessions of viewers that are gone, and forgets the viewers later.
func (vs *viewers) sweep(now time.Time) {
	type absent struct {
		*viewer
		used time.Time
	}
	var gone []absent
	for _, v := range vs.list() {
		if v.review(now) {
			vs.forget(v, true)
			continue
		}
		v.mu.Lock()
		if v.session == nil {
			gone = append(gone, absent{v, v.used})
		}
		v.mu.Unlock()
	}
	if len(gone) <= maxRemembered {
		return
	}
	slices.SortFunc(gone, func(a, b absent) int { return a.used.Compare(b.used) })
	for _, a := range gone[:len(gone)-maxRemembered] {
		vs.forget(a.viewer, true)
	}
}

// close ends all viewers, also those that enter meanwhile.
func (vs *viewers) close(cause error) {
	vs.mu.Lock()
	vs.closed = cause
	vs.mu.Unlock()
	for _, v := range vs.list() {
		v.bar(cause)
	}
}
