package hook

import (
	"flag"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/event"
	"weir/internal/session"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The peers that the golden files are about.
func publisher() admit.Request {
	return admit.Request{
		Role: session.Publish, Protocol: "rtmp", Session: "9f3k2m", Remote: netip.MustParseAddrPort("203.0.113.7:51234"),
		UserAgent: "FMLE/3.0 (compatible; FMSc/1.0)", TCURL: "rtmp://live.example.com:1935/live", Path: "live/SECRET ü&x=1",
		RawQuery: "token=a%20b&vip",
	}
}

func player() admit.Request {
	return admit.Request{
		Role: session.Play, Protocol: "hls", Session: "77aa", Remote: netip.MustParseAddrPort("[2001:db8::7]:51234"),
		Via: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, TLS: true, UserAgent: `Mozilla/5.0 "x" <y>`, PageURL: "https://site.example/watch?v=1&t=2",
		Path: "live/a/b", RawQuery: "user=bob&pass=pw", Online: true, Players: 12,
	}
}

func ask(r admit.Request) *Question {
	return &Question{
		Request: &r, ID: "Q1", Time: time.Date(2026, 11, 27, 6, 0, 0, 123456789, time.UTC), Deadline: 3 * time.Second,
		Server: Server{ID: "a1b2", Name: "edge-1"},
	}
}

func with(r admit.Request, change func(*admit.Request)) admit.Request {
	change(&r)
	return r
}

// TestGolden holds each format to what the other server sends, whole requests to the byte: those in testdata.
func TestGolden(t *testing.T) {
	again := with(publisher(), func(r *admit.Request) { r.Recheck, r.Running = true, 90*time.Second+500*time.Millisecond })
	basic := with(player(), func(r *admit.Request) {
		r.RawQuery, r.Credential = "", admit.Credential{Kind: "basic", User: "bob", Secret: "pw"}
	})
	bearer := with(player(), func(r *admit.Request) {
		r.RawQuery, r.Credential = "", admit.Credential{Kind: "bearer", Token: "ey.J.x"}
	})
	forged := with(publisher(), func(r *admit.Request) {
		r.RawQuery = "call=play&ok=1&%63all=play&+app=x&addr[]=127.0.0.1&name%5Bx%5D=y&CALL=z&b;clientid=7;c&time=2&call"
	})
	stop := &event.Event{
		Type: event.PublishStop, Time: time.Date(2026, 11, 27, 6, 30, 0, 0, time.UTC), Stream: &event.Stream{Path: "live/alice", Epoch: 1},
		Session: &event.Session{ID: "9f3k2m", Protocol: "rtmp", Role: "publish", Remote: "203.0.113.7:51234", UserAgent: "FMLE/3.0"},
	}
	left := &event.Event{Type: event.PlayStop, Time: stop.Time, Stream: stop.Stream, Session: &event.Session{ID: "77aa", Protocol: "hls", Role: "play", Remote: "[2001:db8::7]:0"}}
	segment := &event.Event{Type: event.SegmentDone, Time: stop.Time, Stream: stop.Stream, Session: stop.Session, Data: map[string]any{
		"protocol": "hls", "rendition": "main", "number": uint64(42), "url": "live/alice/k2v7mz5ab4t6_main_42.ts", "playlist": "live/alice/index.m3u8",
		"duration": 2.04, "size": 512_000, "file": "/var/cache/weir/weir-1/k2v7mz5ab4t6/k2v7mz5ab4t6_main_42.ts",
	}}
	inMemory := *segment // and read back from a journal
	inMemory.Data = map[string]any{"rendition": "main", "number": 43.0, "url": "live/alice/k2v7mz5ab4t6_main_43.ts", "playlist": "live/alice/index.m3u8", "duration": 1.96}
	sound := *segment
	if sound.Data = map[string]any{"rendition": "a1"}; len(srsFormat.EncodeEvent(&sound, Server{})) != 0 || len(nginxFormat.EncodeEvent(segment, Server{})) != 0 {
		t.Error("a segment is told of by a server that has no such")
	}
	server := ask(publisher()).Server
	odd := *segment // whatever a name and a query hold, it stays one field
	odd.Stream, odd.Session = &event.Stream{Path: "live/a/b ?&#[param]é"}, &event.Session{ID: "9f3k2m", Shown: &session.Shown{Query: "token=a b&x#\r\ny"}}
	connection := with(publisher(), func(r *admit.Request) {
		r.Role, r.Path, r.RawQuery, r.PageURL = session.Pending, "live", "ticket=7&app=x", "https://site.example/"
	})
	shown := *stop
	described := *stop.Session
	described.Shown = &session.Shown{Query: "token=a%20b&vip", ConnectQuery: "ticket=7", TCURL: "rtmp://live.example.com:1935/live", PageURL: "https://site.example/"}
	shown.Session = &described
	closed := event.Event{Type: event.Disconnect, Time: stop.Time, Session: &described, Data: map[string]any{
		"app": "live", "bytes_sent": uint64(3402), "bytes_received": float64(1802625000), // as it comes out of JSON
	}}
	recorded := event.Event{Type: event.RecordingDone, Time: stop.Time, Stream: stop.Stream, Session: &described, Data: map[string]any{
		"id": "01KB", "recording": "main", "dir": "/var/lib/weir/rec", "file": "live/alice/2026-11-27 06.mp4", "format": "mp4", "duration": 3.5,
	}}
	afterCrash := recorded // what a crash left has no session
	afterCrash.Session = nil
	sessionless := with(player(), func(r *admit.Request) { r.Session = "" })
	for _, c := range []struct {
		format, name string
		call         *Call
	}{
		{"nginx-rtmp", "publish-done", nginxFormat.EncodeEvent(stop, server)[0]},
		{"nginx-rtmp", "done", nginxFormat.EncodeEvent(stop, server)[1]},
		{"nginx-rtmp", "play-done", nginxFormat.EncodeEvent(left, server)[0]},
		{"nginx-rtmp", "publish-done-query", nginxFormat.EncodeEvent(&shown, server)[0]},
		{"nginx-rtmp", "done-query", nginxFormat.EncodeEvent(&shown, server)[1]},
		{"nginx-rtmp", "disconnect", nginxFormat.EncodeEvent(&closed, server)[0]},
		{"nginx-rtmp", "connect", nginxFormat.EncodeConnect(ask(connection))},
		{"nginx-rtmp", "update-play", nginxFormat.EncodeDecision(ask(with(player(), func(r *admit.Request) { r.Recheck, r.Running = true, time.Minute })))},
		{"srs", "unpublish-query", srsFormat.EncodeEvent(&shown, server)[0]},
		{"srs", "close", srsFormat.EncodeEvent(&closed, server)[0]},
		{"srs", "connect", srsFormat.EncodeConnect(ask(connection))},
		{"srs", "play-sessionless", srsFormat.EncodeDecision(ask(sessionless))},
		{"mediamtx", "read-sessionless", mediamtxFormat.EncodeDecision(ask(sessionless))},
		{"ome", "closing-query", omeFormat.EncodeEvent(&shown, server)[0]},
		{"srs", "unpublish", srsFormat.EncodeEvent(stop, server)[0]},
		{"srs", "stop", srsFormat.EncodeEvent(left, server)[0]},
		{"srs", "hls", srsFormat.EncodeEvent(segment, server)[0]},
		{"srs", "hls-memory", srsFormat.EncodeEvent(&inMemory, server)[0]},
		{"srs", "hls-notify", srsFormat.EncodeEvent(segment, server)[1]},
		{"srs", "hls-notify-query", srsFormat.EncodeEvent(&odd, server)[1]},
		{"srs", "dvr", srsFormat.EncodeEvent(&recorded, server)[0]},
		{"srs", "dvr-repaired", srsFormat.EncodeEvent(&afterCrash, server)[0]},
		{"srs", "forward", srsFormat.EncodeForward(ask(publisher()))},
		{"nginx-rtmp", "record-done", nginxFormat.EncodeEvent(&recorded, server)[0]},
		{"nginx-rtmp", "record-done-repaired", nginxFormat.EncodeEvent(&afterCrash, server)[0]},
		{"ome", "closing", omeFormat.EncodeEvent(stop, server)[0]},
		{"weir", "publish", weirFormat.EncodeDecision(ask(publisher()))},
		{"weir", "publish-key", weirFormat.EncodeDecision(ask(with(publisher(), func(r *admit.Request) { r.RawQuery = "key=s3cr%65t" })))},
		{"weir", "play", weirFormat.EncodeDecision(ask(player()))},
		{"weir", "play-basic", weirFormat.EncodeDecision(ask(basic))},
		{"weir", "recheck", weirFormat.EncodeDecision(ask(again))},
		{"nginx-rtmp", "publish", nginxFormat.EncodeDecision(ask(publisher()))},
		{"nginx-rtmp", "publish-forged", nginxFormat.EncodeDecision(ask(forged))},
		{"nginx-rtmp", "play", nginxFormat.EncodeDecision(ask(player()))},
		{"nginx-rtmp", "update", nginxFormat.EncodeDecision(ask(again))},
		{"nginx-rtmp", "publish-get", nginxFormat.EncodeDecision(ask(with(publisher(), func(r *admit.Request) { r.RawQuery = "a b\r\nx#y\xff" }))).AsGet()},
		{"srs", "publish", srsFormat.EncodeDecision(ask(publisher()))},
		{"srs", "play", srsFormat.EncodeDecision(ask(player()))},
		{"srs", "play-plain", srsFormat.EncodeDecision(ask(bearer))},
		{"mediamtx", "publish", mediamtxFormat.EncodeDecision(ask(publisher()))},
		{"mediamtx", "read-query", mediamtxFormat.EncodeDecision(ask(player()))},
		{"mediamtx", "read-basic", mediamtxFormat.EncodeDecision(ask(basic))},
		{"mediamtx", "read-bearer", mediamtxFormat.EncodeDecision(ask(bearer))},
		{"mediamtx", "read-pair", mediamtxFormat.EncodeDecision(ask(with(bearer, func(r *admit.Request) { r.Credential.Token = "bob:p:w" })))},
		{"mediamtx", "read-jwt", mediamtxFormat.EncodeDecision(ask(with(player(), func(r *admit.Request) { r.RawQuery = "jwt=ey.J.x" })))},
		{"mediamtx", "read-nothing", mediamtxFormat.EncodeDecision(ask(with(player(), func(r *admit.Request) { r.RawQuery = "" })))},
		{"ome", "incoming", omeFormat.EncodeDecision(ask(publisher()))},
		{"ome", "outgoing", omeFormat.EncodeDecision(ask(player()))},
	} {
		t.Run(c.format+"/"+c.name, func(t *testing.T) {
			if c.format == "ome" {
				c.call.SignOME("1234")
			}
			golden(t, filepath.Join("testdata", c.format, c.name+".http"), recordCall(t, c.call))
		})
	}
}

// golden compares got with a file, or writes the file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestEventsLeftOut: other servers are silent about most, and so are their formats.
func TestEventsLeftOut(t *testing.T) {
	for _, f := range formats {
		if (f.EncodeEvent == nil) != (f.Name == "weir" || f.Name == "mediamtx") {
			t.Errorf("%s has events: %v", f.Name, f.EncodeEvent != nil)
		}
		if f.EncodeEvent == nil {
			continue
		}
		for _, typ := range event.Types() {
			n := map[string]int{"nginx-rtmp": 2, "srs": 1, "ome": 1}[f.Name]
			switch typ {
			case event.PublishStop, event.PlayStop:
			case event.Disconnect, event.RecordingDone:
				n = map[string]int{"nginx-rtmp": 1, "srs": 1}[f.Name]
			default:
				n = 0
			}
			if calls := f.EncodeEvent(&event.Event{Type: typ}, Server{}); len(calls) != n {
				t.Errorf("%s, %s: %d calls", f.Name, typ, len(calls))
			}
		}
	}
}

func TestNames(t *testing.T) {
	if names := FormatNames(); !reflect.DeepEqual(names, []string{"weir", "nginx-rtmp", "srs", "mediamtx", "ome"}) {
		t.Error(names)
	}
	for _, n := range FormatNames() {
		if f := FormatNamed(n); f == nil || f.Name != n {
			t.Error(n, f)
		}
	}
	if f := FormatNamed("lal"); f != nil {
		t.Error(f)
	}
	for protocol, want := range map[string]string{"rtmp": "rtmp", "rtmps": "rtmp", "rtsps": "rtsp", "srt": "srt", "whip": "webrtc", "http-flv": "hls", "hls": "hls"} {
		if got := family(protocol, "hls"); got != want {
			t.Errorf("%s is %s", protocol, got)
		}
	}
	for _, id := range []string{"", "a", "b"} {
		if u := uuid(id); len(u) != 36 || u[14] != '8' || strings.IndexByte("89ab", u[19]) < 0 {
			t.Error(id, u)
		}
	}
}

// answer is a reply with what is made of it: an Answer, or a part of an error.
type answer struct {
	status int
	header http.Header
	body   string
	want   Answer
	err    string
}

func (a *answer) check(t *testing.T, f *Format, q *Question) {
	t.Helper()
	h := a.header
	if h == nil {
		h = http.Header{}
	}
	got, err := f.DecodeDecision(q, &Reply{Status: a.status, Header: h, Body: []byte(a.body)})
	if a.err != "" {
		if err == nil || !strings.Contains(err.Error(), a.err) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s, %d %v %s: %+v, %v; want an error with %q", f.Name, a.status, a.header, a.body, got, err, a.err)
		}
		return
	}
	if err != nil || !reflect.DeepEqual(*got, a.want) {
		t.Errorf("%s, %d %v %s:\n%+v, %v\nwant\n%+v", f.Name, a.status, a.header, a.body, got, err, a.want)
	}
}

