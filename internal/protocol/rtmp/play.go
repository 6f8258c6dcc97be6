package rtmp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/mux"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// errSecondPlay refuses to play two streams at once on one connection: its bytes come from one log.
var errSecondPlay = errors.New("this connection plays a stream already: use another connection")

// Play implements rtmp.Handler.
func (p *Protocol) Play(ctx context.Context, rs *rtmp.ServerSession, r *rtmp.PlayRequest) (rtmp.Playback, error) {
	pr := peerOf(ctx)
	path := r.Path
	if r.Fallback != "" && p.env.Hub.Get(path) == nil && p.env.Hub.Get(r.Fallback) != nil {
		path = r.Fallback
	}
	if err := p.env.Allow(ctx, pr.session, session.Play, path, r.RawQuery); err != nil {
		return nil, refuse(rtmp.CodePlayFailed, err)
	}
	if pr.player != nil && pr.session.Role() == session.Play && pr.playing != r.StreamID {
		return nil, refuse(rtmp.CodePlayFailed, p.env.Refuse("limit", errSecondPlay))
	}
	b := &playback{p: p, peer: pr, session: rs, caps: rs.Caps(), gone: make(chan struct{})}
	b.variant = mux.Variant{
		Format: mux.RTMP, StreamID: r.StreamID, ChunkSize: p.server.ChunkSize,
		AllTracks: b.caps.CapsEx&rtmp.CapMultitrack != 0,
	}
	b.variant.Form.SingleTrack = !b.variant.AllTracks
	if r.Query.Get("codec") == "legacy" {
		b.variant.Form = flv.Form{HEVC12: true, SingleTrack: true}
	}
	view, err := p.env.View(path, func(*stream.Stream) mux.Variant { return b.variant })
	if err != nil {
		return nil, refuse(rtmp.CodePlayFailed, err)
	}
	if err := b.checkCodecs(view.Stream); err != nil {
		view.Leave()
		return nil, err
	}
	b.view = view
	pr.playing = r.StreamID
	pr.session.Promote(session.Play, path)
	return b, nil
}

// playback is a stream being played.
type playback struct {
	p       *Protocol
	peer    *peer
	session *rtmp.ServerSession
	caps    *rtmp.Caps
	view    *protocol.View // until Start
	stream  *stream.Stream
	writer  *rtmp.PlayWriter
	paused  bool // by the player
	gone    chan struct{}
	once    sync.Once

	mu      sync.Mutex  // guards below
	variant mux.Variant // as asked for now
}

// checkCodecs refuses a stream that has a codec which the player says it lacks.
func (b *playback) checkCodecs(s *stream.Stream) error {
	if len(b.caps.FourCCs) == 0 {
		return nil // it says nothing: it gets the stream as it is
	}
	b.mu.Lock()
	v := b.variant
	b.mu.Unlock()
	lacks := v.Missing(s.Headers().Descriptions(), func(c av.Codec) bool { return legacyCodec(c) || b.caps.CanReceive(c.FourCC()) })
	if lacks == 0 {
		return nil
	}
	return refuse(rtmp.CodePlayFailed, b.p.env.Refuse("codec", fmt.Errorf("the stream has %v, which this player does not announce", lacks)))
}

// legacyCodec reports whether every player of RTMP is taken to know the codec.
func legacyCodec(c av.Codec) bool {
	switch c {
	case av.H264, av.AAC, av.MP3, av.SorensonH263, av.VP6, av.PCMA, av.PCMU, av.Speex, av.Nellymoser, av.PCM, av.ADPCM:
		return true
	}
	return false
}

// Start implements rtmp.Playback: the connection's sending side goes to the engine.
func (b *playback) Start(w *rtmp.PlayWriter) {
	b.writer, b.stream = w, b.view.Stream
	if b.peer.player != nil { // another play on the same connection
		b.peer.player.Move(b.view)
		b.view = nil
		b.wait()
		return
	}
	var player *protocol.Player
	nc, chunkSize := b.session.Detach(func(encoded []byte) error {
		player.Send(encoded)
		return nil
	})
	if chunkSize != b.variant.ChunkSize {
		panic("rtmp: session writes with another chunk size than the logs")
	}
	rs := b.session
	player = b.view.Player(b.peer.session, protocol.Sink(b.p.env.Engine, nc, b.p.env.Portable), nil, func() { rs.Close(errEnginesEnd) })
	b.peer.player, b.view = player, nil
	b.wait()
}

// errEnginesEnd ends a session whose player the engine has closed, for a cause of its own.
var errEnginesEnd = errors.New("the connection was closed by delivery")

// wait begins to play; a player that came before its stream waits for it.
func (b *playback) wait() {
	player := b.peer.player
	player.Join()
	if len(b.caps.FourCCs) > 0 {
		b.p.choosy.add(b)
		if err := b.checkCodecs(b.stream); err != nil { // it may have changed since play
			b.fail(err)
			return
		}
	}
	select {
	case <-b.stream.Begun():
		return
	default:
	}
	b.p.wg.Go(func() {
		t := time.NewTimer(b.p.env.Wait(b.stream.Path()))
		defer t.Stop()
		select {
		case <-b.stream.Begun():
			if err := b.checkCodecs(b.stream); err != nil {
				b.fail(err)
			}
		case <-t.C:
			b.fail(session.Because(session.NotFound, &rtmp.StatusError{
				Level: rtmp.LevelError, Code: rtmp.CodePlayStreamNotFound, Description: "Nobody publishes this stream.",
			}))
		case <-b.gone:
		}
	})
}

// fail tells the player why it is closed.
func (b *playback) fail(cause error) {
	var st *rtmp.StatusError
	if errors.As(cause, &st) {
		_ = b.writer.Status(st) // goes to the player's queue
	}
	b.peer.player.Finish(cause)
}

// Pause implements rtmp.Playback.
func (b *playback) Pause(on bool) {
	b.paused = on
	b.pause()
}

// pause stops the stream while the player has paused it, or wants neither sound nor video.
func (b *playback) pause() {
	b.peer.player.Pause(b.paused || b.variant.NoAudio && b.variant.NoVideo)
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
func (b *playback) change(v mux.Variant) {
	if v == b.variant {
		return
	}
	if !v.NoAudio || !v.NoVideo {
		view, err := b.p.env.View(b.stream.Path(), func(*stream.Stream) mux.Variant { return v })
		if err != nil {
			return
		}
		b.peer.player.Move(view)
	}
	b.mu.Lock()
	b.variant = v
	b.mu.Unlock()
	b.pause()
}

// Close implements rtmp.Playback.
func (b *playback) Close(cause error) {
	b.once.Do(func() { close(b.gone) })
	if b.stream != nil && len(b.caps.FourCCs) > 0 {
		b.p.choosy.remove(b)
	}
	if b.view != nil { // never started
		b.view.Leave()
		b.view = nil
		return
	}
	if errors.Is(cause, rtmp.ErrReplaced) {
		return // the next playback goes on with the connection
	}
	end := endOfSession(cause)
	var st *rtmp.StatusError
	if errors.As(cause, &st) {
		b.peer.player.Finish(end)
		return
	}
	b.peer.player.Close(end)
}
