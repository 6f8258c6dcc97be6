package flv

import (
	"encoding/hex"
	"strings"
	"time"

	"weir/av"
)

const (
	ms    = time.Millisecond
	start = 1000 * ms // the time of every body in the table
)

// Records of the smallest useful size.
const (
	avcC = "0142c00affe100046742c00a01000268ce"
	hvcC = "01016000000090000000000000f000fcfdf8f800000f03" +
		"20000100024001" + "21000100024201" + "22000100024401"
	av1C = "81000c00"
	asc  = "1210"
)

var (
	video = av.Frame{Kind: av.Video, DTS: start, PTS: start}
	audio = av.Frame{Kind: av.Audio, DTS: start, PTS: start}
)

// frame returns base changed.
func frame(base av.Frame, codec av.Codec, t av.Type, payload string, change ...func(*av.Frame)) av.Frame {
	base.Codec, base.Type, base.Payload = codec, t, unhex(payload)
	for _, c := range change {
		c(&base)
	}
	return base
}

func key(f *av.Frame)        { f.Flags |= av.Key }
func disposable(f *av.Frame) { f.Flags |= av.Disposable }
func track(id uint8) func(*av.Frame) {
	return func(f *av.Frame) { f.Track = id }
}

func cts(d time.Duration) func(*av.Frame) {
	return func(f *av.Frame) { f.PTS += d }
}

// bodyCase is a tag body and what it means. It drives parsing, writing, prefixes, the
// random bodies and the seeds of the fuzz targets.
type bodyCase struct {
	name string
	typ  TagType
	body string
	want []av.Frame
	err  error
	// chosen is the body written if Wire and Side say nothing; "" if it is body itself.
	chosen string
	// many is set for messages of several tracks, which are written as several.
	many bool
}

