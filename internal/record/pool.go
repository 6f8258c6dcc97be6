package record

import "sync"

// What a line does next, as far as pools tell it apart: making files and making them whole takes a disk long, and must not hold up those
// who only write, however many begin and end.
type class int

const (
	writes   class = iota // to a file that is there
	finishes              // a file
	begins                // a file
	classes
)

// workers are how many goroutines write the files of a directory, and how many begin and end files: finishes go before begins, so that no more files are
// open than are written. A disk that hangs holds them up, and those of no other.
const workers = 2

// maxBegins bounds the files of a directory that wait to be begun.
const maxBegins = 1000

// pool does the work on the files of one directory.
type pool struct {
	users int // guarded by the manager's lock

	mu      sync.Mutex // guards below
	change  *sync.Cond
	ready   [classes][]*line
	closing bool
}

// newPool makes a pool, whose goroutines start runs.
func newPool(start func(func())) *pool {
	p := &pool{}
	p.change = sync.NewCond(&p.mu)
	for range workers {
		start(func() { p.work(writes) })
		start(func() { p.work(finishes, begins) })
	}
	return p
}

// wake hands over a line that has jobs and that no worker has, the first of them of a class.
func (p *pool) wake(l *line, c class) {
	p.mu.Lock()
	p.ready[c] = append(p.ready[c], l)
	p.mu.Unlock()
	p.change.Broadcast()
}

// crowded reports whether no more files may begin now.
func (p *pool) crowded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.ready[begins]) >= maxBegins
}

// close ends the workers once they have nothing left, and does not wait for them.
func (p *pool) close() {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.change.Broadcast()
}

// next returns the next line of the classes, the first class first; nil if the pool is closed and there is none.
func (p *pool) next(of []class) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for _, c := range of {
			if list := p.ready[c]; len(list) > 0 {
				l := list[0]
				list[0] = nil
				p.ready[c] = list[1:]
				return l
			}
		}
		if p.closing {
			return nil
		}
		p.change.Wait()
	}
}

func (p *pool) work(of ...class) {
	var buf []byte
	for {
		l := p.next(of)
		if l == nil {
			return
		}
		buf = l.step(buf[:0])
		const keep = 1 << 20
		if cap(buf) > keep {
			buf = nil
		}
	}
}

// enter returns the workers of a directory, which stay until leave is called as often.
func (m *Manager) enter(dir string) *pool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pools[dir]
	if p == nil {
		p = newPool(m.workers.Go)
		m.pools[dir] = p
	}
	p.users++
	return p
}

func (m *Manager) leave(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.pools[dir]
	if p.users--; p.users == 0 {
		delete(m.pools, dir)
		p.close()
	}
}
