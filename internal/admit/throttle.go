package admit

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

const (
	// After throttleAfter wrong keys within throttleWindow an address has to wait.
	throttleAfter  = 20
	throttleWindow = time.Minute
	// It first waits for throttleWindow, then twice as long each time, at most maxThrottle.
	maxThrottle = 16 * time.Minute
	// Up to throttleEntries addresses are remembered, those of the latest failures.
	throttleEntries = 10_000
)

// throttle remembers the addresses that gave wrong keys. The zero value is ready.
type throttle struct {
	mu      sync.Mutex // guards below; a leaf
	entries map[netip.Addr]*list.Element
	recent  list.List // of *offender, the latest failure first
}

type offender struct {
	addr     netip.Addr
	since    time.Time // when the window began
	failures int       // in it
	until    time.Time // no key is checked before; zero: it never had to wait
	wait     time.Duration
}

// blocked returns how long addr has to wait, 0 if not at all.
func (t *throttle) blocked(addr netip.Addr, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[addr]
	if e == nil {
		return 0
	}
	return max(0, e.Value.(*offender).until.Sub(now)) //nolint:forcetypeassert // the list holds nothing else
}

// failed counts a wrong key from addr.
func (t *throttle) failed(addr netip.Addr, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries == nil {
		t.entries = map[netip.Addr]*list.Element{}
	}
	e := t.entries[addr]
	if e == nil {
		if len(t.entries) >= throttleEntries {
			oldest := t.recent.Remove(t.recent.Back()).(*offender) //nolint:forcetypeassert // as above
			delete(t.entries, oldest.addr)
		}
		e = t.recent.PushFront(&offender{addr: addr, since: now})
		t.entries[addr] = e
	} else {
		t.recent.MoveToFront(e)
	}
	o := e.Value.(*offender) //nolint:forcetypeassert // as above
	if now.Before(o.until) {
		return // this guess was under way when the wait began
	}
	if now.Sub(o.since) >= throttleWindow {
		o.since, o.failures = now, 0
	}
	if now.Sub(o.until) > 2*maxThrottle {
		o.wait = 0 // after a quiet time the first wait is short again
	}
	if o.failures++; o.failures < throttleAfter {
		return
	}
	o.wait = min(max(2*o.wait, throttleWindow), maxThrottle)
	o.since, o.failures, o.until = now, 0, now.Add(o.wait)
}
