package live

import (
	"bytes"
	"io"
	"net/http/httputil"
	"testing"
)

// TestWrapping: a message takes as many bytes as was said, and comes out of the wrapping whole.
func TestWrapping(t *testing.T) {
	for _, n := range []int{1, 15, 16, 125, 126, 255, 256, 4095, 4096, 65535, 65536, 1 << 20} {
		message := bytes.Repeat([]byte{7}, n)
		for _, w := range []Wrapping{Plain, Chunked, WebSocket} {
			b := w.AppendTail(append(w.AppendHead(nil, n), message...))
			if len(b) != w.Size(n) || !bytes.Equal(b, w.wrap(message)) {
				t.Errorf("wrapping %d of %d bytes: %d, said to be %d", w, n, len(b), w.Size(n))
			}
			if w != Chunked {
				continue
			}
			b = w.AppendEnd(append(b, b...))
			got, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b)))
			if err != nil || len(got) != 2*n {
				t.Errorf("chunks of %d bytes: %d, %v", n, len(got), err)
			}
		}
	}
	if len(Plain.AppendEnd(nil)) != 0 || string(WebSocket.AppendEnd(nil)) != "\x88\x02\x03\xe8" || len(Chunked.wrap(nil)) != 0 {
		t.Error("ends")
	}
}
