package listen

import (
	"crypto"
	"crypto/rsa"
	"io"
	"runtime"
)

// gatedRSA is an RSA key with which few signatures are made at a time. A signature takes about a
// millisecond of a processor, and anybody can ask for as many as connections carry: without the gate, those
// who begin handshakes and never end them would take the processors from the streams.
type gatedRSA struct {
	*rsa.PrivateKey
	turns chan struct{}
}

// gate returns the key of a certificate, gated if its signatures are dear.
func gate(key crypto.PrivateKey) crypto.PrivateKey {
	k, ok := key.(*rsa.PrivateKey)
	if !ok {
		return key
	}
	return &gatedRSA{k, make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/4))}
}

// Sign implements crypto.Signer.
func (k *gatedRSA) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.turns <- struct{}{}
	defer func() { <-k.turns }()
	return k.PrivateKey.Sign(rand, digest, opts)
}
