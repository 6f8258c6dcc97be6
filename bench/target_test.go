package bench

import (
	"errors"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, c := range []struct {
		url  string
		want target
		bad  bool
	}{
		{url: "rtmp://h/live/cam%d?key=x", want: target{scheme: "rtmp", addr: "h:1935", host: "h", app: "live", name: "cam7?key=x", path: "/live/cam7?key=x", tcURL: "rtmp://h/live"}},
		{url: "rtmps://[::1]:19/a/b/c", want: target{scheme: "rtmp", tls: true, addr: "[::1]:19", host: "[::1]:19", app: "a", name: "b/c", path: "/a/b/c", tcURL: "rtmps://[::1]:19/a"}},
		{url: "https://h/a/b.flv?x=1", want: target{scheme: "http", tls: true, addr: "h:443", host: "h", path: "/a/b.flv?x=1"}},
		{url: "ws://h:81/a.flv", want: target{scheme: "ws", addr: "h:81", host: "h:81", path: "/a.flv"}},
		{url: "http://h", want: target{scheme: "http", addr: "h:80", host: "h", path: "/"}},
		{url: "rtmp://h/live", bad: true},
		{url: "rtmp://h/live/", bad: true},
		{url: "rtmp:///live/a", bad: true},
		{url: "ftp://h/a", bad: true},
		{url: "live/a", bad: true},
		{url: "http://h:x/", bad: true},
	} {
		got, err := parseTarget(c.url, 7)
		if c.bad {
			if !errors.Is(err, errBadURL) {
				t.Errorf("%s: %+v, %v", c.url, got, err)
			}
			continue
		}
		if err != nil || *got != c.want {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.url, got, err, c.want)
		}
	}
}

func TestCommandVerdict(t *testing.T) {
	answer := func(name string, level, code string) []byte {
		e := encoder{chunk: 4096}
		e.command(1, name, 0, nil, statusOf(level, code))
		return e.b[12:]
	}
	for _, c := range []struct {
		b       []byte
		started bool
		want    string
	}{
		{b: answer("onStatus", "status", "NetStream.Play.Start"), started: true},
		{b: answer("onStatus", "status", "NetStream.Publish.Start"), started: true},
		{b: answer("onStatus", "status", "NetStream.Play.Reset")},
		{b: answer("onStatus", "error", "NetStream.Play.StreamNotFound"), want: "refused: NetStream.Play.StreamNotFound"},
		{b: answer("_error", "error", "NetConnection.Connect.Rejected"), want: "refused: NetConnection.Connect.Rejected"},
		{b: []byte("\x02\x00\x06_error"), want: "refused: without a code"},
		{b: []byte("\x02\x00\x06_error\x00\x04code\x02\xff\xffcut"), want: "refused: cut"},
		{b: answer("onStatus", "status", "NetStream.Play.UnpublishNotify"), want: "the stream ended"},
	} {
		started, err := commandVerdict(c.b)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if started != c.started || got != c.want {
			t.Errorf("%q: got %v, %q", c.b, started, got)
		}
	}
}
