package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func from(addr string) Info {
	return Info{Protocol: "rtmp", Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 1234)}
}

func open(t *testing.T, r *Registry, info Info) *Session {
	t.Helper()
	s, err := r.Open(info)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []string
		r := New(Limits{}, Observer{
			Promoted: func(s *Session) { events = append(events, fmt.Sprint("promoted ", s.Role(), " ", s.Stream())) },
			Closed: func(s *Session, e End) {
				events = append(events, fmt.Sprint("closed ", e.Role, " ", e.Stream, " ", e.Reason, " ", e.Err, " ", e.Duration))
			},
		})
		s := open(t, r, from("192.0.2.1"))
		if r.Get(s.ID) != s || r.Len() != 1 || s.Role() != Pending || s.UserAgent() != "" {
			t.Fatalf("%+v", s)
		}
		s.SetUserAgent("OBS\n")
		s.SetUserAgent("")
		if s.UserAgent() != `OBS\n` {
			t.Errorf("%q", s.UserAgent())
		}
		<-time.After(time.Second) // the bubble's clock
		if !s.Promote(Publish, "live/a") || !s.Promote(Pending, "x") || s.Stream() != "" || !s.Promote(Publish, "live/b") {
			t.Fatal("Promote")
		}
		s.BytesIn.Add(5)
		if !s.Close(Unpublish, nil) || s.Close(EOF, io.EOF) || s.Promote(Play, "x") || r.Get(s.ID) != nil {
			t.Fatal("Close")
		}
		want := []string{"promoted publish live/a", "promoted publish live/b", "closed publish live/b unpublish <nil> 1s"}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Error(diff)
		}
		if len(r.perIP) != 0 {
			t.Error(r.perIP)
		}
	})
}

func TestKick(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var end End
	r := New(Limits{}, Observer{Closed: func(_ *Session, e End) { end = e }})
	info := from("::1")
	info.Cancel = cancel
	s := open(t, r, info)
	if r.Kick("nobody", ErrKicked) || !r.Kick(s.ID, ErrKicked) || r.Kick(s.ID, ErrShutdown) || s.Kick(nil) {
		t.Fatal("Kick")
	}
	if !errors.Is(context.Cause(ctx), ErrKicked) || r.Get(s.ID) == nil {
		t.Fatal(context.Cause(ctx))
	}
	// The protocol sees only that its connection is closed; the cause counts all the same.
	if !s.CloseWith(net.ErrClosed) || end.Reason != Kicked || !errors.Is(end.Err, ErrKicked) {
		t.Errorf("%+v", end)
	}
	quiet := open(t, r, from("::1"))
	if !quiet.Kick(nil) || !quiet.Close(Slow, nil) || end.Reason != Kicked {
		t.Errorf("%+v", end)
	}
}

func TestCloseAll(t *testing.T) {
	var refused error
	r := New(Limits{}, Observer{Refused: func(_ Info, err error) { refused = err }})
	kicked := 0
	for range 3 {
		info := from("192.0.2.1")
		info.Cancel = func(err error) { kicked++ }
		open(t, r, info)
	}
	r.CloseAll(ErrShutdown)
	r.CloseAll(ErrKicked)
	if kicked != 3 {
		t.Error(kicked)
	}
	if _, err := r.Open(from("192.0.2.1")); !errors.Is(err, ErrShutdown) || !errors.Is(refused, err) {
		t.Error(err, refused)
	}
	for _, s := range r.List() {
		s.CloseWith(nil)
	}
	if r.Len() != 0 {
		t.Error(r.Len())
	}
}

// One address cannot take all the connections that are neither publishing nor playing yet.
func TestC018_HalfHandshakes(t *testing.T) {
	r := New(Limits{Connections: 20000, PendingPerIP: 200}, Observer{})
	refused := 0
	for range 5000 {
		if _, err := r.Open(from("192.0.2.1")); err != nil {
			refused++
		}
	}
	if refused != 4800 {
		t.Errorf("%d of 5000 were refused", refused)
	}
	open(t, r, from("192.0.2.2"))
}

