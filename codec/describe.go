package codec

import (
	"errors"
	"fmt"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/ac3"
	"weir/codec/av1"
	"weir/codec/flac"
	"weir/codec/g711"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/mp3"
	"weir/codec/nal"
	"weir/codec/opus"
	"weir/codec/vp8"
	"weir/codec/vp9"
)

var (
	errNoRecord = errors.New("no known configuration record")
	errSilent   = errors.New("the frame does not describe its track")
)

// checkKind says what is wrong with a codec that is not of its track's kind.
func checkKind(c av.Codec, kind av.Kind) error {
	want := av.Audio
	switch c {
	case av.H264, av.H265, av.VVC, av.AV1, av.VP8, av.VP9, av.SorensonH263, av.ScreenVideo, av.ScreenVideo2, av.VP6, av.VP6Alpha:
		want = av.Video
	case av.AAC, av.MP3, av.Opus, av.FLAC, av.AC3, av.EAC3, av.PCMA, av.PCMU:
	default:
		return nil
	}
	if kind != want {
		return fmt.Errorf("it is not %s", kind)
	}
	return nil
}

// describe fills in t by a configuration record.
func describe(t *av.Track, config []byte) error {
	switch t.Codec {
	case av.H264:
		c, err := h264.ParseConfig(config)
		if err != nil {
			return err
		}
		t.Profile, t.Level = h264.ProfileName(c.Profile, c.Compatibility), h264.LevelName(c.Profile, c.Compatibility, c.Level)
		if len(c.SPS) > 0 {
			if s, err := h264.ParseSPS(c.SPS[0]); err == nil {
				fillH264(t, &s)
			}
		}
	case av.H265:
		return describeH265(t, config)
	case av.VVC:
		return describeVVC(t, config)
	case av.AV1:
		c, err := av1.ParseConfig(config)
		if err != nil {
			return err
		}
		t.Profile, t.Level = av1.ProfileName(c.Profile), av1.LevelName(c.Level)
		if s, err := c.SequenceHeader(); err == nil {
			fillAV1(t, &s)
		}
	case av.VP8, av.VP9:
		c, err := vp9.ParseConfig(config)
		if err != nil {
			return err
		}
		if t.Level = vp9.LevelName(c.Level); t.Codec == av.VP9 {
			t.Profile = vp9.ProfileName(c.Profile)
		}
	case av.AAC:
		c, err := aac.ParseConfig(config)
		if err != nil {
			return err
		}
		t.Profile, t.SampleRate, t.Channels = c.Profile(), c.OutputRate(), c.Channels()
	case av.Opus:
		t.SampleRate, t.Channels = opus.SampleRate, 2
		if len(config) > 0 {
			h, err := opus.ParseHead(config)
			if err != nil {
				return err
			}
			t.Channels = int(h.Channels)
		}
	case av.FLAC:
		s, err := flac.ParseStreamInfo(config)
		if err != nil {
			return err
		}
		t.SampleRate, t.Channels = s.SampleRate, s.Channels
	default:
		return errNoRecord
	}
	return nil
}

func describeH265(t *av.Track, config []byte) error {
	c, err := h265.ParseConfig(config)
	if err != nil {
		return err
	}
	t.Profile, t.Level = h265.ProfileName(c.Profile, c.Constraints), h265.LevelName(c.Level)
	if s, err := h265.ParseSPS(c.Unit(h265.TypeSPS)); err == nil {
		fillH265(t, &s)
	}
	if t.FrameRate == 0 {
		t.FrameRate = h265.VPSFrameRate(c.Unit(h265.TypeVPS))
	}
	if t.FrameRate == 0 {
		t.FrameRate = float64(c.AvgFrameRate) / 256
	}
	return nil
}

func fillH264(t *av.Track, s *h264.SPS) {
	t.Profile, t.Level = h264.ProfileName(s.Profile, s.Constraints), h264.LevelName(s.Profile, s.Constraints, s.Level)
	t.Size, t.FrameRate = av.Size{Width: s.Width, Height: s.Height}, s.FrameRate
}

