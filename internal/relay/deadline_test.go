package relay

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"weir/format/flv"
	"weir/internal/fetch"
	"weir/rtmp"
)

// TestSourcesThatHang has servers that go on for ever without a frame, each in its own way.
func TestSourcesThatHang(t *testing.T) {
	const limit = 300 * time.Millisecond
	unanswered := "the server has not answered within " + limit.String()
	noFrame := "no frame has come for " + limit.String()
	drip := func(c net.Conn, head, again string) { // until the client goes
		_, err := c.Write([]byte(head))
		for ; err == nil; _, err = c.Write([]byte(again)) {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			var b [1]byte
			if _, err := c.Read(b[:]); err != nil && !os.IsTimeout(err) {
				return
			}
		}
	}
	script := string(flv.AppendTag(nil, flv.TagScript, 0, nil, []byte("\x02\x00\x01a")))
	head := string(flv.AppendFileHeader(nil, true, true))
	const ok = "HTTP/1.1 200 OK\r\n\r\n"
	for name, c := range map[string]struct{ head, again, want string }{
		"no answer":                {"", "", unanswered},
		"headers without end":      {"HTTP/1.1 200 OK\r\n", "A: b\r\n", unanswered},
		"no body":                  {ok, "", unanswered},
		"an error without end":     {"HTTP/1.1 500 Oops\r\nContent-Length: 100000\r\n\r\n", "", unanswered},
		"FLV without tags":         {ok + head, "", noFrame},
		"script tags without end":  {ok + head, script, noFrame},
		"rubbish behind FLV":       {ok + head, strings.Repeat("\xaa", 500), noFrame},
		"rubbish":                  {ok, strings.Repeat("\xaa", 500), "neither FLV, MP4, MPEG-TS nor an HLS playlist"},
		"empty transport packets":  {ok, strings.Repeat("\x47\x1f\xff\x10"+strings.Repeat("\xff", 184), 7), noFrame},
		"a playlist without end":   {ok + "#EXTM3U\n", "#EXT-X-A\n", unanswered},
		"a playlist that is empty": {"HTTP/1.1 200 OK\r\nContent-Length: 34\r\nConnection: close\r\n\r\n#EXTM3U\n#EXT-X-TARGETDURATION:20\r\n", "", noFrame},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				defer nc.Close()
				if _, err := http.ReadRequest(bufio.NewReader(nc)); err == nil {
					drip(nc, c.head, c.again)
				}
			}()
			defer func() { _ = ln.Close(); <-done }()
			hangs(t, "http://"+ln.Addr().String()+"/x", limit, c.want)
		})
	}
	t.Run("WebSocket", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer c.CloseNow()
			if r.URL.Path == "/head" {
				_ = c.Write(r.Context(), websocket.MessageBinary, []byte(head))
			}
			_, _, _ = c.Read(r.Context())
		}))
		defer s.Close()
		hangs(t, strings.Replace(s.URL, "http", "ws", 1)+"/head", limit, noFrame)
		hangs(t, strings.Replace(s.URL, "http", "ws", 1)+"/nothing", limit, unanswered)
	})
	t.Run("RTMP", func(t *testing.T) {
		t.Parallel()
		rtmpURL, _, _ := serve(t)
		hangs(t, rtmpURL, limit, "")
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = (&rtmp.Server{Handler: &silent{}}).Serve(ctx, ln)
		}()
		defer func() { stop(); <-done }()
		hangs(t, "rtmp://"+ln.Addr().String()+"/live/x", limit, noFrame)
	})
}

// silent is a server on which everything plays, and nothing comes.
type silent struct{ taker }

func (*silent) Play(context.Context, *rtmp.ServerSession, *rtmp.PlayRequest) (rtmp.Playback, error) {
	return nothing{}, nil
}

type nothing struct{ rtmp.Playback }

func (nothing) Start(*rtmp.PlayWriter) {}
func (nothing) Close(error)            {}

// hangs pulls from a URL until it fails with the error wanted, soon after the limit.
func hangs(t *testing.T, url string, limit time.Duration, want string) {
	t.Helper()
	begin := time.Now()
	open := func(ctx context.Context) (fetch.Source, error) {
		return fetch.Open(ctx, url, fetch.Access{Timeout: limit})
	}
	_, err := Copy(t.Context(), open, to(""), Options{Unpaced: true})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, not %q", url, err, want)
	}
	if took := time.Since(begin); took > 20*limit {
		t.Errorf("%s: it took %v", url, took)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	empty, list := filepath.Join(dir, "empty.flv"), filepath.Join(dir, "x.m3u8")
	for name, b := range map[string]string{empty: "", list: "#EXTM3U\n"} {
		if err := os.WriteFile(name, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "nobody publishes this stream", http.StatusNotFound)
	}))
	defer refuses.Close()
	for name, want := range map[string]string{
		"nowhere.flv":                          "nowhere.flv: no such file or directory",
		dir:                                    dir + ": not a regular file",
		empty:                                  empty + ": the file is empty",
		list:                                   list + ": a playlist is read over http:// or https:// only",
		"copy.go":                              "copy.go: neither FLV, MP4, MPEG-TS nor an HLS playlist",
		"udp://127.0.0.1:1/x":                  "udp://127.0.0.1:1/x: udp:// is not supported: use rtmp, rtmps, http, https, ws, wss or a file",
		refuses.URL + "/live/x.flv?key=secret": refuses.URL + "/live/x.flv?key=***: the server answers 404 Not Found: nobody publishes this stream",
		strings.Replace(refuses.URL, "http", "ws", 1) + "/x": strings.Replace(refuses.URL, "http", "ws", 1) + "/x: the server answers 404 Not Found: nobody publishes this stream",
	} {
		if _, err := fetch.Open(t.Context(), name, fetch.Access{}); err == nil || err.Error() != want {
			t.Errorf("%v, not %s", err, want)
		}
	}
}

// TestInsecure reaches a server whose certificate nobody vouches for only if it is told to.
func TestInsecure(t *testing.T) {
	b, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // it tells of the refusal
	s.StartTLS()
	defer s.Close()
	if _, err := fetch.Open(t.Context(), s.URL, fetch.Access{}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Error(err)
	}
	src, err := fetch.Open(t.Context(), s.URL, fetch.Access{Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := src.ReadFrame(); err != nil {
		t.Error(err)
	}
}
