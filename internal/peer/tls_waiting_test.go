package peer

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"weir/internal/intake"
	"weir/internal/listen/listentest"
	"weir/internal/session"
)

// expand is HKDF-Expand-Label (RFC 8446 §7.1) without a context.
func expand(t *testing.T, secret []byte, label string, n int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := append(binary.BigEndian.AppendUint16(nil, uint16(n)), byte(len(label)))
	out, err := hkdf.Expand(sha256.New, secret, string(append(append(info, label...), 0)), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// seal makes the first record that is encrypted with a traffic secret.
func seal(t *testing.T, secret []byte, kind byte, content []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(expand(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	inner := append(bytes.Clone(content), kind)
	head := []byte{23, 3, 3, 0, byte(len(inner) + aead.Overhead())}
	return aead.Seal(head, expand(t, secret, "iv", 12), inner, head)
}

// TestFaultsOfTLSPeers: what a peer does wrong below RTMP ends its session as a breach of the protocol, and as no
// fault of ours.
func TestFaultsOfTLSPeers(t *testing.T) {
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		send func(secret []byte, nc net.Conn)
		want session.Reason
	}{
		"key updates": {func(secret []byte, nc net.Conn) {
			for range 25 {
				_, _ = nc.Write(seal(t, secret, 22, []byte{24, 0, 0, 1, 0}))
				secret = expand(t, secret, "traffic upd", 32)
			}
		}, session.ProtocolError},
		"a bad record": {func(_ []byte, nc net.Conn) {
			_, _ = nc.Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
		}, session.ProtocolError},
		"its end": {func(_ []byte, nc net.Conn) { _ = nc.Close() }, session.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			client, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			_ = server.SetDeadline(time.Now().Add(10 * time.Second))
			var secrets bytes.Buffer
			conn := tls.Client(client, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &secrets})
			done := make(chan error, 1)
			go func() { done <- conn.Handshake() }()
			poller, err := intake.NewPoller()
			if err != nil {
				t.Fatal(err)
			}
			defer poller.Close()
			wrapped, ok := intake.Wrap(server, poller)
			if !ok {
				t.Fatal("it cannot be waited for")
			}
			defer wrapped.Close()
			waiting := NewWaitingTLS(wrapped, &tls.Config{Certificates: []tls.Certificate{pair}, SessionTicketsDisabled: true}, true)
			if err := waiting.Handshake(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if suite := conn.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
				t.Fatalf("this test speaks one suite only, not %s", tls.CipherSuiteName(suite))
			}
			var secret []byte
			for line := range strings.Lines(secrets.String()) {
				if f := strings.Fields(line); f[0] == "CLIENT_TRAFFIC_SECRET_0" {
					if secret, err = hex.DecodeString(f[2]); err != nil {
						t.Fatal(err)
					}
				}
			}
			c.send(secret, client)
			_, err = io.Copy(io.Discard, waiting)
			if got := session.ReasonOf(err); got != c.want {
				t.Errorf("%v: %v, want %v", err, got, c.want)
			}
		})
	}
}
