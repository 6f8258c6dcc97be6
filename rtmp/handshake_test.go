package rtmp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
)

// vector is the golden C1 of the catalogue: byte i is 7i+3, but for time and version.
func vector() []byte {
	c1 := make([]byte, handshakeSize)
	for i := range c1 {
		c1[i] = byte(7*i + 3)
	}
	copy(c1, []byte{0, 0, 0, 0, 0x09, 0x00, 0x7c, 0x02})
	return c1
}

var vectors = []struct {
	name, digest, key, mac string
	base, pos              int
}{
	{
		"scheme 1", "612af37c38c4a1b74e5737fc4021ded17ed92a9431c19bc665cf421131bad8a6",
		"b64b9cb0ff0d9abe14b38c4638d3af7b13e7e857b3c2af49eb5449fde909256e",
		"0414118a39ca0f9a01eea8e29c16609bc0832e817fd4e95b529ae1d4d5b45181", digestBase1, 290,
	},
	{
		"scheme 0", "e6a7fbdda4aab503b4e693e92d6f18d9d4b89f3ef0e95fffe767a4830aa37109",
		"62dd38a55a5a4ad037a152b653471347451f16b2d042e9f1d491ab3f920eb23e",
		"bef6167a0f06c7be709745d27cb41c66c5f7af0a5cbba42ac8d05b2a3b2195f9", digestBase0, 942,
	},
}

func TestHandshake_Vectors(t *testing.T) {
	for _, v := range vectors {
		c1 := vector()
		if pos := digestAt(c1, v.base); pos != v.pos {
			t.Errorf("%s: digest at %d, want %d", v.name, pos, v.pos)
		}
		if base := findDigest(c1, clientKey[:clientLen]); base != 0 {
			t.Errorf("%s: digest found at base %d before there is one", v.name, base)
		}
		sign(c1, v.base, clientKey[:clientLen])
		d := c1[v.pos : v.pos+digestSize]
		if got := hex.EncodeToString(d); got != v.digest {
			t.Errorf("%s: digest %s, want %s", v.name, got, v.digest)
		}
		if base := findDigest(c1, clientKey[:clientLen]); base != v.base {
			t.Errorf("%s: digest found at base %d, want %d", v.name, base, v.base)
		}
		h := hmac.New(sha256.New, []byte(serverKey))
		h.Write(d)
		if got := hex.EncodeToString(h.Sum(nil)); got != v.key {
			t.Errorf("%s: key of S2 %s, want %s", v.name, got, v.key)
		}
		s2 := make([]byte, handshakeSize)
		for i := range s2 {
			s2[i] = byte(5*i + 1)
		}
		signReply(s2, serverKey, d)
		if got := hex.EncodeToString(s2[handshakeSize-digestSize:]); got != v.mac {
			t.Errorf("%s: MAC of S2 %s, want %s", v.name, got, v.mac)
		}
	}
}

// The digest lies within its block whatever the offset bytes say.
func TestHandshake_DigestPosition(t *testing.T) {
	for _, base := range []int{digestBase0, digestBase1} {
		for _, c := range []struct {
			offset [4]byte
			want   int
		}{
			{[4]byte{}, 0}, {[4]byte{255, 255, 217, 0}, 727}, {[4]byte{255, 255, 218, 0}, 0}, {[4]byte{255, 255, 255, 255}, 292},
		} {
			b := make([]byte, handshakeSize)
			copy(b[base:], c.offset[:])
			if got := digestAt(b, base) - base - 4; got != c.want {
				t.Errorf("base %d, offset %v: %d, want %d", base, c.offset, got, c.want)
			}
		}
	}
}

// accepted performs the server's side with in from the client.
func accepted(in io.Reader, size int) (answer []byte, b *readBuffer, waited bool, err error) {
	var out writes
	b = new(readBuffer)
	b.init(in, size)
	err = acceptHandshake(b, &out, func() { waited = true })
	if len(out) > 1 {
		return nil, b, waited, errors.New("the answer is not one write")
	}
	if len(out) == 1 {
		answer = out[0]
	}
	return answer, b, waited, err
}