var yes = Answer{Allow: true}

func no(status int, reason string) Answer { return Answer{Status: status, Reason: reason} }

func terms(t session.Terms) Answer { return Answer{Allow: true, Terms: t} }

func location(l string) http.Header { return http.Header{"Location": {l}} }

// TestNearestProxy: of several proxies OvenMediaEngine's services are told of the one that connects.
func TestNearestProxy(t *testing.T) {
	q := ask(with(publisher(), func(r *admit.Request) {
		r.Remote, r.Via = netip.MustParseAddrPort("203.0.113.7:51234"), []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}
	}))
	const want = `"address":"10.0.0.2","port":51234,"real_ip":"203.0.113.7"`
	if body := string(omeFormat.EncodeDecision(q).Body); !strings.Contains(body, want) {
		t.Errorf("%s, want %s", body, want)
	}
}

// TestRequestedHost: the URL in OvenMediaEngine's calls has the host that was asked for, in questions and at the end, also for
// those who come by HTTP; this machine's name only where that is not known.
func TestRequestedHost(t *testing.T) {
	for _, c := range []struct{ url, tcURL, want string }{
		{"https://live.example:8443/live/a/index.m3u8", "", "https://live.example:8443/live/x"},
		{"rtmp://in.example/live/x", "rtmp://in.example/live", "rtmp://in.example/live/x"},
		{"", "rtmp://in.example/live", "rtmp://in.example/live/x"},
		{"", "", "http://edge-1/live/x"},
	} {
		r := &admit.Request{Role: session.Play, Protocol: "hls", Path: "live/x", URL: c.url, TCURL: c.tcURL}
		q := &Question{Request: r, Server: Server{Name: "edge-1"}}
		asked := string(omeFormat.EncodeDecision(q).Body)
		e := &event.Event{Type: event.PlayStop, Stream: &event.Stream{Path: "live/x"}, Session: &event.Session{Protocol: "hls", Shown: r.Shown()}}
		told := string(omeFormat.EncodeEvent(e, q.Server)[0].Body)
		for what, body := range map[string]string{"question": asked, "end": told} {
			if !strings.Contains(body, `"url":"`+c.want+`"`) {
				t.Errorf("%s: %s, want %s", what, body, c.want)
			}
		}
	}
}

