package push

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/stream"
	"weir/rtmp"
)

// bodies is an out that keeps the bodies of pictures and sounds.
type bodies []string

// WriteMessages implements out.
func (k *bodies) WriteMessages(ms ...*rtmp.Message) error {
	for _, m := range ms {
		if m.Type != rtmp.TypeData {
			*k = append(*k, string(m.Payload))
		}
	}
	return nil
}

// sendBodies has the sender of a session send a stream whose frames came with these tag bodies, those of sound first, and returns what the
// server gets of them.
func sendBodies(t *testing.T, caps *rtmp.Caps, private bool, sounds, pictures []string) (got bodies, leftOut []string, err error) {
	t.Helper()
	var frames []av.Frame
	var demux flv.Demuxer
	for typ, list := range map[flv.TagType][]string{flv.TagAudio: sounds, flv.TagVideo: pictures} {
		for _, body := range list {
			came, err := demux.Demux(nil, typ, 0, []byte(body))
			if err != nil || len(came) != 1 {
				t.Fatalf("%q: %v, %v", body, came, err)
			}
			frames = append(frames, came...)
		}
	}
	slices.SortStableFunc(frames, func(a, b av.Frame) int { return int(b.Kind) - int(a.Kind) })
	h := &stream.Headers{}
	for i := range frames {
		h.Tracks = append(h.Tracks, stream.TrackHeader{Track: av.Track{Kind: frames[i].Kind, ID: frames[i].Track, Codec: frames[i].Codec}})
	}
	s := newSender(&got, caps, private, func(what string) { leftOut = append(leftOut, what) })
	if err := s.setHeaders(&stream.Entry{Frame: frames[0], Sync: true, Headers: h}); err != nil {
		return nil, leftOut, err
	}
	for range 2 { // a track that is left out is named once
		for i := range frames {
			s.put(&frames[i])
		}
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	return got, leftOut, nil
}

// TestWhatAServerAnnounced: a target is sent each codec in the form that OBS would send, or else the one that its server announced; a track for which
// there is no place there is left out, and a stream whose codec the server has not announced is refused.
func TestWhatAServerAnnounced(t *testing.T) {
	const (
		aac, opus, second            = "\xaf\x01one", "\x91Opusone", "\x95\x01mp4a\x01two"
		legacyAVC, enhancedAVC       = "\x17\x01\x00\x00\x00264", "\x91avc1\x00\x00\x00264"
		hevc, av1, vp9               = "\x93hvc1265", "\x91av01av1", "\x91vp09vp9"
		privateHEVC, exactHEVC       = "\x1c\x01\x00\x00\x00265", "\x97\x02\x00\x00\x64\x03hvc1265"
		third, seventh               = "\x96\x01avc1\x03\x00\x00\x00264", "\x96\x01avc1\x07\x00\x00\x00other"
		noSecond, noSeventh          = "audio track 1 (AAC) is left out: ", "video track 7 (H.264) is left out: "
		oneOfAKind                   = "the server has not announced that it takes several tracks of a kind (caps: on lets it say so)"
		refusedHEVC, refusedOpus     = "the server has announced which codecs it takes, and H.265 is not one of them", "the server has announced which codecs it takes, and Opus is not one of them"
		secondOpus, secondOpusTheirs = "\x95\x01Opus\x01two", "audio track 1 (Opus) is left out: the server has announced which codecs it takes, and this is not one of them"
	)
	nothing := rtmp.Caps{}
	multitrack := rtmp.Caps{CapsEx: rtmp.CapMultitrack}
	everything := rtmp.Caps{Video: []rtmp.FourCCEntry{{FourCC: "*", Info: rtmp.CanForward}}, Audio: []rtmp.FourCCEntry{{FourCC: "*", Info: rtmp.CanForward}}, CapsEx: rtmp.CapMultitrack | rtmp.CapModEx}
	list := func(codecs ...string) rtmp.Caps { return rtmp.Caps{FourCCs: codecs} }
	for name, c := range map[string]struct {
		caps             rtmp.Caps
		service          bool
		sounds, pictures []string
		want             []string
		leftOut          []string
		err              string
	}{
		"H.264":                                {nothing, false, []string{aac}, []string{legacyAVC}, []string{aac, legacyAVC}, nil, ""},
		"H.264 that came enhanced":             {nothing, false, []string{aac}, []string{enhancedAVC}, []string{aac, legacyAVC}, nil, ""},
		"H.264 that came enhanced, to Twitch":  {nothing, true, []string{aac}, []string{enhancedAVC}, []string{aac, legacyAVC}, nil, ""},
		"H.264 that came enhanced, announced":  {list("avc1"), false, []string{aac}, []string{enhancedAVC}, []string{aac, enhancedAVC}, nil, ""},
		"H.264, not announced":                 {list("av01"), false, []string{aac}, []string{legacyAVC}, []string{aac, legacyAVC}, nil, ""},
		"H.265":                                {nothing, false, []string{aac}, []string{hevc}, []string{aac, hevc}, nil, ""},
		"H.265, announced":                     {list("hvc1"), false, []string{aac}, []string{hevc}, []string{aac, hevc}, nil, ""},
		"H.265, not announced":                 {list("av01", "avc1"), false, []string{aac}, []string{hevc}, nil, nil, refusedHEVC},
		"H.265 with a private id":              {nothing, false, nil, []string{privateHEVC}, []string{privateHEVC}, nil, ""},
		"H.265 with a private id, to YouTube":  {nothing, true, nil, []string{privateHEVC}, []string{hevc}, nil, ""},
		"H.265 with exact times":               {nothing, false, nil, []string{exactHEVC}, []string{hevc}, nil, ""},
		"H.265 with exact times, announced":    {everything, false, nil, []string{exactHEVC}, []string{exactHEVC}, nil, ""},
		"AV1 and Opus":                         {nothing, false, []string{opus}, []string{av1}, []string{opus, av1}, nil, ""},
		"AV1 and Opus, announced":              {list("av01", "Opus"), false, []string{opus}, []string{av1}, []string{opus, av1}, nil, ""},
		"AV1, and Opus that is not announced":  {list("av01"), false, []string{opus}, []string{av1}, nil, nil, refusedOpus},
		"VP9":                                  {nothing, false, nil, []string{vp9}, []string{vp9}, nil, ""},
		"VP9, announced with all":              {list("*"), false, nil, []string{vp9}, []string{vp9}, nil, ""},
		"two sounds":                           {nothing, false, []string{aac, second}, []string{legacyAVC}, []string{aac, legacyAVC}, []string{noSecond + oneOfAKind}, ""},
		"two sounds, to Twitch":                {nothing, true, []string{aac, second}, nil, []string{aac}, []string{noSecond + oneOfAKind}, ""},
		"two sounds, multitrack":               {multitrack, false, []string{aac, second}, []string{legacyAVC}, []string{aac, second, legacyAVC}, nil, ""},
		"two sounds, all is announced":         {everything, false, []string{aac, second}, []string{hevc}, []string{aac, second, hevc}, nil, ""},
		"a second sound that is not announced": {rtmp.Caps{CapsEx: rtmp.CapMultitrack, FourCCs: []string{"hvc1"}}, false, []string{aac, secondOpus}, []string{hevc}, []string{aac, hevc}, []string{secondOpusTheirs}, ""},
		"two pictures, neither is track 0":     {nothing, false, nil, []string{third, seventh}, []string{legacyAVC}, []string{noSeventh + oneOfAKind}, ""},
		"two pictures, multitrack":             {multitrack, false, nil, []string{third, seventh}, []string{third, seventh}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, leftOut, err := sendBodies(t, &c.caps, c.service, c.sounds, c.pictures)
			if c.err != "" {
				if _, ok := errors.AsType[*unsupportedError](err); !ok || err.Error() != c.err {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := slices.Concat(c.want, c.want); !slices.Equal([]string(got), want) {
				t.Errorf("the server gets\n%q, not\n%q", got, want)
			}
			if !slices.Equal(leftOut, c.leftOut) {
				t.Errorf("it says %q, not %q", leftOut, c.leftOut)
			}
		})
	}
}

// TestAnnouncedIsWhatTheServerSays: only a target with caps: on announces Enhanced RTMP, and so hears of its server that it takes several tracks; all of
// them then reach it.
func TestAnnouncedIsWhatTheServerSays(t *testing.T) {
	for caps, want := range map[string]struct {
		tracks  int
		leftOut int
	}{"auto": {1, 1}, "on": {2, 0}} {
		t.Run(caps, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDouble(t)
				d.caps = rtmp.AnyCodec()
				w := newWorld(t, func(o *Options) { o.Dial = d.dial }, with(to("it", "rtmp://h.example/live", "cam"), func(c *Config) { c.Caps = caps }))
				s := w.publish("live/cam", "p1")
				s.write(&av.Frame{Kind: av.Audio, Track: 1, Type: av.Config, Codec: av.AAC, Payload: ascConfig})
				for range 50 {
					at := time.Duration(s.n) * step
					s.frame()
					s.write(&av.Frame{Kind: av.Audio, Track: 1, Codec: av.AAC, Flags: av.Key, DTS: at, PTS: at, Payload: []byte("second")})
					time.Sleep(step)
				}
				first, second := 0, 0
				for _, m := range d.list()[0].got() {
					switch {
					case m.Type == rtmp.TypeAudio && bytes.HasPrefix(m.Payload, []byte("\xaf\x01\x21")):
						first++
					case m.Type == rtmp.TypeAudio && string(m.Payload) == "\x95\x01mp4a\x01second":
						second++
					}
				}
				if first < 45 || (second > 0) != (want.tracks == 2) || second > 0 && second != first {
					t.Errorf("%d and %d sounds", first, second)
				}
				if st := w.status(); st.State != Live || len(st.LeftOut) != want.leftOut {
					t.Errorf("%v: %q", st.State, st.LeftOut)
				}
			})
		})
	}
}
