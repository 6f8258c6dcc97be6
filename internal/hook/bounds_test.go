package hook

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestAnswerBounds: what an answer may say at most, and one above.
func TestAnswerBounds(t *testing.T) {
	address := func(scheme string, n int) string { return scheme + "://h/" + strings.Repeat("x", n-len(scheme)-5) }
	x := strings.Repeat
	for _, c := range []struct{ at, above, err string }{
		{`{"limits":{"players":1073741824}}`, `{"limits":{"players":1073741825}}`, `"limits.players" is from 0 to 1073741824`},
		{`{"limits":{"bitrate":1000000000000}}`, `{"limits":{"bitrate":1000000000001}}`, "is a bit rate"},
		{`{"limits":{"duration":"8784h"}}`, `{"limits":{"duration":"8784h0m1s"}}`, "from 0 to a year"},
		{`{"limits":{"duration":31622400}}`, `{"limits":{"duration":31622401}}`, "is a duration"},
		{`{"until":1099511627775}`, `{"until":1099511627776}`, "is a time"},
		{`{"pull":"` + address("rtmp", 1024) + `"}`, `{"pull":"` + address("rtmp", 1025) + `"}`, `"pull" is longer than 1024 bytes`},
		{`{"redirect":"` + address("https", 1024) + `"}`, `{"redirect":"` + address("https", 1025) + `"}`, `"redirect" is longer than 1024 bytes`},
		{`{"push":[{"url":"` + address("rtmp", 1024) + `"}]}`, `{"push":[{"url":"` + address("rtmp", 1025) + `"}]}`, `"push.url" is longer than 1024 bytes`},
		{`{"push":[{"url":"rtmp://h/a","name":"` + x("n", 64) + `"}]}`, `{"push":[{"url":"rtmp://h/a","name":"` + x("n", 65) + `"}]}`, `"push.name" is longer than 64 bytes`},
		{`{"push":[{"url":"rtmp://h/a","key":"` + x("k", 512) + `"}]}`, `{"push":[{"url":"rtmp://h/a","key":"` + x("k", 513) + `"}]}`, `"push.key" is longer than 512 bytes`},
		{`{"record":["` + x("r", 64) + `"]}`, `{"record":["` + x("r", 65) + `"]}`, `"record" is longer than 64 bytes`},
	} {
		if a, err := weirFormat.DecodeDecision(ask(publisher()), &Reply{Status: 200, Body: []byte(c.at)}); err != nil || !a.Allow {
			t.Errorf("%.60s: %v", c.at, err)
		}
		if _, err := weirFormat.DecodeDecision(ask(publisher()), &Reply{Status: 200, Body: []byte(c.above)}); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%.60s: %v, want %q", c.above, err, c.err)
		}
	}
}

// TestHeaderBound: the header of an answer has 65,536 bytes at most.
func TestHeaderBound(t *testing.T) {
	const begin, end = "HTTP/1.1 204 No Content\r\nX-Long: ", "\r\n\r\n"
	for n, want := range map[int]bool{65536: true, 65537: false} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			in := bufio.NewReader(c)
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			_, _ = c.Write([]byte(begin + strings.Repeat("x", n-len(begin)-len(end)) + end))
			_, _ = in.ReadByte() // until the client closes it
		})
		client := newClient(t, ClientConfig{})
		r, err := client.Do(t.Context(), post(t, "http://"+ln.Addr().String(), ""))
		if (err == nil) != want || want && r.Status != http.StatusNoContent {
			t.Errorf("%d bytes: %v", n, err)
		}
		client.Close()
		_ = ln.Close()
		wg.Wait()
	}
}

// TestKeptConnections: of the connections to a service 64 are kept for the next calls.
func TestKeptConnections(t *testing.T) {
	const calls = 65
	arrived, answer := make(chan struct{}, calls), make(chan struct{})
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived <- struct{}{}
		<-answer
		w.WriteHeader(http.StatusNoContent) // the connection is kept before the client has the answer
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	c := newClient(t, ClientConfig{})
	for _, want := range []int64{65, 66} {
		var wg sync.WaitGroup
		for range calls {
			wg.Go(func() {
				if _, err := c.Do(t.Context(), post(t, s.URL, "")); err != nil {
					t.Error(err)
				}
			})
		}
		for range calls {
			<-arrived
		}
		for range calls {
			answer <- struct{}{}
		}
		wg.Wait()
		if n := opened.Load(); n != want {
			t.Errorf("%d connections, want %d", n, want)
		}
	}
}
