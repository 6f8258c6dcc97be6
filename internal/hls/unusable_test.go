package hls

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/codec"
	"weir/format/fmp4"
	"weir/internal/stream"
)

// TestUnusableSound: sound whose configuration cannot be used is left out; the picture plays.
func TestUnusableSound(t *testing.T) {
	alone(t)
	for name, c := range map[string]struct {
		config func(good []byte) *[]byte // nil: none is sent
		tracks int
	}{
		"no header":    {func([]byte) *[]byte { return nil }, 1},
		"empty header": {func([]byte) *[]byte { return &[]byte{} }, 1},
		"one byte":     {func([]byte) *[]byte { return &[]byte{0xff} }, 1},
		"right":        {func(good []byte) *[]byte { return &good }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Default(), stream.Default())
				w := what{fps: 25, gop: time.Second, audio: 1}
				r.publish(what{fps: 25})
				if config := c.config(r.soundConf); config != nil {
					r.write(&av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: *config})
				}
				r.send(w, 2500*time.Millisecond, nil)
				r.open()
				f := follow(r)
				r.send(w, 8*time.Second, f.check)
				reader, err := fmp4.NewReader(bytes.NewReader(append(bytes.Clone(f.init), f.bytes[f.last]...)), int64(len(f.init)+len(f.bytes[f.last])))
				if err != nil {
					t.Fatal(err)
				}
				if n := len(reader.Tracks()); n != c.tracks {
					t.Errorf("%d tracks, want %d", n, c.tracks)
				}
				pictures := 0
				for _, fr := range f.frames(FMP4) {
					if fr.Kind == av.Video {
						pictures++
					}
				}
				if pictures < 100 || len(f.jumps) != 0 {
					t.Errorf("%d pictures, discontinuities at %v", pictures, f.jumps)
				}
			})
		})
	}
}

// TestStartCodes: a publisher that puts start codes where lengths and a record belong is packaged as if it
// had not.
func TestStartCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		size := codec.NALLengthSize(av.H264, r.conf)
		annexB := func(units []byte) (b []byte) {
			for len(units) >= size {
				n := 0
				for _, c := range units[:size] {
					n = n<<8 | int(c)
				}
				b = append(append(b, 0, 0, 0, 1), units[size:size+n]...)
				units = units[size+n:]
			}
			return b
		}
		const sps = 8 // where the record's first parameter set begins
		n := int(r.conf[6])<<8 | int(r.conf[7])
		m := int(r.conf[sps+n+1])<<8 | int(r.conf[sps+n+2])
		conf := append([]byte{0, 0, 0, 1}, r.conf[sps:sps+n]...)
		conf = append(append(conf, 0, 0, 0, 1), r.conf[sps+n+3:sps+n+3+m]...)
		r.conf, r.key, r.inter = conf, annexB(r.key), annexB(r.inter)
		w := what{fps: 25, gop: time.Second, audio: 1}
		r.publish(w)
		r.send(w, 2500*time.Millisecond, nil)
		r.open()
		f := follow(r)
		r.send(w, 8*time.Second, f.check)
		pictures := 0
		for _, fr := range f.frames(FMP4) {
			if fr.Kind == av.Video {
				pictures++
			}
		}
		if pictures < 100 || len(f.jumps) != 0 {
			t.Errorf("%d pictures, discontinuities at %v, %q", pictures, f.jumps, r.warnings)
		}
	})
}
