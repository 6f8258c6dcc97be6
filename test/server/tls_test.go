package server_test

import (
	"crypto/tls"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"

	"weir/amf"
	"weir/internal/listen/listentest"
	"weir/internal/server"
	"weir/rtmp"
)

// TestTLSPlayback plays over RTMPS, HTTPS with HTTP/1.1 and with HTTP/2, sent by the
// workers and by goroutines.
func TestTLSPlayback(t *testing.T) {
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	insecure := &tls.Config{InsecureSkipVerify: true}
	for _, portable := range []bool{false, true} {
		r := start(t, func(c *server.Config) {
			c.Delivery.Portable = portable
			c.RTMP.TLS.Listen, c.RTMP.TLS.Cert, c.RTMP.TLS.Key = "127.0.0.1:0", cert, key
			c.HTTP.TLS.Listen, c.HTTP.TLS.Cert, c.HTTP.TLS.Key = "127.0.0.1:0", cert, key
		})
		want := publishSome(r.mustPublish("live/a"), 0, 25)

		c, err := rtmp.Dial(t.Context(), "rtmps://"+r.Addr("rtmps").String()+"/live/a", rtmp.DialOptions{TLSConfig: insecure.Clone()})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Play(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got [][]byte
		for len(got) < 5 {
			if m := next(t, p, rtmp.TypeVideo); m.Payload[1] == 1 {
				got = append(got, m.Payload)
			}
		}
		isRun(t, "rtmps", got, want.video)
		c.Close()

		for _, h2 := range []bool{false, true} {
			tr := &http.Transport{TLSClientConfig: insecure.Clone(), ForceAttemptHTTP2: h2}
			res, err := (&http.Client{Transport: tr}).Get("https://" + r.Addr("https").String() + "/live/a.flv")
			if err != nil {
				t.Fatal(err)
			}
			if (res.ProtoMajor == 2) != h2 {
				t.Error(res.Proto)
			}
			isRun(t, res.Proto, collect(t, tags(t, res.Body), 5).video, want.video)
			res.Body.Close()
			tr.CloseIdleConnections()
		}
	}
}

func TestC023_OldTLSIsRefused(t *testing.T) {
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	r := start(t, func(c *server.Config) { c.RTMP.TLS.Listen, c.RTMP.TLS.Cert, c.RTMP.TLS.Key = "127.0.0.1:0", cert, key })
	addr := r.Addr("rtmps").String()
	for name, c := range map[string]struct {
		conf *tls.Config
		ok   bool
	}{
		"no name":      {&tls.Config{InsecureSkipVerify: true}, true},
		"unknown name": {&tls.Config{InsecureSkipVerify: true, ServerName: "elsewhere.example"}, true},
		"TLS 1.0":      {&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}, false},
	} {
		nc, err := tls.Dial("tcp", addr, c.conf)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			nc.Close()
		}
	}
}

// TestTLSPlayersNeedNoGoroutine: players by RTMPS that say nothing are waited for by the
// poller; what they say is answered all the same, whatever records it comes in.
func TestTLSPlayersNeedNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // elsewhere each has one
	}
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	r := start(t, func(c *server.Config) { c.RTMP.TLS.Listen, c.RTMP.TLS.Cert, c.RTMP.TLS.Key = "127.0.0.1:0", cert, key })
	pub := r.mustPublish("live/a")
	pub.must(pub.video(0, videoHeader))
	pub.must(pub.video(0, videoFrame(true, 0, 50)))
	r.arrived("live/a", 1)
	waiting := func() int {
		var b strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
		return strings.Count(b.String(), "rtmp.(*ServerSession).Serve(")
	}
	const publishers = 1
	var peers []*rawPeer
	for range 3 {
		nc, err := tls.Dial("tcp", r.Addr("rtmps").String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		conn, err := rtmp.ClientConn(nc, false)
		if err != nil {
			t.Fatal(err)
		}
		p := &rawPeer{t, nc, conn}
		p.connect("live").command(1, "play", 3.0, nil, "a").status(rtmp.CodePlayReset)
		p.status(rtmp.CodePlayStart)
		peers = append(peers, p)
	}
	r.until("no session waits", func() bool { return waiting() == publishers })
	for round := range 3 {
		for i, p := range peers {
			switch i {
			case 0: // in one record
				p.command(0, "createStream", float64(10+round), nil)
			case 1: // two in one, longer than a frugal read
				p.command(0, "releaseStream", 0.0, nil, strings.Repeat("x", 3000))
				p.command(0, "createStream", float64(10+round), nil)
			case 2: // a byte in each
				body, err := amf.Append(nil, "createStream", float64(10+round), nil)
				pub.must(err)
				for _, b := range rtmp.AppendMessage(nil, &rtmp.Message{Type: rtmp.TypeCommand, ChunkStreamID: 3, Payload: body}, 128) {
					_, err := p.nc.Write([]byte{b})
					pub.must(err)
				}
			}
			p.result(float64(10 + round))
		}
		r.until("no session waits again", func() bool { return waiting() == publishers })
	}
	peers[0].nc.Close()
	r.until("its session has ended", func() bool { return r.sessions.Len() == len(peers)-1+publishers })
}
