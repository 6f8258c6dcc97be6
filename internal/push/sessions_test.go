package push

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
	"weir/av"
	"weir/internal/event"
	"weir/internal/hops"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// of returns the events of a type so far.
func (w *world) of(typ string) (list []told) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.typ == typ {
			list = append(list, e)
		}
	}
	return list
}

// TestSessionsAreCountedApart: what is told of the end of a session is of that one, and what is shown of a target is of all; failures are
// counted anew after a session of a minute; and the tracks that are left out are those of the present session.
func TestSessionsAreCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		held := map[int]bool{}
		d.message = func(v *visit, m *rtmp.Message) error {
			if number(m)%1000 == 50 && !held[v.n] {
				held[v.n] = true
				time.Sleep(12 * time.Second) // which the lag rule does not bear
			}
			return nil
		}
		d.begun = func(v *visit) {
			if v.n < 3 {
				time.AfterFunc(70*time.Second, func() { _ = v.conn.Close() })
			}
		}
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		second := func() { // another track of video
			at := time.Duration(s.n) * step
			s.write(&av.Frame{Kind: av.Video, Track: 5, Codec: av.H264, Flags: av.Key, DTS: at, PTS: at, Payload: picture(0x65, 7)})
		}
		s.write(&av.Frame{Kind: av.Video, Track: 5, Type: av.Config, Codec: av.H264, Payload: avcConfig})
		for range 80 {
			s.run(time.Second)
			second()
		}
		s.n = 3000
		for range 80 {
			s.run(time.Second)
			second()
		}
		stops := w.of(event.PushStop)
		if len(stops) != 2 || len(d.list()) != 3 {
			t.Fatalf("%d sessions ended, %d connections", len(stops), len(d.list()))
		}
		st := w.status()
		total := int64(0)
		for i, e := range stops {
			if e.data["skips"] != int64(1) || e.data["duration"].(float64) < 69 || e.data["duration"].(float64) > 71 {
				t.Errorf("the end of session %d: %+v", i+1, e.data)
			}
			frames := 0
			for _, m := range d.list()[i].got() {
				if m.Type != rtmp.TypeData && m.Payload[1] == 1 {
					frames++
				}
			}
			if n := e.data["frames"].(int64); n < int64(frames) || n > int64(frames)+20 {
				t.Errorf("session %d: %d frames came, %d are told", i+1, frames, n)
			}
			total += e.data["bytes_sent"].(int64)
		}
		if st.State != Live || st.Sessions != 3 || st.Attempts != 1 || st.Bytes <= total || st.Skips < 2 || len(st.LeftOut) != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestFailuresAreToldOnce: a target that fails in the same way again and again is told of once, in log and events, and counted each time.
func TestFailuresAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		tries, counted := 0, 0
		fails := error(syscall.ECONNREFUSED)
		w := newWorld(t, func(o *Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				tries++
				return nil, &net.OpError{Op: "dial", Err: fails}
			}
			o.Failed = func(service string, reason session.Reason) {
				mu.Lock()
				defer mu.Unlock()
				if service == Custom && reason == session.Unreachable {
					counted++
				}
			}
		}, to("it", "rtmp://h.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		s.run(10 * time.Minute)
		if list := w.of(event.PushFailed); len(list) != 1 || list[0].data["attempts"] != 1 || strings.Count(w.log.String(), "push has failed") != 1 {
			t.Errorf("%+v\n%s", list, w.log)
		}
		st := w.status()
		mu.Lock()
		if tries < 12 || tries > 18 || counted != tries || st.Attempts != tries {
			t.Errorf("%d tries, %d counted: %+v", tries, counted, st)
		}
		fails = syscall.EHOSTUNREACH
		mu.Unlock()
		s.run(2 * time.Minute)
		if list := w.of(event.PushFailed); len(list) != 2 || list[1].data["error"] != "there is no way to h.example: the network here or there is down" {
			t.Errorf("%+v", list)
		}
	})
}

