package stream

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"weir/av"
	"weir/codec"
	"weir/codec/aac"
	"weir/codec/h264"
	"weir/codec/nal"
)

// recorded is the configuration record of a real encoder and its parameter sets.
func recorded(t *testing.T, name string) (record, sps, pps []byte) {
	t.Helper()
	record, err := os.ReadFile("../../codec/testdata/" + name + ".config")
	if err != nil {
		t.Fatal(err)
	}
	c, err := h264.ParseConfig(record)
	if err != nil {
		t.Fatal(err)
	}
	return record, c.SPS[0], c.PPS[0]
}

func startCodes(units ...[]byte) (b []byte) {
	for _, u := range units {
		b = nal.AppendAnnexB(b, u)
	}
	return b
}

func behindLengths(units ...[]byte) (b []byte) {
	for _, u := range units {
		b, _ = nal.Append(b, u, 4)
	}
	return b
}

// video is a frame of H.264, a Config frame or one of media.
func video(at int, typ av.Type, flags av.Flags, payload []byte) *av.Frame {
	return &av.Frame{Kind: av.Video, Type: typ, Codec: av.H264, Flags: flags, DTS: ms(at), PTS: ms(at), Payload: payload}
}

// only is the header of a stream's one track.
func only(t *testing.T, s *Stream) TrackHeader {
	t.Helper()
	h := s.Headers()
	if len(h.Tracks) != 1 {
		t.Fatalf("%d tracks", len(h.Tracks))
	}
	return h.Tracks[0]
}

func TestConfigurationFromBand(t *testing.T) {
	record, sps, pps := recorded(t, "h264-high")
	picture, other := []byte{0x65, 0x88, 0x84}, []byte{0x41, 0x9a}
	want, err := codec.Describe(av.H264, av.Video, record)
	if err != nil || want.Size.Width == 0 {
		t.Fatal(want, err)
	}
	empty := []byte{1, record[1], record[2], record[3], 0xff, 0xe0, 0}
	for _, c := range []struct {
		name string
		in   []*av.Frame
	}{
		{"a record", []*av.Frame{video(0, av.Config, 0, record), video(0, av.Media, av.Key, behindLengths(picture))}},
		{"start codes in the header", []*av.Frame{video(0, av.Config, 0, startCodes(sps, pps)), video(0, av.Media, av.Key, startCodes(picture))}},
		{"an empty header, sets in the frame", []*av.Frame{video(0, av.Config, 0, nil), video(0, av.Media, av.Key, behindLengths(sps, pps, picture))}},
		{"a record without sets", []*av.Frame{video(0, av.Config, 0, empty), video(0, av.Media, av.Key, behindLengths(sps, pps, picture))}},
		{"no header", []*av.Frame{video(0, av.Media, av.Key, startCodes(sps, pps, picture))}},
		{"no header, each set alone, late", []*av.Frame{
			video(0, av.Media, av.Key, startCodes(picture)),
			video(40, av.Media, av.Key, startCodes(sps)), video(40, av.Media, av.Key, startCodes(pps)), video(40, av.Media, av.Key, startCodes(picture)),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, h *Hub) {
				p := publish(t, h, nil)
				write(t, p, c.in...)
				got := only(t, p.Stream())
				if got.Unusable != nil || got.Size != want.Size || got.Profile != want.Profile || codec.NALLengthSize(av.H264, got.Config) != 4 {
					t.Fatalf("got %+v", got)
				}
				if first := c.in[0]; first.Type != av.Config && got.ConfigFrame != nil || first.Type == av.Config && !bytes.Equal(got.ConfigFrame.Payload, first.Payload) {
					t.Error("the publisher's own configuration frame is not what it sent")
				}
				write(t, p, video(80, av.Media, 0, startCodes(other)), video(120, av.Media, av.Key, startCodes(sps, pps, picture)))
				if again := only(t, p.Stream()); again.Version != got.Version || !bytes.Equal(again.Config, got.Config) {
					t.Errorf("the same parameter sets again made %+v of %+v", again, got)
				}
			})
		})
	}
}

func TestConfigurationFromBandFollowsTheEncoder(t *testing.T) {
	_, sps, pps := recorded(t, "h264-high")
	_, sps2, pps2 := recorded(t, "h264-baseline")
	picture := []byte{0x65, 0x88, 0x84}
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, video(0, av.Media, av.Key, startCodes(sps, pps, picture)))
		before := only(t, p.Stream())
		write(t, p, video(40, av.Media, av.Key, startCodes(sps2, pps2, picture)))
		after := only(t, p.Stream())
		if after.Version != before.Version+1 || after.Profile == before.Profile || after.Unusable != nil {
			t.Errorf("from %+v to %+v", before, after)
		}
		// A header without use does not take away what is known.
		write(t, p, video(80, av.Config, 0, nil), video(80, av.Media, av.Key, startCodes(picture)))
		if last := only(t, p.Stream()); last.Version != after.Version || last.Unusable != nil || !bytes.Equal(last.Config, after.Config) {
			t.Errorf("after an empty header: %+v", last)
		}
	})
}

