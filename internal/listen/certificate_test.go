package listen

import (
	"bytes"
	"os"
	"testing"
	"time"

	"weir/internal/listen/listentest"
)

// TestC024_CertificateIsReadAgain exchanges the files under a running server.
func TestC024_CertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := listentest.Cert(t, dir, 1)
	c := &certificate{cert: cert, key: key}
	if err := c.load(time.Now()); err != nil {
		t.Fatal(err)
	}
	first, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	listentest.Cert(t, dir, 2)
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