// TestServerThatMovesAgainAndAgain: a server may ask its publishers to connect again as often as it likes, if a minute is between.
func TestServerThatMovesAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "rtmp://h.example/live", "cam"), func(c *Config) { c.Caps = "on" }))
		s := w.publish("live/cam", "p1")
		for i := range 7 {
			s.run(65 * time.Second)
			list := d.list()
			if len(list) != i+1 || !list[i].session.RequestReconnect(fmt.Sprintf("rtmp://c%d.example/new", i), "moving") {
				t.Fatalf("%d connections", len(list))
			}
		}
		s.run(3 * time.Second)
		if list := d.list(); len(list) != 8 || list[7].address != "c6.example:1935" || len(w.of(event.PushFailed)) != 0 || w.status().State != Live {
			t.Errorf("%d connections: %+v", len(list), w.status())
		}
		continuous(t, d, s.n)
	})
}

// TestNoPictureTwice: after a connection broke with the newest key frame sent, and nothing has come since, the next session waits for the next one.
func TestNoPictureTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.message = func(v *visit, m *rtmp.Message) error {
			if number(m) == 50 && v.n == 1 {
				_ = v.conn.Close()
			}
			return nil
		}
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		s := w.publish("live/cam", "p1")
		for s.n <= 50 {
			s.frame()
			time.Sleep(step)
		}
		time.Sleep(3 * time.Second)
		s.run(3 * time.Second)
		if all := continuous(t, d, s.n); len(d.list()) != 2 || !slices.Contains(all, 75) {
			t.Errorf("%d connections: %d", len(d.list()), all)
		}
	})
}

// TestRefusedIsNotTriedForEachPublisher: what was refused for another reason than the stream's codecs is not tried because another publisher takes over.
func TestRefusedIsNotTriedForEachPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.publish = func(*visit) error { return &rtmp.StatusError{Code: rtmp.CodePublishBadName} }
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "cam"))
		w.publish("live/cam", "p1").run(2 * time.Second)
		for i := range 3 {
			w.publish("live/cam", fmt.Sprint("q", i)).run(2 * time.Second)
		}
		if st := w.status(); st.State != Refused || len(d.list()) != 1 {
			t.Errorf("%d connections: %+v", len(d.list()), st)
		}
	})
}

// TestNotesSince: the time since which something is as a service does not want it stays the same while it is so, and is another one when it is so again.
func TestNotesSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "", "k"), func(c *Config) { c.Service = "twitch" }))
		s := w.publish("live/cam", "p1")
		film := func(gap int) {
			for i := range 3 * gap {
				at := time.Duration(s.n) * step
				f := &av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at, Payload: picture(0x41, s.n)}
				if i%gap == 0 {
					f.Flags, f.Payload = av.Key, picture(0x65, s.n)
				}
				s.write(f)
				s.n++
				time.Sleep(step)
			}
		}
		film(100)
		found := time.Now()
		first := w.m.Notes("live/cam")
		film(100)
		if again := w.m.Notes("live/cam"); len(first) != 1 || len(again) != 1 || !first[0].Since.Equal(found) || !again[0].Since.Equal(found) {
			t.Errorf("%+v, %+v", first, again)
		}
		s = w.publish("live/cam", "p2") // its encoder is set otherwise
		film(50)
		if none := w.m.Notes("live/cam"); len(none) != 0 {
			t.Errorf("%+v", none)
		}
		film(100)
		if later := w.m.Notes("live/cam"); len(later) != 1 || !later[0].Since.Equal(time.Now()) {
			t.Errorf("%+v", later)
		}
	})
}

// TestServices: a service is known by its name, or else by the end of the name of a host.
func TestServices(t *testing.T) {
	for host, want := range map[string]string{
		"live-fra.twitch.tv": "twitch", "INGEST.global-contribute.live-video.net": "twitch", "fra05.ingest.global-contribute.live-video.net": "twitch",
		"fa7.global-contribute.live-video.net": "kick", "a1.contribute.live-video.net": "ivs", "live-video.net": Custom, "eviltwitch.tv": Custom,
		"twitch.tv": "twitch", "twitch.tv.example": Custom, "edgetee-upload.xx.fbcdn.net": "facebook", "": Custom,
	} {
		if got := serviceOf("", host); got.name != want {
			t.Errorf("%q: %s, want %s", host, got.name, want)
		}
	}
	if got := serviceOf("kick", "live.twitch.tv"); got.name != "kick" {
		t.Error(got.name)
	}
}

