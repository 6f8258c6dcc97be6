package http1

import (
	"bytes"
	"errors"
	"io"
)

// WriteShared writes what r reads to w without a copy if r is a *bytes.Reader, perhaps behind a
// limit, as http.ServeContent has it. It reports false, and has done nothing, if r is anything else.
func WriteShared(w io.Writer, r io.Reader) (n int64, ok bool, err error) {
	limit := int64(-1)
	l, limited := r.(*io.LimitedReader)
	if limited {
		r, limit = l.R, l.N
	}
	from, inMemory := r.(*bytes.Reader)
	if !inMemory {
		return 0, false, nil
	}
	if !limited {
		n, err = from.WriteTo(w)
		return n, true, err
	}
	n, err = from.WriteTo(&firstOf{w, limit})
	l.N -= n
	if errors.Is(err, io.ErrShortWrite) && l.N == 0 {
		err = nil
	}
	return n, true, err
}

// firstOf writes the first left bytes that it is given.
type firstOf struct {
	w    io.Writer
	left int64
}

// Write implements io.Writer.
func (f *firstOf) Write(b []byte) (int, error) {
	n, err := f.w.Write(b[:min(int64(len(b)), f.left)])
	f.left -= int64(n)
	return n, err
}
