package rtmp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

const (
	version       = 3
	handshakeSize = 1536
	digestSize    = 32
	// The two layouts of the digest handshake differ in where the digest's block begins.
	digestBase0 = 772
	digestBase1 = 8
)

// Keys of the digest handshake; the short ones sign C1 and S1, the whole ones C2 and S2.
const (
	clientKey = "Genuine Adobe Flash Player 001" + keyTail
	clientLen = 30
	serverKey = "Genuine Adobe Flash Media Server 001" + keyTail
	serverLen = 36
	keyTail   = "\xf0\xee\xc2\x4a\x80\x68\xbe\xe8\x2e\x00\xd0\xd1\x02\x9e\x7e\x57" +
		"\x6e\xec\x5d\x2d\x29\x80\x6f\xab\x93\xb8\xe6\x36\xcf\xeb\x31\xae"
)

// The versions that stand in C1 and S1 of the digest handshake.
const (
	c1Version = 0x09007c02
	s1Version = 0x0d0e0a0d
)

// The memory of a handshake comes from pools, as a connection needs it once, and goes back before
// each wait: a peer can make any wait last.
var (
	packets = sync.Pool{New: func() any { return new([handshakeSize]byte) }}
	// answers hold S0, S1 and S2, or C0, C1 and C2.
	answers = sync.Pool{New: func() any { return new([1 + 2*handshakeSize]byte) }}
)

// acceptHandshake is the server's side (RTMP 1.0 §5.2): it reads C0 and C1, writes S0,
// S1 and S2 at once, and reads C2, whose content is ignored because clients put anything there.
// onS2 is called before waiting for C2. It fails with an error of sniff if the peer does not speak RTMP.
func acceptHandshake(b *readBuffer, w io.Writer, onS2 func()) error {
	if err := sniff(b); err != nil {
		return err
	}
	if err := answerHello(b, w); err != nil {
		return err
	}
	onS2()
	if err := b.skip(handshakeSize); err != nil {
		return fmt.Errorf("reading C2: %w", err)
	}
	return nil
}

// answerHello reads C1 and writes S0, S1 and S2.
func answerHello(b *readBuffer, w io.Writer) error {
	c1 := packets.Get().(*[handshakeSize]byte)
	if err := b.readFull(c1[:]); err != nil {
		packets.Put(c1)
		return fmt.Errorf("reading C1: %w", err)
	}
	out := answers.Get().(*[1 + 2*handshakeSize]byte)
	defer answers.Put(out)
	out[0] = version
	answer(out[1:1+handshakeSize], out[1+handshakeSize:], c1[:])
	packets.Put(c1)
	if _, err := w.Write(out[:]); err != nil {
		return fmt.Errorf("writing S0, S1 and S2: %w", err)
	}
	return nil
}

// answer fills in S1 and S2 for a C1. A client that sends a version and a valid digest gets
// digests of the same layout; others get a zero version, which tells players not to
// look for any, and the exact echo that some compare.
func answer(s1, s2, c1 []byte) {
	_, _ = rand.Read(s1) // never fails
	clear(s1[:8])
	base := 0
	if binary.BigEndian.Uint32(c1[4:]) != 0 {
		base = findDigest(c1, clientKey[:clientLen])
	}
	if base == 0 {
		copy(s2, c1)
		clear(s2[4:8])
		return
	}
	binary.BigEndian.PutUint32(s1[4:], s1Version)
	sign(s1, base, serverKey[:serverLen])
	_, _ = rand.Read(s2)
	pos := digestAt(c1, base)
	signReply(s2, serverKey, c1[pos:pos+digestSize])
}

// digestAt returns where the digest of a C1 or S1 lies whose digest block begins at base.
func digestAt(b []byte, base int) int {
	sum := int(b[base]) + int(b[base+1]) + int(b[base+2]) + int(b[base+3])
	return base + 4 + sum%728
}

// digest returns the HMAC of b without the 32 bytes at pos.
func digest(b []byte, pos int, key string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(b[:pos])
	h.Write(b[pos+digestSize:])
	return h.Sum(nil)
}

// findDigest returns the base of the layout in which b is signed with key, 0 if none.
func findDigest(b []byte, key string) int {
	for _, base := range [2]int{digestBase1, digestBase0} {
		pos := digestAt(b, base)
		if hmac.Equal(digest(b, pos, key), b[pos:pos+digestSize]) {
			return base
		}
	}
	return 0
}

// sign puts the digest into a C1 or S1.
func sign(b []byte, base int, key string) {
	pos := digestAt(b, base)
	copy(b[pos:], digest(b, pos, key))
}

// signReply puts the signature into a C2 or S2, made from the digest of the S1 or C1
// that it answers.
func signReply(b []byte, key string, theirs []byte) {
	h := hmac.New(sha256.New, []byte(key))
	h.Write(theirs)
	k := h.Sum(nil)
	h = hmac.New(sha256.New, k)
	h.Write(b[:handshakeSize-digestSize])
	copy(b[handshakeSize-digestSize:], h.Sum(nil))
}

// dialHandshake is the client's side. With digests it signs C1 and, if the server
// answers with a digest, C2; the server's signature is not checked.
func dialHandshake(b *readBuffer, w io.Writer, digests bool) error {
	if err := hello(b, w, digests); err != nil {
		return err
	}
	if err := b.skip(handshakeSize); err != nil {
		return fmt.Errorf("reading S2: %w", err)
	}
	return nil
}

// hello writes C0 and C1, reads S0 and S1, and writes C2.
func hello(b *readBuffer, w io.Writer, digests bool) error {
	out := answers.Get().(*[1 + 2*handshakeSize]byte)
	defer answers.Put(out)
	c0c1, c2 := out[:1+handshakeSize], out[1+handshakeSize:]
	c1 := c0c1[1:]
	c0c1[0] = version
	_, _ = rand.Read(c1) // never fails
	clear(c1[:8])
	if digests {
		binary.BigEndian.PutUint32(c1[4:], c1Version)
		sign(c1, digestBase1, clientKey[:clientLen])
	}
	if _, err := w.Write(c0c1); err != nil {
		return fmt.Errorf("writing C0 and C1: %w", err)
	}
	if err := sniff(b); err != nil {
		return err
	}
	s1 := packets.Get().(*[handshakeSize]byte)
	defer packets.Put(s1)
	if err := b.readFull(s1[:]); err != nil {
		return fmt.Errorf("reading S1: %w", err)
	}
	answerS1(c2, s1[:], digests)
	if _, err := w.Write(c2); err != nil {
		return fmt.Errorf("writing C2: %w", err)
	}
	return nil
}

// answerS1 fills in C2: an echo, or a signature if the server sent a digest.
func answerS1(c2, s1 []byte, digests bool) {
	base := 0
	if digests {
		base = findDigest(s1, serverKey[:serverLen])
	}
	if base == 0 {
		copy(c2, s1)
		return
	}
	_, _ = rand.Read(c2)
	pos := digestAt(s1, base)
	signReply(c2, clientKey, s1[pos:pos+digestSize])
}
