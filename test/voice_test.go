package test

import (
	"context"
	"testing"
	"time"

	"weir/rtmp"
)

// A voice is a publisher of sound within the test.
type voice struct {
	client *rtmp.Client
	stream *rtmp.PublishStream
	at     uint32
}

// speak begins to publish sound, of which one frame is sent at once.
func speak(ctx context.Context, url string, opts rtmp.DialOptions) (*voice, error) {
	c, err := rtmp.Dial(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	v := &voice{client: c}
	if v.stream, err = c.Publish(ctx); err == nil {
		err = v.say()
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return v, nil
}

// say sends a frame of MP3: 26 ms.
func (v *voice) say() error {
	err := v.stream.WriteMessage(&rtmp.Message{Type: rtmp.TypeAudio, Timestamp: v.at, Payload: append([]byte{0x2f, 0xff, 0xfb, 0x90, 0x64}, make([]byte, 413)...)})
	v.at += 26
	return err
}

// stop ends the publication in order.
func (v *voice) stop() error {
	err := v.stream.Close()
	_ = v.client.Close()
	return err
}

// lose ends it as a broken connection does.
func (v *voice) lose() { _ = v.client.Close() }

// keepOn publishes until the test ends, as time goes by.
func (v *voice) keepOn(t *testing.T) {
	t.Cleanup(v.lose)
	go func() { // ends with the connection
		for v.say() == nil {
			time.Sleep(26 * time.Millisecond)
		}
	}()
}

// mustSpeak publishes sound until the test ends, the first five seconds of it at once, so that HLS can begin.
func mustSpeak(t *testing.T, url string) *voice {
	t.Helper()
	v, err := speak(t.Context(), url, rtmp.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if err := v.say(); err != nil {
			t.Fatal(err)
		}
	}
	v.keepOn(t)
	return v
}
