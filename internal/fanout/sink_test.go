package fanout

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// pair returns the two ends of a loopback TCP connection.
func pair(tb testing.TB) (server, client net.Conn) {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close(); server.Close() })
	return server, client
}

var testCert = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// sinkKinds makes each kind of sink with the end that reads it.
var sinkKinds = map[string]func(testing.TB, *Engine) (Sink, io.ReadCloser){
	"socket": func(tb testing.TB, e *Engine) (Sink, io.ReadCloser) {
		s, c := pair(tb)
		return e.Socket(s, false), c
	},
	"portable": func(tb testing.TB, e *Engine) (Sink, io.ReadCloser) {
		s, c := pair(tb)
		return e.Socket(s, true), c
	},
	"tls": func(tb testing.TB, e *Engine) (Sink, io.ReadCloser) {
		s, c := pair(tb)
		raw, ok := NewTLSConn(s)
		if !ok {
			tb.Fatal("no non-blocking sends here")
		}
		srv := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{testCert()}})
		cl := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		done := make(chan error, 1)
		go func() { done <- cl.Handshake() }()
		if err := srv.Handshake(); err != nil {
			tb.Fatal(err)
		}
		if err := <-done; err != nil {
			tb.Fatal(err)
		}
		return e.TLS(srv, raw), cl
	},
}

// TestSinksDeliverEverythingInOrder sends far more than a socket holds to a reader that begins late.
func TestSinksDeliverEverythingInOrder(t *testing.T) {
	for name, mk := range sinkKinds {
		t.Run(name, func(t *testing.T) {
			e := New(Options{Workers: 2})
			defer e.Close()
			o := testLog
			o.Slow.MaxLag = time.Minute
			o.Bounds.Bytes = 1 << 30 // the player may join when all has been put
			l := e.NewLog(o)
			sink, r := mk(t, e)
			rec := &recorder{}
			p := e.Add(sink, rec, l, Counters{})
			p.Send([]byte("private "))
			p.Join(l, Start{})
			var want bytes.Buffer
			want.WriteString("private ")
			for i := range 600 {
				m := fmt.Sprintf("<%d %s>", i, bytes.Repeat([]byte{byte('a' + i%26)}, 20000))
				want.WriteString(m)
				put(l, m, Message{Sync: i == 0})
			}
			l.Close(nil)
			got, err := io.ReadAll(r)
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) { // TLS is cut without an alert
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.Bytes()) {
				t.Fatalf("got %d bytes, want %d", len(got), want.Len())
			}
		})
	}
}

func TestSinksNoticeThatThePeerIsGone(t *testing.T) {
	for name, mk := range sinkKinds {
		t.Run(name, func(t *testing.T) {
			e := New(Options{Workers: 1})
			defer e.Close()
			l := e.NewLog(testLog)
			sink, r := mk(t, e)
			gone := make(chan error, 1)
			e.Add(sink, closedFunc(func(err error) { gone <- err }), l, Counters{}).Join(l, Start{})
			r.Close()
			msg := string(make([]byte, 100_000))
			for {
				key(l, msg, "")
				select {
				case err := <-gone:
					if errors.Is(err, ErrEngineClosed) || err == nil {
						t.Fatal(err)
					}
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
}

type closedFunc func(error)

func (f closedFunc) Closed(_ *Player, err error)         { f(err) }
func (closedFunc) Skipped(*Player, time.Duration, int64) {}

// nullSink takes everything.
type nullSink struct{}

func (nullSink) TrySend(p []byte) (int, bool, error) { return len(p), false, nil }
func (nullSink) Arm(Writable)                        {}
func (nullSink) Close() error                        { return nil }

// BenchmarkRelay is one message to each of the players, without the network: what the
// engine itself costs. It must not allocate beside the log's segments.
func BenchmarkRelay(b *testing.B) {
	for _, players := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(players), func(b *testing.B) {
			e := New(Options{Workers: 1})
			defer e.Close()
			l := e.NewLog(testLog)
			for range players {
				e.Add(nullSink{}, nil, l, Counters{}).Join(l, Start{})
			}
			msg := make([]byte, 4096)
			key(l, "K", "")
			b.ReportAllocs()
			b.SetBytes(int64(len(msg) * players))
			for b.Loop() {
				l.Commit(append(l.Reserve(len(msg)), msg...), Message{})
				l.Wake()
				for l.audiences[0].queued.Load() {
					e.workers[0].signal()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(players), "ns/player")
		})
	}
}
