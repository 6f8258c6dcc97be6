package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParse: what is answered here is what net/http would have read, whatever came before on the
// connection.
func FuzzParse(f *testing.F) {
	f.Add([]byte("GET /a?b=c HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n"), []byte("GET /b HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n"))
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: h\n\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"), []byte("GET /b HTTP/1.1\r\nHost: h\n\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"))
	f.Add([]byte("HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), []byte("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"))
	f.Add([]byte("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), []byte("GET //a/../%2e HTTP/1.1\r\nHost: h\r\n\r\n"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		c := &conn{front: &Front{}}
		for _, head := range [][]byte{first, second} {
			if len(head) > maxHead {
				return
			}
			c.buf = new([maxHead]byte)
			c.n = copy(c.buf[:], head)
			got := c.parse()
			if got == nil {
				continue
			}
			in := bufio.NewReader(bytes.NewReader(head))
			want, err := http.ReadRequest(in)
			if err != nil {
				t.Fatalf("%q: %v", head, err)
			}
			if in.Buffered() > 0 || want.Body != http.NoBody {
				t.Fatalf("%q: net/http would read more, or less", head)
			}
			type request struct {
				Method, URI, Host, Path, Query string
				Header                         http.Header
				Close                          bool
			}
			is := func(r *http.Request) request {
				return request{r.Method, r.RequestURI, r.Host, r.URL.Path, r.URL.RawQuery, r.Header, r.Close}
			}
			if d := cmp.Diff(is(want), is(got)); d != "" {
				t.Fatalf("%q: %s", head, d)
			}
		}
	})
}
