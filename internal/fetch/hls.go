package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"weir/av"
	"weir/format/m3u8"
	"weir/internal/session"
)

const (
	// maxSegment bounds a segment, and maxInit an initialization segment, in bytes.
	maxSegment = 64 << 20
	maxInit    = 4 << 20
	// fromEnd is how many segments before the end of a live playlist reading begins, if it does not say: three, as
	// players do (RFC 8216, 6.3.3).
	fromEnd = 3
	// maxFailed is how many segments in a row, or requests for a playlist, may fail before the source does.
	maxFailed = 3
	// maxListed is how much memory the segments of a playlist may take that are known at a time: some thousand. Those behind them are asked
	// for when the reader comes to them.
	maxListed = 256 << 10
	// minReload is the shortest time between two requests for a playlist.
	minReload = 500 * time.Millisecond
)

// hlsSource reads an HLS stream: the variant with the highest bandwidth, and the sound that belongs to it
// if that has a playlist of its own. Its times run on across discontinuities.
type hlsSource struct {
	ctx    context.Context //nolint:containedctx // reading is ended by Close
	client *http.Client
	end    func()
	live   bool
	lists  []*hlsList
	place  *Place                  // nil: nobody remembers it
	shifts map[epoch]time.Duration // what is added to the times of each of the latest epochs
}

// begin reads the playlist body of the URL from, which was found at the URL at, and those that it names. If a live stream is
// wanted, one that has ended is an error unless it is a recording.
func (s *hlsSource) begin(from, at *url.URL, body io.Reader, live bool) error {
	p, err := m3u8.Read(body, m3u8.Window{Size: maxListed})
	switch {
	case err != nil:
		err = fmt.Errorf("reading the playlist: %w", err)
	case p.Media != nil:
		s.lists = []*hlsList{{s: s, url: from, base: at, spot: s.place.spot(0)}}
		s.lists[0].take(p.Media, p.More)
	default:
		err = s.variant(at, p.Multivariant)
	}
	if err != nil {
		return readable(err)
	}
	for _, l := range s.lists {
		s.live = s.live || !l.media.EndList
		if live && l.media.EndList && l.media.Type != "VOD" {
			return session.Because(session.StreamEnded, errors.New("the stream has ended: its playlist says that nothing follows"))
		}
	}
	return nil
}

// readable says of an encrypted playlist what is supported, and gives one that is too long its reason.
func readable(err error) error {
	if errors.Is(err, m3u8.ErrTooLong) {
		return session.Because(session.TooLarge, err)
	}
	if errors.Is(err, m3u8.ErrEncrypted) {
		return session.Because(session.Unsupported, errors.New("the stream is encrypted in a way that is not supported: only AES-128 is"))
	}
	return err
}

// maxVariants bounds how many variants of a playlist are tried.
const maxVariants = 8

// variant chooses the best variant of a multivariant playlist that can be read.
func (s *hlsSource) variant(at *url.URL, p *m3u8.Multivariant) error {
	if len(p.Variants) == 0 {
		return errors.New("the multivariant playlist names no variant")
	}
	best := slices.Clone(p.Variants)
	slices.SortStableFunc(best, func(a, b m3u8.Variant) int { return cmp.Compare(b.Bandwidth, a.Bandwidth) })
	var first error
	for i := range best[:min(len(best), maxVariants)] {
		err := s.choose(at, p, &best[i])
		if err == nil || s.ctx.Err() != nil {
			return err
		}
		first = cmp.Or(first, err)
	}
	return first
}

// choose reads the playlists of a variant.
func (s *hlsSource) choose(at *url.URL, p *m3u8.Multivariant, v *m3u8.Variant) error {
	uris := []string{v.URI}
	if sound := rendition(p, v.Audio); sound != "" && sound != v.URI {
		uris = append(uris, sound)
	}
	s.lists = nil
	for _, uri := range uris {
		u, err := resolve(at, uri)
		if err != nil {
			return err
		}
		l := &hlsList{s: s, url: u, base: u, second: len(s.lists) > 0, spot: s.place.spot(len(s.lists))}
		if err := l.load(""); err != nil {
			return err
		}
		s.lists = append(s.lists, l)
	}
	return nil
}

