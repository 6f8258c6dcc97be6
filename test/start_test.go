package test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"weir/av"
)

// TestStartsAtLive: players that join between two key frames, and say nothing about where to begin, get
// each picture since the key frame, squeezed to the present, and from then on everything at its time.
func TestStartsAtLive(t *testing.T) {
	s := startServer(t)
	weir, files := mustBuild(t), newMediaFiles()
	for _, media := range []string{"h264-aac48", "h264-bframes-aac44", "video-only", "audio-only"} {
		file := files.get(t, media)
		t.Run(media, func(t *testing.T) {
			t.Parallel()
			x := &exchange{server: s, path: "start/" + media, dir: openDir(t), publisher: publishers(weir)["ffmpeg"], media: file}
			for _, p := range []string{"ffmpeg-rtmp", "ffmpeg-http", "ffmpeg-ts", "rtmpdump", "curl", "gstreamer", "weir-rtmp", "weir-http"} {
				x.captures = append(x.captures, &capture{player: players(weir)[p], late: true})
			}
			x.joinLate(t)
		})
	}
}

// joinLate publishes the media, has the players join in the middle, and judges what they got.
func (x *exchange) joinLate(t *testing.T) {
	ctx := t.Context()
	sent := filepath.Join(x.dir, "sent.flv")
	pub, err := start(ctx, command{sys: x.publisher.sys, args: x.publisher.args(x.media.flv, x.server.rtmpURL(x.path), sent)})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.server.waitLive(ctx, x.path, joinAfter); err != nil {
		t.Fatalf("%v; the publisher said: %s", err, tail(pub.said()))
	}
	x.start(ctx, t, true)
	squeezed := 0 // frames, of all players
	if err := pub.wait(); err != nil {
		t.Errorf("publisher: %v", err)
	}
	for _, c := range x.captures {
		t.Run(c.player.name, func(t *testing.T) {
			if err := x.ended(ctx, t, c); err != nil {
				t.Errorf("the player takes the end of the stream for a failure: %v", err)
			}
			got, err := readTracks(c.file)
			if err != nil {
				t.Fatal(err)
			}
			n, err := checkLead(x.media.frames, got, c.player.repacks)
			if err != nil {
				t.Errorf("%v\nthe player said: %s", err, tail(c.proc.said()))
				x.keep(t, c)
			}
			squeezed += n
		})
	}
	if hasVideo := len(x.media.frames[trackKey{av.Video, 0}]) > 0; hasVideo && squeezed == 0 {
		t.Error("no player was sent a lead: all of them joined at a key frame")
	}
}

// leadTime is how long a lead may take on the player's clock: it has one picture each millisecond.
const leadTime = 250 * time.Millisecond

// checkLead holds what was received against what was sent. Frames may be late against the last ones only at
// the beginning of the video, from a key frame on; checkLead returns how many are.
func checkLead(sent, got tracks, repacked bool) (squeezed int, err error) {
	var errs []error
	shifts := map[trackKey][]time.Duration{}
	for k, s := range sent {
		g := got[k]
		if repacked {
			s, g = essential(s), essential(g)
		}
		at, err := findRun(s, g)
		if err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", k, err))
			continue
		}
		if k.kind == av.Video && !g[0].key {
			errs = append(errs, fmt.Errorf("%v: begins with a frame that is no key frame", k))
		}
		if missing := len(s) - at - len(g); missing > 0 {
			errs = append(errs, fmt.Errorf("%v: lacks the last %d frames", k, missing))
		}
		for i := range g {
			if i > 0 && g[i].dts < g[i-1].dts {
				errs = append(errs, fmt.Errorf("%v: DTS falls at frame %d", k, i))
			}
			shifts[k] = append(shifts[k], g[i].dts-s[at+i].dts)
		}
	}
	if len(errs) > 0 {
		return 0, errors.Join(errs...)
	}
	var live time.Duration // the shift of what is on time
	for _, s := range shifts {
		live = s[len(s)-1]
	}
	for k, list := range shifts {
		n := 0 // frames of the lead
		for n < len(list) && list[n] > live+maxSkew {
			n++
		}
		for i, s := range list[n:] {
			if (s - live).Abs() > maxSkew {
				errs = append(errs, fmt.Errorf("%v: frame %d is %v from its place", k, n+i, s-live))
				break
			}
		}
		squeezed += n
		switch {
		case k.kind != av.Video && n > 0:
			errs = append(errs, fmt.Errorf("%v: the first %d frames are late: sound is not squeezed", k, n))
		case n > 0 && got[k][n].dts-got[k][0].dts > leadTime:
			errs = append(errs, fmt.Errorf("%v: the lead lasts %v on the player's clock", k, got[k][n].dts-got[k][0].dts))
		}
	}
	return squeezed, errors.Join(errs...)
}