// reasonOf is what a server of our kind says beside the code.
func reasonOf(word string) amf.Object { return amf.Object{{Key: hops.Reason, Value: word}} }

// TestVerdicts: what each failure means: whether it takes somebody who changes something, the word for it, and the sentence.
func TestVerdicts(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for name, c := range map[string]struct {
		err     error
		refused bool
		reason  session.Reason
		says    string
	}{
		"itself":        {errLoop, true, session.Loop, "the target is the stream itself"},
		"back":          {errBack, true, session.Loop, "the stream is fetched from the target's host"},
		"redirects":     {errRedirects, true, session.Redirected, "more than 3 times"},
		"another":       {errDowngrade, true, session.Redirected, "another scheme"},
		"password":      {fmt.Errorf("rtmp: %w", rtmp.ErrAuthFailed), true, session.BadKey, "the user and password in the URL"},
		"takeover":      {&rtmp.StatusError{Code: "x", Description: "d", Properties: reasonOf("takeover")}, true, session.Takeover, "another publisher has taken the stream over on the server; it is taken back when the publisher here begins anew, or when you say so (weir pushes retry): d"},
		"conflict":      {&rtmp.StatusError{Code: rtmp.CodePublishBadName, Description: "d", Properties: reasonOf("conflict")}, false, session.Conflict, "another publisher has the stream on the server, which keeps it until that one has left: d"},
		"a circle":      {&rtmp.StatusError{Code: "x", Description: "d", Properties: reasonOf("loop")}, true, session.Loop, "the stream would go in a circle: d"},
		"unauthorized":  {&rtmp.StatusError{Code: rtmp.CodePublishUnauthorized}, true, session.Denied, "the server does not know the stream key"},
		"rejected":      {&rtmp.StatusError{Code: rtmp.CodeConnectRejected}, true, session.Denied, "rejects the connection"},
		"unknown":       {&rtmp.StatusError{Code: "NetStream.Odd", Description: "why not"}, false, session.Denied, "the server has ended the stream: "},
		"not valid":     {x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, true, session.Handshake, "the certificate of h.example is not valid"},
		"no host":       {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h.example"}, true, session.Handshake, "is for no host and not for h.example"},
		"no name":       {&net.DNSError{IsNotFound: true}, false, session.Unreachable, "the name h.example is not known"},
		"no DNS":        {&net.DNSError{IsTimeout: true}, false, session.Timeout, "no answer from DNS"},
		"bad DNS":       {&net.DNSError{Err: "server misbehaving"}, false, session.Unreachable, "could not be looked up: server misbehaving"},
		"late TLS":      {&rtmp.TimeoutError{Stage: rtmp.StageTLS}, false, session.Timeout, "does not go on with the TLS handshake"},
		"stuck":         {&rtmp.TimeoutError{Stage: rtmp.StagePublish}, false, session.Stalled, "h.example has taken nothing for 15s"},
		"late":          {&rtmp.TimeoutError{Stage: rtmp.StageConnect}, false, session.Timeout, "timeout waiting for connect"},
		"no RTMP":       {&rtmp.HandshakeError{Err: io.EOF}, false, session.Handshake, "does not answer as a server of RTMP does"},
		"refuses":       {dial(syscall.ECONNREFUSED), false, session.Unreachable, "refuses the connection"},
		"no way":        {dial(syscall.ENETUNREACH), false, session.Unreachable, "there is no way to h.example"},
		"no way either": {dial(syscall.EHOSTUNREACH), false, session.Unreachable, "there is no way to h.example"},
		"ends":          {fmt.Errorf("read: %w", io.EOF), false, session.EOF, "h.example has closed the connection"},
		"pipe":          {dial(syscall.EPIPE), false, session.EOF, "h.example has closed the connection"},
		"reset":         {dial(syscall.ECONNRESET), false, session.EOF, "h.example has closed the connection"},
		"ends in TLS":   {fmt.Errorf("tls handshake: %w", io.EOF), false, session.Handshake, "closes the connection within the TLS handshake"},
		"no answer":     {context.DeadlineExceeded, false, session.Timeout, "cannot be reached: no answer in time"},
		"else":          {errors.New("odd"), false, session.Internal, "odd"},
	} {
		v := judge(c.err, &Address{URL: "rtmp://h.example/live", Name: "cam", Host: "h.example"})
		if v.refused != c.refused || v.reason != c.reason || !strings.Contains(v.text, c.says) {
			t.Errorf("%s: %v, %v: %s", name, v.refused, v.reason, v.text)
		}
	}
}

// TestBehindASlate: once the publisher is back, sound of its that belongs before its first picture, for which time a slate was sent, is left out: times
// on the wire only grow.
func TestBehindASlate(t *testing.T) {
	s := newSender(&noted{}, &rtmp.Caps{}, false, func(string) {})
	headers := &stream.Headers{Tracks: []stream.TrackHeader{
		{Track: av.Track{Kind: av.Video, Codec: av.H264, Config: avcConfig}}, {Track: av.Track{Kind: av.Audio, Codec: av.AAC, Config: ascConfig}},
	}}
	frame := func(kind av.Kind, at time.Duration, sync bool) *stream.Entry {
		f := av.Frame{Kind: kind, Codec: av.AAC, DTS: at, PTS: at, Payload: []byte{0x21, 0}}
		if kind == av.Video {
			f.Codec, f.Payload, f.Flags = av.H264, picture(0x65, 1), av.Key
		}
		return &stream.Entry{Frame: f, Sync: sync, Headers: headers}
	}
	var stand slate
	add := func(e *stream.Entry) {
		t.Helper()
		if stand.over(s, e) {
			if err := s.add(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(frame(av.Video, time.Second, true))
	add(frame(av.Audio, time.Second, false))
	begin := time.Now()
	for i := range 6 { // and 5 s of slate
		stand.step(s, begin.Add(time.Duration(i)*time.Second))
	}
	last, n := s.last, len(s.messages)
	add(frame(av.Video, 3*time.Second, true)) // by the stream's clock it is earlier than the slate
	for i := range 10 {
		add(frame(av.Audio, 2800*time.Millisecond+time.Duration(i)*50*time.Millisecond, false))
	}
	var times []uint32
	for _, m := range s.messages[n:] {
		if m.Type == rtmp.TypeAudio {
			times = append(times, m.Timestamp)
		}
	}
	if len(times) < 5 || len(times) > 7 || !slices.IsSorted(times) || time.Duration(times[0])*time.Millisecond <= last[av.Audio] {
		t.Errorf("sound at %d behind sound at %v", times, last[av.Audio])
	}
}

// TestSlateAfterSleep: a machine that has slept sends no hours of a slate at once.
func TestSlateAfterSleep(t *testing.T) {
	s := newSender(&noted{}, &rtmp.Caps{}, false, func(string) {})
	s.codecs[av.Audio], s.tracks[av.Audio] = av.AAC, av.Track{Kind: av.Audio, Codec: av.AAC, Config: ascConfig}
	var stand slate
	begin := time.Now()
	stand.step(s, begin)
	stand.step(s, begin.Add(time.Second))
	before := len(s.messages)
	stand.step(s, begin.Add(time.Hour))
	if n := len(s.messages) - before; n < 80 || n > 90 { // two seconds of 43 a second
		t.Errorf("%d frames of silence at once", n)
	}
	before = len(s.messages)
	stand.step(s, begin.Add(time.Hour+time.Second))
	if n := len(s.messages) - before; n < 42 || n > 44 {
		t.Errorf("%d frames in the second after that", n)
	}
}

// TestTimeOfTLS: the TLS handshake has five seconds of its own beside those of connecting and publishing.
func TestTimeOfTLS(t *testing.T) {
	cert, roots := authority(t, nil, "h.example")
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.tls = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			time.Sleep(4 * time.Second)
			return &cert, nil
		}}
		d.connect = func(*visit) error { time.Sleep(14 * time.Second); return nil }
		w := newWorld(t, func(o *Options) { o.Dial, o.Roots = d.dial, roots }, to("it", "rtmps://h.example/live", "cam"))
		w.publish("live/cam", "p1").run(20 * time.Second)
		if st := w.status(); st.State != Live || len(d.list()) != 1 {
			t.Errorf("%d connections, %+v", len(d.list()), st)
		}
	})
}
