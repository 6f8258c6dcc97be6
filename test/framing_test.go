package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/av"
	"weir/codec"
	aaccodec "weir/codec/aac"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/nal"
	"weir/format/flv"
	"weir/rtmp"
)

// TestFramingOfEncoders publishes one film as different encoders frame it: without
// configuration, with start codes, each NAL unit in a message of its own, with ADTS. MPEG-TS and HLS
// in both containers are decoded without an error; sound without any configuration is left out.
func TestFramingOfEncoders(t *testing.T) {
	t.Parallel()
	files := newMediaFiles()
	s := startServer(t, "streams.0.match=ts/*", "streams.0.hls.container=ts")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	var publishers sync.WaitGroup
	defer publishers.Wait()
	defer cancel()
	for _, c := range []struct {
		name, media string
		mangle      func(f *av.Frame, config []byte) [][]byte // the payloads that go out instead; nil: none
		sound       bool
	}{
		{"h264-units", "h264-aac48", eachUnit, true},
		{"h264-bare-units", "h264-aac48", withoutConfig(av.Video, eachUnit), true},
		{"h264-start-codes", "h264-aac48", startCodes, true},
		{"h264-in-band", "h264-aac48", withoutConfig(av.Video, inBand), true},
		{"h265-start-codes", "hevc-aac", startCodes, true},
		{"h265-in-band", "hevc-aac", withoutConfig(av.Video, inBand), true},
		{"adts", "h264-aac48", withoutConfig(av.Audio, adts), true},
		{"no-sound-header", "h264-aac48", withoutConfig(av.Audio, nil), false},
	} {
		frames := readFrames(t, files.get(t, c.media).flv)
		for _, app := range []string{"live", "ts"} {
			publishers.Go(func() {
				if err := publishMangled(ctx, s.rtmpURL(app+"/"+c.name), frames, c.mangle); err != nil && ctx.Err() == nil {
					t.Errorf("%s/%s: %v", app, c.name, err)
				}
			})
		}
		t.Run(c.name, func(t *testing.T) {
			var players sync.WaitGroup
			defer players.Wait()
			for _, url := range []string{s.url("live/"+c.name, "ts"), s.url("live/"+c.name, "hls"), s.url("ts/"+c.name, "hls")} {
				players.Go(func() {
					pictures, sounds, said := decodeFrames(ctx, url)
					if pictures < 40 || (sounds >= 60) != c.sound || !c.sound && sounds > 0 || said != "" {
						t.Errorf("%s: of 2 s %d pictures and %d pieces of sound are decoded: %s", url, pictures, sounds, said)
					}
				})
			}
		})
	}
}

// decodeFrames has ffmpeg decode two seconds.
func decodeFrames(ctx context.Context, url string) (pictures, sounds int, said string) {
	p, err := start(ctx, command{sys: debian12(), args: []string{"ffmpeg", "-nostdin", "-v", "error", "-i", url, "-t", "2", "-f", "framehash", "-hash", "md5", "-"}})
	if err == nil {
		err = p.wait()
	}
	if err != nil {
		return 0, 0, err.Error()
	}
	video := ""
	for line := range strings.Lines(p.said()) {
		line = strings.TrimSpace(line)
		switch track, _, row := strings.Cut(line, ","); {
		case strings.HasPrefix(line, "#media_type ") && strings.HasSuffix(line, ": video"):
			video = line[len("#media_type ") : len("#media_type ")+1]
		case strings.HasPrefix(line, "#"):
		case !row || strings.Count(line, ",") != 5:
			said += line
		case track == video:
			pictures++
		default:
			sounds++
		}
	}
	return pictures, sounds, said
}

func readFrames(t *testing.T, name string) (frames []av.Frame) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := flv.NewFrameReader(f)
	for {
		frame, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		if frame.Kind != av.Data {
			frames = append(frames, *frame)
		}
	}
}

