package push

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a hub whose streams are sent on.
type world struct {
	t   *testing.T
	hub *stream.Hub
	m   *Manager
	log *logs
	// stop ends the manager as the end of the server does.
	stop func()

	mu     sync.Mutex // guards below
	conf   []Config
	grants map[string][]session.Push
	events []told
}

// told is an event.
type told struct {
	typ, path string
	data      map[string]any
}

// logs collects what is logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newWorld makes one whose streams all have the targets; change may be nil. It ends with stop, or with
// the test.
func newWorld(t *testing.T, change func(*Options), targets ...Config) *world {
	t.Helper()
	w := &world{t: t, log: &logs{}, conf: targets, grants: map[string][]session.Push{}}
	w.hub = stream.New(stream.Options{Notify: func(e stream.Event) { w.m.Stream(e) }})
	o := Options{
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Hub: w.hub, Server: "us",
		Configured: func(string) []Config {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.conf
		},
		Granted: func(id string) []session.Push {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.grants[id]
		},
		Tell: func(typ, path string, data map[string]any) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, told{typ, path, maps.Clone(data)})
		},
	}
	if change != nil {
		change(&o)
	}
	var err error
	if w.m, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.m.Run(ctx) })
	w.stop = sync.OnceFunc(func() { stop(); wg.Wait() })
	t.Cleanup(func() {
		w.stop()
		w.hub.Close(errors.New("test over"))
	})
	return w
}

// types returns the events so far, with the state that they tell of.
func (w *world) types() (list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		s := e.typ
		if state, ok := e.data["state"].(string); ok {
			s += " " + state
		}
		list = append(list, s)
	}
	return list
}

// everything is all that was told of in log and events and is shown of targets.
func (w *world) everything() string {
	w.mu.Lock()
	events := fmt.Sprint(w.events)
	w.mu.Unlock()
	shown := ""
	for _, s := range w.m.List("") {
		s.Config = Config{}
		shown += fmt.Sprintf("%+v", s)
	}
	return w.log.String() + events + shown
}

// status is that of the only target, or of the one named.
func (w *world) status(name ...string) Status {
	w.t.Helper()
	for _, s := range w.m.List("") {
		if len(name) == 0 || s.Config.Name == name[0] {
			return s
		}
	}
	w.t.Fatalf("there is no target %q", name)
	return Status{}
}

// until waits until the only target, or the one named, is as wanted.
func (w *world) until(what string, is func(Status) bool, name ...string) Status {
	w.t.Helper()
	for range 2000 {
		for _, s := range w.m.List("") {
			if (len(name) == 0 || s.Config.Name == name[0]) && is(s) {
				return s
			}
		}
		<-time.After(10 * time.Millisecond)
	}
	w.t.Fatalf("never %s: %+v\n%s", what, w.m.List(""), w.log)
	return Status{}
}

func in(s State) func(Status) bool { return func(st Status) bool { return st.State == s } }

// to is a target that is no known service.
func to(name, url, key string) Config {
	c := DefaultConfig()
	c.Name, c.URL, c.Key = name, url, key
	return c
}

// The stream that is sent: H.264 at 25 frames a second with a key frame each second, and AAC.
var (
	avcConfig = []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce}
	ascConfig = []byte{0x12, 0x10} // AAC-LC, 44.1 kHz, stereo
)

// source publishes the stream in time.
type source struct {
	t   *testing.T
	pub *stream.Publisher
	n   int // frames of video so far, which each of them holds
}

// publish makes a source at a path.
func (w *world) publish(path, id string) *source {
	w.t.Helper()
	p, err := w.hub.Publish(path, stream.Info{Session: id, Query: "key=theirs"})
	if err != nil {
		w.t.Fatal(err)
	}
	s := &source{t: w.t, pub: p}
	s.write(&av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: avcConfig})
	s.write(&av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: ascConfig})
	return s
}

func (s *source) write(f *av.Frame) {
	s.t.Helper()
	if err := s.pub.Write(f); err != nil {
		s.t.Fatal(err)
	}
}

const step = 40 * time.Millisecond

