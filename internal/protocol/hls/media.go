package hls

import (
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
	if packager.Hinted(n) {
		release, ok := p.hold(w, packager, nil)
		if !ok {
			return
		}
		defer release()
	}
	m, err := packager.Media(r.Context(), n)
	switch {
	case errors.Is(err, hls.ErrNothing):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, err)
		return
	case err != nil:
		gone(w, err.Error())
		return
	}
	if r.Method == http.MethodGet {
		p.asks(r, packager.Path())
	}
	header := w.Header()
	header.Set("Content-Type", m.ContentType)
	header["Cache-Control"] = forever
	if m.File != "" {
		p.file(w, r, packager.Path(), m.File)
		return
	}
	size := int64(0)
	for i := range m.Pieces {
		size += m.Pieces[i].Size
	}
	patience(w, int(size))
	if r.Header.Get("Range") != "" {
		p.serve(w, r, packager.Path(), &reader{pieces: m.Pieces, size: size})
		return
	}
	header["Accept-Ranges"] = ofBytes
	header.Set("Content-Length", strconv.FormatInt(size, 10))
	if r.Method == http.MethodHead {
		return
	}
	sent := int64(0)
	for i := range m.Pieces {
		n, err := send(w, &m.Pieces[i])
		if sent += n; err != nil {
			break
		}
	}
	p.env.Sessions.SentOf(p.env.Name, packager.Path(), uint64(sent))
}

// send sends a piece, without copying it if that is possible.
func send(w http.ResponseWriter, p *hls.Piece) (int64, error) {
	if p.File == nil {
		n, err := w.Write(p.Bytes)
		return int64(n), err
	}
	if s, ok := w.(interface {
		SendFile(f *os.File, at, size int64) (int64, error)
	}); ok {
		return s.SendFile(p.File, p.At, p.Size)
	}
	return io.Copy(w, p.Reader())
}

// file answers with a segment of the stream at path that is on disk.
func (p *HLS) file(w http.ResponseWriter, r *http.Request, path, name string) {
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
	}
	patience(w, size)
	p.serve(w, r, path, f)
}

// serve answers with content of the stream at path, or a range of it, and counts what is sent.
func (p *HLS) serve(w http.ResponseWriter, r *http.Request, path string, content io.ReadSeeker) {
	c := &countingWriter{ResponseWriter: w}
	http.ServeContent(c, r, "", time.Time{}, content)
	p.env.Sessions.SentOf(p.env.Name, path, c.sent)
}

// countingWriter counts the bytes of an answer's body.
type countingWriter struct {
	http.ResponseWriter
	sent uint64
}

// Write implements io.Writer.
func (w *countingWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.sent += uint64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom: files go out without being copied where that is possible.
func (w *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.sent += uint64(n)
	return n, err
}

// reader reads pieces as one.
type reader struct {
	pieces []hls.Piece
	size   int64
	at     int64
}

// Read implements io.Reader.
func (r *reader) Read(b []byte) (int, error) {
	at := r.at
	for i := range r.pieces {
		p := &r.pieces[i]
		if at < p.Size {
			n, err := p.Reader().ReadAt(b[:min(int64(len(b)), p.Size-at)], at)
			r.at += int64(n)
			if err == io.EOF { //nolint:errorlint // ReadAt says so of the piece's end, and wraps nothing
				err = nil
			}
			return n, err
		}
		at -= p.Size
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