// rendition returns the URI of a group's sound: the default one, else the first.
func rendition(p *m3u8.Multivariant, group string) (uri string) {
	for i := range p.Renditions {
		r := &p.Renditions[i]
		if r.Type != m3u8.TypeAudio || r.GroupID != group {
			continue
		}
		if r.Default {
			return r.URI
		}
		if uri == "" {
			uri = r.URI
		}
	}
	return uri
}

// resolve makes a URL from a URI in a playlist.
func resolve(base *url.URL, uri string) (*url.URL, error) {
	u, err := base.Parse(uri)
	if err != nil {
		return nil, Plain(err)
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the playlist names a resource of %s://, not of http:// or https://", u.Scheme)
	}
	return u, nil
}

// playlist reads a playlist, and returns its URL, which a redirect may have changed.
func (s *hlsSource) playlist(u *url.URL, w m3u8.Window) (*m3u8.Playlist, *url.URL, error) {
	res, err := get(s.ctx, s.client, u.String(), "")
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	p, err := m3u8.Read(res.Body, w)
	return p, res.Request.URL, err
}

// fetch reads a resource of at most a number of bytes. It returns its URL, which a redirect may have changed.
func (s *hlsSource) fetch(u *url.URL, span m3u8.ByteRange, most int64) ([]byte, *url.URL, error) {
	what := ""
	if span.Length > 0 {
		if span.Length > most || span.Offset < 0 {
			return nil, nil, fmt.Errorf("%w: a range of %d bytes", errTooLarge, span.Length)
		}
		what = fmt.Sprintf("bytes=%d-%d", span.Offset, span.Offset+span.Length-1)
	}
	res, err := get(s.ctx, s.client, u.String(), what)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body := io.Reader(res.Body)
	if what != "" {
		if res.StatusCode == http.StatusOK { // the server does not know ranges
			if _, err := io.CopyN(io.Discard, body, span.Offset); err != nil {
				return nil, nil, err
			}
		}
		body = io.LimitReader(body, span.Length)
	}
	b, err := readAll(body, most)
	return b, res.Request.URL, err
}

var errTooLarge = session.Because(session.TooLarge, errors.New("more than can be read"))

// readAll reads everything, and fails beyond a number of bytes.
func readAll(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%w: over %d bytes", errTooLarge, most)
	}
	return b, err
}

// Live implements Source.
func (s *hlsSource) Live() bool { return s.live }

// Close implements Source.
func (s *hlsSource) Close() error {
	s.end()
	return nil
}

// stands reports whether a playlist that can be had has nothing to read.
func (s *hlsSource) stands() bool {
	for _, l := range s.lists {
		if !l.has() && !l.media.EndList && l.refused == 0 && len(l.frames) == 0 {
			return true
		}
	}
	return false
}

// Condition implements Source.
func (s *hlsSource) Condition() (c Condition) {
	for _, l := range s.lists {
		one := l.condition()
		c.LeftOut = append(c.LeftOut, one.LeftOut...)
		c.Damage = append(c.Damage, one.Damage...)
	}
	return c
}

// ReadFrame returns the earliest frame of all playlists.
func (s *hlsSource) ReadFrame() (*av.Frame, error) {
	var first *hlsList
	for _, l := range s.lists {
		for len(l.frames) == 0 && !l.ended {
			if err := l.more(); err != nil {
				return nil, readable(err)
			}
		}
		if len(l.frames) == 0 {
			continue
		}
		if f := &l.frames[0]; f.Type != av.Media || first == nil || f.DTS < first.frames[0].DTS {
			first = l
			if f.Type != av.Media {
				break
			}
		}
	}
	if first == nil {
		return nil, s.ending()
	}
	f := first.frames[0]
	first.frames = first.frames[1:]
	return &f, nil
}

// ending is the error at the end: why nothing was read, if nothing was.
func (s *hlsSource) ending() error {
	for _, l := range s.lists {
		if l.failure != nil && !l.any {
			return l.failure
		}
	}
	return io.EOF
}
