package hls

import (
	"context"
	"errors"
	"slices"

	"weir/av"
)

// presentable reports whether every playlist has a segment, so that none is empty.
func (p *Packager) presentable() bool {
	return len(p.renditions) > 0 && !slices.ContainsFunc(p.renditions, func(r *Rendition) bool {
		return len(r.segments) == 0 || !r.segments[0].whole
	})
}

func (p *Packager) setReady() {
	select {
	case <-p.ready:
	default:
		close(p.ready)
	}
}

// Errors of waiting.
var (
	// ErrNoKeyFrames says that the stream has video in which nobody can start.
	ErrNoKeyFrames = errors.New("hls: the stream has had no key frame: set the encoder's key-frame interval to 2 seconds (OBS: Keyframe Interval; ffmpeg: -g)")
	// ErrCodec says that HLS can carry none of the stream's tracks.
	ErrCodec = errors.New("hls: segments can carry none of the stream's codecs")
	// ErrNothing says that there is no segment yet.
	ErrNothing = errors.New("hls: there is no segment yet")
	// ErrEnded says that the stream has ended.
	ErrEnded = errors.New("hls: the stream has ended")
	// ErrUnknown says that there is no such resource, or no longer.
	ErrUnknown = errors.New("hls: there is no such resource")
)

// IsReady reports whether there is a playlist, so that Ready would not wait.
func (p *Packager) IsReady() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown = p.shown || p.presentable()
	return p.presentable()
}

// Ready waits until there is a playlist. When ctx ends before, it returns the reason as far
// as it is known: ErrNoKeyFrames, ErrCodec or ErrNothing.
func (p *Packager) Ready(ctx context.Context) error {
	p.mu.Lock()
	ready := p.ready
	p.mu.Unlock()
	select {
	case <-ready:
	case <-ctx.Done():
	}
	defer p.tell()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.presentable():
		p.shown = true
		return nil
	case p.ended || p.shut:
		return ErrEnded
	case len(p.renditions) == 0 && p.headers != nil && len(p.headers.Tracks) > 0:
		return ErrCodec
	case p.keyless && !p.settled || p.settled && p.renditions[0].wanting && p.renditions[0].lead.kind == av.Video:
		p.warn("the stream has no key frame, so that no segment can begin; set the encoder's key-frame interval to 2 seconds (OBS: Keyframe Interval; ffmpeg: -g)", "")
		return ErrNoKeyFrames
	}
	return ErrNothing
}
