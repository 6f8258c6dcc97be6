package fanout

import "time"

// apply carries out one request. mu is held, as for everything in this file.
func (w *worker) apply(o *op, now int64) {
	p := o.p
	if p.state == dead {
		p.drop()
		if o.from.Lead != nil {
			o.from.Lead.Release()
		}
		return
	}
	switch o.kind {
	case opAdd:
		p.progress, p.joined = now, now
		w.addLoose(p)
	case opJoin:
		w.join(p, o.log, &o.from, now)
	case opPause:
		p.leave()
		p.paused = true
	case opResume:
		p.paused = false
	case opWritable:
		w.unblock(p, now)
	case opClose:
		w.end(p, o.err)
	case opFinish:
		p.leave()
		w.quit(p)
		p.ending, p.progress = o.err, now
	}
	if p.state == ready {
		w.serve(p, catchUp, now)
	}
}

// join puts p on l.
func (w *worker) join(p *Player, l *Log, s *Start, now int64) {
	p.leave()
	w.quit(p)
	if l == nil || p.ending != nil {
		if s.Lead != nil {
			s.Lead.Release()
		}
		return
	}
	w.removeLoose(p)
	a := &l.audiences[w.index]
	if len(a.players) == 0 {
		a.index = len(w.audiences)
		w.audiences = append(w.audiences, a)
		a.served = l.head.Load()
	}
	p.audience, p.index = a, len(a.players)
	a.players = append(a.players, p)
	a.n.Store(int32(len(a.players)))
	l.players.Add(1)
	p.landed, p.told, p.headers, p.syncs = false, false, 0, -1
	p.rewrite = s.Rewrite
	p.from = -1
	if s.Next || l.opt.Load().Bounds.GOPs == 0 {
		p.from = l.head.Load()
	}
	p.joined, p.first = now, now
	switch {
	case s.Lead == nil:
	case p.paused: // Resume makes it go on at a sync point
		s.Lead.Release()
	default:
		p.dropLead()
		p.follow(s.Lead, now)
	}
}

// quit takes p off its log.
func (w *worker) quit(p *Player) {
	a := p.audience
	if a == nil {
		return
	}
	last := len(a.players) - 1
	a.players[p.index] = a.players[last]
	a.players[p.index].index = p.index
	a.players[last] = nil
	a.players = a.players[:last]
	a.n.Store(int32(last))
	a.log.players.Add(-1)
	if last == 0 {
		n := len(w.audiences) - 1
		w.audiences[a.index] = w.audiences[n]
		w.audiences[a.index].index = a.index
		w.audiences[n] = nil
		w.audiences = w.audiences[:n]
		a.players = nil
	}
	p.audience = nil
	w.addLoose(p)
}

func (w *worker) addLoose(p *Player) {
	p.index = len(w.loose)
	w.loose = append(w.loose, p)
}

func (w *worker) removeLoose(p *Player) {
	last := len(w.loose) - 1
	w.loose[p.index] = w.loose[last]
	w.loose[p.index].index = p.index
	w.loose[last] = nil
	w.loose = w.loose[:last]
}

// next returns the bytes to send to p now: its own, which private says, or those of the log, at most budget. What it
// copies of the log for p alone it takes off the budget. It reports false if p has nothing to be sent now.
func (w *worker) next(p *Player, budget *int, now int64) (b []byte, private, ok bool) {
	for {
		switch {
		case len(p.out) > 0:
			return p.out[0], true, true
		case p.inboxed.Load() && p.atBoundary():
			p.takeInbox()
		case p.ending != nil:
			w.end(p, p.ending)
			return nil, false, false
		case p.audience == nil:
			return nil, false, false
		case p.seg == nil:
			if !w.startLog(p, now) {
				return nil, false, false
			}
		case !p.advance():
			if p.audience.log.closed.Load() && !p.advance() {
				w.end(p, ErrEnded)
			}
			return nil, false, false
		case *budget <= 0:
			w.catchLater(p)
			return nil, false, false
		case p.rewrite != nil:
			*budget -= p.takeRewritten()
			w.firstSent(p)
		default:
			b = p.seg.buf[p.off:p.seg.w.Load()]
			if p.inboxed.Load() {
				b = b[:p.seg.boundary(p.off)-p.off]
			}
			return b[:min(len(b), *budget)], false, true
		}
	}
}

// startLog finds a place in its log for a player that waits for one, or ends it with the log. It reports
// whether there is something to send.
func (w *worker) startLog(p *Player, now int64) bool {
	l := p.audience.log
	closed := l.closed.Load() // loaded before the sync points
	switch {
	case w.land(p, now):
		return true
	case !closed:
		return false
	case len(l.end) > 0 && !p.told:
		p.told = true
		p.out = append(p.out, p.rewritten(l.end))
		return true
	}
	w.end(p, ErrEnded)
	return false
}