func TestUnusableSound(t *testing.T) {
	stereo := aac.Config{ObjectType: aac.LC, SampleRate: 48000, ChannelConfig: 2, FrameLength: 1024}
	adts, err := stereo.AppendADTS(nil, 2)
	if err != nil {
		t.Fatal(err)
	}
	config := func(payload ...byte) *av.Frame {
		return &av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: payload}
	}
	sound := func(at int, payload ...byte) *av.Frame {
		return &av.Frame{Kind: av.Audio, Codec: av.AAC, DTS: ms(at), PTS: ms(at), Payload: payload}
	}
	for _, c := range []struct {
		name   string
		in     []*av.Frame
		usable bool
	}{
		{"a header", []*av.Frame{config(0x11, 0x90), sound(0, 0x21)}, true},
		{"no header", []*av.Frame{sound(0, 0x21)}, false},
		{"an empty header", []*av.Frame{config(), sound(0, 0x21)}, false},
		{"a header of one byte", []*av.Frame{config(0xff), sound(0, 0x21)}, false},
		{"a header at last", []*av.Frame{sound(0, 0x21), config(0x11, 0x90), sound(20, 0x21)}, true},
		{"ADTS", []*av.Frame{sound(0, append(adts, 0x21, 0)...)}, true},
		{"ADTS behind a header of one byte", []*av.Frame{config(0xff), sound(0, append(adts, 0x21, 0)...)}, true},
	} {
		bubble(t, Options{}, func(t *testing.T, h *Hub) {
			p := publish(t, h, nil)
			write(t, p, c.in...)
			got := only(t, p.Stream())
			if (got.Unusable == nil) != c.usable {
				t.Errorf("%s: unusable: %v", c.name, got.Unusable)
			}
			if c.usable && (!bytes.Equal(got.Config, []byte{0x11, 0x90}) || got.SampleRate != 48000 || got.Channels != 2) || !c.usable && got.Config != nil {
				t.Errorf("%s: %+v", c.name, got.Track)
			}
		})
	}
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		write(t, p, sound(0, 0x21))
		if got := only(t, p.Stream()); !errors.Is(got.Unusable, codec.ErrNoConfig) {
			t.Errorf("without a header: %v", got.Unusable)
		}
		write(t, p, &av.Frame{Kind: av.Audio, Codec: av.MP3, DTS: ms(20), PTS: ms(20), Payload: []byte{0xff, 0xfb, 0x90, 0x64}})
		if got := only(t, p.Stream()); got.Unusable != nil || got.SampleRate != 44100 {
			t.Errorf("after MP3: %+v", got)
		}
	})
}

func TestConfigurationThatComesAgainKeepsTheBacklog(t *testing.T) {
	level := vcfg()
	level.Payload = bytes.Clone(avcConfig)
	level.Payload[3]++
	level.Payload[11]++
	at := func(f *av.Frame, n int) *av.Frame {
		c := *f
		c.DTS, c.PTS = ms(n), ms(n)
		return &c
	}
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), keyFrame(0))
		before := only(t, p.Stream())
		write(t, p, at(level, 40), keyFrame(40), at(vcfg(), 80), keyFrame(80))
		m.want(t, "flush vcfg0 vK0* vcfg40 vK40* vcfg80 vK80*")
		end := &av.Frame{Kind: av.Video, Type: av.End, Codec: av.H264, DTS: ms(120), PTS: ms(120)}
		write(t, p, end, at(vcfg(), 120), keyFrame(120))
		m.want(t, "v120 vcfg120 vK120*")
		after := only(t, p.Stream())
		if after.Version != before.Version || !bytes.Equal(after.Config, before.Config) {
			t.Errorf("from %+v to %+v", before, after)
		}
	})
}

func TestPicturesInPieces(t *testing.T) {
	sei, first, more := []byte{6, 5, 1, 0}, []byte{0x65, 0x88}, []byte{0x65, 0x48}
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		m := attach(t, p.Stream())
		write(t, p, vcfg(), video(0, av.Media, av.Key, behindLengths(sei)), video(0, av.Media, av.Key, behindLengths(first)))
		m.want(t, "flush vcfg0 vK0* vK0")
		if only(t, p.Stream()).Split {
			t.Error("a picture in one piece is split")
		}
		write(t, p, video(0, av.Media, av.Key, behindLengths(more)), video(40, av.Media, av.Key, behindLengths(first)), video(80, av.Media, av.Key, behindLengths(first)))
		m.want(t, "vK0 vK40* vK80*")
		if got := only(t, p.Stream()); !got.Split || got.Version != 1 {
			t.Errorf("%+v", got)
		}
		write(t, p, video(80, av.Media, av.Key, behindLengths(first)))
		m.want(t, "vK80*") // another picture, of a source whose clock stands still
	})
}

func TestUnusableIsToldOnce(t *testing.T) {
	var told []string
	sound := func(at int) *av.Frame {
		return &av.Frame{Kind: av.Audio, Codec: av.AAC, DTS: ms(at), PTS: ms(at), Payload: []byte{0x21}}
	}
	o := Options{Notify: func(e Event) {
		if e.Kind == Unusable {
			told = append(told, e.Track.Codec.String()+": "+e.Track.Unusable.Error())
		}
	}}
	want := "AAC: " + codec.ErrNoConfig.Error()
	bubble(t, o, func(t *testing.T, h *Hub) {
		p := publish(t, h, nil)
		elapse(ms(1))
		write(t, p, vcfg(), keyFrame(0), sound(0))
		elapse(ms(999))
		if write(t, p, sound(999)); len(told) > 0 {
			t.Errorf("after 999 ms: %q", told)
		}
		elapse(ms(1))
		write(t, p, sound(1000), sound(1020))
		elapse(ms(5000))
		if write(t, p, sound(6000)); len(told) != 1 || told[0] != want {
			t.Errorf("got %q, want %q once", told, want)
		}
	})
}