// writes keeps every write.
type writes [][]byte

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, bytes.Clone(p))
	return len(p), nil
}

// simple reports whether an answer is that of the simple handshake to c1.
func simple(answer, c1 []byte) bool {
	return len(answer) == 3073 && answer[0] == version && bytes.Equal(answer[5:9], make([]byte, 4)) &&
		bytes.Equal(answer[1537:1541], c1[:4]) && bytes.Equal(answer[1545:], c1[8:])
}

func TestHandshake_ServerAnswers(t *testing.T) {
	plain := vector()
	copy(plain, []byte{1, 2, 3, 4, 0, 0, 0, 0})
	signedPlain := vector()
	clear(signedPlain[4:8])
	sign(signedPlain, digestBase1, clientKey[:clientLen])
	scheme1, scheme0, wrongKey, cut := vector(), vector(), vector(), vector()
	sign(scheme1, digestBase1, clientKey[:clientLen])
	sign(scheme0, digestBase0, clientKey[:clientLen])
	sign(wrongKey, digestBase1, serverKey[:serverLen])
	sign(cut, digestBase1, clientKey[:clientLen])
	cut[1535] ^= 1
	for _, c := range []struct {
		name string
		c1   []byte
		base int
	}{
		{"C-004 scheme 0", scheme0, digestBase0},
		{"C-005 scheme 1", scheme1, digestBase1},
		{"C-006 version without digest", vector(), 0},
		{"C-006 digest of another key", wrongKey, 0},
		{"C-006 digest of other bytes", cut, 0},
		{"C-007 version 0", plain, 0},
		{"C-007 version 0 with a digest, which nobody looks for", signedPlain, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := append(append([]byte{3}, c.c1...), pattern(handshakeSize+5)...)
			for _, w := range ways {
				answer, b, waited, err := accepted(w.deliver(bytes.NewReader(in)), w.size)
				if err != nil || !waited {
					t.Fatalf("%s: %v", w.name, err)
				}
				// What follows C2 belongs to the chunk stream.
				if rest, err := b.peek(5); err != nil || !bytes.Equal(rest, pattern(handshakeSize + 5)[handshakeSize:]) {
					t.Errorf("%s: %x is left, %v", w.name, rest, err)
				}
				if c.base == 0 {
					if !simple(answer, c.c1) {
						t.Errorf("%s: not the simple answer", w.name)
					}
					continue
				}
				verifySigned(t, answer[1:1537], answer[1537:], c.c1, c.base)
			}
		})
	}
}

// verifySigned checks S1 and S2 as a player does (C-258).
func verifySigned(t *testing.T, s1, s2, c1 []byte, base int) {
	t.Helper()
	if s1[4] < 3 {
		t.Errorf("version %x in S1", s1[4:8])
	}
	pos := digestAt(s1, base)
	if !hmac.Equal(digest(s1, pos, serverKey[:serverLen]), s1[pos:pos+digestSize]) {
		t.Error("S1 is not signed in the layout of C1")
	}
	pos = digestAt(c1, base)
	want := bytes.Clone(s2)
	signReply(want, serverKey, c1[pos:pos+digestSize])
	if !bytes.Equal(want, s2) {
		t.Error("the signature of S2 is wrong")
	}
}

