package live

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/peer"
	"weir/internal/protocol"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/internal/websocket"
)

// silence is a variant whose encoder writes nothing.
type silence struct{}

// Format implements mux.Variant.
func (silence) Format() string { return "silence" }

// NewEncoder implements mux.Variant.
func (silence) NewEncoder() mux.Encoder { return silence{} }

// Append implements mux.Encoder.
func (silence) Append(*stream.Entry, mux.Output) {}

// End implements mux.Encoder.
func (silence) End(mux.Output) []byte { return nil }

// ear is a sink that counts the pings it is sent.
type ear struct {
	mu     sync.Mutex
	pings  int
	other  []byte
	closed bool
}

func (e *ear) TrySend(b []byte) (int, bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return 0, false, net.ErrClosed
	}
	if bytes.Equal(b, websocket.Ping()) {
		e.pings++
	} else {
		e.other = append(e.other, b...)
	}
	return len(b), false, nil
}

func (e *ear) Arm(w fanout.Writable) { panic("nothing fills this sink") }

func (e *ear) Close() error { e.mu.Lock(); e.closed = true; e.mu.Unlock(); return nil }

// heard is what came so far.
func (e *ear) heard() (pings int, closed bool, other []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pings, e.closed, e.other
}

// TestPings: a player is pinged every 25 seconds. One that has answered none for more than 75 is closed
// at the next ping; an answer 75 seconds ago is enough.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := fanout.New(fanout.Options{Workers: 1})
		defer engine.Close()
		hub := stream.New(stream.Options{})
		ends := map[string]session.End{}
		var mu sync.Mutex
		door := &peer.Door{
			Name: "test", Log: slog.New(slog.DiscardHandler), Hub: hub, Engine: engine,
			Mux: mux.NewSet(engine, func(string) fanout.SlowPolicy { return fanout.SlowPolicy{} }),
			Sessions: session.New(session.Limits{}, session.Observer{Closed: func(s *session.Session, e session.End) {
				mu.Lock()
				defer mu.Unlock()
				ends[s.ID] = e
			}}),
		}
		p := NewWebSockets(protocol.Env{Door: door}, Format{})
		begin := time.Now()
		// add makes a player that answered last at a time.
		add := func(heard time.Duration) (*session.Session, *ear) {
			s, err := door.Sessions.Open(session.Info{Protocol: "test", Remote: netip.MustParseAddrPort("192.0.2.1:5")})
			if err != nil {
				t.Fatal(err)
			}
			v, err := door.ViewFor(s, "live/a", silence{})
			if err != nil {
				t.Fatal(err)
			}
			e, pl := &ear{}, &wsPlayer{}
			pl.heard.Store(begin.Add(heard).UnixNano())
			pl.Player = v.Player(s, e, nil, func() {
				p.mu.Lock()
				defer p.mu.Unlock()
				delete(p.players, pl)
			})
			p.mu.Lock()
			p.players[pl] = struct{}{}
			p.mu.Unlock()
			return s, e
		}
		silent, silentEar := add(0)
		lately, latelyEar := add(25 * time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- p.Run(ctx) }() // waited for below

		// at looks at the players just after a time.
		at := func(after time.Duration, pings int, open bool) {
			t.Helper()
			<-time.After(time.Until(begin.Add(after + time.Second)))
			synctest.Wait()
			if n, closed, _ := silentEar.heard(); n != pings || closed == open {
				t.Errorf("after %v: %d pings, closed is %v; want %d, open is %v", after, n, closed, pings, open)
			}
		}
		at(0, 0, true)
		at(25*time.Second, 1, true)
		at(50*time.Second, 2, true)
		at(75*time.Second, 3, true)
		at(100*time.Second, 3, false)
		mu.Lock()
		if e := ends[silent.ID]; e.Reason != session.Timeout || e.Err.Error() != "no answer to pings" {
			t.Errorf("the silent player's end is %v: %v", e.Reason, e.Err)
		}
		mu.Unlock()
		if n, closed, other := latelyEar.heard(); n != 4 || closed || len(other) > 0 {
			t.Errorf("who answered 75 s ago: %d pings, closed is %v, also sent %x", n, closed, other)
		}
		at(125*time.Second, 3, false)
		mu.Lock()
		if e := ends[lately.ID]; e.Reason != session.Timeout || len(ends) != 2 {
			t.Errorf("the other player's end is %v", e.Reason)
		}
		mu.Unlock()
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		hub.Close(nil)
		<-time.After(time.Minute) // muxers wait a while for their next player
		synctest.Wait()
	})
}
