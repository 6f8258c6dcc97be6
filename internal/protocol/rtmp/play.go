package rtmp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"weir/av"
	"weir/format/flv"
	"weir/internal/admit"
	"weir/internal/mux"
	"weir/internal/peer"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// errSecondPlay refuses to play two streams at once on one connection: its bytes come from one log.
var errSecondPlay = errors.New("the connection plays another stream")

// Play implements rtmp.Handler.
func (p *Protocol) Play(ctx context.Context, rs *rtmp.ServerSession, r *rtmp.PlayRequest) (rtmp.Playback, error) {
	c := connectionOf(ctx)
	path := r.Path
	if r.Fallback != "" && p.env.Hub.Get(path) == nil && p.env.Hub.Get(r.Fallback) != nil {
		path = r.Fallback
	}
	if c.player != nil && c.session.Role() == session.Play && c.playing != r.StreamID {
		return nil, refuse(rtmp.CodePlayFailed, p.refuseSecondPlay(c, path))
	}
	b := &playback{p: p, conn: c, session: rs, id: r.StreamID, caps: rs.Caps()}
	b.ctx, b.leave = context.WithCancel(context.WithoutCancel(ctx))
	b.variant = variant{chunkSize: c.chunkSize}
	b.variant.AllTracks = b.caps.CapsEx&rtmp.CapMultitrack != 0 || r.Query.Get("tracks") == "all"
	b.variant.Form = flv.Form{SingleTrack: !b.variant.AllTracks, HEVC12: r.Query.Get("codec") == "legacy"}
	view, err := p.env.Play(ctx, c.session, c.ask(path, r.RawQuery), func(path string) mux.Variant {
		b.variant.Repair = p.env.Repair(path)
		return b.variant
	})
	if err != nil {
		return nil, refuse(codeOf(err), err)
	}
	b.start = p.env.StartOf(view.Stream.Path(), r.Query.Get("start"), c.hops)
	if err := b.checkCodecs(view); err != nil {
		return nil, err
	}
	b.view = view
	c.playing = r.StreamID
	return b, nil
}

// refuseSecondPlay refuses to play two streams at once on one connection: its bytes come from
// one log.
func (p *Protocol) refuseSecondPlay(c *connection, path string) error {
	const told = "This connection plays a stream already: use another connection for a second one."
	r := &admit.Request{Role: session.Play, Protocol: p.env.Name, Session: c.session.ID, Remote: c.session.Remote, Path: path}
	r.SecretName = p.env.SecretName != nil && p.env.SecretName(r)
	return p.env.Refuse(r, &session.Refusal{Reason: session.Limit, Peer: told, Err: errSecondPlay})
}

// playback is a stream being played.
type playback struct {
	p       *Protocol
	conn    *connection
	id      uint32 // the message stream
	start   peer.Start
	session *rtmp.ServerSession
	caps    *rtmp.Caps
	view    *peer.View // until Start
	stream  *stream.Stream
	paused  bool            // by the player
	ctx     context.Context // ends with it
	leave   context.CancelFunc

	mu      sync.Mutex // guards below
	variant variant    // the one asked for now
}

// checkCodecs refuses a stream with a codec that the player has announced to lack, and gives up the claim on it.
func (b *playback) checkCodecs(v *peer.View) error {
	if err := b.lacking(v.Stream); err != nil {
		return refuse(rtmp.CodePlayFailed, v.Refuse(b.conn.session, err.Error(), err))
	}
	return nil
}

// lacking returns an error with the codec of the stream that the player does not announce, nil if there is none.
func (b *playback) lacking(s *stream.Stream) error {
	if len(b.caps.FourCCs) == 0 {
		return nil // it announces nothing: it gets the stream as it is
	}
	b.mu.Lock()
	v := b.variant
	b.mu.Unlock()
	lacks := v.Missing(s.Headers(), func(c av.Codec) bool { return legacyCodec(c) || b.caps.CanReceive(c.FourCC()) })
	if lacks == 0 {
		return nil
	}
	return fmt.Errorf("the stream has %v, which this player does not announce", lacks)
}

// legacyCodec reports whether all RTMP players are assumed to know the codec.
func legacyCodec(c av.Codec) bool {
	switch c {
	case av.H264, av.AAC, av.MP3, av.SorensonH263, av.VP6, av.PCMA, av.PCMU, av.Speex, av.Nellymoser, av.PCM, av.ADPCM:
		return true
	}
	return false
}

