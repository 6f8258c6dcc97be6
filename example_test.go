package weir_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"weir"
	"weir/av"
)

// The server on its defaults, until the program is interrupted.
func ExampleNew() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := weir.New(weir.DefaultConfig())
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Run(ctx); err != nil {
		log.Fatal(err)
	}
}

// A configuration that a program writes, and what is wrong with another.
func ExampleConfig() {
	c := weir.DefaultConfig()
	c.Delivery.MaxDelay = 50 * time.Millisecond
	c.Limits.StreamBitrate = 20_000_000
	c.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	cams := weir.DefaultStreamConfig()
	cams.Match, cams.Publish.Keys = "live/*", []weir.Key{{Key: "secret"}}
	c.Streams = []weir.StreamConfig{cams}
	fmt.Println(weir.Check(c))

	c.Delivery.MaxDelay = time.Hour
	fmt.Println(weir.Check(c))

	c.Delivery.MaxDelay = 50 * time.Millisecond
	c.Streams = append(c.Streams, cams)
	fmt.Println(weir.Check(c))
	// Output:
	// <nil>
	// configuration: delivery.max_delay: found "1h", allowed: a duration such as 10s, 1m30s, 200ms or 0s, at most 2s
	// configuration: streams.1.match: "live/*" never applies: streams.0.match, "live/*", comes first and matches all of it; put this entry before that one
}

// A program that publishes a stream of its own and watches it.
func ExampleServer_Publish() {
	c := weir.DefaultConfig()
	c.RTMP.Listen = "127.0.0.1:0" // a free port
	c.HTTP.Listen, c.Admin.Listen = "127.0.0.1:0", ""
	s, err := weir.New(c)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()

	player, err := s.Play("live/cam")
	if err != nil {
		log.Fatal(err)
	}
	publisher, err := s.Publish(ctx, "live/cam")
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range []av.Frame{
		{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: []byte{0x12, 0x10}},
		{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, DTS: time.Hour, PTS: time.Hour, Payload: []byte{0x21}},
	} {
		if err := publisher.WriteFrame(&f); err != nil {
			log.Fatal(err)
		}
	}
	for range 2 {
		f, err := player.ReadFrame(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(f.Kind, f.Codec, f.Type == av.Config, f.DTS)
	}
	player.Close()
	stop()
	fmt.Println(<-done)
	// Output:
	// audio AAC true 0s
	// audio AAC false 0s
	// <nil>
}

// Publishers need more than a key: the program decides, before they are told of success.
func ExampleAdmit() {
	c := weir.DefaultConfig()
	c.RTMP.Listen = "127.0.0.1:0"
	c.HTTP.Listen, c.Admin.Listen = "127.0.0.1:0", ""
	s, err := weir.New(c, weir.Admit(func(_ context.Context, r weir.Request) error {
		if r.Publish && r.Path != "live/studio" {
			return errors.New("only live/studio may be published")
		}
		return nil
	}))
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop() // at once, for this example's sake
	fmt.Println(s.Run(ctx))
	// Output: <nil>
}
