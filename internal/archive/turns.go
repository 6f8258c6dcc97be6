package archive

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Bounds of what viewers may have computed.
const (
	// computing bounds what is computed at once from files that are here: clips, playlists and lists. An hour of clip needs some megabytes
	// while it is.
	computing = 2
	// computingRemote is the same for what has to be read from storage first, which may be slow.
	computingRemote = 4
	// Of one viewer one thing is computed at a time, and maxQueued more wait; of all together maxQueuedAll wait.
	maxQueued    = 8
	maxQueuedAll = 256
)

// turns lets a bounded number of things be computed at once. Viewers take turns, however many each of them asks for.
type turns struct {
	mu      sync.Mutex // guards below
	free    int
	waiting int
	viewers map[string]*viewer
	order   []string // the viewers that wait, the one that is next in front
}

// viewer is one who has something computed, or waits for it.
type viewer struct {
	busy   bool
	queued []chan struct{} // each is closed when its turn has come
}

func newTurns(most int) *turns {
	return &turns{free: most, viewers: map[string]*viewer{}}
}

// begin waits for a viewer's turn, until ctx ends. end gives it back. It fails with ErrBusy if too many wait already.
func (t *turns) begin(ctx context.Context, who string) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	v := t.viewers[who]
	if v == nil {
		v = &viewer{}
		t.viewers[who] = v
	}
	end = sync.OnceFunc(func() { t.end(who, v) })
	if !v.busy && t.free > 0 {
		v.busy = true
		t.free--
		t.mu.Unlock()
		return end, nil
	}
	if len(v.queued) >= maxQueued || t.waiting >= maxQueuedAll {
		t.forget(who, v)
		t.mu.Unlock()
		return nil, ErrBusy
	}
	mine := make(chan struct{})
	if len(v.queued) == 0 {
		t.order = append(t.order, who)
	}
	v.queued = append(v.queued, mine)
	t.waiting++
	t.mu.Unlock()
	select {
	case <-mine:
		return end, nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	i := slices.Index(v.queued, mine)
	if i >= 0 {
		v.queued = slices.Delete(v.queued, i, i+1)
		t.waiting--
		if len(v.queued) == 0 {
			t.order = slices.DeleteFunc(t.order, func(s string) bool { return s == who })
		}
		t.forget(who, v)
	}
	t.mu.Unlock()
	if i < 0 { // the turn has come meanwhile
		end()
	}
	return nil, ctx.Err()
}

// end gives a turn back, and the next viewers theirs.
func (t *turns) end(who string, v *viewer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	v.busy = false
	for i := 0; i < len(t.order) && t.free > 0; {
		next := t.order[i]
		n := t.viewers[next]
		if n.busy {
			i++
			continue
		}
		t.order = slices.Delete(t.order, i, i+1)
		close(n.queued[0])
		n.queued = n.queued[1:]
		if len(n.queued) > 0 {
			t.order = append(t.order, next)
		}
		n.busy = true
		t.free--
		t.waiting--
	}
	t.forget(who, v)
}

// forget forgets a viewer who neither has nor wants anything. mu is held.
func (t *turns) forget(who string, v *viewer) {
	if !v.busy && len(v.queued) == 0 {
		delete(t.viewers, who)
	}
}

// viewerOf names the sender of a request: all who come from one address take turns as one.
func viewerOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// outageTime is for how long nothing is asked of a storage that has just not answered: viewers are told at once, where each would wait
// for half a minute.
const outageTime = 10 * time.Second

// outages are the storages that have just not answered.
type outages struct {
	mu    sync.Mutex           // guards below
	until map[string]time.Time // by the name in the configuration
}

func (o *outages) note(upload string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.until == nil {
		o.until = map[string]time.Time{}
	}
	o.until[upload] = time.Now().Add(outageTime)
}

func (o *outages) has(upload string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Now().Before(o.until[upload])
}
