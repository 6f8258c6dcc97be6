package snapshot

import (
	"context"
	"errors"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/internal/session"
	"weir/internal/stream"
)

const (
	// keyTime is how long the next key frame is waited for where none is kept.
	keyTime = 5 * time.Second
	// maxWaiting bounds the requests that wait for one.
	maxWaiting = 64
)

// errNoPicture says that a stream has nothing to show.
var errNoPicture = session.Because(session.NotFound, errors.New("the stream has no key frame to show"))

// key is a key frame and its track.
type key struct {
	entry *stream.Entry
	track *av.Track
}

// key returns the stream's newest key frame that is kept, else the next one that comes soon.
func (p *Snapshots) key(ctx context.Context, s *stream.Stream) (key, error) {
	f := s.Follow(stream.FollowOptions{})
	defer f.Close()
	e := keptKey(ctx, f)
	if e == nil {
		if p.waiting.Add(1) > maxWaiting {
			p.waiting.Add(-1)
			return key{}, errBusy
		}
		e = nextKey(ctx, f)
		p.waiting.Add(-1)
	}
	if e == nil {
		return key{}, errNoPicture
	}
	for i := range e.Headers.Tracks {
		if t := &e.Headers.Tracks[i].Track; t.Kind == av.Video && t.ID == e.Track {
			return key{e, t}, nil
		}
	}
	return key{}, errNoPicture
}

// keptKey returns the newest key frame that f still has to read; nil if there is none.
func keptKey(ctx context.Context, f *stream.Follower) (newest *stream.Entry) {
	over, stop := context.WithCancel(ctx)
	stop() // what is there is read, and nothing waited for
	for {
		e, err := f.Next(over)
		if err != nil {
			return newest
		}
		if e.Kind == av.Video && e.IsKey() {
			newest = &e
		}
	}
}

// nextKey waits for a key frame; nil if none comes soon.
func nextKey(ctx context.Context, f *stream.Follower) *stream.Entry {
	ctx, cancel := context.WithTimeout(ctx, keyTime)
	defer cancel()
	for {
		e, err := f.Next(ctx)
		if err != nil {
			return nil
		}
		if e.Kind == av.Video && e.IsKey() {
			return &e
		}
	}
}

// tooLarge reports whether no still is made of the picture.
func (k key) tooLarge() bool { return k.track.Size.Width*k.track.Size.Height > maxPixels }

// film returns the key frame as an MP4 file of one picture, which is shown for a second.
func (k key) film() ([]byte, error) {
	payload, ok := fmp4.SamplePayload(*k.track, &k.entry.Frame)
	if !ok {
		return nil, errNoPicture
	}
	track := fmp4.Track{Track: *k.track, ID: 1}
	b, err := fmp4.AppendInit(make([]byte, 0, len(payload)+2048), []fmp4.Track{track})
	if err == nil {
		b, err = fmp4.AppendFragment(b, 1, []fmp4.Run{{
			ID: track.ID, Samples: []fmp4.Sample{{Duration: fmp4.Timescale(*k.track), Key: true, Payload: payload}},
		}})
	}
	if err != nil {
		return nil, &session.Refusal{Reason: session.Unsupported, Peer: "The picture does not fit into an MP4 file.", Err: err}
	}
	return b, nil
}
