package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"weir/amf"
	"weir/internal/config"
	"weir/rtmp"
)

// writeCert makes a key pair for 127.0.0.1 in dir.
func writeCert(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: kb}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestTLSPlayback plays over RTMPS, HTTPS with HTTP/1.1 and with HTTP/2, sent by the
// workers and by goroutines.
func TestTLSPlayback(t *testing.T) {
	cert, key := writeCert(t, t.TempDir(), 1)
	insecure := &tls.Config{InsecureSkipVerify: true}
	for _, portable := range []bool{false, true} {
		r := start(t, func(c *Config) {
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

// TestC024_CertificateIsReadAgain exchanges the files under a running server.
func TestC024_CertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := writeCert(t, dir, 1)
	c := &certificate{cert: cert, key: key}
	if err := c.load(time.Now()); err != nil {
		t.Fatal(err)
	}
	first, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	writeCert(t, dir, 2)
	if err := os.Chtimes(cert, time.Now(), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if again, _ := c.get(nil); again != first {
		t.Error("the files are looked at for every connection")
	}
	c.looked = time.Now().Add(-certEvery)
	if again, _ := c.get(nil); bytes.Equal(again.Certificate[0], first.Certificate[0]) {
		t.Error("the new certificate is not used")
	}
}

func TestC023_OldTLSIsRefused(t *testing.T) {
	cert, key := writeCert(t, t.TempDir(), 1)
	r := start(t, func(c *Config) { c.RTMP.TLS.Listen, c.RTMP.TLS.Cert, c.RTMP.TLS.Key = "127.0.0.1:0", cert, key })
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

func TestForwardedForOfTrustedProxiesOnly(t *testing.T) {
	proxies, err := config.ParseCIDR("127.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		trusted []config.CIDR
		header  string
		want    string
	}{
		{nil, "192.0.2.7", "127.0.0.1"},
		{[]config.CIDR{proxies}, "", "127.0.0.1"},
		{[]config.CIDR{proxies}, "192.0.2.7", "192.0.2.7"},
		{[]config.CIDR{proxies}, "203.0.113.9, 192.0.2.7, 127.0.0.2", "192.0.2.7"},
		{[]config.CIDR{proxies}, "nonsense", "127.0.0.1"},
	} {
		p := &playback{conf: HTTPConfig{TrustedProxies: c.trusted}}
		req := &http.Request{RemoteAddr: "127.0.0.1:5000", Header: http.Header{}}
		if c.header != "" {
			req.Header.Set("X-Forwarded-For", c.header)
		}
		if got := p.remote(req).Addr().String(); got != c.want {
			t.Errorf("%q from a proxy trusted by %v: %s, want %s", c.header, c.trusted, got, c.want)
		}
	}
}

// TestTLSPlayersNeedNoGoroutine: players by RTMPS that say nothing are waited for by the
// poller; what they say is answered all the same, whatever records it comes in.
func TestTLSPlayersNeedNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // elsewhere each has one
	}
	cert, key := writeCert(t, t.TempDir(), 1)
	r := start(t, func(c *Config) { c.RTMP.TLS.Listen, c.RTMP.TLS.Cert, c.RTMP.TLS.Key = "127.0.0.1:0", cert, key })
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