func TestAnswerNginx(t *testing.T) {
	q := ask(publisher())
	for _, a := range []answer{
		{status: 200, body: "anything", want: yes},
		{status: 204, want: yes},
		{status: 201, header: location("ignored"), want: yes},
		{status: 302, want: yes},
		{status: 302, header: location("alice"), want: terms(session.Terms{Path: "live/alice"})},
		{status: 301, header: location("a b/c%20d"), want: terms(session.Terms{Path: "live/a b/c%20d"})},
		{status: 307, header: location("rtmp://192.0.2.9:1936/app/x?key=1"), want: terms(session.Terms{Push: []session.Push{{Name: "hook-1", URL: "rtmp://192.0.2.9:1936/app/x?key=1"}}})},
		{status: 302, header: location("rtmp://[2001:db8::9]/app/x"), want: terms(session.Terms{Push: []session.Push{{Name: "hook-1", URL: "rtmp://[2001:db8::9]/app/x"}}})},
		{status: 302, header: location("rtmp://other.example/app/SECRET"), err: "an IP address"},
		{status: 302, header: location("http://hook.example/SECRET"), err: "the new name alone"},
		{status: 302, header: location(strings.Repeat("x", 250)), want: terms(session.Terms{Path: "live/" + strings.Repeat("x", 250)})},
		{status: 302, header: location(strings.Repeat("x", 251)), err: "longer than 255 bytes"},
		{status: 400, want: no(400, "")},
		{status: 403, body: "go away", want: no(403, "")},
		{status: 404, want: no(404, "")},
		{status: 500, want: no(500, "")},
		{status: 502, err: "status 502"},
		{status: 503, err: "status 503"},
		{status: 504, err: "status 504"},
	} {
		a.check(t, &nginxFormat, q)
	}
	app := answer{status: 302, header: location("other/app"), want: terms(session.Terms{Path: "other/app"})}
	app.check(t, &nginxFormat, ask(with(publisher(), func(r *admit.Request) { r.Role, r.Path = session.Pending, "live" })))
	update := answer{status: 302, header: location("alice"), want: yes} // a session that runs keeps its name
	update.check(t, &nginxFormat, ask(with(publisher(), func(r *admit.Request) { r.Recheck = true })))
	elsewhere := answer{status: 302, header: location("rtmp://192.0.2.9/app/x"), want: terms(session.Terms{Pull: "rtmp://192.0.2.9/app/x"})}
	elsewhere.check(t, &nginxFormat, ask(player()))
}

