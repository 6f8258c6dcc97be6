package peer

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/session"
	"weir/internal/stream"
)

// Player is one session that plays one stream: its reference on the stream, the muxer that it
// reads, and its cursor in the engine. When its connection has been closed, it releases all of them
// and closes the session with the cause that the engine gave.
type Player struct {
	door    *Door
	session *session.Session
	stream  *stream.Stream
	fan     *fanout.Player
	onEnd   func()

	mu    sync.Mutex // guards below
	muxer *mux.Muxer // nil once closed
}

// View is a player's claim on a stream before its connection is handed to the engine.
type View struct {
	door   *Door
	Stream *stream.Stream
	muxer  *mux.Muxer // nil if no log is read
}

// ViewFor claims a stream for a session in one variant, nil if the session reads no log. It asks nobody: the
// session was admitted by Play, and perhaps wants another variant now. It fails with a *session.Refusal.
func (d *Door) ViewFor(s *session.Session, path string, v mux.Variant) (*View, error) {
	st, err := d.Hub.Play(path)
	if err != nil {
		return nil, d.Refuse(d.RequestOf(s, session.Play, &Ask{Path: path}), err)
	}
	if v == nil {
		return &View{d, st, nil}, nil
	}
	m, err := d.Mux.Open(st, v)
	if err != nil {
		st.Leave()
		return nil, d.Refuse(d.RequestOf(s, session.Play, &Ask{Path: path}), err)
	}
	return &View{d, st, m}, nil
}

// Refuse gives the claim up because session s could not play what it would be sent, and returns the
// refusal. told is the sentence for the peer.
func (v *View) Refuse(s *session.Session, told string, err error) error {
	v.Leave()
	r := v.door.RequestOf(s, session.Play, &Ask{Path: v.Stream.Path()})
	return v.door.Refuse(r, &session.Refusal{Reason: session.Unsupported, Peer: told, Err: err})
}

// Leave gives the claim up.
func (v *View) Leave() {
	if v.muxer != nil {
		v.muxer.Release()
	}
	v.Stream.Leave()
}

// Player hands a connection to the engine. first, if any, is sent before everything else. The
// player does not read the stream until Join. onEnd, if not nil, is called once at the end.
func (v *View) Player(s *session.Session, sink fanout.Sink, first []byte, onEnd func()) *Player {
	p := &Player{door: v.door, session: s, stream: v.Stream, muxer: v.muxer, onEnd: onEnd}
	p.fan = v.door.Engine.Add(sink, p, v.muxer.Log(), fanout.Counters{Sent: &s.BytesOut, Skips: &s.Skips})
	if len(first) > 0 {
		p.fan.Send(first)
	}
	return p
}

// Join begins to send the stream from where start says. rewrite, if not nil, changes the stream's
// messages for this player; see fanout.Start.
func (p *Player) Join(start Start, rewrite func(b []byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.muxer == nil {
		return
	}
	from := fanout.Start{Rewrite: rewrite, Next: start == Key}
	if start == Live {
		from.Lead = p.muxer.Lead()
	}
	p.fan.Join(p.muxer.Log(), from)
}

// Move makes the player go on with another claim: from its beginning or, if it is the same stream
// in another variant, from the next sync mark. rewrite is as for Join.
func (p *Player) Move(v *View, rewrite func(b []byte)) {
	p.mu.Lock()
	if p.muxer == nil {
		p.mu.Unlock()
		v.Leave()
		return
	}
	from := fanout.Start{Next: v.Stream == p.stream, Rewrite: rewrite}
	old := View{p.door, p.stream, p.muxer}
	p.stream, p.muxer = v.Stream, v.muxer
	p.fan.Join(v.muxer.Log(), from)
	p.mu.Unlock()
	old.Leave()
}

// Session returns the player's session.
func (p *Player) Session() *session.Session { return p.session }

// Send queues whole messages for this player alone.
func (p *Player) Send(b []byte) { p.fan.Send(b) }

// Pause stops the stream for this player, or resumes it.
func (p *Player) Pause(on bool) {
	if on {
		p.fan.Pause()
	} else {
		p.fan.Resume()
	}
}

// Close ends the player with a cause, at once.
func (p *Player) Close(cause error) { p.fan.Close(cause) }

// Finish ends the player with a cause once everything given to Send has been sent.
func (p *Player) Finish(cause error) { p.fan.Finish(cause) }

// Closed implements fanout.Observer.
func (p *Player) Closed(_ *fanout.Player, cause error) {
	p.mu.Lock()
	v := View{p.door, p.stream, p.muxer}
	p.muxer = nil
	p.mu.Unlock()
	v.Leave()
	if unbegun := v.Stream.Unbegun(); unbegun != nil && errors.Is(cause, fanout.ErrEnded) {
		cause = NotLive(unbegun)
	}
	p.session.CloseWith(EndOfPlayer(cause))
	if p.onEnd != nil {
		p.onEnd()
	}
}

// Skipped implements fanout.Observer.
func (p *Player) Skipped(_ *fanout.Player, lag time.Duration, bytes int64) {
	p.door.Log.Warn("player too slow: skipped to a newer key frame",
		slog.String("session", p.session.ID), slog.String("remote", p.session.Remote.String()),
		slog.String("stream", p.stream.Path()), slog.Duration("lag", lag.Round(time.Millisecond)),
		slog.Int64("bytes", bytes), slog.Uint64("skips", p.session.Skips.Load()))
	if p.door.Skipped != nil {
		p.door.Skipped(p.session, lag, bytes)
	}
}

// EndOfPlayer gives the causes with which the engine ends players their reasons.
func EndOfPlayer(cause error) error {
	for _, known := range engineReasons {
		if errors.Is(cause, known.err) {
			return session.Because(known.reason, cause)
		}
	}
	return cause
}

var engineReasons = []struct {
	err    error
	reason session.Reason
}{
	{fanout.ErrEnded, session.StreamEnded},
	{fanout.ErrSlow, session.Slow},
	{fanout.ErrBacklog, session.Slow},
	{fanout.ErrStalled, session.Stalled},
	{fanout.ErrEngineClosed, session.Shutdown},
}