// publishMangled publishes frames again and again, in real time.
func publishMangled(ctx context.Context, url string, frames []av.Frame, mangle func(*av.Frame, []byte) [][]byte) error {
	c, err := rtmp.Dial(ctx, url, rtmp.DialOptions{})
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.Publish(ctx)
	if err != nil {
		return err
	}
	var configs [2][]byte
	for begun, round := time.Now(), time.Duration(0); ; round = frames[len(frames)-1].DTS + round + 33*time.Millisecond {
		for i := range frames {
			f := frames[i]
			if f.Type == av.Config {
				configs[f.Kind] = f.Payload
			}
			f.DTS, f.PTS = f.DTS+round, f.PTS+round
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(f.DTS - time.Since(begun)):
			}
			payloads := [][]byte{f.Payload}
			if mangle != nil {
				payloads = mangle(&f, configs[f.Kind])
			}
			for _, payload := range payloads {
				header, ok := flv.AppendHeader(nil, &f, flv.Form{})
				if !ok {
					return fmt.Errorf("%v has no form", f.Codec)
				}
				m := rtmp.Message{Type: rtmp.MessageType(flv.TagTypeOf(&f)), Timestamp: av.Milliseconds(f.DTS), Payload: append(header, payload...)}
				if err := p.WriteMessage(&m); err != nil {
					return err
				}
			}
		}
	}
}

// withoutConfig leaves out the configuration of a kind of track, and mangles its media.
func withoutConfig(k av.Kind, mangle func(*av.Frame, []byte) [][]byte) func(*av.Frame, []byte) [][]byte {
	return func(f *av.Frame, config []byte) [][]byte {
		switch {
		case f.Kind == k && f.Type == av.Config:
			return nil
		case f.Kind == k && mangle != nil:
			return mangle(f, config)
		}
		return [][]byte{f.Payload}
	}
}

// parameterSets are those of a configuration record.
func parameterSets(c av.Codec, config []byte) (sets [][]byte) {
	if c == av.H264 {
		r, _ := h264.ParseConfig(config)
		return append(append(sets, r.SPS...), r.PPS...)
	}
	r, _ := h265.ParseConfig(config)
	for _, a := range r.Arrays {
		if int(a.Type) <= h265.TypePPS {
			sets = append(sets, a.Units...)
		}
	}
	return sets
}

// unitsOf are the NAL units of a frame, the parameter sets before those of key frames.
func unitsOf(f *av.Frame, config []byte) (list [][]byte) {
	if f.IsKey() {
		list = parameterSets(f.Codec, config)
	}
	for u := range nal.Units(f.Payload, codec.NALLengthSize(f.Codec, config)) {
		list = append(list, u)
	}
	return list
}

// eachUnit sends each NAL unit in a message of its own.
func eachUnit(f *av.Frame, config []byte) (out [][]byte) {
	if f.Kind != av.Video || f.Type != av.Media {
		return [][]byte{f.Payload}
	}
	for _, u := range unitsOf(f, config) {
		b, _ := nal.Append(nil, u, 4)
		out = append(out, b)
	}
	return out
}

// startCodes sends start codes instead of lengths, in the configuration too.
func startCodes(f *av.Frame, config []byte) [][]byte {
	if f.Kind != av.Video || f.Type != av.Media && f.Type != av.Config {
		return [][]byte{f.Payload}
	}
	list := parameterSets(f.Codec, config)
	if f.Type == av.Media {
		list = unitsOf(f, config)
	}
	var b []byte
	for _, u := range list {
		b = nal.AppendAnnexB(b, u)
	}
	return [][]byte{b}
}

// inBand sends the parameter sets with each key frame.
func inBand(f *av.Frame, config []byte) [][]byte {
	var b []byte
	for _, u := range unitsOf(f, config) {
		b, _ = nal.Append(b, u, 4)
	}
	return [][]byte{b}
}

// adts sends sound with the headers of ADTS.
func adts(f *av.Frame, config []byte) [][]byte {
	c, err := aaccodec.ParseConfig(config)
	if err != nil {
		return nil
	}
	b, err := c.AppendADTS(nil, len(f.Payload))
	if err != nil {
		return nil
	}
	return [][]byte{append(b, f.Payload...)}
}