// frame writes the next frame of video and sound.
func (s *source) frame() {
	s.t.Helper()
	at := time.Duration(s.n) * step
	f := &av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at, Payload: picture(0x41, s.n)}
	if s.n%25 == 0 {
		f.Flags, f.Payload = av.Key, picture(0x65, s.n)
	}
	s.write(f)
	s.write(&av.Frame{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, DTS: at, PTS: at, Payload: binary.BigEndian.AppendUint32([]byte{0x21}, uint32(s.n))})
	s.n++
}

// filmed are the tags of the embedded test stream, which is H.264 with B-frames and AAC.
var filmed = sync.OnceValues(func() (tags []flv.Tag, err error) {
	b, err := os.ReadFile("../demo/sample.flv")
	if err != nil {
		return nil, err
	}
	r := flv.NewReader(bytes.NewReader(b))
	for {
		tag, err := r.ReadTag()
		if errors.Is(err, io.EOF) {
			return tags, nil
		}
		if err != nil {
			return nil, err
		}
		tag.Body = bytes.Clone(tag.Body)
		tags = append(tags, tag)
	}
})

// film publishes the beginning of the test stream in time at a path, and ends as a publisher that is lost. It returns the hashes of the frames that were sent.
func (w *world) film(path string, d time.Duration) (sent []string) {
	w.t.Helper()
	tags, err := filmed()
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := w.hub.Publish(path, stream.Info{Session: "p1", Query: "key=theirs"})
	if err != nil {
		w.t.Fatal(err)
	}
	var demux flv.Demuxer
	begun := time.Now()
	for i := range tags {
		tag := &tags[i]
		at := time.Duration(tag.Timestamp) * time.Millisecond
		if at > d {
			break
		}
		<-time.After(time.Until(begun.Add(at)))
		frames, err := demux.Demux(nil, tag.Type, at, bytes.Clone(tag.Body))
		for k := range frames {
			if err = p.Write(&frames[k]); err != nil {
				break
			}
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if tag.Type != flv.TagScript && tag.Body[1] == 1 {
			sent = append(sent, hashOf(rtmp.MessageType(tag.Type), tag.Body))
		}
	}
	p.Close(nil)
	return sent
}

// hashOf is that of a message, and tells pictures from sounds.
func hashOf(typ rtmp.MessageType, body []byte) string {
	return fmt.Sprintf("%v %x", typ, sha256.Sum256(body))
}

// media returns the hashes of the frames that came so far, without configurations.
func (v *visit) media() (list []string) {
	for _, m := range v.got() {
		if m.Type != rtmp.TypeData && len(m.Payload) > 1 && m.Payload[1] == 1 {
			list = append(list, hashOf(m.Type, m.Payload))
		}
	}
	return list
}

// picture is a NAL unit that holds a number.
func picture(nal byte, n int) []byte {
	return binary.BigEndian.AppendUint32([]byte{0, 0, 0, 6, nal, 0x88}, uint32(n))
}

// run writes frames in time for a while.
func (s *source) run(d time.Duration) {
	s.t.Helper()
	for range int(d / step) {
		s.frame()
		<-time.After(step)
	}
}

// double is a server that takes streams, or does not.
type double struct {
	t *testing.T
	// connect and publish may refuse; message and begun may end the connection. All may be nil.
	connect func(v *visit) error
	publish func(v *visit) error
	begun   func(v *visit)
	message func(v *visit, m *rtmp.Message) error
	tls     *tls.Config
	caps    *rtmp.Caps

	wg sync.WaitGroup

	mu     sync.Mutex // guards below
	visits []*visit
}

// visit is one connection to a double.
type visit struct {
	d       *double
	n       int // from 1
	address string
	conn    net.Conn
	session *rtmp.ServerSession

	mu       sync.Mutex // guards below
	connect  *rtmp.ConnectRequest
	publish  *rtmp.PublishRequest
	messages []rtmp.Message
	end      error // with which publishing ended
	over     bool
}

func newDouble(t *testing.T) *double {
	d := &double{t: t}
	t.Cleanup(d.wg.Wait)
	return d
}

// dial connects to it, whatever the address.
func (d *double) dial(_ context.Context, _, address string) (net.Conn, error) {
	client, server := net.Pipe()
	d.accept(server, address)
	return client, nil
}

// accept serves a connection.
func (d *double) accept(nc net.Conn, address string) {
	d.mu.Lock()
	v := &visit{d: d, n: len(d.visits) + 1, address: address, conn: nc}
	d.visits = append(d.visits, v)
	d.mu.Unlock()
	srv := &rtmp.Server{Handler: v, Caps: d.caps}
	if strings.HasSuffix(address, ":443") {
		srv.TLSConfig = d.tls
	}
	d.wg.Go(func() {
		_ = srv.ServeConn(context.Background(), nc)
		_ = nc.Close()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.over = true
	})
}

// listen serves on a TCP port of 127.0.0.1.
func (d *double) listen() (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			d.accept(nc, ":443")
		}
	})
	d.t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

