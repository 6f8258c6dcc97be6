package record

import "sync"

// workersPerDir is how many goroutines write the files of a directory. A disk that hangs holds them up, and those of no other.
const workersPerDir = 2

// pool writes the files of one directory.
type pool struct {
	mu      sync.Mutex // guards below
	change  *sync.Cond
	ready   []*line
	closing bool
	wg      sync.WaitGroup
}

func newPool() *pool {
	p := &pool{}
	p.change = sync.NewCond(&p.mu)
	for range workersPerDir {
		p.wg.Go(p.work)
	}
	return p
}

// wake hands over a line that has jobs and that no worker has.
func (p *pool) wake(l *line) {
	p.mu.Lock()
	p.ready = append(p.ready, l)
	p.mu.Unlock()
	p.change.Signal()
}

// close ends the workers once they have nothing left, and does not wait for them.
func (p *pool) close() {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.change.Broadcast()
}

func (p *pool) work() {
	var buf []byte
	for {
		p.mu.Lock()
		for len(p.ready) == 0 && !p.closing {
			p.change.Wait()
		}
		if len(p.ready) == 0 {
			p.mu.Unlock()
			return
		}
		l := p.ready[0]
		p.ready = append(p.ready[:0], p.ready[1:]...)
		p.mu.Unlock()
		buf = l.step(buf[:0])
		const keep = 1 << 20
		if cap(buf) > keep {
			buf = nil
		}
	}
}
