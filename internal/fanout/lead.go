package fanout

import "sync/atomic"

// Point is a place in a log between two messages, and what a player that begins there must have
// been sent by then.
type Point struct {
	seg     *segment
	off     uint32
	headers uint32
}

// Head returns the place behind the newest message. Like Commit it is called by whoever appends.
func (l *Log) Head() Point {
	t := l.tail
	if t == nil {
		t = newSegment(smallSegment, l.head.Load(), l.headers)
		l.tail = t
	}
	return Point{t, t.w.Load(), l.headers}
}

// Lead is what players are sent before they read a log from a place in its middle. Several may share
// one. Bytes does not change.
type Lead struct {
	Bytes []byte
	To    Point
	// Released is called when the last of its players has been sent it, or is gone.
	Released func()

	users atomic.Int32
}

// Hold keeps the lead for a player that is about to join with it.
func (d *Lead) Hold() { d.users.Add(1) }

// Release undoes Hold for whoever does not join. A player's own hold ends by itself.
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
		p.takeInbox() // what was queued before comes before
	}
	p.lead = d
	p.out = append(p.out, p.rewritten(d.Bytes))
	p.seg, p.off = d.To.seg, d.To.off
	p.headers, p.landed, p.joined = d.To.headers, true, now
}
