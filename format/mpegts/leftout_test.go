package mpegts

import (
	"path/filepath"
	"slices"
	"testing"

	"weir/av"
)

// TestLeftOut names streams by their entries in the program map.
func TestLeftOut(t *testing.T) {
	registration := func(format string) []byte { return appendRegistration(nil, format) }
	for _, c := range []struct {
		streamType  uint8
		descriptors []byte
		want        string
	}{
		{0x02, nil, "MPEG-2 video"},
		{0x11, nil, "LATM AAC audio"},
		{0x80, nil, "PCM audio"},
		{0x33, nil, "H.266 video"},
		{typePrivate, registration("AV01"), "AV1 video"},
		{typePrivate, registration("BSSD"), "PCM audio"},
		{typePrivate, []byte{0x59, 0}, "subtitle track"},
		{typePrivate, []byte{0x56, 0}, "teletext track"},
		{typePrivate, []byte{0x7b, 0}, "DTS audio"},
		{typePrivate, []byte{0x7f, 1, 0x15}, "AC-4 audio"},
		{typePrivate, nil, "private data"},
		{0xfe, nil, "stream type 0xfe"},
	} {
		var d Demuxer
		streams := appendStream(appendStream(nil, typeH264, firstPID, nil), c.streamType, firstPID+1, c.descriptors)
		d.program = program
		d.readPMT(appendLongSection(nil, tablePMT, program, 0, append([]byte{0xe1, 0, 0xf0, 0}, streams...)))
		if got := d.LeftOut(); !slices.Equal(got, []string{c.want}) {
			t.Errorf("type %#x with %x: %q, want %q", c.streamType, c.descriptors, got, c.want)
		}
		if got := d.Tracks(); len(got) != 1 || got[0].Codec != av.H264 {
			t.Errorf("type %#x: tracks %v", c.streamType, got)
		}
	}
}

// TestLeftOutIsOfTheNewestMap changes the program map.
func TestLeftOutIsOfTheNewestMap(t *testing.T) {
	var d Demuxer
	d.program = program
	for version, c := range []struct {
		streamType uint8
		want       []string
	}{{0x02, []string{"MPEG-2 video"}}, {typeH264, nil}} {
		body := append([]byte{0xe1, 0, 0xf0, 0}, appendStream(nil, c.streamType, firstPID, nil)...)
		d.readPMT(appendLongSection(nil, tablePMT, program, uint8(version), body))
		if got := d.LeftOut(); !slices.Equal(got, c.want) {
			t.Errorf("version %d: %q, want %q", version, got, c.want)
		}
	}
}

// TestFFmpegTracksLeftOut reads streams of codings that nothing here carries.
func TestFFmpegTracksLeftOut(t *testing.T) {
	for _, c := range []struct {
		args   []string
		want   []string
		tracks []av.Codec
	}{
		{[]string{"-c:v", "libx264", "-preset", "veryfast", "-c:a", "mp2"}, []string{"MP2 audio"}, []av.Codec{av.H264}},
		{[]string{"-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac", "-mpegts_flags", "latm"}, []string{"LATM AAC audio"}, []av.Codec{av.H264}},
		{[]string{"-c:v", "mpeg2video", "-c:a", "mp2"}, []string{"MPEG-2 video", "MP2 audio"}, nil},
		{[]string{"-c:v", "mpeg2video", "-c:a", "s302m", "-strict", "-2", "-ar", "48000", "-ac", "2"}, []string{"MPEG-2 video", "PCM audio"}, nil},
		{[]string{"-c:v", "libx264", "-preset", "veryfast", "-c:a", "libmp3lame"}, nil, []av.Codec{av.H264, av.MP3}},
	} {
		in := filepath.Join(t.TempDir(), "in.ts")
		ffmpeg(t, slices.Concat([]string{"-v", "error", "-f", "lavfi", "-i", testVideo, "-f", "lavfi", "-i", testSound}, c.args, []string{"-t", "1", in})...)
		var d Demuxer
		fs := d.Flush(d.Demux(nil, read(t, in)))
		if got := d.LeftOut(); !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.args, got, c.want)
		}
		var tracks []av.Codec
		for _, track := range d.Tracks() {
			tracks = append(tracks, track.Codec)
		}
		if !slices.Equal(tracks, c.tracks) || (len(fs) > 0) != (c.tracks != nil) {
			t.Errorf("%v: tracks %v and %d frames, want %v", c.args, tracks, len(fs), c.tracks)
		}
	}
}
