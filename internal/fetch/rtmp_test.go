package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"weir/amf"
	"weir/format/flv"
	"weir/internal/hops"
	"weir/internal/session"
	"weir/rtmp"
)

// player is a server of RTMP that plays the film, or sends its players elsewhere.
type player struct {
	addr string
	// connect and play, if not nil, may refuse.
	connect func(app string) error
	came    func(r *rtmp.ConnectRequest)
	play    func(path, query string) error

	mu    sync.Mutex // guards below
	asked []string   // the streams and queries of play
}

// newPlayer runs one until the test ends.
func newPlayer(t *testing.T) *player {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &player{addr: ln.Addr().String()}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = (&rtmp.Server{Handler: p}).Serve(ctx, ln) })
	t.Cleanup(func() { stop(); wg.Wait() })
	return p
}

// Connect implements rtmp.Handler.
func (p *player) Connect(_ context.Context, _ *rtmp.ServerSession, r *rtmp.ConnectRequest) error {
	if p.came != nil {
		p.came(r)
	}
	if p.connect != nil {
		return p.connect(r.App)
	}
	return nil
}

// Publish implements rtmp.Handler.
func (p *player) Publish(context.Context, *rtmp.ServerSession, *rtmp.PublishRequest) (rtmp.Publication, error) {
	return nil, errors.New("nobody publishes here")
}

// Play implements rtmp.Handler.
func (p *player) Play(_ context.Context, _ *rtmp.ServerSession, r *rtmp.PlayRequest) (rtmp.Playback, error) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Path+"?"+r.RawQuery)
	p.mu.Unlock()
	if p.play != nil {
		if err := p.play(r.Path, r.RawQuery); err != nil {
			return nil, err
		}
	}
	return screening{}, nil
}

// names returns the streams that were asked for.
func (p *player) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// screening plays the film to its end.
type screening struct{}

func (screening) Start(w *rtmp.PlayWriter) {
	r := flv.NewReader(bytes.NewReader(film()))
	for {
		tag, err := r.ReadTag()
		if err != nil {
			_ = w.End()
			return
		}
		_ = w.WriteMessage(&rtmp.Message{Type: rtmp.MessageType(tag.Type), Timestamp: tag.Timestamp, Payload: tag.Body})
	}
}
func (screening) Pause(bool)        {}
func (screening) ReceiveAudio(bool) {}
func (screening) ReceiveVideo(bool) {}
func (screening) Close(error)       {}

// sendTo is the refusal with which a server sends its players on, with the property of SRS if there is a whole URL.
func sendTo(app, whole string) error {
	ex := amf.Object{{Key: "code", Value: 302.0}, {Key: "redirect", Value: app}}
	if whole != "" {
		ex = append(ex, amf.Property{Key: "redirect2", Value: whole})
	}
	return &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodeConnectRejected, Description: "RTMP 302 Redirect", Properties: amf.Object{{Key: "ex", Value: ex}}}
}

// TestRTMPRedirects: a server may send its players on, when they connect or when they play, to an application or to a stream; five
// times and not to another protocol, and what is written in the URL stays with its host.
func TestRTMPRedirects(t *testing.T) {
	for name, c := range map[string]struct {
		connect, play func(to string) error
		asks          string
		wants         string // the last error's end
	}{
		"an application at connect": {connect: func(to string) error { return sendTo("rtmp://"+to+"/other", "") }, asks: "other/x?key=hunter2"},
		"an application at play":    {play: func(to string) error { return sendTo("rtmp://"+to+"/other", "") }, asks: "other/x?key=hunter2"},
		"with a query of its own":   {play: func(to string) error { return sendTo("rtmp://"+to+"/other?token=1", "") }, asks: "other/x?token=1&key=hunter2"},
		"a host alone":              {play: func(to string) error { return sendTo("rtmp://"+to, "") }, asks: "live/x?key=hunter2"},
		"a stream":                  {play: func(to string) error { return sendTo("rtmp://"+to+"/other/y?token=1", "") }, asks: "other/y?token=1"},
		"as SRS does":               {play: func(to string) error { return sendTo("rtmp://"+to+"/other", "rtmp://"+to+"/other/y?token=1") }, asks: "other/y?token=1"},
		"to HTTPS":                  {play: func(string) error { return sendTo("https://example.org/x", "") }, wants: "the server redirects to https://, not to rtmp:// or rtmps://"},
		"to a file":                 {play: func(string) error { return sendTo("", "file:///etc/passwd") }, wants: `the server redirects to "file:///etc/passwd", which is no URL`},
		"to nothing":                {play: func(string) error { return sendTo("nothing?key=hunter2", "") }, wants: `the server redirects to "nothing?key=***", which is no URL`},
		"beyond the bound":          {play: func(string) error { return sendTo("rtmp://127.0.0.1/"+strings.Repeat("x", maxRedirectURL), "") }, wants: "which is no URL"},
		"to a server that refuses":  {play: func(to string) error { return sendTo("rtmp://"+to+"/none?key=hunter2", "") }, wants: "/none/x?key=***&key=***: playing: NetStream.Play.StreamNotFound: nobody publishes it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newPlayer(t), newPlayer(t)
			if c.connect != nil {
				first.connect = func(string) error { return c.connect(second.addr) }
			}
			if c.play != nil {
				first.play = func(string, string) error { return c.play(second.addr) }
			}
			second.play = func(path, _ string) error {
				if strings.HasPrefix(path, "none/") {
					return &rtmp.StatusError{Code: rtmp.CodePlayStreamNotFound, Description: "nobody publishes it"}
				}
				return nil
			}
			src, err := Open(t.Context(), "rtmp://user:hunter2@"+first.addr+"/live/x?key=hunter2", Access{})
			if c.wants != "" {
				if err == nil || !strings.HasSuffix(err.Error(), c.wants) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			if n, err := frames(src); n != 10 || err != nil {
				t.Error(n, err)
			}
			if got := second.names(); !slices.Equal(got, []string{c.asks}) {
				t.Errorf("%q is asked for, not %q", got, c.asks)
			}
		})
	}
}

