package rtmp

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
)

// connectWith sends connect with an object.
func (p *peer) connectWith(object amf.Value, args ...amf.Value) *peer {
	p.t.Helper()
	return p.command(0, append([]amf.Value{"connect", 1.0, object}, args...)...)
}

// object builds an AMF object of pairs.
func object(pairs ...any) amf.Object {
	var o amf.Object
	for i := 0; i < len(pairs); i += 2 {
		o = append(o, amf.Property{Key: pairs[i].(string), Value: pairs[i+1]})
	}
	return o
}

func TestC102_Connect(t *testing.T) {
	h := &fakeHandler{}
	p := serve(t, &Server{Handler: h}).handshake().send(blockCN)
	cmd := p.expect("_result")
	if got := p.transcript(); got != "type5@0 type6@0 type1@0 _result@0(1 NetConnection.Connect.Success)" {
		t.Error(got)
	}
	for i, want := range []string{"002625a0", "002625a002", "00010000"} {
		if got := string(unhexString(want)); string(p.in[i].Payload) != got {
			t.Errorf("message %d: %x, want %s", i, p.in[i].Payload, want)
		}
	}
	props, _ := amf.Properties(cmd.object)
	if v, _ := props.GetString("fmsVer"); !strings.HasPrefix(v, "FMS/") {
		t.Errorf("fmsVer %q", v)
	}
	info, _ := amf.Properties(cmd.arg(0))
	if level, _ := info.GetString("level"); level != "status" {
		t.Errorf("level %q", level)
	}
	if _, ok := info.Get("capsEx"); ok {
		t.Error("Enhanced RTMP answered to a client that did not mention it")
	}
	r := h.connects[0]
	if r.App != "live" || r.TcURL != "rtmp://h/live" || r.Vhost != "h" || len(r.Properties) != 2 {
		t.Errorf("%+v", r)
	}
}

// One write answers connect: a pipe shows each write as a read of its own.
func TestConnectIsAnsweredInOneWrite(t *testing.T) {
	p := serve(t, &Server{Handler: &fakeHandler{}})
	hello := append([]byte{3}, make([]byte, 1536)...)
	p.write(hello)
	b := make([]byte, 8192)
	if n, err := p.nc.Read(b); n != 3073 || err != nil {
		t.Fatalf("S0S1S2 came in pieces: %d bytes, %v", n, err)
	}
	p.write(hello[1:])
	p.write(unhexString(blockCN))
	n, err := p.nc.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), "Connect.Success") || b[7] != byte(TypeWindowAckSize) {
		t.Errorf("%q, %v", b[:n], err)
	}
	_ = p.nc.Close()
}

func TestC260_WindowsArePositive(t *testing.T) {
	p := serve(t, &Server{Handler: &fakeHandler{}}).handshake().send(blockCN)
	p.expect("_result")
	for _, m := range p.in[:2] {
		if v := be32(m.Payload); v < 1 || v > math.MaxInt32 {
			t.Errorf("type %d announces %d", m.Type, v)
		}
	}
}

func TestObjectEncodingIsZero(t *testing.T) {
	for _, asked := range []float64{0, 3} {
		p := serve(t, &Server{Handler: &fakeHandler{}}).handshake()
		p.connectWith(object("app", "live", "objectEncoding", asked))
		info, _ := amf.Properties(p.expect("_result").args[0])
		if got, ok := info.GetNumber("objectEncoding"); got != 0 || !ok {
			t.Errorf("asked for %v, answered %v", asked, got)
		}
	}
}

