// Command rtmpserver is the smallest useful RTMP server made with package weir/rtmp
// alone: it prints what publishers send, and refuses players and names without a key.
//
//	go run . -listen :1935
//	ffmpeg -re -i file.flv -c copy -f flv 'rtmp://127.0.0.1/live/cam?key=secret'
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"

	"weir/rtmp"
)

func main() {
	listen := flag.String("listen", ":1935", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ln, err := net.Listen("tcp", *listen)
	if err == nil {
		err = serve(ctx, ln, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, ln net.Listener, out io.Writer) error {
	s := rtmp.Server{Handler: handler{out}}
	return s.Serve(ctx, ln)
}

// handler decides who may do what.
type handler struct{ out io.Writer }

// Connect implements rtmp.Handler.
func (h handler) Connect(_ context.Context, s *rtmp.ServerSession, r *rtmp.ConnectRequest) error {
	fmt.Fprintf(h.out, "%s connects to %q with %q\n", s.RemoteAddr(), r.App, r.FlashVer)
	return nil
}

// Publish implements rtmp.Handler: the encoder learns of a refusal before it believes to be live.
func (h handler) Publish(_ context.Context, _ *rtmp.ServerSession, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	if r.Query.Get("key") != "secret" {
		return nil, &rtmp.StatusError{Code: rtmp.CodePublishDenied, Description: "wrong or missing key"}
	}
	fmt.Fprintf(h.out, "%s is live\n", r.Path)
	return &publication{h.out, r.Path, 0, 0}, nil
}

// Play implements rtmp.Handler.
func (h handler) Play(context.Context, *rtmp.ServerSession, *rtmp.PlayRequest) (rtmp.Playback, error) {
	return nil, errors.New("there is nothing to play here")
}

// publication counts what a publisher sends.
type publication struct {
	out      io.Writer
	path     string
	messages int
	bytes    int
}

// Message implements rtmp.Publication.
func (p *publication) Message(m *rtmp.Message) error {
	p.messages++
	p.bytes += len(m.Payload)
	return nil
}

// Close implements rtmp.Publication.
func (p *publication) Close(cause error) {
	fmt.Fprintf(p.out, "%s ends after %d messages, %d bytes: %v\n", p.path, p.messages, p.bytes, cause)
}