// TestRTMPRedirectsAreBounded: five redirects are followed and no more, each address is decided about, and the next time it begins with
// the URL that was given.
func TestRTMPRedirectsAreBounded(t *testing.T) {
	p := newPlayer(t)
	p.play = func(path, _ string) error {
		var n int
		if _, err := fmt.Sscanf(path, "more/%d", &n); err != nil || n == 0 {
			return nil
		}
		return sendTo("", fmt.Sprintf("rtmp://%s/more/%d", p.addr, n-1))
	}
	for range 2 {
		src, err := Open(t.Context(), "rtmp://"+p.addr+"/more/5", Access{})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := frames(src); n != 10 || err != nil {
			t.Error(n, err)
		}
	}
	if got := p.names(); len(got) != 12 || got[0] != "more/5?" || got[6] != "more/5?" {
		t.Errorf("%q", got)
	}
	_, err := Open(t.Context(), "rtmp://"+p.addr+"/more/100", Access{})
	if session.ReasonOf(err) != session.Redirected || !strings.HasSuffix(err.Error(), "the server redirects more than 5 times") || len(p.names()) != 12+6 {
		t.Errorf("%v after %d", err, len(p.names())-12)
	}
	p.play = func(string, string) error { return sendTo("rtmp://169.254.169.254/latest?key=hunter2", "") }
	var asked []string
	_, err = Open(t.Context(), "rtmp://"+p.addr+"/live/x", Access{Control: func(_, address string, _ syscall.RawConn) error {
		asked = append(asked, address)
		if strings.HasPrefix(address, "169.254.") {
			return session.Because(session.Address, errors.New("not there"))
		}
		return nil
	}})
	if session.ReasonOf(err) != session.Address || strings.Contains(err.Error(), "hunter2") || !slices.Equal(asked, []string{p.addr, "169.254.169.254:1935"}) {
		t.Errorf("%v, %q", err, asked)
	}
}

// TestRedirectedURLs: what becomes of a URL whose server redirects it.
func TestRedirectedURLs(t *testing.T) {
	const from = "rtmps://u:p@h.example:444/a/b/x?k=1"
	for _, c := range []struct {
		from, to string
		whole    bool
		want     string // or how its error ends
	}{
		{from, "rtmps://h.example:444/c", false, "rtmps://u:p@h.example:444/c/x?k=1"},
		{from, "rtmps://h.example/c", false, "rtmps://h.example/c/x?k=1"},
		{from, "rtmps://v:q@h.example:444/c", false, "rtmps://v:q@h.example:444/c/x?k=1"},
		{from, "/c", false, "rtmps://u:p@h.example:444/c/x?k=1"},
		{from, "rtmps://i.example/c/d/", false, "rtmps://i.example/c/d/x?k=1"},
		{from, "rtmps://i.example/c/d/e", false, "rtmps://i.example/c/d/e"},
		{from, "rtmps://i.example/c/e", true, "rtmps://i.example/c/e"},
		{from, "rtmp://i.example/c", false, "from rtmps:// to rtmp://, which is not encrypted"},
		{"rtmp://h.example/a/x", "RTMPS://i.example/c", false, "rtmps://i.example/c/x"},
		{"rtmp://h.example/x", "rtmp://i.example/c", false, "rtmp://i.example/c/x"},
		{"rtmp://h.example/a/x", "rtmp:///c", false, "which is no URL"},
		{"rtmp://h.example/a/x", "rtmp://i.example/c d", false, "which is no URL"},
	} {
		got, err := redirected(c.from, c.to, c.whole)
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.HasSuffix(got, c.want)) {
			t.Errorf("%s to %s: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

// TestC439_RTMPSources: a server is told through which others the stream goes, and its answer says why it does not play it.
func TestC439_RTMPSources(t *testing.T) {
	p := newPlayer(t)
	var mu sync.Mutex
	var told []string
	p.came = func(r *rtmp.ConnectRequest) {
		mu.Lock()
		defer mu.Unlock()
		list, _ := amf.Object(r.Properties).GetString(hops.Property)
		told = append(told, list)
	}
	for _, c := range []struct {
		hops []string
		says error
		want session.Reason
	}{
		{nil, nil, session.Internal},
		{[]string{"a.1", "b.2"}, &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodePlayFailed, Properties: amf.Object{{Key: hops.Reason, Value: "loop"}}}, session.Loop},
		{[]string{"a.1"}, &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodePlayStreamNotFound}, session.NotFound},
		{[]string{"a.1"}, &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodePlayFailed}, session.Denied},
	} {
		p.play = func(string, string) error { return c.says }
		src, err := Open(t.Context(), "rtmp://"+p.addr+"/live/x", Access{Hops: c.hops})
		if err == nil {
			var n int
			if n, err = frames(src); n != 10 {
				t.Errorf("%d frames", n)
			}
		}
		if (err == nil) != (c.says == nil) || err != nil && session.ReasonOf(err) != c.want {
			t.Errorf("%v: %v (%v)", c.says, err, session.ReasonOf(err))
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"", "a.1,b.2", "a.1", "a.1"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}
