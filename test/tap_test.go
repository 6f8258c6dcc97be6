package test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"weir/format/flv"
	"weir/rtmp"
)

// A tap stands between a publisher that encodes and the server, and keeps what the
// publisher sends: there is no file to compare with. Its address stays when the server
// behind it is replaced.
type tap struct {
	ln net.Listener
	wg sync.WaitGroup

	mu     sync.Mutex // guards below
	target string     // "" refuses
	conns  []*tapped
}

// tapped is one connection through a tap.
type tapped struct {
	mu   sync.Mutex // guards below
	sent bytes.Buffer
}

// Write implements io.Writer.
func (c *tapped) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent.Write(b)
}

// startTap starts a tap that ends with the test.
func startTap(t *testing.T) *tap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{ln: ln}
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.forward(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		p.wg.Wait()
	})
	return p
}

// to sets where connections go from now on; "" closes them.
func (p *tap) to(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// forward carries one connection both ways until either side ends.
func (p *tap) forward(c net.Conn) {
	defer c.Close()
	p.mu.Lock()
	target, rec := p.target, new(tapped)
	p.mu.Unlock()
	if target == "" {
		return
	}
	up, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		return
	}
	defer up.Close()
	p.mu.Lock()
	p.conns = append(p.conns, rec)
	p.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(c, up) // either end may go first
		_ = c.Close()
	})
	_, _ = io.Copy(up, io.TeeReader(c, rec))
	_ = up.Close()
	wg.Wait()
}

// count returns how many connections there have been.
func (p *tap) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// tracks returns what was sent on connection i.
func (p *tap) tracks(i int) (tracks, error) {
	p.mu.Lock()
	rec := p.conns[i]
	p.mu.Unlock()
	rec.mu.Lock()
	sent := bytes.Clone(rec.sent.Bytes())
	rec.mu.Unlock()
	c, err := rtmp.ServerConn(&recorded{r: bytes.NewReader(sent)})
	if err != nil {
		return nil, err
	}
	r := newTrackReader(nil)
	var (
		demuxer flv.Demuxer
		last    int64 // the unwrapped time in milliseconds
	)
	for {
		m, err := c.ReadMessage()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return r.tracks, nil
		}
		if err != nil {
			return nil, err
		}
		if m.Type != rtmp.TypeAudio && m.Type != rtmp.TypeVideo {
			continue
		}
		last += int64(int32(m.Timestamp - uint32(last)))
		frames, err := demuxer.Demux(nil, flv.TagType(m.Type), time.Duration(last)*time.Millisecond, m.Payload)
		if err != nil {
			return nil, err
		}
		for i := range frames {
			r.add(&frames[i])
		}
	}
}

// recorded is a connection on which the peer sends what it sent then.
type recorded struct {
	net.Conn
	r io.Reader
}

func (c *recorded) Read(b []byte) (int, error)       { return c.r.Read(b) }
func (c *recorded) Write(b []byte) (int, error)      { return len(b), nil }
func (c *recorded) Close() error                     { return nil }
func (c *recorded) SetDeadline(time.Time) error      { return nil }
func (c *recorded) SetReadDeadline(time.Time) error  { return nil }
func (c *recorded) SetWriteDeadline(time.Time) error { return nil }