func fillH265(t *av.Track, s *h265.SPS) {
	t.Profile, t.Level = h265.ProfileName(s.Profile, s.Constraints), h265.LevelName(s.Level)
	t.Size, t.FrameRate = av.Size{Width: s.Width, Height: s.Height}, s.FrameRate
}

func fillAV1(t *av.Track, s *av1.SequenceHeader) {
	t.Profile, t.Level = av1.ProfileName(s.Profile), av1.LevelName(s.Level)
	t.Size, t.FrameRate = av.Size{Width: s.Width, Height: s.Height}, s.FrameRate
}

// describeFrame fills in t by a media frame.
func describeFrame(t *av.Track, payload []byte) error {
	switch t.Codec {
	case av.H264, av.H265:
		return describeNALs(t, payload)
	case av.AV1:
		for u := range av1.OBUs(payload) {
			if u.Type == av1.TypeSequenceHeader {
				s, err := av1.ParseSequenceHeader(u.Payload)
				if err == nil {
					fillAV1(t, &s)
				}
				return err
			}
		}
		return errSilent
	case av.VP8:
		f, err := vp8.ParseFrame(payload)
		if err != nil {
			return err
		}
		if !f.Key {
			return errSilent
		}
		t.Size = av.Size{Width: f.Width, Height: f.Height}
	case av.VP9:
		f, err := vp9.ParseFrame(payload)
		if err != nil {
			return err
		}
		if !f.Key {
			return errSilent
		}
		t.Profile, t.Size = vp9.ProfileName(f.Profile), av.Size{Width: f.Width, Height: f.Height}
	case av.AAC:
		if !aac.IsADTS(payload) {
			return errSilent
		}
		h, err := aac.ParseADTS(payload)
		if err != nil {
			return err
		}
		c := h.Config()
		t.Profile, t.SampleRate, t.Channels = c.Profile(), c.OutputRate(), c.Channels()
	case av.Opus:
		p, err := opus.ParsePacket(payload)
		if err != nil {
			return err
		}
		t.SampleRate, t.Channels = opus.SampleRate, 1
		if p.Stereo {
			t.Channels = 2
		}
	case av.MP3:
		h, err := mp3.ParseHeader(payload)
		if err != nil {
			return err
		}
		t.SampleRate, t.Channels = h.SampleRate, h.Channels
	case av.FLAC:
		f, err := flac.ParseFrame(payload)
		if err != nil {
			return err
		}
		t.SampleRate, t.Channels = f.SampleRate, f.Channels
	case av.AC3, av.EAC3:
		f, err := ac3.ParseFrame(payload)
		if err != nil {
			return err
		}
		t.SampleRate, t.Channels = f.SampleRate, f.Channels
	case av.PCMA, av.PCMU:
		t.SampleRate, t.Channels = g711.SampleRate, g711.Channels
	default:
		return errSilent
	}
	return nil
}

// maxUnits is how many NAL units of a frame are looked at for a parameter set.
const maxUnits = 128

// describeNALs fills in t by the first sequence parameter set in an access unit.
func describeNALs(t *av.Track, payload []byte) error {
	units := nal.Units(payload, 4)
	if nal.IsAnnexB(payload, 4) {
		units = nal.AnnexB(payload)
	}
	n := 0
	for u := range units {
		if n++; n > maxUnits {
			break
		}
		switch {
		case t.Codec == av.H264 && h264.Type(u) == h264.TypeSPS:
			s, err := h264.ParseSPS(u)
			if err == nil {
				fillH264(t, &s)
			}
			return err
		case t.Codec == av.H265 && h265.Type(u) == h265.TypeSPS:
			s, err := h265.ParseSPS(u)
			if err == nil {
				fillH265(t, &s)
			}
			return err
		}
	}
	return errSilent
}
