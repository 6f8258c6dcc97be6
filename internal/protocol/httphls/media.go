package httphls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"weir/internal/hls"
)

// media answers with an initialization, a segment or a part. The part that comes next is
// waited for (RFC 8216bis §4.4.5.3).
func (p *HLS) media(w http.ResponseWriter, r *http.Request, packager *hls.Packager, n hls.Name) {
	ctx := r.Context()
	if packager.Hinted(n) {
		release, ok := p.hold(w, packager, nil)
		if !ok {
			return
		}
		defer release()
		bounded, cancel := context.WithTimeout(ctx, packager.Rendition(n.Rendition).HoldTime())
		defer cancel()
		ctx = bounded
	}
	m, err := packager.Media(ctx, n)
	switch {
	case errors.Is(err, hls.ErrNothing):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, err)
		return
	case err != nil:
		gone(w, err.Error())
		return
	}
	header := w.Header()
	header.Set("Content-Type", m.ContentType)
	header["Cache-Control"] = forever
	if m.File != "" {
		p.file(w, r, m.File)
		return
	}
	size := 0
	for _, b := range m.Pieces {
		size += len(b)
	}
	patience(w, size)
	if r.Header.Get("Range") != "" {
		http.ServeContent(w, r, "", time.Time{}, &reader{pieces: m.Pieces, size: int64(size)})
		return
	}
	header["Accept-Ranges"] = ofBytes
	header.Set("Content-Length", strconv.Itoa(size))
	if r.Method == http.MethodHead {
		return
	}
	sent := uint64(0)
	for _, b := range m.Pieces {
		n, err := w.Write(b)
		if sent += uint64(n); err != nil {
			break
		}
	}
	p.env.Sessions.Sent(p.env.Name, sent)
}

// file answers with a segment that is on disk.
func (p *HLS) file(w http.ResponseWriter, r *http.Request, name string) {
	f, err := os.Open(name)
	if err != nil { // it has just been removed
		w.Header().Del("Content-Type")
		gone(w, "the segment is too old")
		return
	}
	defer f.Close()
	size := 0
	if info, err := f.Stat(); err == nil {
		size = int(info.Size())
		if r.Method == http.MethodGet && r.Header.Get("Range") == "" {
			p.env.Sessions.Sent(p.env.Name, uint64(size))
		}
	}
	patience(w, size)
	http.ServeContent(w, r, "", time.Time{}, f)
}

// reader reads pieces as one.
type reader struct {
	pieces [][]byte
	size   int64
	at     int64
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	at := r.at
	for _, p := range r.pieces {
		if at < int64(len(p)) {
			n := copy(b, p[at:])
			r.at += int64(n)
			return n, nil
		}
		at -= int64(len(p))
	}
	return 0, io.EOF
}

// Seek implements io.Seeker.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seeking to %d: before the beginning", offset)
	}
	r.at = offset
	return offset, nil
}