func TestConnectObjects(t *testing.T) {
	long := strings.Repeat("p", 200)
	for _, tt := range []struct {
		name string
		obj  amf.Value
		want ConnectRequest // App, TcURL, Vhost
	}{
		{"C-025 over a chunk boundary", object("app", "live", "tcUrl", "rtmp://h/live", "pageUrl", long), ConnectRequest{App: "live", TcURL: "rtmp://h/live", Vhost: "h"}},
		{"C-100 ECMA array", amf.ECMAArray(object("app", "live")), ConnectRequest{App: "live"}},
		{"C-100 tcurl, quoted", object("app", "live", "tcurl", "'rtmp://h/live'"), ConnectRequest{App: "live", TcURL: "rtmp://h/live", Vhost: "h"}},
		{"C-103 no app", object("tcUrl", "rtmp://h/live"), ConnectRequest{App: "live", TcURL: "rtmp://h/live", Vhost: "h"}},
		{"C-143 slashes", object("app", "/live/"), ConnectRequest{App: "live"}},
		{"C-269 camera", object("app", "live", "tcUrl", "rtmp://h/live/", "swfUrl", "x", "streamName", "cam"), ConnectRequest{App: "live", TcURL: "rtmp://h/live/", Vhost: "h"}},
		{"C-280 odd values in unknown keys", object("app", "live", "a", amf.StrictArray{1.0, "x", amf.Date{UnixMilli: 1}}, "d", amf.Date{UnixMilli: 5},
			"u", amf.Undefined{}, "b", amf.Bytes{1, 2}, "n", amf.Object{{Key: "m", Value: amf.StrictArray{}}}), ConnectRequest{App: "live"}},
		{"app that is no string", object("app", 5.0, "tcUrl", "rtmp://h/live"), ConnectRequest{App: "live", TcURL: "rtmp://h/live", Vhost: "h"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &fakeHandler{}
			p := serve(t, &Server{Handler: h}).handshake().connectWith(tt.obj, "extra")
			p.expect("_result")
			r := h.connects[0]
			if r.App != tt.want.App || r.TcURL != tt.want.TcURL || r.Vhost != tt.want.Vhost {
				t.Errorf("app %q tcUrl %q vhost %q", r.App, r.TcURL, r.Vhost)
			}
			if len(r.Args) != 1 || r.Args[0] != "extra" {
				t.Errorf("args %v", r.Args)
			}
			s := h.session()
			if s.App() != r.App || s.TcURL() != r.TcURL || len(s.Properties()) != len(r.Properties) {
				t.Errorf("the session knows app %q, tcUrl %q, %d properties", s.App(), s.TcURL(), len(s.Properties()))
			}
			p.send(blockCS, blockPUB)
			p.status(1, CodePublishStart)
		})
	}
}

func TestC280_References(t *testing.T) {
	// connect, 1, {app: "live", x: {}, r: reference to x, s: AMF3 false}
	body := "020007636f6e6e656374003ff0000000000000" + "03" + "0003617070" + "0200046c697665" +
		"000178" + "03000009" + "000172" + "070001" + "000173" + "1102" + "000009"
	p := serve(t, &Server{Handler: &fakeHandler{}}).handshake()
	p.media(Message{Type: TypeCommand, Payload: unhexString(body)})
	p.expect("_result")
}

func TestBadConnects(t *testing.T) {
	deep := append(unhexString("020007636f6e6e656374003ff0000000000000"), []byte(strings.Repeat("\x03\x00\x01a", 10_000))...)
	for _, tt := range []struct {
		name string
		m    *Message
		end  string
	}{
		{"C-085 deeply nested", &Message{Type: TypeCommand, Payload: deep}, "protocol"},
		{"C-099 only a name", &Message{Type: TypeCommand, Payload: unhexString("020007636f6e6e656374")}, "protocol"},
		{"no object", commandMessage(0, "connect", 1.0), "refused"},
		{"null", commandMessage(0, "connect", 1.0, nil), "refused"},
		{"C-148 traversal in the application", commandMessage(0, "connect", 1.0, object("app", "../etc")), "refused"},
		{"not a string", &Message{Type: TypeCommand, Payload: []byte{5, 5}}, "protocol"},
		{"empty", &Message{Type: TypeCommand}, "protocol"},
		{"C-105 createStream first", commandMessage(0, "createStream", 2.0, nil), "protocol"},
		{"C-126 publish first", commandMessage(1, "publish", 2.0, nil, "cam"), "protocol"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := serve(t, &Server{Handler: &fakeHandler{}}).handshake()
				p.write(encode(tt.m))
				began := time.Now()
				p.closed(tt.end)
				if d := time.Since(began); d > time.Second {
					t.Errorf("closed after %v", d)
				}
			})
		})
	}
}