// list returns the visits so far.
func (d *double) list() []*visit {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.visits)
}

// Connect implements rtmp.Handler.
func (v *visit) Connect(_ context.Context, s *rtmp.ServerSession, r *rtmp.ConnectRequest) error {
	v.mu.Lock()
	v.connect, v.session = r, s
	v.mu.Unlock()
	if v.d.connect != nil {
		return v.d.connect(v)
	}
	return nil
}

// Publish implements rtmp.Handler.
func (v *visit) Publish(_ context.Context, _ *rtmp.ServerSession, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	v.mu.Lock()
	v.publish = r
	v.mu.Unlock()
	if v.d.publish != nil {
		if err := v.d.publish(v); err != nil {
			return nil, err
		}
	}
	if v.d.begun != nil {
		v.d.begun(v)
	}
	return v, nil
}

// Play implements rtmp.Handler.
func (v *visit) Play(context.Context, *rtmp.ServerSession, *rtmp.PlayRequest) (rtmp.Playback, error) {
	return nil, errors.New("nothing is played here")
}

// Message implements rtmp.Publication.
func (v *visit) Message(m *rtmp.Message) error {
	v.mu.Lock()
	c := *m
	c.Payload = bytes.Clone(m.Payload)
	v.messages = append(v.messages, c)
	v.mu.Unlock()
	if v.d.message != nil {
		return v.d.message(v, m)
	}
	return nil
}

// Close implements rtmp.Publication.
func (v *visit) Close(cause error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.end = cause
}

// ended returns with what publishing ended, nil while it goes on.
func (v *visit) ended() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.end
}

// got returns the messages so far.
func (v *visit) got() []rtmp.Message {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.messages)
}

// pictures returns the numbers of the frames of video that came, and checks that the session begins with
// metadata, configurations and a key frame, and that its times never fall.
func (v *visit) pictures() (list []int) {
	v.d.t.Helper()
	at := map[rtmp.MessageType]uint32{}
	for i, m := range v.got() {
		if i == 0 && (m.Type != rtmp.TypeData || !m.SetDataFrame) {
			v.d.t.Errorf("visit %d begins with %v", v.n, m.Type)
		}
		if m.Timestamp < at[m.Type] {
			v.d.t.Errorf("visit %d: time of %v falls from %d to %d", v.n, m.Type, at[m.Type], m.Timestamp)
		}
		at[m.Type] = m.Timestamp
		if n := number(&m); n >= 0 {
			if len(list) == 0 && m.Payload[0]>>4 != 1 {
				v.d.t.Errorf("visit %d begins with no key frame", v.n)
			}
			list = append(list, n)
		}
	}
	return list
}

// number is that of a frame of video, -1 of other messages.
func number(m *rtmp.Message) int {
	if m.Type != rtmp.TypeVideo || len(m.Payload) < 15 || m.Payload[1] != 1 {
		return -1
	}
	return int(binary.BigEndian.Uint32(m.Payload[11:]))
}

// properties returns the names of the properties of connect.
func (v *visit) properties() (names []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.connect.Properties {
		names = append(names, p.Key)
	}
	return names
}

func (v *visit) text(key string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	s, _ := amf.Object(v.connect.Properties).GetString(key)
	return s
}

func (v *visit) name() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.publish == nil {
		return ""
	}
	return v.publish.RawName
}

// authority makes certificates, and the roots with which they are verified.
func authority(t *testing.T, change func(*x509.Certificate), names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
