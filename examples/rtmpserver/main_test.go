package main

import (
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"weir/rtmp"
)

// TestServe publishes to the example with package rtmp's own client.
func TestServe(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out strings.Builder
	done := make(chan error, 1)
	go func() { done <- serve(ctx, ln, &out) }()
	url := "rtmp://" + ln.Addr().String() + "/live/cam"

	c, err := rtmp.Dial(ctx, url, rtmp.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var status *rtmp.StatusError
	if _, err = c.Publish(ctx); !errors.As(err, &status) || status.Code != rtmp.CodePublishDenied {
		t.Fatalf("without a key: %v", err)
	}
	c.Close()

	if c, err = rtmp.Dial(ctx, url+"?key=secret", rtmp.DialOptions{}); err != nil {
		t.Fatal(err)
	}
	p, err := c.Publish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WriteMessage(&rtmp.Message{Type: rtmp.TypeAudio, Payload: []byte{0xaf, 0, 0x12, 0x10}}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "live/cam ends after 1 messages") {
		t.Fatal(out.String())
	}
}

// TestImports holds what this program is here to show: the RTMP package pulls in
// nothing of the server and no module of others.
func TestImports(t *testing.T) {
	b, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for p := range strings.FieldsSeq(string(b)) {
		if p != "example.org/rtmpserver" && p != "weir/rtmp" && p != "weir/amf" {
			t.Errorf("it imports %s", p)
		}
	}
}