func TestC104_SecondConnect(t *testing.T) {
	h := &fakeHandler{}
	p := serve(t, &Server{Handler: h}).handshake().send(blockCN, blockCN)
	p.closed("protocol")
	if len(h.connects) != 1 {
		t.Error(h.said())
	}
}

func TestRefusedConnect(t *testing.T) {
	for _, tt := range []struct {
		name       string
		err        error
		code, text string
	}{
		{"C-116 unknown application", &StatusError{Code: CodeConnectInvalidApp, Description: "no such application"}, CodeConnectInvalidApp, "no such application"},
		{"an internal error stays inside", errors.New("database password wrong"), CodeConnectRejected, "[ AccessManager.Reject ] : connection refused"},
		{"redirect", &StatusError{Code: CodeConnectRejected, Properties: object("ex", object("code", 302.0, "redirect", "rtmp://other/live"))}, CodeConnectRejected, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHandler{onConnect: func(*ServerSession, *ConnectRequest) error { return tt.err }}
				p := serve(t, &Server{Handler: h}).handshake().send(blockCN)
				began := time.Now()
				cmd := p.expect("_error")
				st := parseStatus(cmd.arg(0))
				if cmd.tid != 1 || st.Level != LevelError || st.Code != tt.code || st.Description != tt.text {
					t.Errorf("%v %+v", cmd.tid, st)
				}
				want, _ := errors.AsType[*StatusError](tt.err)
				if want != nil && len(st.Properties) != len(want.Properties) {
					t.Errorf("properties %v", st.Properties)
				}
				if err := p.closed("refused"); !errors.Is(err, tt.err) {
					t.Error(err)
				}
				if d := time.Since(began); d > 500*time.Millisecond {
					t.Errorf("lingered %v", d)
				}
			})
		})
	}
}

// TestRenamedApp: a handler gives the connection another application; the query of the one that was asked for stays.
func TestRenamedApp(t *testing.T) {
	for to, want := range map[string]string{"studio": "studio/cam", "a b/100%?'": "a b/100%?'/cam", "../etc": ""} {
		t.Run(to, func(t *testing.T) {
			h := &fakeHandler{onConnect: func(_ *ServerSession, r *ConnectRequest) error {
				r.App = to
				return nil
			}}
			p := serve(t, &Server{Handler: h}).handshake().connectWith(object("app", "live?ticket=7", "tcUrl", "rtmp://h/live?x=1"))
			if want == "" {
				p.expect("_error")
				return
			}
			p.expect("_result")
			if got := h.session().App(); got != to {
				t.Errorf("the session knows the app as %q", got)
			}
			p.send(blockCS).expect("_result")
			p.command(1, "publish", 5.0, nil, "cam?key=y", "live")
			p.status(1, CodePublishStart)
			if r := h.publishes[0]; r.Path != want || r.RawQuery != "key=y&ticket=7&x=1" {
				t.Errorf("publishes %q with %q", r.Path, r.RawQuery)
			}
		})
	}
}