// Start implements rtmp.Playback: the connection's sending side goes to the engine.
func (b *playback) Start(*rtmp.PlayWriter) {
	b.stream = b.view.Stream
	if b.conn.player != nil { // another play on the same connection
		b.conn.player.Move(b.view, b.rewrite())
		b.view = nil
		b.wait()
		return
	}
	var player *peer.Player
	nc, chunkSize := b.session.Detach(func(encoded []byte) error {
		player.Send(encoded)
		return nil
	})
	if chunkSize != b.variant.chunkSize {
		panic("rtmp: session writes with another chunk size than the logs")
	}
	rs := b.session
	player = b.view.Player(b.conn.session, peer.Sink(b.p.env.Engine, nc, b.p.env.Portable), nil, func() { rs.Close(errEnginesEnd) })
	b.conn.player, b.view = player, nil
	player.Join(b.start, b.rewrite())
	b.wait()
}

// rewrite returns the function that writes the player's message stream id into messages of the log.
// It is nil for the id that the log already has, which nearly all players choose.
func (b *playback) rewrite() func([]byte) {
	if b.id == logStreamID {
		return nil
	}
	id, chunkSize := b.id, b.variant.chunkSize
	return func(m []byte) { rtmp.SetStreamID(m, id, chunkSize) }
}

// errEnginesEnd ends a session whose player the engine has closed for its own cause.
var errEnginesEnd = errors.New("the connection was closed by delivery")

// wait makes a player wait for its stream.
func (b *playback) wait() {
	if len(b.caps.FourCCs) > 0 {
		b.p.choosy.add(b)
		if b.checkCodecsAgain() { // the codecs may have changed since play
			return
		}
	}
	select {
	case <-b.stream.Begun():
		b.conn.session.Promote(session.Play, b.stream.Path())
		return
	default:
	}
	b.p.wg.Go(func() {
		switch err := b.p.env.Await(b.ctx, b.stream, b.stream.Begun()); {
		case b.ctx.Err() != nil:
		case err != nil && b.stream.Unbegun() == nil: // else the log tells the player
			b.fail(refuse(rtmp.CodePlayStreamNotFound, err))
		case err != nil:
		default:
			b.conn.session.Promote(session.Play, b.stream.Path())
			b.checkCodecsAgain()
		}
	})
}

// checkCodecsAgain ends the player, and reports true, if its stream has a codec that it lacks.
func (b *playback) checkCodecsAgain() bool {
	err := b.lacking(b.stream)
	if err == nil {
		return false
	}
	b.fail(refuse(rtmp.CodePlayFailed, b.p.env.Refuse(&admit.Request{
		Role: session.Play, Protocol: b.p.env.Name, Session: b.conn.session.ID, Remote: b.conn.session.Remote, Path: b.stream.Path(),
	}, &session.Refusal{Reason: session.Unsupported, Peer: err.Error(), Err: err})))
	return true
}

// fail ends the player and tells it why. The session gets the cause first, as the player may close the
// connection when it hears of it.
func (b *playback) fail(cause error) { b.conn.session.Kick(cause) }

// Pause implements rtmp.Playback.
func (b *playback) Pause(on bool) {
	b.paused = on
	b.pause()
}

// pause stops the stream while the player has paused it or wants neither sound nor video.
func (b *playback) pause() {
	b.conn.player.Pause(b.paused || b.variant.NoAudio && b.variant.NoVideo)
}

// ReceiveAudio implements rtmp.Playback.
func (b *playback) ReceiveAudio(on bool) {
	v := b.variant
	v.NoAudio = !on
	b.change(v)
}

// ReceiveVideo implements rtmp.Playback.
func (b *playback) ReceiveVideo(on bool) {
	v := b.variant
	v.NoVideo = !on
	b.change(v)
}

// change moves the player to another variant of the same stream.
func (b *playback) change(v variant) {
	if v == b.variant {
		return
	}
	if !v.NoAudio || !v.NoVideo {
		view, err := b.p.env.ViewFor(b.conn.session, b.stream.Path(), v)
		if err != nil {
			return // refused and logged; the player keeps its variant
		}
		b.conn.player.Move(view, b.rewrite())
	}
	b.mu.Lock()
	b.variant = v
	b.mu.Unlock()
	b.pause()
}

// Close implements rtmp.Playback.
func (b *playback) Close(cause error) {
	b.leave()
	if b.stream != nil && len(b.caps.FourCCs) > 0 {
		b.p.choosy.remove(b)
	}
	if b.view != nil { // Start was never called
		b.view.Leave()
		b.view = nil
		return
	}
	if errors.Is(cause, rtmp.ErrReplaced) {
		return // the next playback takes over the connection
	}
	end := endOfSession(cause)
	var st *rtmp.StatusError
	if errors.As(cause, &st) {
		b.conn.player.Finish(end)
		return
	}
	b.conn.player.Close(end)
}
