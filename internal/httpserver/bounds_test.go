package httpserver

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestHeadersAtTheBound: the head of a request may have 32 KiB, and the 4 KiB that net/http adds for what it has read ahead.
func TestHeadersAtTheBound(t *testing.T) {
	_, addr := serveTest(t, Config{}, func(http.ResponseWriter, *http.Request) {})
	for size, want := range map[int]int{36864: http.StatusOK, 36865: http.StatusRequestHeaderFieldsTooLarge} {
		nc := dialTLS(t, addr, "http/1.1")
		const line, end = "GET /a/x HTTP/1.1\r\nHost: h\r\nX: ", "\r\n\r\n"
		if _, err := io.WriteString(nc, line+strings.Repeat("x", size-len(line+end))+end); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _ = a.Body.Close(); a.StatusCode != want {
			t.Errorf("%d bytes: status %d, want %d", size, a.StatusCode, want)
		}
	}
}

// pieces is a response writer that notes how much it is given at once.
type pieces struct {
	deadlines
	sizes []int
}

// Write implements http.ResponseWriter.
func (p *pieces) Write(b []byte) (int, error) {
	p.sizes = append(p.sizes, len(b))
	return len(b), nil
}

// TestPiecesOfAnAnswer: of what a handler has in memory 32 KiB go out at once, and what it copies in half of that.
func TestPiecesOfAnAnswer(t *testing.T) {
	times := DefaultTimes()
	for size, want := range map[int][]int{32768: {32768}, 32769: {32768, 1}, 65536: {32768, 32768}} {
		p := new(pieces)
		a := &answer{ResponseWriter: p, request: context.Background(), control: http.NewResponseController(p), times: &times}
		if n, err := a.Write(make([]byte, size)); n != size || err != nil || !slices.Equal(p.sizes, want) {
			t.Errorf("%d bytes: %d, %v, in pieces of %v", size, n, err, p.sizes)
		}
	}
	p := new(pieces)
	a := &answer{ResponseWriter: p, request: context.Background(), control: http.NewResponseController(p), times: &times}
	if n, err := a.ReadFrom(strings.NewReader(strings.Repeat("x", 16385))); n != 16385 || err != nil || fmt.Sprint(p.sizes) != "[16384 1]" {
		t.Errorf("copied %d, %v, in pieces of %v", n, err, p.sizes)
	}
}

// TestReceivedAtTheBound: HTTP/2 clients are told that 64 requests may wait for their answers, each with 64 KiB of body that nobody has read.
func TestReceivedAtTheBound(t *testing.T) {
	_, addr := serveTest(t, Config{}, func(http.ResponseWriter, *http.Request) {})
	kind, _, _, payload, err := newHTTP2(t, addr, 0).next()
	if err != nil || kind != 4 {
		t.Fatalf("frame %d, %v", kind, err)
	}
	told := map[int]int{}
	for ; len(payload) >= 6; payload = payload[6:] {
		told[int(payload[0])<<8|int(payload[1])] = int(payload[2])<<24 | int(payload[3])<<16 | int(payload[4])<<8 | int(payload[5])
	}
	const streams, window = 3, 4 // RFC 9113, 6.5.2
	if told[streams] != 64 || told[window] != 65536 {
		t.Errorf("%v", told)
	}
}
