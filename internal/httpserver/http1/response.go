package http1

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxPending bounds what is collected of an answer of unknown length, so that its length can be
// sent.
const maxPending = 64 << 10

// maxKept bounds the memory for it that a connection keeps between requests.
const maxKept = 4 << 10

// response is the answer to a request. It implements http.ResponseWriter, http.Hijacker,
// io.ReaderFrom, and http.ResponseController's SetWriteDeadline.
type response struct {
	conn   *conn
	life   *life
	header http.Header
	status int // 0 before WriteHeader

	head     []byte      // as it is sent
	vector   [2][]byte   // the head and the bytes sent with it
	buffers  net.Buffers // vector
	pending  []byte      // what is collected of a body of unknown length
	left     int64       // bytes of the body to come; -1 while its length is unknown
	bodiless bool        // no body is sent, whatever the handler writes
	sent     bool        // the head has been sent
	last     bool        // the connection ends with the answer
	hijacked bool
	err      error     // of the connection
	writeBy  time.Time // by when the whole answer must be sent; zero before the first byte
}

// begin makes w the answer to a request.
func (w *response) begin(c *conn, r *http.Request, l *life) {
	header := w.header
	if header == nil {
		header = http.Header{}
	}
	clear(header)
	if cap(w.pending) > maxKept {
		w.pending = nil
	}
	*w = response{
		conn: c, life: l, header: header, head: w.head[:0], pending: w.pending[:0], left: -1,
		bodiless: r.Method == http.MethodHead, last: r.Close || c.front.closing.Load(),
	}
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status != 0 || w.hijacked || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.status = status
	w.bodiless = w.bodiless || status == http.StatusNoContent || status == http.StatusNotModified || status < 200
	w.last = w.last || strings.EqualFold(w.header.Get("Connection"), "close")
	if s := w.header.Get("Content-Length"); s != "" {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
			w.left = n
		} else {
			w.header.Del("Content-Length")
		}
	}
}

// begun prepares for the next bytes of the body, which begin with b. It reports whether the answer
// has a body.
func (w *response) begun(b []byte) (bool, error) {
	switch {
	case w.hijacked:
		return false, http.ErrHijacked
	case w.status == 0:
		w.WriteHeader(http.StatusOK)
	}
	if w.bodiless && (w.status == http.StatusNotModified || w.status == http.StatusNoContent) {
		return false, http.ErrBodyNotAllowed
	}
	if _, ok := w.header["Content-Type"]; !ok && !w.sent && len(w.pending) == 0 && len(b) > 0 && w.header.Get("Content-Encoding") == "" {
		w.header.Set("Content-Type", http.DetectContentType(b))
	}
	return !w.bodiless, w.err
}

// Write implements http.ResponseWriter. If the handler has set a length, the first bytes go out
// together with the head.
func (w *response) Write(b []byte) (int, error) {
	switch body, err := w.begun(b); {
	case err != nil:
		return 0, err
	case !body:
		return len(b), nil
	}
	if w.left < 0 && !w.sent {
		if len(w.pending)+len(b) <= maxPending {
			w.pending = append(w.pending, b...)
			return len(b), nil
		}
		w.last = true // the end of the connection ends the body
		if err := w.send(w.pending); err != nil {
			return 0, err
		}
	}
	if w.left >= 0 && int64(len(b)) > w.left {
		w.last = true
		return 0, http.ErrContentLength
	}
	if err := w.send(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ReadFrom implements io.ReaderFrom. The kernel itself sends the bytes of a file whose length is
// known.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	if n, ok, err := WriteShared(w, r); ok {
		return n, err
	}
	var first [512]byte // they tell the content type if the handler does not
	sniffed := 0
	if _, ok := w.header["Content-Type"]; !ok {
		var err error
		if sniffed, err = io.ReadFull(r, first[:]); err != nil {
			n, werr := w.Write(first[:sniffed])
			if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // ReadFull wraps none of these
				err = werr
			}
			return int64(n), err
		}
		if _, err := w.Write(first[:sniffed]); err != nil {
			return 0, err
		}
	}
	if body, err := w.begun(nil); err != nil || !body || w.left < 0 {
		n, err := io.Copy(writerOnly{w}, r)
		return int64(sniffed) + n, err
	}
	if err := w.send(nil); err != nil {
		return int64(sniffed), err
	}
	// ReadFrom of the connection looks behind one LimitedReader, and finds the file.
	l, ok := r.(*io.LimitedReader)
	if !ok || l.N > w.left {
		l = &io.LimitedReader{R: r, N: w.left}
	}
	if _, isFile := l.R.(*os.File); !isFile {
		n, err := io.CopyBuffer(writerOnly{w}, l, make([]byte, copyPiece))
		return int64(sniffed) + n, err
	}
	n := int64(sniffed)
	for {
		isLast := w.limit()
		m, err := w.conn.tcp.ReadFrom(l) // unsent bytes stay in the file
		n, w.left = n+m, w.left-m
		if isLast || m == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			if err != nil {
				w.err = err
			}
			return n, err
		}
	}
}

