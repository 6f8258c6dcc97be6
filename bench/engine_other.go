//go:build !linux

package bench

import (
	"context"
	"crypto/tls"
)

// engine runs players: a goroutine each.
type engine struct {
	run      *run
	ctx      context.Context
	stopAll  context.CancelFunc
	slowRate int
	tls      *tls.Config
}

func newEngine(r *run, slowRate int, conf *tls.Config) (*engine, error) {
	ctx, cancel := context.WithCancel(context.Background())
	return &engine{run: r, ctx: ctx, stopAll: cancel, slowRate: slowRate, tls: conf}, nil
}

// start connects a player.
func (e *engine) start(p *player) {
	e.run.wg.Go(func() { e.run.pump(e.ctx, p, e.tls, e.slowRate, nil) })
}

// stop ends all players and waits for them.
func (e *engine) stop() {
	e.run.stopping.Store(true)
	e.stopAll()
	e.run.wg.Wait()
}