var bodyCases = []bodyCase{
	// Legacy video.
	{
		name: "AVC sequence header", typ: TagVideo, body: "1700000000" + avcC,
		want: []av.Frame{frame(video, av.H264, av.Config, avcC)},
	},
	{
		name: "AVC key", typ: TagVideo, body: "1701000000" + "000000026588",
		want: []av.Frame{frame(video, av.H264, av.Media, "000000026588", key)},
	},
	{
		name: "C-177 AVC inter, CTS 80", typ: TagVideo, body: "2701000050" + "00000002419a",
		want: []av.Frame{frame(video, av.H264, av.Media, "00000002419a", cts(80*ms))},
	},
	{
		name: "C-177 AVC inter, CTS -40", typ: TagVideo, body: "2701ffffd8" + "00000002419a",
		want: []av.Frame{frame(video, av.H264, av.Media, "00000002419a", cts(-40*ms))},
	},
	{
		name: "AVC disposable", typ: TagVideo, body: "3701000000" + "0000000201ff",
		want: []av.Frame{frame(video, av.H264, av.Media, "0000000201ff", disposable)},
	},
	{
		name: "AVC generated key", typ: TagVideo, body: "4701000000" + "000000026588",
		want:   []av.Frame{frame(video, av.H264, av.Media, "000000026588", key)},
		chosen: "1701000000" + "000000026588",
	},
	{
		name: "C-184 AVC end of sequence", typ: TagVideo, body: "1702000000",
		want: []av.Frame{frame(video, av.H264, av.End, "")},
	},
	{name: "AVC reserved packet type", typ: TagVideo, body: "1703000000", err: ErrReserved},
	{
		name: "C-168 command frame", typ: TagVideo, body: "5700",
		want: []av.Frame{frame(video, av.H264, av.Command, "00")},
	},
	{
		name: "C-168 C-270 Sorenson H.263", typ: TagVideo, body: "22" + "00008400c8",
		want: []av.Frame{frame(video, av.SorensonH263, av.Media, "00008400c8")},
	},
	{
		name: "VP6 with alpha", typ: TagVideo, body: "15" + "0011",
		want: []av.Frame{frame(video, av.VP6Alpha, av.Media, "0011", key)},
	},
	{
		name: "unknown codec id", typ: TagVideo, body: "18" + "0011",
		want: []av.Frame{frame(video, opaque("vid", 8), av.Media, "0011", key)},
	},
	{
		name: "C-170 HEVC 12 sequence header", typ: TagVideo, body: "1c00000000" + hvcC,
		want:   []av.Frame{frame(video, av.H265, av.Config, hvcC)},
		chosen: "90" + "68766331" + hvcC,
	},
	{
		name: "C-170 HEVC 12 inter, CTS 40", typ: TagVideo, body: "2c01000028" + "000000020201",
		want:   []av.Frame{frame(video, av.H265, av.Media, "000000020201", cts(40*ms))},
		chosen: "a1" + "68766331" + "000028" + "000000020201",
	},
	{
		name: "AV1 13 key", typ: TagVideo, body: "1d01000000" + "0a0b",
		want:   []av.Frame{frame(video, av.AV1, av.Media, "0a0b", key)},
		chosen: "91" + "61763031" + "0a0b",
	},
	{name: "empty video", typ: TagVideo, body: "", err: ErrShort},
	{name: "one byte of video", typ: TagVideo, body: "17", err: ErrShort},

	// Legacy audio.
	{
		name: "AAC sequence header", typ: TagAudio, body: "af00" + asc,
		want: []av.Frame{frame(audio, av.AAC, av.Config, asc)},
	},
	{
		name: "AAC raw", typ: TagAudio, body: "af01" + "21100499",
		want: []av.Frame{frame(audio, av.AAC, av.Media, "21100499")},
	},
	{
		name: "C-176 AAC with ADTS inside, other flags", typ: TagAudio, body: "ae01" + "fff15080017ffc21",
		want:   []av.Frame{frame(audio, av.AAC, av.Media, "fff15080017ffc21")},
		chosen: "af01" + "fff15080017ffc21",
	},
	{name: "AAC reserved packet type", typ: TagAudio, body: "af02" + "00", err: ErrReserved},
	{
		name: "MP3", typ: TagAudio, body: "2f" + "fffb9064",
		want: []av.Frame{frame(audio, av.MP3, av.Media, "fffb9064")},
	},
	{
		name: "MP3 8 kHz", typ: TagAudio, body: "e2" + "ffe3",
		want: []av.Frame{frame(audio, av.MP3, av.Media, "ffe3")}, chosen: "2f" + "ffe3",
	},
	{
		name: "G.711 A-law", typ: TagAudio, body: "72" + "d5d5",
		want: []av.Frame{frame(audio, av.PCMA, av.Media, "d5d5")},
	},
	{
		name: "G.711 mu-law", typ: TagAudio, body: "82" + "ffff",
		want: []av.Frame{frame(audio, av.PCMU, av.Media, "ffff")},
	},
	{
		name: "Speex", typ: TagAudio, body: "b6" + "1234",
		want: []av.Frame{frame(audio, av.Speex, av.Media, "1234")},
	},
	{
		name: "PCM in the platform's order, format 0", typ: TagAudio, body: "00" + "0102",
		want: []av.Frame{frame(audio, av.PCM, av.Media, "0102")}, chosen: "3f" + "0102",
	},
	{
		name: "unknown sound format", typ: TagAudio, body: "cf" + "0102",
		want: []av.Frame{frame(audio, opaque("aud", 12), av.Media, "0102")},
	},
	{
		name: "C-175 silence", typ: TagAudio, body: "",
		want: []av.Frame{frame(audio, 0, av.Silence, "")},
	},
	{name: "one byte of audio", typ: TagAudio, body: "af", err: ErrShort},

	// Enhanced video.
	{
		name: "hvc1 SequenceStart", typ: TagVideo, body: "90" + "68766331" + hvcC,
		want: []av.Frame{frame(video, av.H265, av.Config, hvcC)},
	},
	{
		name: "C-170 hvc1 CodedFrames, CTS 40", typ: TagVideo, body: "91" + "68766331" + "000028" + "000000022601",
		want: []av.Frame{frame(video, av.H265, av.Media, "000000022601", key, cts(40*ms))},
	},
	{
		name: "hvc1 CodedFrames, CTS 0", typ: TagVideo, body: "a1" + "68766331" + "000000" + "000000020201",
		want:   []av.Frame{frame(video, av.H265, av.Media, "000000020201")},
		chosen: "a3" + "68766331" + "000000020201",
	},
	{
		name: "C-170 hvc1 CodedFramesX", typ: TagVideo, body: "a3" + "68766331" + "000000020201",
		want: []av.Frame{frame(video, av.H265, av.Media, "000000020201")},
	},
	{
		name: "hev1 is hvc1", typ: TagVideo, body: "a3" + "68657631" + "000000020201",
		want:   []av.Frame{frame(video, av.H265, av.Media, "000000020201")},
		chosen: "a3" + "68766331" + "000000020201",
	},
	{
		name: "C-184 hvc1 SequenceEnd", typ: TagVideo, body: "92" + "68766331",
		want: []av.Frame{frame(video, av.H265, av.End, "")},
	},
	{
		name: "hvc1 Metadata", typ: TagVideo, body: "94" + "68766331" + "020009636f6c6f72496e666f",
		want: []av.Frame{frame(video, av.H265, av.Meta, "020009636f6c6f72496e666f")},
	},
	{
		name: "Metadata with frame type command", typ: TagVideo, body: "d4" + "68766331" + "0200",
		want:   []av.Frame{frame(video, av.H265, av.Meta, "0200")},
		chosen: "94" + "68766331" + "0200",
	},
	{
		name: "enhanced command frame", typ: TagVideo, body: "d1" + "00",
		want: []av.Frame{frame(video, 0, av.Command, "00")},
	},
	{
		name: "avc1 SequenceStart", typ: TagVideo, body: "90" + "61766331" + avcC,
		want:   []av.Frame{frame(video, av.H264, av.Config, avcC)},
		chosen: "1700000000" + avcC,
	},
	{
		name: "avc1 CodedFrames", typ: TagVideo, body: "a1" + "61766331" + "ffffd8" + "00000002419a",
		want:   []av.Frame{frame(video, av.H264, av.Media, "00000002419a", cts(-40*ms))},
		chosen: "2701ffffd8" + "00000002419a",
	},
	{
		name: "avc1 CodedFramesX", typ: TagVideo, body: "93" + "61766331" + "000000026588",
		want:   []av.Frame{frame(video, av.H264, av.Media, "000000026588", key)},
		chosen: "1701000000" + "000000026588",
	},
	{
		name: "avc1 SequenceEnd", typ: TagVideo, body: "92" + "61766331",
		want:   []av.Frame{frame(video, av.H264, av.End, "")},
		chosen: "1702000000",
	},
	{
		name: "av01 SequenceStart", typ: TagVideo, body: "90" + "61763031" + av1C,
		want: []av.Frame{frame(video, av.AV1, av.Config, av1C)},
	},
	{
		name: "av01 MPEG2TSSequenceStart", typ: TagVideo, body: "95" + "61763031" + "8004" + av1C,
		want:   []av.Frame{frame(video, av.AV1, av.Config, av1C)},
		chosen: "90" + "61763031" + av1C,
	},
	{
		name: "av01 MPEG2TSSequenceStart, odd descriptor", typ: TagVideo, body: "95" + "61763031" + "8003" + av1C,
		want:   []av.Frame{frame(video, av.AV1, av.Config, "8003"+av1C)},
		chosen: "90" + "61763031" + "8003" + av1C,
	},
	{name: "MPEG2TSSequenceStart of another codec", typ: TagVideo, body: "95" + "68766331" + "8004" + av1C, err: ErrReserved},
	{
		name: "av01 CodedFrames", typ: TagVideo, body: "91" + "61763031" + "0a0b",
		want: []av.Frame{frame(video, av.AV1, av.Media, "0a0b", key)},
	},
	{
		name: "av01 CodedFramesX", typ: TagVideo, body: "a3" + "61763031" + "0a0b",
		want:   []av.Frame{frame(video, av.AV1, av.Media, "0a0b")},
		chosen: "a1" + "61763031" + "0a0b",
	},
	{
		name: "vp09 SequenceStart", typ: TagVideo, body: "90" + "76703039" + "000a820101010000",
		want: []av.Frame{frame(video, av.VP9, av.Config, "000a820101010000")},
	},
	{
		name: "vp08 CodedFrames, disposable", typ: TagVideo, body: "b1" + "76703038" + "0102",
		want: []av.Frame{frame(video, av.VP8, av.Media, "0102", disposable)},
	},
	{
		name: "vvc1 CodedFrames", typ: TagVideo, body: "91" + "76766331" + "000010" + "0001",
		want: []av.Frame{frame(video, av.VVC, av.Media, "0001", key, cts(16*ms))},
	},
	{name: "C-169 unknown FourCC", typ: TagVideo, body: "91" + "78797a77" + "00", err: ErrUnknownCodec},
	{name: "C-169 first byte with bit 7 set", typ: TagVideo, body: "fffef717" + "0000000000000000", err: ErrReserved},
	{name: "reserved packet type", typ: TagVideo, body: "98" + "68766331" + "00", err: ErrReserved},
	{name: "FourCC cut off", typ: TagVideo, body: "91" + "687663", err: ErrShort},
	{name: "composition time cut off", typ: TagVideo, body: "91" + "68766331" + "0000", err: ErrShort},

	// ModEx.
	{
		name: "C-171 ModEx, 800000 ns", typ: TagVideo, body: "97" + "020c350001" + "68766331" + "000000" + "000000022601",
		want:   []av.Frame{frame(video, av.H265, av.Media, "000000022601", key, cts(800000))},
		chosen: "91" + "68766331" + "000001" + "000000022601",
	},
	{
		name: "C-171 ModEx of 257 bytes behind a 16-bit size", typ: TagVideo, body: "a7" + "ff0100" + strings.Repeat("5a", 257) + "13" + "68766331" + "0001",
		want:   []av.Frame{frame(video, av.H265, av.Media, "0001")},
		chosen: "a3" + "68766331" + "0001",
	},
	{
		name: "two ModEx, the first unknown", typ: TagVideo, body: "97" + "00ff17" + "020003e801" + "68766331" + "000028" + "01",
		want:   []av.Frame{frame(video, av.H265, av.Media, "01", key, cts(40*ms+1000))},
		chosen: "91" + "68766331" + "000028" + "01",
	},
	{
		name: "ModEx, offset out of range", typ: TagVideo, body: "97" + "020f424003" + "68766331" + "01",
		want:   []av.Frame{frame(video, av.H265, av.Media, "01", key)},
		chosen: "93" + "68766331" + "01",
	},
	{
		name: "ModEx before a command", typ: TagVideo, body: "d7" + "020003e801" + "01",
		want:   []av.Frame{frame(video, 0, av.Command, "01", cts(1000))},
		chosen: "d1" + "01",
	},
	{
		name: "ModEx before Multitrack", typ: TagVideo, body: "97" + "020003e806" + "01" + "68766331" + "02" + "000000" + "01",
		want:   []av.Frame{frame(video, av.H265, av.Media, "01", key, track(2), cts(1000))},
		chosen: "96" + "03" + "68766331" + "02" + "01",
	},
	{
		name: "ModEx of audio", typ: TagAudio, body: "97" + "020003e801" + "4f707573" + "fc",
		want:   []av.Frame{frame(audio, av.Opus, av.Media, "fc", cts(1000))},
		chosen: "91" + "4f707573" + "fc",
	},
	{
		name: "C-171 8 ModEx", typ: TagVideo, body: "97" + strings.Repeat("000017", 7) + "000013" + "68766331" + "01",
		want:   []av.Frame{frame(video, av.H265, av.Media, "01", key)},
		chosen: "93" + "68766331" + "01",
	},
	{name: "C-171 9 ModEx", typ: TagVideo, body: "97" + strings.Repeat("000017", 8) + "000013" + "68766331" + "01", err: ErrLimit},
	{name: "C-171 ModEx cut off", typ: TagVideo, body: "97" + "020c35", err: ErrShort},
	{name: "C-171 ModEx size cut off", typ: TagVideo, body: "97" + "ff01", err: ErrShort},
	{name: "ModEx, offset of two bytes", typ: TagVideo, body: "97" + "01000001" + "68766331" + "01", err: ErrShort},

	// Multitrack.
	{
		name: "C-172 OneTrack", typ: TagVideo, body: "96" + "01" + "61766331" + "01" + "000028" + "000000026588",
		want: []av.Frame{frame(video, av.H264, av.Media, "000000026588", key, track(1), cts(40*ms))},
	},
	{
		name: "C-172 OneTrack, sequence header", typ: TagVideo, body: "96" + "00" + "61763031" + "03" + av1C,
		want: []av.Frame{frame(video, av.AV1, av.Config, av1C, track(3))},
	},
	{
		name: "C-173 OneTrack of track 0", typ: TagVideo, body: "96" + "03" + "61766331" + "00" + "000000026588",
		want:   []av.Frame{frame(video, av.H264, av.Media, "000000026588", key)},
		chosen: "1701000000" + "000000026588",
	},
	{
		name: "C-172 ManyTracks", typ: TagVideo, body: "96" + "11" + "61766331" +
			"00" + "000005" + "000000" + "aabb" + "01" + "000004" + "000028" + "cc",
		want: []av.Frame{
			frame(video, av.H264, av.Media, "aabb", key),
			frame(video, av.H264, av.Media, "cc", key, track(1), cts(40*ms)),
		}, many: true,
	},
	{
		name: "C-172 ManyTracksManyCodecs", typ: TagVideo, body: "a6" + "21" +
			"61766331" + "00" + "000005" + "000000" + "aabb" + "61763031" + "02" + "000001" + "cc",
		want: []av.Frame{
			frame(video, av.H264, av.Media, "aabb"),
			frame(video, av.AV1, av.Media, "cc", track(2)),
		}, many: true,
	},
	{
		name: "ManyTracksManyCodecs, one unknown", typ: TagVideo, body: "a6" + "21" +
			"61766331" + "00" + "000005" + "000000" + "aabb" + "78797a77" + "01" + "000001" + "00" + "61763031" + "02" + "000001" + "cc",
		want: []av.Frame{
			frame(video, av.H264, av.Media, "aabb"),
			frame(video, av.AV1, av.Media, "cc", track(2)),
		}, many: true, err: ErrUnknownCodec,
	},
	{
		name: "C-172 size beyond the end", typ: TagVideo, body: "96" + "13" + "61766331" +
			"00" + "000002" + "aabb" + "01" + "0000ff" + "cc",
		want: []av.Frame{frame(video, av.H264, av.Media, "aabb", key)}, many: true, err: ErrShort,
	},
	{name: "C-172 nested Multitrack", typ: TagVideo, body: "96" + "06" + "61766331" + "00" + "00", err: ErrReserved},
	{name: "C-172 multitrack type 7", typ: TagVideo, body: "96" + "71" + "61766331" + "00" + "00", err: ErrReserved},
	{name: "ModEx within Multitrack", typ: TagVideo, body: "96" + "07" + "61766331" + "00" + "00", err: ErrReserved},
	{
		name: "16 tracks", typ: TagAudio, body: "95" + "11" + "4f707573" + strings.Repeat("01"+"000001"+"fc", 16),
		want: repeat(frame(audio, av.Opus, av.Media, "fc", track(1)), 16), many: true,
	},
	{
		name: "17 tracks", typ: TagAudio, body: "95" + "11" + "4f707573" + strings.Repeat("01"+"000001"+"fc", 17),
		want: repeat(frame(audio, av.Opus, av.Media, "fc", track(1)), 16), many: true, err: ErrLimit,
	},
	{name: "ManyTracks without one", typ: TagVideo, body: "96" + "11" + "61766331", err: ErrShort},
	{
		name: "OneTrack of audio", typ: TagAudio, body: "95" + "01" + "6d703461" + "01" + "2110",
		want: []av.Frame{frame(audio, av.AAC, av.Media, "2110", track(1))},
	},

	// Enhanced audio.
	{
		name: "Opus SequenceStart", typ: TagAudio, body: "90" + "4f707573" + "4f707573486561640102380180bb0000000000",
		want: []av.Frame{frame(audio, av.Opus, av.Config, "4f707573486561640102380180bb0000000000")},
	},
	{
		name: "C-174 Opus SequenceStart, empty", typ: TagAudio, body: "90" + "4f707573",
		want: []av.Frame{frame(audio, av.Opus, av.Config, "")},
	},
	{
		name: "Opus CodedFrames", typ: TagAudio, body: "91" + "4f707573" + "fc01",
		want: []av.Frame{frame(audio, av.Opus, av.Media, "fc01")},
	},
	{
		name: "fLaC SequenceStart", typ: TagAudio, body: "90" + "664c6143" + "664c614380000022",
		want: []av.Frame{frame(audio, av.FLAC, av.Config, "664c614380000022")},
	},
	{
		name: "ac-3 CodedFrames", typ: TagAudio, body: "91" + "61632d33" + "0b77",
		want: []av.Frame{frame(audio, av.AC3, av.Media, "0b77")},
	},
	{
		name: "ec-3 CodedFrames", typ: TagAudio, body: "91" + "65632d33" + "0b77",
		want: []av.Frame{frame(audio, av.EAC3, av.Media, "0b77")},
	},
	{
		name: ".mp3 CodedFrames", typ: TagAudio, body: "91" + "2e6d7033" + "fffb",
		want: []av.Frame{frame(audio, av.MP3, av.Media, "fffb")}, chosen: "2f" + "fffb",
	},
	{
		name: "mp4a SequenceStart", typ: TagAudio, body: "90" + "6d703461" + asc,
		want: []av.Frame{frame(audio, av.AAC, av.Config, asc)}, chosen: "af00" + asc,
	},
	{
		name: "mp4a CodedFrames", typ: TagAudio, body: "91" + "6d703461" + "2110",
		want: []av.Frame{frame(audio, av.AAC, av.Media, "2110")}, chosen: "af01" + "2110",
	},
	{
		name: "Opus SequenceEnd", typ: TagAudio, body: "92" + "4f707573",
		want: []av.Frame{frame(audio, av.Opus, av.End, "")},
	},
	{
		name: "MultichannelConfig, native", typ: TagAudio, body: "94" + "4f707573" + "01060000003f",
		want: []av.Frame{frame(audio, av.Opus, av.Meta, "01060000003f")},
	},
	{
		name: "MultichannelConfig, custom", typ: TagAudio, body: "94" + "4f707573" + "02020001",
		want: []av.Frame{frame(audio, av.Opus, av.Meta, "02020001")},
	},
	{name: "C-174 MultichannelConfig, short", typ: TagAudio, body: "94" + "4f707573" + "02ff0001", err: ErrShort},
	{name: "MultichannelConfig, reserved order", typ: TagAudio, body: "94" + "4f707573" + "0302", err: ErrReserved},
	{name: "reserved audio packet type", typ: TagAudio, body: "93" + "4f707573" + "00", err: ErrReserved},
	{name: "unknown audio FourCC", typ: TagAudio, body: "91" + "78797a77" + "00", err: ErrUnknownCodec},

	// Script and others.
	{
		name: "script", typ: TagScript, body: "02000a6f6e4d6574614461746103000009",
		want: []av.Frame{{Kind: av.Data, Type: av.Script, DTS: start, PTS: start, Payload: unhex("02000a6f6e4d6574614461746103000009")}},
	},
	{name: "script, empty", typ: TagScript, body: "", err: ErrShort},
	{name: "unknown tag type", typ: 10, body: "00", err: ErrReserved},
	{name: "encrypted tag", typ: TagVideo | 0x20, body: "1701000000", err: ErrReserved},
}

func repeat(f av.Frame, n int) []av.Frame {
	fs := make([]av.Frame, n)
	for i := range fs {
		fs[i] = f
	}
	return fs
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}