// serve sends p what waits for it, at most budget bytes of the log.
func (w *worker) serve(p *Player, budget int, now int64) {
	for {
		b, private, ok := w.next(p, &budget, now)
		if !ok {
			return
		}
		n, full, err := p.sink.TrySend(b)
		if n > 0 {
			p.count.Sent.Add(uint64(n))
			p.progress = now
			if private {
				if p.lead != nil {
					w.firstSent(p)
				}
				p.shift(n)
			} else {
				p.off += uint32(n)
				budget -= n
				w.firstSent(p)
			}
		}
		if err != nil {
			w.end(p, err)
			return
		}
		if full {
			p.progress = now
			w.block(p)
			return
		}
	}
}

// catchLater leaves the rest for p to a later round, so that other players are served.
func (w *worker) catchLater(p *Player) {
	p.catching = true
	w.catchup = append(w.catchup, p)
}

// firstSent reports, once, how long p waited for the first bytes of its log.
func (w *worker) firstSent(p *Player) {
	if p.first == 0 {
		return
	}
	if f := w.e.opt.Hooks.FirstSent; f != nil {
		f(p.obs, time.Duration(w.e.now()-p.first))
	}
	p.first = 0
}

// block makes rounds leave p out until its sink takes bytes again.
func (w *worker) block(p *Player) {
	p.state = blocked
	p.sink.Arm(p)
}

// unblock serves p again if its sink has passed on all that it took.
func (w *worker) unblock(p *Player, now int64) {
	_, full, err := p.sink.TrySend(nil)
	switch {
	case err != nil:
		w.end(p, err)
	case full:
		w.block(p)
	default:
		p.state = ready
		w.checkLag(p, now)
	}
}

// land puts a waiting player on a sync point, if there is one for it.
func (w *worker) land(p *Player, now int64) bool {
	l := p.audience.log
	n := l.syncs.Load()
	if p.paused || n == p.syncs {
		return false
	}
	p.syncs = n
	var s syncPoint
	var ok bool
	if p.from < 0 {
		s, ok = l.start()
	} else {
		s, ok = l.ahead(p.from, now)
	}
	if ok {
		p.land(&s, now)
	}
	return ok
}

// checkLag measures how far p is behind and applies the policy.
func (w *worker) checkLag(p *Player, now int64) {
	age := p.age(now)
	p.lag.Store(age)
	if p.audience == nil || age == 0 {
		return
	}
	slow := &p.audience.log.opt.Load().Slow
	if age <= int64(slow.MaxLag) {
		return
	}
	if slow.Close {
		w.end(p, ErrSlow)
		return
	}
	behind := p.audience.log.head.Load() - p.pos()
	p.leave()
	p.count.Skips.Add(1)
	if p.obs != nil && (p.noticed == 0 || now-p.noticed >= int64(time.Minute)) {
		p.noticed = now
		w.e.events.Go(func() { p.obs.Skipped(p, time.Duration(age), behind) })
	}
}

// sweep looks at every player: slow ones skip, stuck ones are closed.
func (w *worker) sweep(now int64) {
	for i := len(w.audiences) - 1; i >= 0; i-- {
		a := w.audiences[i]
		stall := int64(a.log.opt.Load().Slow.MaxStall)
		for j := len(a.players) - 1; j >= 0; j-- {
			p := a.players[j]
			if p.state == blocked && stall > 0 && now-p.progress > stall {
				w.end(p, ErrStalled)
				continue
			}
			w.checkLag(p, now)
			if p.state == ready && p.seg == nil {
				w.serve(p, catchUp, now)
			}
		}
	}
	for i := len(w.loose) - 1; i >= 0; i-- {
		p := w.loose[i]
		if p.state != blocked {
			continue
		}
		switch quiet := now - p.progress; {
		case p.ending != nil && quiet > int64(linger):
			w.end(p, p.ending)
		case quiet > int64(looseStall):
			w.end(p, ErrStalled)
		}
	}
}

// end closes p and forgets it.
func (w *worker) end(p *Player, cause error) {
	if p.state == dead {
		return
	}
	_ = p.sink.Close() // the cause is already known
	w.quit(p)
	w.removeLoose(p)
	p.state = dead
	p.seg, p.out = nil, nil
	p.dropLead()
	p.drop()
	w.players.Add(-1)
	if p.obs != nil {
		w.e.events.Go(func() { p.obs.Closed(p, cause) })
	}
}

// close ends every player when the engine stops.
func (w *worker) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.qmu.Lock()
	w.closed = true
	ops := w.ops
	w.ops, w.queue, w.low = nil, nil, nil
	w.qmu.Unlock()
	w.stopped = true
	now := w.e.now()
	for i := range ops {
		w.apply(&ops[i], now)
	}
	for len(w.audiences) > 0 {
		w.end(w.audiences[0].players[0], ErrEngineClosed)
	}
	for len(w.loose) > 0 {
		w.end(w.loose[0], ErrEngineClosed)
	}
}
