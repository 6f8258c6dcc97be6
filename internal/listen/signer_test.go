package listen

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"
)

// TestGate: an RSA key signs in turns and signs right; a key whose signatures are cheap is left alone.
func TestGate(t *testing.T) {
	plain, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := gate(plain).(*gatedRSA)
	if !ok {
		t.Fatal("an RSA key has no gate")
	}
	digest := sha256.Sum256([]byte("hello"))
	for range cap(key.turns) {
		key.turns <- struct{}{} // all turns are taken
	}
	signed := make(chan []byte)
	go func() {
		b, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			t.Error(err)
		}
		signed <- b
	}()
	select {
	case <-signed:
		t.Error("it was signed out of turn")
	default:
	}
	<-key.turns
	if err := rsa.VerifyPKCS1v15(&plain.PublicKey, crypto.SHA256, digest[:], <-signed); err != nil {
		t.Error(err)
	}
	cheap, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if gate(cheap) != crypto.PrivateKey(cheap) {
		t.Error("an ECDSA key has a gate")
	}
}