func TestLimits(t *testing.T) {
	r := New(Limits{Connections: 8, ConnectionsPerIP: 3, PendingPerIP: 2}, Observer{})
	limit := func(addr, want string) {
		t.Helper()
		_, err := r.Open(from(addr))
		var l *LimitError
		if !errors.As(err, &l) || l.Limit != want || ReasonOf(err) != Limit {
			t.Fatalf("%s: %v, want %s", addr, err, want)
		}
	}
	a := open(t, r, from("192.0.2.1"))
	b := open(t, r, from("::ffff:192.0.2.1"))
	limit("192.0.2.1", "pending_per_ip")
	a.Promote(Play, "x")
	b.Promote(Publish, "x")
	c := open(t, r, from("192.0.2.1"))
	limit("192.0.2.1", "connections_per_ip")
	c.Close(EOF, nil)
	b.Promote(Pending, "")
	open(t, r, from("192.0.2.1"))

	// One /64 is one peer.
	open(t, r, from("2001:db8::1"))
	open(t, r, from("2001:db8::ffff:2%eth0"))
	limit("2001:db8::3", "pending_per_ip")
	// Loopback is exempt, except from the limit of all.
	open(t, r, from("127.0.0.1"))
	open(t, r, from("::1"))
	open(t, r, from("::ffff:127.0.0.1"))
	limit("127.0.0.1", "connections")
	limit("198.51.100.1", "connections")
	r.SetLimits(Limits{})
	open(t, r, from("192.0.2.1"))
	open(t, r, Info{Protocol: "in-process"})
}

// TestPublishersFindRoom: players fill nineteen of twenty connections and no more.
func TestPublishersFindRoom(t *testing.T) {
	r := New(Limits{Connections: 40}, Observer{})
	for i := range 40 {
		s, err := r.Open(from("192.0.2.1"))
		if err != nil {
			t.Fatal(err)
		}
		role := Play
		if i%2 == 0 {
			role = Waiting
		}
		err = s.Watch(role, "live/a")
		var l *LimitError
		if i < 38 && (err != nil || s.Role() != role) || i >= 38 && (!errors.As(err, &l) || s.Role() != Pending) {
			t.Fatalf("player %d: %v, %v", i, s.Role(), err)
		}
		if i >= 38 && !s.Promote(Publish, "live/b") {
			t.Error("a publisher finds no room")
		}
	}
}

func TestTotals(t *testing.T) {
	r := New(Limits{}, Observer{})
	a, b := open(t, r, from("192.0.2.1")), open(t, r, from("192.0.2.1"))
	open(t, r, Info{Protocol: "hls"})
	a.Promote(Publish, "x")
	b.Promote(Play, "x")
	a.BytesIn.Add(100)
	a.Frames.Add(3)
	b.BytesOut.Add(50)
	b.Skips.Add(2)
	want := []Totals{
		{Protocol: "hls", Roles: [roleCount]int{Pending: 1}},
		{Protocol: "rtmp", Roles: [roleCount]int{Publish: 1, Play: 1}, BytesIn: 100, BytesOut: 50, Frames: 3, Skips: 2},
	}
	if diff := cmp.Diff(want, r.Totals()); diff != "" {
		t.Error(diff)
	}
	a.Close(EOF, nil)
	b.Close(EOF, nil)
	want[1].Roles = [roleCount]int{}
	if diff := cmp.Diff(want, r.Totals()); diff != "" {
		t.Error("closed sessions are forgotten:", diff)
	}
}

// TestSentBeyondSessions: bytes that are no session's count for their protocol, with or without sessions.
func TestSentBeyondSessions(t *testing.T) {
	r := New(Limits{}, Observer{})
	r.Sent("hls", 5)
	r.Sent("hls", 7)
	s := open(t, r, from("192.0.2.1"))
	s.BytesOut.Add(1)
	r.Sent("rtmp", 2)
	want := []Totals{{Protocol: "hls", BytesOut: 12}, {Protocol: "rtmp", Roles: [roleCount]int{Pending: 1}, BytesOut: 3}}
	if diff := cmp.Diff(want, r.Totals()); diff != "" {
		t.Error(diff)
	}
}

// TestExemptSessionsAreNotCounted: those of no address and of loopback leave nothing in what is counted by
// address, at no point of their life.
func TestExemptSessionsAreNotCounted(t *testing.T) {
	r := New(Limits{ConnectionsPerIP: 1, PendingPerIP: 1}, Observer{})
	for range 2 {
		for _, info := range []Info{from("127.0.0.1"), from("::1"), {Protocol: "in-process"}} {
			s := open(t, r, info)
			s.Promote(Play, "a")
			s.Promote(Pending, "")
			s.Close(EOF, nil)
			if len(r.perIP) != 0 {
				t.Fatalf("%v: %v", info.Remote, r.perIP)
			}
		}
	}
}