func TestAnswerSRS(t *testing.T) {
	q := ask(publisher())
	for _, a := range []answer{
		{status: 200, body: "0", want: yes},
		{status: 201, body: "0", want: yes},
		{status: 200, body: " 0\r\n", want: yes},
		{status: 200, body: `{"code":0}`, want: yes},
		{status: 200, body: `{"code": 0, "data": {"urls": []}}`, want: yes},
		{status: 202, body: "0", want: no(202, "")},
		{status: 204, want: no(204, "")},
		{status: 200, body: "", want: notRead("it is neither a number nor an object with a code, such as {\"code\": 0}", "")},
		{status: 200, body: "{}", want: notRead("it is neither a number nor an object with a code, such as {\"code\": 0}", "{}")},
		{status: 200, body: "1", want: Answer{}},
		{status: 200, body: `"0"`, want: notRead("it is neither a number nor an object with a code, such as {\"code\": 0}", `"0"`)},
		{status: 200, body: `{"code":"0"}`, want: notRead("it is neither a number nor an object with a code, such as {\"code\": 0}", `{"code":"0"}`)},
		{status: 200, body: `{"code":0.0}`, want: notRead("it is neither a number nor an object with a code, such as {\"code\": 0}", `{"code":0.0}`)},
		{status: 200, body: `{"code":null}`, want: notRead("it is neither a number nor an object with a code, such as {\"code\": 0}", `{"code":null}`)},
		{status: 200, body: `[0]`, want: notRead("it is neither a number nor an object with a code, such as {\"code\": 0}", `[0]`)},
		{status: 200, body: `ok`, want: notRead("it is neither a number nor an object with a code, such as {\"code\": 0}", `ok`)},
		{status: 200, body: `{"code":1005,"msg":"no such\nuser"}`, want: Answer{Reason: "no such user"}},
		{status: 403, body: "0", want: no(403, "")},
		{status: 500, body: "0", err: "status 500"},
		{status: 302, header: location("/x"), err: "redirects are not followed"},
	} {
		a.check(t, &srsFormat, q)
	}
}

