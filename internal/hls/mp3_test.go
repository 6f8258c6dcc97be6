package hls

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/stream"
)

// TestMP3 goes out in MPEG-TS and without parts, which is what browsers take; beside a picture that MPEG-TS
// has no place for it is left out.
func TestMP3(t *testing.T) {
	for name, c := range map[string]struct {
		video      av.Codec
		ext        string
		codecs     string
		leftOut    bool
		lowLatency bool
	}{
		"alone":      {0, ".ts", "mp4a.40.34", false, false},
		"with H.264": {av.H264, ".ts", "avc1.64000a,mp4a.40.34", false, false},
		"with VP9":   {av.VP9, ".m4s", "vp09.00.10.08", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Default(), stream.Default())
				r.publish(what{})
				sound := read(t, "mp3-44100-1.key")
				key := read(t, "vp9-0.key")
				if c.video == av.H264 {
					r.write(&av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: r.conf})
					key = r.key
				}
				send := func(d time.Duration, each func()) {
					for end := r.at + d; r.at < end; r.at += 26 * time.Millisecond {
						if c.video != 0 {
							r.write(&av.Frame{Kind: av.Video, Codec: c.video, Flags: av.Key, DTS: r.at, PTS: r.at, Payload: key})
						}
						r.write(&av.Frame{Kind: av.Audio, Codec: av.MP3, DTS: r.at, PTS: r.at, Payload: sound})
						if each != nil {
							each()
						}
						time.Sleep(26 * time.Millisecond)
					}
				}
				send(3*time.Second, nil)
				r.open()
				send(10*time.Second, r.check)
				p := r.main()
				if n := len(p.Segments); n < 3 || !strings.HasSuffix(p.Segments[0].URI, c.ext) || (p.PartTarget > 0) != c.lowLatency {
					t.Errorf("%s", p.Append(nil))
				}
				m, err := r.p.Multivariant(func(n string) string { return n })
				if err != nil || !strings.Contains(string(m), `CODECS="`+c.codecs+`"`) {
					t.Errorf("%v\n%s", err, m)
				}
				if told := strings.Contains(strings.Join(r.warnings, "\n"), "a track is left out; the others play: audio track 0 (MP3): "); told != c.leftOut {
					t.Errorf("%q", r.warnings)
				}
			})
		})
	}
}