// TestPeerText: a peer is told the first sentence for it in the chain, else that of the reason.
func TestPeerText(t *testing.T) {
	secret := errors.New("the path /var/secret")
	inner := &Refusal{Reason: Limit, Peer: "Come back later.", Err: secret}
	for _, c := range []struct {
		err  error
		want string
	}{
		{inner, "Come back later."},
		{fmt.Errorf("outer: %w", inner), "Come back later."},
		{&Refusal{Reason: Denied, Err: inner}, "Come back later."},
		{&Refusal{Reason: Denied, Peer: "No.", Err: inner}, "No."},
		{&Refusal{Reason: Denied, Err: secret}, "Not allowed."},
		{&Refusal{Reason: Denied, Err: Because(Denied, secret)}, "Not allowed."},
		{Because(BadKey, secret), "The key is missing or wrong."},
		{secret, "The server failed; its log says why."},
	} {
		if got := PeerText(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}

// TestCloseProtocol: the sessions of that protocol are asked to end, and no others.
func TestCloseProtocol(t *testing.T) {
	r := New(Limits{}, Observer{})
	ended := map[string]error{}
	for _, protocol := range []string{"rtmp", "hls", "rtmp"} {
		info := Info{Protocol: protocol, Cancel: func(err error) { ended[protocol] = errors.Join(ended[protocol], err) }}
		open(t, r, info)
	}
	cause := Because(Config, errors.New("switched off"))
	r.CloseProtocol("rtmp", cause)
	if err := ended["rtmp"]; !errors.Is(err, cause) || err.Error() != "switched off\nswitched off" || ended["hls"] != nil {
		t.Errorf("%v", ended)
	}
	if _, err := r.Open(Info{Protocol: "rtmp"}); err != nil {
		t.Errorf("no new one may come: %v", err)
	}
}

// TestMoves: whatever changes the list of sessions or what they do is counted, once.
func TestMoves(t *testing.T) {
	r := New(Limits{Connections: 1}, Observer{})
	at := func(want uint64, what string) {
		t.Helper()
		if got := r.Moves(); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	at(0, "empty")
	s := open(t, r, from("192.0.2.1"))
	at(1, "opened")
	if _, err := r.Open(from("192.0.2.1")); err == nil {
		t.Error("let in")
	}
	at(1, "refused")
	s.Promote(Waiting, "a")
	s.Promote(Play, "a")
	at(3, "given roles")
	s.Kick(nil)
	at(3, "kicked")
	s.Close(EOF, nil)
	s.Close(EOF, nil)
	s.Promote(Play, "a")
	at(4, "closed")
}

// TestPromotedIsForMedia: the observer is told who publishes or plays, and of none who waits.
func TestPromotedIsForMedia(t *testing.T) {
	var told []string
	r := New(Limits{PendingPerIP: 1}, Observer{Promoted: func(s *Session) { told = append(told, s.Role().String()) }})
	s := open(t, r, from("192.0.2.1"))
	s.Promote(Waiting, "a")
	if _, err := r.Open(from("192.0.2.1")); ReasonOf(err) != Limit {
		t.Errorf("beside one that waits: %v", err)
	}
	s.Promote(Play, "a")
	s.Promote(Pending, "a")
	s.Promote(Publish, "a")
	if got := strings.Join(told, " "); got != "play publish" {
		t.Errorf("told of %s", got)
	}
}

// TestListIsByAge: the oldest first, and those of one instant by their id.
func TestListIsByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New(Limits{}, Observer{})
		var want []*Session
		for range 20 {
			want = append(want, open(t, r, from("192.0.2.1")))
			<-time.After(time.Second)
		}
		for i, s := range r.List() {
			if s != want[i] {
				t.Fatalf("the session at %d is of %v", i, s.Started)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		r := New(Limits{}, Observer{})
		for range 20 {
			open(t, r, from("192.0.2.1"))
		}
		list := r.List()
		for i := range list[1:] {
			if list[i].ID >= list[i+1].ID {
				t.Fatalf("%s before %s", list[i].ID, list[i+1].ID)
			}
		}
	})
}

// TestUserAgentBound: 128 bytes of what a peer calls itself are kept.
func TestUserAgentBound(t *testing.T) {
	s := open(t, New(Limits{}, Observer{}), from("192.0.2.1"))
	for n, want := range map[int]string{128: strings.Repeat("x", 128), 129: strings.Repeat("x", 125) + "…"} {
		if s.SetUserAgent(strings.Repeat("x", n)); s.UserAgent() != want {
			t.Errorf("of %d bytes: %q", n, s.UserAgent())
		}
	}
}

func TestRace(t *testing.T) {
	closed := 0
	var mu sync.Mutex
	r := New(Limits{PendingPerIP: 50}, Observer{Closed: func(*Session, End) { mu.Lock(); closed++; mu.Unlock() }})
	var wg sync.WaitGroup
	opened := make([]int, 8)
	for i := range opened {
		wg.Go(func() {
			for n := range 200 {
				s, err := r.Open(from(fmt.Sprintf("192.0.2.%d", n%3)))
				if err != nil {
					continue
				}
				opened[i]++
				var inner sync.WaitGroup
				inner.Go(func() { s.Promote(Play, "a") })
				inner.Go(func() { s.Kick(nil) })
				inner.Go(func() { s.Close(EOF, nil) })
				inner.Go(func() { r.Totals(); r.List(); s.SetUserAgent("x"); _ = s.UserAgent() })
				inner.Wait()
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range opened {
		sum += n
	}
	if closed != sum || r.Len() != 0 || len(r.perIP) != 0 {
		t.Errorf("%d closed of %d, %d left, %v", closed, sum, r.Len(), r.perIP)
	}
	if got := r.Totals(); got[0].Roles != [roleCount]int{} {
		t.Error(got)
	}
}

// A session is small: there may be many players.
func TestSessionMemory(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 300 {
		t.Errorf("a Session has %d bytes", n)
	}
	r := New(Limits{}, Observer{})
	const n = 5000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		info := Info{Protocol: "rtmp", Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1)}
		s := open(t, r, info)
		s.Promote(Play, "live/stream")
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	t.Logf("%d bytes a session with its entries in the registry", each)
	if each > 600 {
		t.Errorf("%d bytes a session", each)
	}
	runtime.KeepAlive(r)
}

func TestID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewID()
		if seen[id] || !regexp.MustCompile(`^[a-z2-7]{16}$`).MatchString(id) {
			t.Fatal(id)
		}
		seen[id] = true
	}
}

func TestReasonOf(t *testing.T) {
	op := func(err error) error { return &net.OpError{Op: "read", Err: os.NewSyscallError("read", err)} }
	for _, c := range []struct {
		err  error
		want Reason
	}{
		{nil, EOF},
		{io.EOF, EOF},
		{fmt.Errorf("rtmp: chunk: %w", io.ErrUnexpectedEOF), EOF},
		{op(syscall.ECONNRESET), EOF},
		{op(syscall.EPIPE), EOF},
		{net.ErrClosed, EOF},
		{io.ErrClosedPipe, EOF},
		{op(syscall.ETIMEDOUT), Timeout},
		{os.ErrDeadlineExceeded, Timeout},
		{context.DeadlineExceeded, Timeout},
		{context.Canceled, Shutdown},
		{&net.OpError{Op: "read", Err: context.Canceled}, Shutdown},
		{errors.New("odd"), Internal},
		{tls.RecordHeaderError{Msg: "x"}, Internal},
		{Because(Slow, io.EOF), Slow},
		{fmt.Errorf("player: %w", Because(Slow, io.EOF)), Slow},
		{errors.Join(io.EOF, Becausef(TooLarge, "message of %d bytes: %w", 9, io.ErrShortBuffer)), TooLarge},
		{ErrKicked, Kicked},
		{ErrShutdown, Shutdown},
		{&LimitError{"connections", 1}, Limit},
	} {
		if got := ReasonOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
	if err := Because(Slow, io.EOF); !errors.Is(err, io.EOF) || err.Error() != "EOF" || Because(Slow, nil) != nil {
		t.Error(err)
	}
}

func TestReasonWords(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		text, _ := r.MarshalText()
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).Match(text) || seen[r.String()] {
			t.Errorf("%d: %q", r, text)
		}
		if want := slices.Contains([]Reason{Kicked, Expired, Revoked}, r); r.Final() != want {
			t.Errorf("%v: somebody decided that the publisher may not go on: %v", r, r.Final())
		}
		seen[r.String()] = true
	}
	for _, w := range []string{
		"eof", "unpublish", "kicked", "shutdown", "timeout", "slow", "stalled", "takeover", "handshake",
		"protocol_error", "too_large", "bad_key", "address", "throttled", "path", "denied", "stream_ended", "idle", "limit", "internal",
	} {
		if !seen[w] {
			t.Error("no reason ", w)
		}
	}
	if Reason(200).String() != "internal" || Internal.Normal() || !EOF.Normal() {
		t.Error("bounds")
	}
	var words []string
	for _, r := range []Role{Pending, Publish, Play} {
		b, _ := r.MarshalText()
		words = append(words, string(b))
	}
	if strings.Join(words, " ") != "pending publish play" {
		t.Error(words)
	}
}

func BenchmarkOpenClose(b *testing.B) {
	r := New(Limits{PendingPerIP: 100}, Observer{})
	info := from("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		s, err := r.Open(info)
		if err != nil {
			b.Fatal(err)
		}
		s.Promote(Play, "live/a")
		s.Close(EOF, nil)
	}
}

func BenchmarkTotals(b *testing.B) {
	r := New(Limits{}, Observer{})
	for range 10000 {
		if _, err := r.Open(from("192.0.2.1")); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Totals()
	}
}