// notRead is a denial by an answer without a type that is none.
func notRead(why, body string) Answer {
	return Answer{Unread: fmt.Sprintf("the answer cannot be read: %s; it has %d bytes of no known type", why, len(body))}
}

// TestForwardSRS: what SRS takes for an answer to on_forward, and no other, says where a stream is also sent.
func TestForwardSRS(t *testing.T) {
	to := func(urls ...string) Answer {
		a := Answer{Allow: true}
		for i, u := range urls {
			a.Terms.Push = append(a.Terms.Push, session.Push{Name: fmt.Sprintf("hook-%d", i+1), URL: u})
		}
		return a
	}
	many := `"rtmp://h/a/b"` + strings.Repeat(`,"rtmp://h/a/b"`, 16)
	f := srsFormat
	f.DecodeDecision = f.DecodeForward
	for _, a := range []answer{
		{status: 200, body: `{"code":0,"data":{"urls":["rtmp://a.example:19350/live/x?k=1","rtmps://b.example/live/y"]}}`, want: to("rtmp://a.example:19350/live/x?k=1", "rtmps://b.example/live/y")},
		{status: 201, body: `{"code":0,"data":{"urls":[]}}`, want: yes},
		{status: 200, body: `{"code":0,"data":{"urls":null}}`, want: notRead("it has no list data.urls", `{"code":0,"data":{"urls":null}}`)},
		{status: 200, body: `{"code":0,"data":{}}`, want: notRead("it has no list data.urls", `{"code":0,"data":{}}`)},
		{status: 200, body: `{"code":0}`, want: notRead("it has no list data.urls", `{"code":0}`)},
		{status: 200, body: `0`, want: notRead("it has no list data.urls", `0`)},
		{status: 200, body: `{"code":0,"data":{"urls":"rtmp://h/a/b"}}`, want: notRead("it has no list data.urls", `{"code":0,"data":{"urls":"rtmp://h/a/b"}}`)},
		{status: 200, body: `{"code":0,"data":{"urls":[7]}}`, want: notRead("it has no list data.urls", `{"code":0,"data":{"urls":[7]}}`)},
		{status: 200, body: `{"code":7,"msg":"nowhere","data":{"urls":["rtmp://h/a/b"]}}`, want: Answer{Reason: "nowhere"}},
		{status: 403, want: no(403, "")},
		{status: 502, err: "status 502"},
		{status: 200, body: `{"code":0,"data":{"urls":["http://h/SECRET"]}}`, err: `"data.urls" is no address that begins with rtmp://, rtmps://`},
		{status: 200, body: `{"code":0,"data":{"urls":["rtmp:///a/b"]}}`, err: "is no address"},
		{status: 200, body: `{"code":0,"data":{"urls":["rtmp://h/` + strings.Repeat("x", 3000) + `"]}}`, err: "is longer than"},
		{status: 200, body: `{"code":0,"data":{"urls":[` + many + `]}}`, err: "more than 16 entries"},
	} {
		a.check(t, &f, ask(publisher()))
	}
}

