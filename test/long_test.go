package test

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"weir/av"
	"weir/rtmp"
)

// A stream that runs for longer than 2^24 ms, where RTMP's timestamps grow a field, keeps
// its time and its frames at a player that is connected all the while. The stream's clock
// is made to run faster than the wall's.
func TestC273_LongerThan24Bits(t *testing.T) {
	const step, frames = 8000, 2400 // ms; less than what the server takes for a jump
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	file := filepath.Join(t.TempDir(), "long.flv")
	player, err := start(ctx, command{sys: debian12(), args: []string{"rtmpdump", "--quiet", "--live", "-r", s.rtmpURL("long/cam"), "-o", file}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.waitPlayers(ctx, "long/cam", 1); err != nil {
		t.Fatal(err)
	}
	if err := publishLong(ctx, s.rtmpURL("long/cam"), frames, step); err != nil {
		t.Fatal(err)
	}
	if err := player.wait(); err != nil {
		t.Errorf("the player: %v: %s", err, tail(player.said()))
	}
	got, err := readTracks(file)
	if err != nil {
		t.Fatal(err)
	}
	units := got[trackKey{av.Video, 0}]
	if len(units) != frames {
		t.Fatalf("%d frames of %d", len(units), frames)
	}
	for i := range units {
		if at := units[i].dts - units[0].dts; at != time.Duration(i)*step*time.Millisecond {
			t.Fatalf("frame %d is at %v", i, at)
		}
	}
}

// publishLong publishes key frames that are step milliseconds apart, as fast as they can
// be sent, and unpublishes.
func publishLong(ctx context.Context, url string, frames, step int) error {
	c, err := rtmp.Dial(ctx, url, rtmp.DialOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.Publish(ctx)
	if err != nil {
		return err
	}
	config := []byte("\x17\x00\x00\x00\x00\x01\x42\xc0\x0a\xff\xe1\x00\x04\x67\x42\xc0\x0a\x01\x00\x02\x68\xce")
	for i := range frames {
		ts := uint32(i * step)
		if i == 0 {
			if err := p.WriteMessage(&rtmp.Message{Type: rtmp.TypeVideo, Payload: config}); err != nil {
				return err
			}
		}
		body := append([]byte{0x17, 1, 0, 0, 0, 0, 0, 0, 5, 0x65}, binary.BigEndian.AppendUint32(nil, uint32(i))...)
		if err := p.WriteMessage(&rtmp.Message{Type: rtmp.TypeVideo, Timestamp: ts, Payload: body}); err != nil {
			return fmt.Errorf("frame %d: %w", i, err)
		}
	}
	return p.Close()
}