// copyPiece is how much is read at once of a source that is neither memory nor a file.
const copyPiece = 16 << 10

type writerOnly struct{ io.Writer }

// send sends bytes of the body, after the head.
func (w *response) send(b []byte) error {
	if w.err != nil {
		return w.err
	}
	if w.left >= 0 {
		w.left -= int64(len(b))
	}
	w.vector = [2][]byte{w.takeHead(), b}
	w.buffers = w.vector[:]
	if len(w.vector[0]) == 0 {
		w.buffers = w.vector[1:]
	}
	for {
		isLast := w.limit()
		n, err := w.buffers.WriteTo(w.conn.tcp)
		if w.err = err; isLast || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	w.vector = [2][]byte{}
	return w.err
}

// limit sets the deadline by which the client must have taken some bytes. It reports whether that
// is the deadline of the whole answer.
func (w *response) limit() (isLast bool) {
	now := time.Now()
	w.conn.timed.Lock()
	defer w.conn.timed.Unlock()
	if w.writeBy.IsZero() {
		w.writeBy = now.Add(w.conn.front.conf.WriteTime)
	}
	by := w.writeBy
	isLast = true
	if stall := w.conn.front.conf.StallTime; stall > 0 && now.Add(stall).Before(by) {
		by, isLast = now.Add(stall), false
	}
	if due(w.conn.writeBy, by) {
		w.conn.writeBy = by.Add(late / 2)
		_ = w.conn.tcp.SetWriteDeadline(w.conn.writeBy)
	}
	return isLast
}

// takeHead returns the head if it has not been sent.
func (w *response) takeHead() []byte {
	if w.sent {
		return nil
	}
	w.sent = true
	w.appendHead()
	return w.head
}

// appendHead makes the head: the status line and the header fields (RFC 9112 §4, §5).
func (w *response) appendHead() {
	b := append(w.head[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(append(b, ' '), http.StatusText(w.status)...)
	b = append(b, "\r\n"...)
	for name, values := range w.header {
		for _, v := range values {
			b = append(append(b, name...), ": "...)
			if strings.IndexByte(v, '\r') >= 0 || strings.IndexByte(v, '\n') >= 0 {
				v = oneLine.Replace(v)
			}
			b = append(append(b, v...), "\r\n"...)
		}
	}
	if w.status >= 200 && w.header["Date"] == nil {
		b = append(append(append(b, "Date: "...), w.conn.front.now()...), "\r\n"...)
	}
	if w.last && w.header["Connection"] == nil {
		b = append(b, "Connection: close\r\n"...)
	}
	w.head = append(b, "\r\n"...)
}

var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// finish sends the rest of the answer. It fails if the connection cannot be used any more.
func (w *response) finish() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.sent {
		if w.left > 0 {
			return http.ErrContentLength
		}
		return w.err
	}
	switch {
	case w.bodiless:
		return w.send(nil)
	case w.left > 0: // the handler wrote less than the length it set
		w.last = true
		return w.send(nil)
	}
	w.left = int64(len(w.pending))
	w.header["Content-Length"] = []string{strconv.Itoa(len(w.pending))}
	return w.send(w.pending)
}

// SetWriteDeadline sets by when the answer must be sent, to within a few seconds. A deadline in the
// past ends the answer at once; another goroutine may set it while the answer is written.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.conn.timed.Lock()
	defer w.conn.timed.Unlock()
	w.writeBy = t
	if !t.IsZero() && t.Before(time.Now()) {
		w.conn.writeBy = t
		return w.conn.tcp.SetWriteDeadline(t)
	}
	return nil
}

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.hijacked {
		return nil, nil, http.ErrHijacked
	}
	if w.status != 0 && !w.sent {
		if err := w.send(nil); err != nil {
			return nil, nil, err
		}
	}
	c := w.conn
	w.life.keep()
	c.stop()
	w.hijacked = true
	if err := c.tcp.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	var in io.Reader = c.tcp
	if c.n > 0 {
		in = io.MultiReader(bytes.NewReader(bytes.Clone(c.buf[:c.n])), c.tcp)
	}
	rw := bufio.NewReadWriter(bufio.NewReader(in), bufio.NewWriter(c.tcp))
	if c.n > 0 { // so that callers find it buffered
		_, _ = rw.Peek(c.n)
	}
	return c.tcp, rw, nil
}
