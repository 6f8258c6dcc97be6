package test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// TestPublisherReturns: the publisher is killed and starts again, or another takes over
// from it while it is still there. Players stay connected, receive the old one's frames and
// then the new one's from its first key frame on, and see one timeline.
func TestPublisherReturns(t *testing.T) {
	s := startServer(t)
	weir := mustBuild(t)
	media := newMediaFiles().get(t, "h264-bframes-aac44")
	for name, crash := range map[string]bool{"killed": true, "taken over": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := &exchange{server: s, path: "return/" + fileName(name), dir: openDir(t), media: media}
			for _, p := range []string{"ffmpeg-rtmp", "ffmpeg-http", "gstreamer", "rtmpdump", "curl", "weir-rtmp", "mpv-rtmp", "vlc-http"} {
				x.captures = append(x.captures, &capture{player: players(weir)[p]})
			}
			x.twice(t, crash)
		})
	}
}

// returnWithin is how soon the second publisher is live: the test's machine may be slow.
const returnWithin = 10 * time.Second

// twice publishes the media twice; crash says whether the first publisher dies before the
// second begins.
func (x *exchange) twice(t *testing.T, crash bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n := x.start(ctx, t, false)
	if err := x.server.waitPlayers(ctx, x.path, n); err != nil {
		t.Fatal(err)
	}
	publish := func() *process {
		t.Helper()
		p, err := start(ctx, command{sys: debian12(), args: ffmpegSends(x.media.flv, x.server.rtmpURL(x.path), "")})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := publish()
	if err := x.server.waitLive(ctx, x.path, 2*time.Second); err != nil {
		t.Fatalf("%v; the publisher said: %s", err, tail(first.said()))
	}
	if crash {
		first.end(syscall.SIGKILL)
	}
	second := publish()
	if err := second.wait(); err != nil {
		t.Errorf("the second publisher: %v", err)
	}
	first.end(syscall.SIGTERM)
	for _, c := range x.captures {
		t.Run(c.name(), func(t *testing.T) {
			if err := x.ended(ctx, t, c); err != nil {
				t.Errorf("the player takes the end of the stream for a failure: %v", err)
			}
			got, err := readTracks(c.file)
			if err != nil {
				t.Fatal(err)
			}
			if err := checkTwice(x.media.frames, got); err != nil {
				t.Errorf("%v\nthe player said: %s", err, tail(c.proc.said()))
				x.keep(t, c)
			}
			x.source = x.media.flv
			x.decode(t, c)
		})
	}
}

// checkTwice holds what was received against a file sent twice, the first time not to its end.
func checkTwice(sent, got tracks) error {
	var errs []error
	one, two := tracks{}, tracks{}
	for k := range sent {
		g := got[k]
		n := 0
		lead := leadOf(sent[k], g)
		for n < len(g) && lead+n < len(sent[k]) && g[n].sum == sent[k][lead+n].sum {
			n++
		}
		if n == 0 || n == len(g) {
			errs = append(errs, fmt.Errorf("%v: of %d frames, %d are the first publisher's", k, len(g), n))
			continue
		}
		one[k], two[k] = g[:n], g[n:]
		switch gap := g[n].dts - g[n-1].dts; {
		case gap < 0:
			errs = append(errs, fmt.Errorf("%v: DTS falls by %v at the return", k, -gap))
		case gap > returnWithin:
			errs = append(errs, fmt.Errorf("%v: DTS jumps by %v at the return", k, gap))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if err := compare(sent, one, demand{fromStart: true, atLeast: time.Second}); err != nil {
		errs = append(errs, fmt.Errorf("first publisher: %w", err))
	}
	if err := compare(sent, two, demand{fromStart: true, toEnd: true}); err != nil {
		errs = append(errs, fmt.Errorf("second publisher: %w", err))
	}
	return errors.Join(errs...)
}

// leadOf returns how many frames, that came before the video, are not in got.
func leadOf(sent, got []unit) int {
	n := 0
	for n < len(sent) && sent[n].lead && len(got) > 0 && sent[n].sum != got[0].sum {
		n++
	}
	return n
}
