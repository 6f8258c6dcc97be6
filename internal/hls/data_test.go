package hls

import (
	"bytes"
	"encoding/base64"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
	"weir/av"
	"weir/internal/stream"
)

// script is a data message.
func script(t *testing.T, at time.Duration, name string, props amf.Object) *av.Frame {
	t.Helper()
	b, err := amf.Append(nil, name, props)
	if err != nil {
		t.Fatal(err)
	}
	return &av.Frame{Kind: av.Data, Type: av.Script, DTS: at, PTS: at, Payload: b}
}

// TestCues: ad markers and splices become date ranges, and are ended by their counterparts.
func TestCues(t *testing.T) {
	section := append([]byte{0xfc, 0x30, 0x20, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xf0, 0x05, 5, 0, 0, 0, 7, 0x7f, 0xff}, make([]byte, 8)...)
	back := bytes.Clone(section)
	back[19] = 0x7f
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Default(), stream.Default())
		w := what{fps: 25, gop: 2 * time.Second, audio: 1}
		r.publish(w)
		r.send(w, 4100*time.Millisecond, nil)
		r.open()
		r.send(w, 2*time.Second, r.check)
		r.write(script(t, r.at, "onAdCue", amf.Object{{Key: "id", Value: "a\"b"}, {Key: "type", Value: "SpliceOut"}, {Key: "duration", Value: 30.0}, {Key: "elapsed", Value: 1.5}}))
		r.write(script(t, r.at, "onScte35", amf.Object{{Key: "data", Value: base64.StdEncoding.EncodeToString(section)}}))
		r.write(script(t, r.at, "onScte35", amf.Object{{Key: "data", Value: "not base64"}}))
		r.write(script(t, r.at, "onAdCue", amf.Object{{Key: "id", Value: 5.0}, {Key: "duration", Value: -1.0}}))
		r.send(w, 3*time.Second, r.check)
		p := r.main()
		if len(p.DateRanges) != 3 {
			t.Fatalf("%+v", p.DateRanges)
		}
		if d := p.DateRanges[0]; d.ID != "cue-ab" || d.PlannedDuration == nil || *d.PlannedDuration != 30*time.Second || d.Duration != nil {
			t.Errorf("%+v", d)
		}
		if d := p.DateRanges[1]; d.ID != "splice-7" || !bytes.Equal(d.SCTE35Out, section) || d.StartDate.Sub(p.DateRanges[0].StartDate) != 1500*time.Millisecond {
			t.Errorf("%+v", d)
		}
		if d := p.DateRanges[2]; d.ID != "cue-5" || d.PlannedDuration != nil {
			t.Errorf("%+v", d)
		}
		r.write(script(t, r.at, "onAdCue", amf.Object{{Key: "id", Value: "a\"b"}, {Key: "type", Value: "SpliceIn"}}))
		r.write(script(t, r.at, "onScte35", amf.Object{{Key: "data", Value: base64.StdEncoding.EncodeToString(back)}}))
		r.send(w, time.Second, r.check)
		p = r.main()
		if d := p.DateRanges[0]; d.Duration == nil || (*d.Duration-4500*time.Millisecond).Abs() > 50*time.Millisecond {
			t.Errorf("%+v", d)
		}
		if d := p.DateRanges[1]; d.Duration == nil || !bytes.Equal(d.SCTE35In, back) {
			t.Errorf("%+v", d)
		}
		for range 192 {
			r.write(script(t, r.at, "onAdCue", amf.Object{{Key: "id", Value: float64(r.at)}}))
			r.send(w, 40*time.Millisecond, nil)
		}
		r.check()
		if n := len(r.main().DateRanges); n != 64 {
			t.Errorf("%d date ranges", n)
		}
	})
}

// TestTexts: onTextData goes out with the media, in both containers.
func TestTexts(t *testing.T) {
	for _, container := range []Container{FMP4, TS} {
		synctest.Test(t, func(t *testing.T) {
			set := Default()
			set.Container = container
			r := newRig(t, set, stream.Default())
			w := what{fps: 25, gop: 2 * time.Second, audio: 1}
			r.publish(w)
			r.send(w, 4100*time.Millisecond, nil)
			r.open()
			r.send(w, 2*time.Second, r.check)
			r.write(script(t, r.at, "onTextData", amf.Object{{Key: "text", Value: "a word to find"}}))
			r.send(w, 2*time.Second, r.check)
			found := 0
			main := r.p.Rendition("main")
			r.p.mu.Lock()
			defer r.p.mu.Unlock()
			for _, s := range main.segments {
				for _, p := range s.parts {
					found += bytes.Count(bytesOf(t, []Piece{p.data}), []byte("a word to find"))
				}
			}
			if found != 1 {
				t.Errorf("container %d: it is there %d times", container, found)
			}
		})
	}
}