// C-001, C-003, C-002, C-022: S0, S1 and S2 go out as soon as the last byte of C1 has
// come, and not before; C2 may come with the rest, and be anything.
func TestC001_AnsweredAtTheLastByteOfC1(t *testing.T) {
	hello := append([]byte{3}, vector()...)
	var out writes
	b := new(readBuffer)
	order := ""
	b.init(io.MultiReader(
		iotest.OneByteReader(bytes.NewReader(hello)),
		readFunc(func([]byte) (int, error) {
			if len(out) != 1 || len(out[0]) != 3073 {
				t.Errorf("%d writes when C1 was read", len(out))
			}
			order += "C2 "
			return 0, io.EOF
		}),
		bytes.NewReader(make([]byte, 1000)),           // C2, cut short,
		bytes.NewReader(unhexString(blockCN+blockCS)), // and commands, which are taken for its rest
	), 4096)
	err := acceptHandshake(b, &out, func() { order += "waiting " })
	if !errors.Is(err, io.ErrUnexpectedEOF) || order != "waiting C2 " {
		t.Errorf("%v, in the order %q", err, order)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestC002_AllInOneWrite(t *testing.T) {
	in := append(append([]byte{3}, vector()...), make([]byte, handshakeSize)...)
	in = append(in, unhexString(blockCN+blockCS)...)
	answer, b, _, err := accepted(bytes.NewReader(in), 4096)
	if err != nil || len(answer) != 3073 {
		t.Fatalf("%d bytes, %v", len(answer), err)
	}
	ms, err := drain(newChunkReader(b, readLimits{}))
	if err != io.EOF || len(ms) != 2 || ms[0].Type != TypeCommand {
		t.Errorf("%d messages behind C2, %v", len(ms), err)
	}
}

func TestC022_CommandsTakenForC2(t *testing.T) {
	in := append(append([]byte{3}, vector()...), make([]byte, 1000)...)
	in = append(in, bytes.Repeat(unhexString(blockCN), 10)...)
	_, b, _, err := accepted(bytes.NewReader(in), 4096)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := drain(newChunkReader(b, readLimits{})); err == io.EOF {
		t.Error("the rest was read as messages")
	}
}

// A handshake that is cut anywhere is an error, and nothing is written before C1 is whole.
func TestC017_CutAtEveryPlace(t *testing.T) {
	in := append(append([]byte{3}, vector()...), make([]byte, handshakeSize)...)
	for n := range in {
		answer, _, waited, err := accepted(bytes.NewReader(in[:n]), 4096)
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = ErrProbe
		}
		if !errors.Is(err, want) || (answer != nil) != (n >= 1537) || waited != (n >= 1537) {
			t.Fatalf("cut at %d: %d bytes of answer, %v", n, len(answer), err)
		}
	}
}

// The client against the server over every kind of pipe, and against servers that do less.
func TestHandshake_ClientAndServer(t *testing.T) {
	for _, digests := range []bool{false, true} {
		client, server := net.Pipe()
		result := make(chan error, 1)
		go func() {
			b := new(readBuffer)
			b.init(server, 4096)
			result <- acceptHandshake(b, server, func() {})
		}()
		b := new(readBuffer)
		b.init(client, 4096)
		if err := dialHandshake(b, client, digests); err != nil {
			t.Errorf("digests %v: client: %v", digests, err)
		}
		if err := <-result; err != nil {
			t.Errorf("digests %v: server: %v", digests, err)
		}
		_, _ = client.Close(), server.Close()
	}
}

// script answers a client's C0 and C1 with what f makes of them.
type script struct {
	f   func(c1 []byte) []byte
	in  bytes.Buffer
	out writes
}

func (s *script) Write(p []byte) (int, error) {
	if len(s.out) == 0 {
		s.in.Write(s.f(p[1:]))
	}
	return s.out.Write(p)
}

func (s *script) Read(p []byte) (int, error) { return s.in.Read(p) }

func TestHandshake_Client(t *testing.T) {
	signed := func(base int) func([]byte) []byte {
		return func(c1 []byte) []byte {
			s := append([]byte{3}, vector()...)
			sign(s[1:], base, serverKey[:serverLen])
			return append(s, c1...)
		}
	}
	unsigned := func(c1 []byte) []byte { return append(append([]byte{3}, vector()...), c1...) }
	for _, c := range []struct {
		name    string
		digests bool
		f       func([]byte) []byte
		base    int // of the digest that C2 must answer; 0: an echo
	}{
		{"simple", false, unsigned, 0},
		{"simple, the server signs", false, signed(digestBase1), 0},
		{"digests, the server does not sign", true, unsigned, 0},
		{"digests, scheme 0", true, signed(digestBase0), digestBase0},
		{"digests, scheme 1", true, signed(digestBase1), digestBase1},
	} {
		for _, one := range []bool{false, true} {
			s := &script{f: c.f}
			var src io.Reader = s
			if one {
				src = iotest.OneByteReader(s)
			}
			b := new(readBuffer)
			b.init(src, 4096)
			if err := dialHandshake(b, s, c.digests); err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if len(s.out) != 2 || len(s.out[0]) != 1537 || len(s.out[1]) != 1536 {
				t.Fatalf("%s: %d writes", c.name, len(s.out))
			}
			c1, c2, s1 := s.out[0][1:], s.out[1], s.f(nil)[1:1537]
			found := findDigest(c1, clientKey[:clientLen])
			if (found != 0) != c.digests || (c1[4] != 0) != c.digests || s.out[0][0] != 3 {
				t.Errorf("%s: C0 %d, version %x, digest at base %d", c.name, s.out[0][0], c1[4:8], found)
			}
			if c.base == 0 {
				if !bytes.Equal(c2, s1) {
					t.Errorf("%s: C2 is no echo", c.name)
				}
				continue
			}
			pos := digestAt(s1, c.base)
			want := bytes.Clone(c2)
			signReply(want, clientKey, s1[pos:pos+digestSize])
			if !bytes.Equal(c2, want) {
				t.Errorf("%s: the signature of C2 is wrong", c.name)
			}
		}
	}
}

func TestHandshake_ClientIsCutOff(t *testing.T) {
	for n := range 3073 {
		s := &script{f: func(c1 []byte) []byte { return append(append([]byte{3}, vector()...), c1...)[:n] }}
		b := new(readBuffer)
		b.init(s, 4096)
		if err := dialHandshake(b, s, false); err == nil || n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	b := new(readBuffer)
	b.init(&script{}, 4096)
	cause := errors.New("reset")
	if err := dialHandshake(b, errorWriter{cause}, true); !errors.Is(err, cause) {
		t.Errorf("a write that fails: %v", err)
	}
}

type errorWriter struct{ err error }

func (w errorWriter) Write([]byte) (int, error) { return 0, w.err }

func FuzzHandshake(f *testing.F) {
	for _, v := range vectors {
		c1 := vector()
		sign(c1, v.base, clientKey[:clientLen])
		f.Add(append(append([]byte{3}, c1...), c1...))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"))
	f.Add([]byte{0x16, 3, 1})
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, in []byte) {
		answer, b, waited, err := accepted(bytes.NewReader(in), 4096)
		if (answer != nil) != (len(in) >= 1537 && in[0] == 3) || waited != (answer != nil) {
			t.Errorf("%d bytes answered with %d, %v", len(in), len(answer), err)
		}
		if err == nil && b.consumed != 3073 {
			t.Errorf("consumed %d bytes", b.consumed)
		}
		if answer == nil {
			return
		}
		c1 := in[1:1537]
		base := findDigest(c1, clientKey[:clientLen])
		if base == 0 || bytes.Equal(c1[4:8], make([]byte, 4)) {
			if !simple(answer, c1) {
				t.Error("not the simple answer")
			}
			return
		}
		verifySigned(t, answer[1:1537], answer[1537:], c1, base)
	})
}

// C-019: what a C1 of each kind costs; the search for a digest is two HMACs at most.
func BenchmarkAcceptHandshake(b *testing.B) {
	signed := vector()
	sign(signed, digestBase0, clientKey[:clientLen])
	plain := vector()
	clear(plain[4:8])
	for name, c1 := range map[string][]byte{"simple": plain, "C-019 no digest": vector(), "digests": signed} {
		b.Run(name, func(b *testing.B) {
			in := append(append([]byte{3}, c1...), make([]byte, handshakeSize)...)
			src := bytes.NewReader(in)
			rb := new(readBuffer)
			b.ReportAllocs()
			for b.Loop() {
				src.Reset(in)
				rb.init(src, 4096)
				if err := acceptHandshake(rb, io.Discard, func() {}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
