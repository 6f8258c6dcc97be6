package accessunit

import (
	"fmt"
	"slices"
	"testing"

	"weir/av"
	"weir/codec"
	"weir/internal/stream"
)

// entries writes entries as the table below does.
func entries(list []stream.Entry) (out []string) {
	for i := range list {
		e := &list[i]
		s := fmt.Sprintf("%v %d", e.Codec, e.DTS.Milliseconds())
		switch {
		case e.Type == av.Config:
			s += " config"
		case e.IsKey() && e.Kind == av.Video:
			s += " key"
		}
		if e.Sync {
			s += " sync"
		}
		out = append(out, s+fmt.Sprintf(" %x", e.Payload))
	}
	return out
}

func TestRepairer(t *testing.T) {
	own := at(0, 0, startCodes(sps, pps))
	own.Type = av.Config
	video := header(av.Video, av.H264, avcC(4))
	video.ConfigFrame = &own
	sound := header(av.Audio, av.AAC, []byte{0x11, 0x90})
	before := &stream.Headers{Version: 1, Tracks: []stream.TrackHeader{video}}
	after := &stream.Headers{Version: 2, Tracks: []stream.TrackHeader{video, sound}}
	broken := header(av.Audio, av.AAC, nil)
	broken.Unusable = codec.ErrNoConfig
	last := &stream.Headers{Version: 3, Tracks: []stream.TrackHeader{video, broken}}

	var r Repairer
	put := func(h *stream.Headers, f av.Frame, sync bool, want ...string) {
		t.Helper()
		if got := entries(r.Put(&stream.Entry{Frame: f, Sync: sync, Headers: h})); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	raw := av.Frame{Kind: av.Audio, Codec: av.AAC, Payload: []byte{0x21}}
	put(before, own, false, "H.264 0 config 0142c01effe000")
	put(before, at(0, av.Key, startCodes(sei)), true)
	put(before, at(0, av.Key, startCodes(idr)), false, "H.264 0 key sync 00000005060501008000000003658884")
	put(after, raw, false, "AAC 0 config 1190", "AAC 0 21")
	put(after, at(40, 0, lengths(4, slice)), false, "H.264 40 00000003419a11")
	put(after, own, false) // it says what is known
	put(last, raw, false)
	put(last, at(80, av.Key, lengths(4, idr)), true, "H.264 80 key sync 00000003658884")
	if got := r.Flush(); len(got) != 0 {
		t.Errorf("at the end: %q", entries(got))
	}
}

func TestRepairerKeepsTheMarkOfASplitPicture(t *testing.T) {
	video := header(av.Video, av.H264, avcC(4))
	video.Split = true
	h := &stream.Headers{Tracks: []stream.TrackHeader{video}}
	var r Repairer
	var got []string
	for _, e := range []stream.Entry{
		{Frame: at(0, av.Key, lengths(4, idr)), Sync: true},
		{Frame: at(0, av.Key, lengths(4, idrMore))},
		{Frame: at(40, av.Key, lengths(4, idr)), Sync: true},
		{Frame: at(40, av.Key, lengths(4, idrMore))},
		{Frame: at(80, 0, lengths(4, slice))},
	} {
		e.Headers = h
		got = append(got, entries(r.Put(&e))...)
	}
	got = append(got, entries(r.Flush())...)
	want := []string{
		"H.264 0 config 0142c01effe000", "H.264 0 key sync 0000000365888400000003654884",
		"H.264 40 key sync 0000000365888400000003654884", "H.264 80 00000003419a11",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConfigFrame(t *testing.T) {
	own := av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Wire: 7, Payload: []byte{0x11, 0x90}}
	good := header(av.Audio, av.AAC, []byte{0x11, 0x90})
	good.ConfigFrame = &own
	if got := ConfigFrame(&good); got != &own {
		t.Errorf("the publisher's own became %+v", got)
	}
	derived := header(av.Audio, av.AAC, []byte{0x12, 0x10})
	derived.ID, derived.ConfigFrame = 2, &own
	if got := ConfigFrame(&derived); got == nil || got.Type != av.Config || got.Track != 2 || got.Wire != 0 || string(got.Payload) != "\x12\x10" {
		t.Errorf("derived: %+v", got)
	}
	bad := good
	bad.Unusable = codec.ErrNoConfig
	if got := ConfigFrame(&bad); got != nil {
		t.Errorf("unusable: %+v", got)
	}
	mp3 := header(av.Audio, av.MP3, nil)
	if got := ConfigFrame(&mp3); got != nil {
		t.Errorf("MP3: %+v", got)
	}
}
