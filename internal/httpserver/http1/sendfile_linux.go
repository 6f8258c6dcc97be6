package http1

import (
	"errors"
	"io"
	"net/http"
	"os"
	"syscall"
)

// SendFile sends size bytes of a file, from offset at on, as the next bytes of the body. It is
// Write without the copy.
func (w *response) SendFile(f *os.File, at, size int64) (int64, error) {
	switch body, err := w.begun(nil); {
	case err != nil:
		return 0, err
	case !body:
		return size, nil
	case size == 0:
		_, err := w.Write(nil)
		return 0, err
	case w.left < 0:
		return io.Copy(writerOnly{w}, io.NewSectionReader(f, at, size))
	case size > w.left:
		w.last = true
		return 0, http.ErrContentLength
	}
	file, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	t := transfer{head: w.takeHead(), at: at, left: size}
	var werr error
	// Control keeps the file open until the last byte is sent.
	if err := file.Control(func(from uintptr) {
		for {
			isLast, before := w.limit(), t.left
			werr = w.conn.raw.Write(func(to uintptr) bool { return t.attempt(int(to), int(from)) })
			if isLast || t.left == before || !errors.Is(werr, os.ErrDeadlineExceeded) {
				return
			}
		}
	}); err != nil {
		werr = err
	}
	if werr == nil {
		werr = t.err
	}
	w.left -= size - t.left
	w.err = werr
	return size - t.left, werr
}

// transfer is a head and a piece of a file on their way.
type transfer struct {
	head     []byte
	at, left int64
	err      error
}

// attempt sends what the socket has room for. It reports false if bytes are left.
func (t *transfer) attempt(to, from int) bool {
	for len(t.head) > 0 || t.left > 0 {
		var n int
		if len(t.head) > 0 {
			n, t.err = syscall.SendmsgN(to, t.head, nil, nil, syscall.MSG_MORE|syscall.MSG_NOSIGNAL)
		} else {
			at := t.at
			n, t.err = syscall.Sendfile(to, from, &at, int(t.left))
		}
		switch {
		case t.err == syscall.EINTR: //nolint:errorlint // err is a plain number
			continue
		case t.err == syscall.EAGAIN: //nolint:errorlint // the same
			t.err = nil
			return false
		case t.err == nil && n == 0: // the file is shorter than it should be
			t.err = io.ErrUnexpectedEOF
			return true
		case t.err != nil:
			return true
		case len(t.head) > 0:
			t.head = t.head[n:]
		default:
			t.at, t.left = t.at+int64(n), t.left-int64(n)
		}
	}
	return true
}
