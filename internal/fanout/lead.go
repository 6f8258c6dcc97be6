package fanout

import "sync/atomic"

// Point is a position in a log between two messages, with the headers that a player must have to begin there.
type Point struct {
	seg     *segment
	off     uint32
	headers uint32
}

// Head returns the position behind the newest message. Only the goroutine that appends may call it.
func (l *Log) Head() Point {
	t := l.tail
	if t == nil {
		t = newSegment(smallSegment, l.head.Load(), l.headers)
		l.tail = t
	}
	return Point{t, t.w.Load(), l.headers}
}

// Lead is what players are sent before they read a log from the point To on. Several may share one.
// Bytes does not change.
type Lead struct {
	Bytes []byte
	To    Point
	// Released is called when the last player has been sent the lead, or has ended.
	Released func()

	users atomic.Int32
}

// Hold keeps the lead for a player that is about to join with it.
func (d *Lead) Hold() { d.users.Add(1) }

// Release undoes Hold if no player joins. The hold of a player that joins ends by itself.
func (d *Lead) Release() {
	if d.users.Add(-1) == 0 && d.Released != nil {
		d.Released()
	}
}

// dropLead gives up the lead that was sent.
func (p *Player) dropLead() {
	if p.lead != nil {
		p.lead.Release()
		p.lead = nil
	}
}

// follow puts the player behind a lead.
func (p *Player) follow(d *Lead, now int64) {
	if p.inboxed.Load() {
		p.takeInbox() // what was queued earlier is sent first
	}
	p.lead = d
	p.out = append(p.out, p.rewritten(d.Bytes))
	p.seg, p.off = d.To.seg, d.To.off
	p.headers, p.landed, p.joined = d.To.headers, true, now
}
