package rtmp_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"weir/rtmp"
)

// counter accepts publishers and counts what they send.
type counter struct{ messages int }

func (c *counter) Connect(context.Context, *rtmp.ServerSession, *rtmp.ConnectRequest) error {
	return nil
}

func (c *counter) Publish(_ context.Context, _ *rtmp.ServerSession, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	if r.Query.Get("key") != "secret" {
		return nil, &rtmp.StatusError{Code: rtmp.CodePublishDenied, Description: "wrong key"}
	}
	fmt.Println("published:", r.Path)
	return c, nil
}

func (c *counter) Play(context.Context, *rtmp.ServerSession, *rtmp.PlayRequest) (rtmp.Playback, error) {
	return nil, &rtmp.StatusError{Code: rtmp.CodePlayStreamNotFound, Description: "nothing to play here"}
}

func (c *counter) Message(*rtmp.Message) error { c.messages++; return nil }

func (c *counter) Close(cause error) { fmt.Printf("%d messages, then %v\n", c.messages, cause) }

func Example() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- (&rtmp.Server{Handler: new(counter)}).Serve(ctx, ln) }()

	client, err := rtmp.Dial(ctx, "rtmp://"+ln.Addr().String()+"/live/cam?key=secret", rtmp.DialOptions{})
	if err != nil {
		log.Fatal(err)
	}
	stream, err := client.Publish(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for i := range uint32(3) {
		if err := stream.WriteMessage(&rtmp.Message{Type: rtmp.TypeVideo, Timestamp: 40 * i, Payload: []byte{0x27, 1}}); err != nil {
			log.Fatal(err)
		}
	}
	_ = stream.Close()
	stop()
	<-served
	// Output:
	// published: live/cam
	// 3 messages, then unpublished
}

func ExampleParsePath() {
	u, err := rtmp.ParsePath("live?token=abc", "rtmp://example.org/live", "cam?user=1?lang=en")
	fmt.Println(u.Path, u.Query.Get("user"), u.Query.Get("lang"), u.Query.Get("token"), err)
	_, err = rtmp.ParsePath("live", "", "../../etc/passwd")
	fmt.Println(err)
	// Output:
	// live/cam 1 en abc <nil>
	// invalid stream path: segment ".."
}