func TestC114_EnhancedConnect(t *testing.T) {
	h := &fakeHandler{}
	p := serve(t, &Server{Handler: h}).handshake()
	p.connectWith(object("app", "live", "fourCcList", amf.StrictArray{"hvc1"}, "capsEx", 7.0,
		"videoFourCcInfoMap", object("hvc1", 1.0, "*", 4.0), "audioFourCcInfoMap", amf.ECMAArray(object("Opus", 3.0))))
	info, _ := amf.Properties(p.expect("_result").args[0])
	answer := parseCaps(info)
	if len(answer.FourCCs) != 1 || answer.FourCCs[0] != "hvc1" || len(answer.Video) != 1 || answer.Video[0].FourCC != "*" || answer.CapsEx&CapReconnect == 0 {
		t.Errorf("%+v", answer)
	}
	caps := h.session().Caps()
	if caps.CapsEx != 7 || len(caps.Video) != 2 || caps.Audio[0] != (FourCCEntry{"Opus", CanDecode | CanEncode}) {
		t.Errorf("%+v", caps)
	}
}

func TestStreamIDs(t *testing.T) {
	p := serve(t, &Server{Handler: &fakeHandler{}}).handshake().send(blockCN)
	p.expect("_result")
	create := func(tid float64) command { return p.command(0, "createStream", tid, nil).expect("_result") }
	for i := range 16 {
		cmd := create(float64(i + 2))
		if cmd.tid != float64(i+2) || cmd.object != nil || cmd.arg(0) != float64(i+1) || len(cmd.args) != 1 {
			t.Fatalf("stream %d: %+v", i+1, cmd)
		}
	}
	// C-106
	if cmd := p.command(0, "createStream", 50.0, nil).expect("_error"); cmd.tid != 50 {
		t.Errorf("%+v", cmd)
	}
	p.command(0, "deleteStream", 0.0, nil, 3.0)
	if cmd := create(51); cmd.arg(0) != 3.0 {
		t.Errorf("after deleting 3: %+v", cmd)
	}
}

func TestRequestReconnect(t *testing.T) {
	for _, able := range []float64{0, 1} {
		h := &fakeHandler{}
		p := serve(t, &Server{Handler: h}).handshake()
		p.connectWith(object("app", "live", "capsEx", able))
		p.expect("_result")
		sent := make(chan bool, 1)
		go func() { sent <- h.session().RequestReconnect("rtmp://other/live", "moving") }()
		if got := <-sent; got != (able == 1) {
			t.Errorf("capsEx %v: sent %v", able, got)
		}
		if able == 1 {
			st := p.status(0, CodeConnectReconnectRequest)
			if url, _ := st.Properties.GetString("tcUrl"); url != "rtmp://other/live" || st.Level != LevelStatus {
				t.Errorf("%+v", st)
			}
		}
		p.command(0, "createStream", 2.0, nil).expect("_result")
	}
}

func TestC117_AuthenticatedServer(t *testing.T) {
	for _, scheme := range []string{AuthAdobe, AuthLLNW} {
		ln := listen(t)
		h := &fakeHandler{}
		serveListener(t, ln, &Server{Handler: h, Authenticator: newAuth(scheme)})
		dial := func(user string) (*Client, error) {
			return Dial(t.Context(), "rtmp://"+user+ln.Addr().String()+"/live/cam?x=1", DialOptions{})
		}
		for _, user := range []string{"", "joe:wrong@", "eve:s3cret@"} {
			if _, err := dial(user); !errors.Is(err, ErrAuthFailed) {
				t.Errorf("%s %q: %v", scheme, user, err)
			}
		}
		c, err := dial("joe:s3cret@")
		if err != nil {
			t.Fatal(scheme, err)
		}
		p, err := c.Publish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = p.Close()
		r := h.connects[0]
		if len(h.connects) != 1 || r.User != "joe" || r.App != "live" || strings.Contains(r.TcURL+r.RawQuery+h.session().TcURL(), "authmod") {
			t.Errorf("%d connects, %+v", len(h.connects), r)
		}
		if u := h.publishes[0]; u.Path != "live/cam" || u.RawQuery != "x=1" {
			t.Errorf("%+v", u.StreamURL)
		}
	}
}