func TestAnswerMediaMTX(t *testing.T) {
	q := ask(publisher())
	for _, a := range []answer{
		{status: 200, body: `{"error":"ignored"}`, want: yes},
		{status: 204, want: yes},
		{status: 299, want: yes},
		{status: 401, body: "who?", want: no(401, "")},
		{status: 400, want: no(400, "")},
		{status: 500, want: no(500, "")},
		{status: 503, err: "status 503"},
		{status: 301, header: location("/x"), err: "redirects are not followed"},
	} {
		a.check(t, &mediamtxFormat, q)
	}
}

func TestAnswerOME(t *testing.T) {
	q := ask(publisher())
	for _, a := range []answer{
		{status: 200, body: `{"allowed":true}`, want: yes},
		{status: 200, body: `{"allowed":true,"lifetime":0}`, want: yes},
		{
			status: 200, body: `{"allowed":true,"new_url":"rtmp://host:1935/live/alice?x=1","lifetime":1500,"reason":"ok"}`,
			want: Answer{Allow: true, Reason: "ok", Terms: session.Terms{Path: "live/alice", Duration: 1500 * time.Millisecond}},
		},
		{status: 200, body: `{"allowed":false,"reason":"not paid"}`, want: no(0, "not paid")},
		{status: 200, body: `{}`, want: Answer{}},
		{status: 200, body: ``, err: "not JSON"},
		{status: 200, body: `{"allowed":"SECRET"}`, err: `"allowed" holds a string where a bool belongs`},
		{status: 200, body: `{"allowed":true,"lifetime":-1}`, err: "lifetime"},
		{status: 200, body: `{"allowed":true,"new_url":"alice"}`, err: "new_url"},
		{status: 403, want: no(403, "")},
		{status: 500, err: "status 500"},
	} {
		a.check(t, &omeFormat, q)
	}
}
