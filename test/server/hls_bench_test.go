package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkHLSRequest asks for a playlist and a part in turn on one connection. It is there for
// its allocations; how many requests a core answers is measured by bench/run.
func BenchmarkHLSRequest(b *testing.B) {
	s := start(b, hlsStream(nil))
	tags, _, _ := readFLV(b, makeFLV(b, "320x180"))
	p := s.mustPublish("live/a")
	ready := make(chan *hlsClient, 1)
	go func() { ready <- s.openHLS("live/a") }()
	paced(p, tags, 0)
	c := <-ready
	playlist := c.playlist("")
	var part string
	for _, seg := range playlist.Segments {
		for _, t := range seg.Parts {
			part = c.dir + t.URI
		}
	}
	nc, err := net.Dial("tcp", s.Addr("http").String())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	in := bufio.NewReaderSize(nc, 64<<10)
	ask := func(path string) {
		if _, err := fmt.Fprintf(nc, "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", path); err != nil {
			b.Fatal(err)
		}
		size := -1
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if len(line) == 2 {
				break
			}
			if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				if size, err = strconv.Atoi(strings.TrimSpace(string(v))); err != nil {
					b.Fatal(err)
				}
			}
		}
		if _, err := io.CopyN(io.Discard, in, int64(size)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		ask(c.media)
		ask(part)
	}
}
