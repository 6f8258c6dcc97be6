package hls_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/format/fmp4"
	"weir/format/m3u8"
	"weir/format/mpegts"
	"weir/internal/protocol/hls"
	"weir/internal/protocol/protocoltest"
)

func TestProtocol(t *testing.T) {
	for _, container := range []string{"fmp4", "ts"} {
		t.Run(container, func(t *testing.T) {
			conf := new(hls.StreamConfig)
			conf.SetDefaults()
			conf.Container, conf.LowLatency, conf.Segment = container, false, time.Second
			protocoltest.Run(t, protocoltest.Suite{
				Entry: hls.Config{}.Protocols()[0], Listener: "http", Visits: true, Play: play,
				PlayerTold: protocoltest.ToldByStatus,
				Options:    protocoltest.Options{Settings: func(string) any { return conf }},
				Opening:    func(path string) []byte { return protocoltest.GetRequest("/" + path + "/index.m3u8") },
			})
		})
	}
}

// player asks for playlists and fetches the segments that it has not had.
type player struct {
	ctx    context.Context
	cancel context.CancelFunc
	addr   string
	media  string // the media playlist, with its query
	init   []byte
	next   uint64 // number of the next segment
	demux  mpegts.Demuxer
	frames []av.Frame
}

func play(ctx context.Context, addr, stream string) (protocoltest.Player, error) {
	p := &player{addr: addr}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	index := "/" + stream + "/index.m3u8"
	b, err := fetch(ctx, addr, index)
	if err != nil {
		return nil, err
	}
	m, err := m3u8.ParseMultivariant(b)
	if err != nil {
		return nil, err
	}
	p.media = path.Dir(index) + "/" + m.Variants[0].URI
	return p, p.fill(ctx)
}

func fetch(ctx context.Context, addr, target string) ([]byte, error) {
	body, err := protocoltest.Get(ctx, addr, target)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// between is how long the player waits before it asks again.
const between = 20 * time.Millisecond

// fill fetches segments until there are frames.
func (p *player) fill(ctx context.Context) error {
	for len(p.frames) == 0 {
		b, err := fetch(ctx, p.addr, p.media)
		if err != nil {
			return err
		}
		m, err := m3u8.ParseMedia(b)
		if err != nil {
			return err
		}
		if err := p.fetchNew(ctx, m); err != nil {
			return err
		}
		if len(p.frames) > 0 {
			return nil
		}
		if m.EndList {
			return io.EOF
		}
		select {
		case <-time.After(between):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// fetchNew fetches the segments of a playlist that are new.
func (p *player) fetchNew(ctx context.Context, m *m3u8.Media) error {
	folder, _, _ := strings.Cut(p.media, "?")
	folder = path.Dir(folder) + "/"
	if p.next == 0 && len(m.Segments) > 1 { // live players begin close to the end
		p.next = m.MediaSequence + uint64(len(m.Segments)-1)
	}
	for i := range m.Segments {
		s := &m.Segments[i]
		if s.Map != nil {
			b, err := fetch(ctx, p.addr, folder+s.Map.URI)
			if err != nil {
				return err
			}
			p.init = b
		}
		number := m.MediaSequence + uint64(i)
		if s.URI == "" || number < p.next {
			continue
		}
		b, err := fetch(ctx, p.addr, folder+s.URI)
		if err != nil {
			return err
		}
		p.next = number + 1
		if p.init == nil {
			p.frames = p.demux.Demux(p.frames, b)
			continue
		}
		r, err := fmp4.NewReader(bytes.NewReader(append(bytes.Clone(p.init), b...)), int64(len(p.init)+len(b)))
		if err != nil {
			return err
		}
		for {
			f, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			f.DTS, f.PTS = f.DTS+r.Start(), f.PTS+r.Start() // of this segment
			p.frames = append(p.frames, *f)
		}
	}
	return nil
}

// Next implements protocoltest.Player.
func (p *player) Next() (f av.Frame, err error) {
	if err := p.fill(p.ctx); err != nil {
		return f, err
	}
	f, p.frames = p.frames[0], p.frames[1:]
	return f, nil
}

// Close implements protocoltest.Player.
func (p *player) Close() { p.cancel() }
