//go:build linux

package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSendFile: what is sent from a file is what is in it, also to a client that takes it slowly, and goes
// together with what is written.
func TestSendFile(t *testing.T) {
	content := make([]byte, 8<<20)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type fileSender interface {
		SendFile(f *os.File, at, size int64) (int64, error)
	}
	errs := make(chan error, 4)
	send := func(w http.ResponseWriter, at, size int64) {
		n, err := w.(fileSender).SendFile(f, at, size)
		if err == nil && n != size {
			err = fmt.Errorf("%d of %d", n, size)
		}
		errs <- err
	}
	length := func(w http.ResponseWriter, n int) { w.Header().Set("Content-Length", fmt.Sprint(n)) }
	handlers := map[string]func(w http.ResponseWriter){
		"/part":  func(w http.ResponseWriter) { length(w, 5000); send(w, 100, 5000) },
		"/whole": func(w http.ResponseWriter) { length(w, len(content)); send(w, 0, int64(len(content))) },
		"/mixed": func(w http.ResponseWriter) {
			length(w, 30)
			_, _ = w.Write(content[:10])
			send(w, 10, 10)
			_, _ = w.Write(content[20:30])
		},
		"/empty":   func(w http.ResponseWriter) { length(w, 0); send(w, 5, 0) },
		"/unsaid":  func(w http.ResponseWriter) { send(w, 0, 50) },
		"/toomuch": func(w http.ResponseWriter) { length(w, 4); send(w, 0, 5) },
		"/short":   func(w http.ResponseWriter) { length(w, 20); send(w, int64(len(content))-10, 20) },
	}
	addr, _ := both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handlers[r.URL.Path](w) }), nil)
	for path, c := range map[string]struct {
		want []byte
		err  error
	}{
		"/part":    {content[100:5100], nil},
		"/whole":   {content, nil},
		"/mixed":   {content[:30], nil},
		"/empty":   {nil, nil},
		"/unsaid":  {content[:50], nil},
		"/toomuch": {nil, http.ErrContentLength},
		"/short":   {content[len(content)-10:], io.ErrUnexpectedEOF},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			nc := dial(t, addr)
			in := bufio.NewReader(nc)
			say(t, nc, method+" "+path+" HTTP/1.1\r\nHost: h\r\n\r\n")
			<-time.After(20 * time.Millisecond) // the kernel's buffers fill
			res, err := http.ReadResponse(in, &http.Request{Method: method})
			if err != nil {
				t.Fatal(path, err)
			}
			got, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			want, werr := c.want, c.err
			if method == http.MethodHead {
				want, werr = nil, nil
			}
			if err := <-errs; !errors.Is(err, werr) {
				t.Errorf("%s %s: %v", method, path, err)
			}
			if !bytes.Equal(got, want) || (err == nil) != (werr == nil) {
				t.Errorf("%s %s: %d bytes, %v", method, path, len(got), err)
			}
			if werr != nil {
				continue
			}
			say(t, nc, "GET /part HTTP/1.1\r\nHost: h\r\n\r\n") // the connection goes on
			hear(t, in, true, 200, string(content[100:5100]))
			<-errs
		}
	}
}
