package httpserver

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"weir/internal/httpserver/http1"
)

// maxPiece is how much of an answer goes to net/http at once. The client must take it within
// Times.Stall.
const maxPiece = 32 << 10

// answer is the response to a request that net/http has read, over HTTP/1.1 or HTTP/2. Each piece
// has a deadline, and so has the whole answer, which a handler may move with
// http.ResponseController. With the zero time the answer has no deadline, as for a player; its
// handler ends it by a deadline in the past if the client takes nothing.
//
// What the handler has in memory is not copied, so that a slow client pins a goroutine and a few
// kilobytes of buffers.
type answer struct {
	http.ResponseWriter
	request context.Context //nolint:containedctx // ends with the request, of which the answer is a part
	control *http.ResponseController
	times   *Times
	stalled func() // called once if the client takes nothing and the answer has a deadline

	mu      sync.Mutex // guards below: one goroutine may end an answer while another writes it
	by      time.Time  // when the whole answer must have been taken; zero before the first piece
	endless bool       // the answer has no deadline
	over    bool       // a handler has set a deadline that has passed, or taken the connection
	set     time.Time  // the deadline that net/http knows
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	n := 0
	for {
		piece := b[n:min(n+maxPiece, len(b))]
		a.extend()
		m, err := a.ResponseWriter.Write(piece)
		n += m
		if err != nil {
			a.failed()
		}
		if err != nil || n >= len(b) {
			return n, err
		}
	}
}

// ReadFrom implements io.ReaderFrom.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	if n, ok, err := http1.WriteShared(a, r); ok {
		return n, err
	}
	return io.CopyBuffer(struct{ io.Writer }{a}, struct{ io.Reader }{r}, make([]byte, maxPiece/2))
}

// FlushError is for http.ResponseController.
func (a *answer) FlushError() error {
	a.extend()
	err := a.control.Flush()
	if err != nil {
		a.failed()
	}
	return err
}

// Hijack implements http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := a.control.Hijack()
	if err == nil {
		a.mu.Lock()
		a.over = true // its new owner sets the deadlines
		a.mu.Unlock()
	}
	return nc, rw, err
}

// SetWriteDeadline sets by when the client must have taken the whole answer. A deadline in the past
// ends it at once.
func (a *answer) SetWriteDeadline(t time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.by, a.endless = t, t.IsZero()
	if a.over || t.After(time.Now()) || a.endless && a.set.IsZero() {
		return nil
	}
	a.over, a.set = !a.endless, time.Time{}
	return a.control.SetWriteDeadline(t)
}

// extend gives the client time for the next piece.
func (a *answer) extend() {
	a.mu.Lock()
	defer a.mu.Unlock()
	// net/http keeps the deadline, and with it the connection, of a request that was taken back until it has passed.
	if a.over || a.endless || a.request.Err() != nil {
		return
	}
	now := time.Now()
	if a.by.IsZero() {
		a.by = now.Add(a.times.Answer)
	}
	next := now.Add(a.times.Stall)
	if a.by.Before(next) {
		next = a.by
	}
	// Over HTTP/2 each deadline costs a message to another goroutine, so it is moved in steps.
	if a.set.IsZero() || next.Before(a.set) || next.Sub(a.set) > a.times.Stall/4 {
		a.set = next
		_ = a.control.SetWriteDeadline(next)
	}
}

// failed ends the connection of a client that has taken nothing for too long.
func (a *answer) failed() {
	a.mu.Lock()
	late := !a.over && !a.endless && !time.Now().Before(a.set)
	a.over = a.over || late
	a.mu.Unlock()
	if late {
		a.stalled()
	}
}
