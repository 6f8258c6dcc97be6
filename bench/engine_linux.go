package bench

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
)

// engine runs players: those of plain TCP on a loop for each processor, those with TLS
// on a goroutine each, until they drain.
type engine struct {
	run      *run
	ctx      context.Context
	stopAll  context.CancelFunc
	slowRate int
	tls      *tls.Config
	loops    []*loop
	next     int
}

// maxLoops bounds the loops: more than this many cores are not needed to load a server.
const maxLoops = 8

func newEngine(r *run, slowRate int, conf *tls.Config) (*engine, error) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &engine{run: r, ctx: ctx, stopAll: cancel, slowRate: slowRate, tls: conf}
	for range min(runtime.GOMAXPROCS(0), maxLoops) {
		l, err := newLoop(r, slowRate)
		if err != nil {
			e.stop()
			return nil, err
		}
		e.loops = append(e.loops, l)
		r.wg.Go(l.serve)
	}
	return e, nil
}

// start connects a player.
func (e *engine) start(p *player) {
	l := e.loops[e.next%len(e.loops)]
	e.next++
	if p.target.tls {
		e.run.wg.Go(func() { e.run.pump(e.ctx, p, e.tls, e.slowRate, l.adopt) })
		return
	}
	l.connect(p)
}

// stop ends all players and waits for them.
func (e *engine) stop() {
	e.run.stopping.Store(true)
	e.stopAll()
	for _, l := range e.loops {
		l.wakeUp()
	}
	e.run.wg.Wait()
	for _, l := range e.loops {
		l.close()
	}
}

// adoptable is what a loop takes over of a connection: its descriptor, twice open for a
// moment.
func adoptable(c *net.TCPConn) (int, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var dupErr error
	if err := rc.Control(func(n uintptr) { fd, dupErr = duplicate(int(n)) }); err != nil {
		return -1, err
	}
	return fd, dupErr
}
