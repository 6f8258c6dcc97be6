package test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/av"
	"weir/format/flv"
)

// probed is what ffprobe says of an MP4 file.
type probed struct {
	Streams []struct {
		Index     int
		Codec     string `json:"codec_name"`
		Extradata string // a hex dump
	}
	Packets []struct {
		Stream int    `json:"stream_index"`
		PTS    string `json:"pts_time"`
		DTS    string `json:"dts_time"`
		Size   string
		Pos    string
		Flags  string
	}
}

// wrap writes the tracks of an MP4 file as FLV, which Debian 12's ffmpeg cannot do for the
// codecs of Enhanced RTMP. ffprobe says where in the file each packet stands, and there it
// is as Enhanced RTMP wants it: NAL units with lengths, AV1 without temporal delimiters.
func wrap(mp4, out string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p, err := start(ctx, command{args: []string{
		"ffprobe", "-v", "error", "-of", "json", "-show_packets", "-show_streams", "-show_data", "-show_entries",
		"packet=stream_index,pts_time,dts_time,flags,size,pos:stream=index,codec_name,extradata", mp4,
	}})
	if err != nil {
		return err
	}
	if err := p.wait(); err != nil {
		return err
	}
	var info probed
	if err := json.Unmarshal([]byte(p.said()), &info); err != nil {
		return fmt.Errorf("reading what ffprobe says of %s: %w", mp4, err)
	}
	data, err := os.ReadFile(mp4)
	if err != nil {
		return err
	}
	frames, err := info.frames(data)
	if err != nil {
		return fmt.Errorf("wrapping %s: %w", mp4, err)
	}
	var b bytes.Buffer
	w := flv.NewWriter(&b, flv.Form{}, true, true)
	for i := range frames {
		if err := w.WriteFrame(&frames[i]); err != nil {
			return err
		}
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}

// frames makes frames of the packets, configurations first, the earliest at 0.
func (p *probed) frames(file []byte) ([]av.Frame, error) {
	var configs, frames []av.Frame
	shape := map[int]av.Frame{}
	for _, s := range p.Streams {
		f, config, err := describe(s.Codec, hexDump(s.Extradata))
		if err != nil {
			return nil, err
		}
		shape[s.Index] = f
		if config != nil {
			f.Type, f.Payload = av.Config, config
			configs = append(configs, f)
		}
	}
	for _, packet := range p.Packets {
		f := shape[packet.Stream]
		pos, err := strconv.Atoi(packet.Pos)
		if err != nil {
			return nil, err
		}
		size, err := strconv.Atoi(packet.Size)
		if err != nil {
			return nil, err
		}
		if f.DTS, err = milliseconds(packet.DTS); err != nil {
			return nil, err
		}
		if f.PTS, err = milliseconds(packet.PTS); err != nil {
			return nil, err
		}
		if strings.HasPrefix(packet.Flags, "K") && f.Kind == av.Video {
			f.Flags = av.Key
		}
		f.Payload = file[pos : pos+size]
		frames = append(frames, f)
	}
	slices.SortStableFunc(frames, func(a, b av.Frame) int { return int(a.DTS - b.DTS) })
	first := frames[0].DTS
	for i := range frames {
		frames[i].DTS -= first
		frames[i].PTS -= first
	}
	return append(configs, frames...), nil
}

// describe says what frames of a codec are like and what configuration goes before them.
func describe(name string, extradata []byte) (f av.Frame, config []byte, err error) {
	switch name {
	case "h264":
		return av.Frame{Kind: av.Video, Codec: av.H264}, extradata, nil
	case "hevc":
		return av.Frame{Kind: av.Video, Codec: av.H265}, extradata, nil
	case "av1":
		return av.Frame{Kind: av.Video, Codec: av.AV1}, extradata, nil
	case "vp9":
		// vpcC of 8 bit 4:2:0, which ffprobe does not show (VP Codec ISO Media File
		// Format Binding, VPCodecConfigurationRecord).
		vpcC := []byte{1, 0, 0, 0, 0, 11, 8<<4 | 1<<1, 1, 1, 1, 0, 0}
		return av.Frame{Kind: av.Video, Codec: av.VP9}, vpcC, nil
	case "aac":
		return av.Frame{Kind: av.Audio, Codec: av.AAC}, extradata, nil
	case "opus":
		return av.Frame{Kind: av.Audio, Codec: av.Opus}, extradata, nil
	case "flac": // the stream's marker and a STREAMINFO block that is the last one
		config := append([]byte("fLaC\x80\x00\x00"), byte(len(extradata)))
		return av.Frame{Kind: av.Audio, Codec: av.FLAC}, append(config, extradata...), nil
	case "ac3":
		return av.Frame{Kind: av.Audio, Codec: av.AC3}, nil, nil
	}
	return f, nil, fmt.Errorf("codec %s has no place in FLV", name)
}

// hexDump reads ffprobe's hex dump: lines "00000000: 1200 1200 …  ....".
func hexDump(s string) []byte {
	var out []byte
	for line := range strings.Lines(s) {
		_, line, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		line, _, _ = strings.Cut(line, "  ")
		b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
		if err != nil {
			return nil
		}
		out = append(out, b...)
	}
	return out
}

// milliseconds reads a time in seconds and rounds it to what FLV can say.
func milliseconds(s string) (time.Duration, error) {
	sec, err := strconv.ParseFloat(s, 64)
	return time.Duration(sec * float64(time.Second)).Round(time.Millisecond), err
}
