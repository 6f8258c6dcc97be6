package flv

import "weir/av"

// A frame's Wire holds the part of the tag header that the neutral fields cannot say.
//
//	bits  0-7   first byte of the tag body
//	bits  8-15  legacy: AVCPacketType or AACPacketType, 0 for codecs without;
//	            enhanced: the packet type behind all ModEx blocks and Multitrack
//	bit   16    the track came in a Multitrack message
//	bit   17    the FourCC was hev1
//	bit   18    an AV1 descriptor's tag and length were taken off the payload
//	bit   31    set, so that no header is 0
//
// The multitrack type is not kept: a track is always written as OneTrack.
const (
	wireMultitrack = 1 << 16
	wireHEV1       = 1 << 17
	wireDescriptor = 1 << 18
	wireSet        = 1 << 31
)

func wireOf(first, packetType byte) uint32 {
	return wireSet | uint32(packetType)<<8 | uint32(first)
}

func wireFirst(w uint32) byte      { return byte(w) }
func wirePacketType(w uint32) byte { return byte(w >> 8) }

// wireEnhanced reports whether w is of an enhanced tag header.
func wireEnhanced(k av.Kind, w uint32) bool {
	if w == 0 {
		return false
	}
	if k == av.Video {
		return w&exVideo != 0
	}
	return w>>4&15 == soundEx
}

// Frame types: the upper four bits of a legacy video tag, three of an enhanced one
// (Annex E.4.3.1; Enhanced RTMP v2, VideoFrameType).
const (
	frameKey          = 1
	frameInter        = 2
	frameDisposable   = 3
	frameGeneratedKey = 4
	frameCommand      = 5
)

// AVCPacketType and AACPacketType (Annex E.4.3.1, E.4.2.1).
const (
	legacyConfig = 0
	legacyMedia  = 1
	legacyEnd    = 2 // video only
)

// Enhanced packet types (Enhanced RTMP v2, VideoPacketType and AudioPacketType).
const (
	packetSequenceStart = 0
	packetCodedFrames   = 1
	packetSequenceEnd   = 2
	packetCodedFramesX  = 3 // video
	packetMeta          = 4 // video Metadata, audio MultichannelConfig
	packetTSStart       = 5 // video MPEG2TSSequenceStart
	packetMultitrackA   = 5
	packetMultitrackV   = 6
	packetModEx         = 7
)

// Multitrack types (Enhanced RTMP v2, AvMultitrackType).
const (
	oneTrack             = 0
	manyTracks           = 1
	manyTracksManyCodecs = 2
)

const (
	exVideo = 0x80 // IsExHeader of a video tag
	soundEx = 9    // SoundFormat of an enhanced audio tag

	soundAAC = 10
	videoAVC = 7
	videoHEV = 12
	videoAV1 = 13

	fourCCHEV1 av.Codec = 'h'<<24 | 'e'<<16 | 'v'<<8 | '1'
)

// opaque names a legacy codec id that has no name: "vid8", "aud15" is "audF".
func opaque(prefix string, id byte) av.Codec {
	return av.Codec(prefix[0])<<24 | av.Codec(prefix[1])<<16 | av.Codec(prefix[2])<<8 | av.Codec("0123456789ABCDEF"[id&15])
}

// videoCodec returns the codec of a legacy video codec id (Annex E.4.3.1, CodecID).
func videoCodec(id byte) av.Codec {
	switch id {
	case 2:
		return av.SorensonH263
	case 3:
		return av.ScreenVideo
	case 4:
		return av.VP6
	case 5:
		return av.VP6Alpha
	case 6:
		return av.ScreenVideo2
	case videoAVC:
		return av.H264
	case videoHEV:
		return av.H265
	case videoAV1:
		return av.AV1
	}
	return opaque("vid", id)
}

// videoID is the inverse of videoCodec. standard is false for the ids that the
// specification does not have.
func videoID(c av.Codec) (id byte, standard, ok bool) {
	for id := range byte(16) {
		if videoCodec(id) == c {
			return id, id >= 2 && id <= videoAVC, true
		}
	}
	return 0, false, false
}

// hasPacketType reports whether a legacy video codec id is followed by AVCPacketType
// and CompositionTime.
func hasPacketType(id byte) bool { return id == videoAVC || id == videoHEV || id == videoAV1 }

// audioCodec returns the codec of a legacy sound format (Annex E.4.2.1, SoundFormat).
// Format 13 is Opus in some private builds, but they do not agree on its layout.
func audioCodec(format byte) av.Codec {
	switch format {
	case 0, 3:
		return av.PCM
	case 1:
		return av.ADPCM
	case 2, 14:
		return av.MP3
	case 4, 5, 6:
		return av.Nellymoser
	case 7:
		return av.PCMA
	case 8:
		return av.PCMU
	case soundAAC:
		return av.AAC
	case 11:
		return av.Speex
	}
	return opaque("aud", format)
}

// audioByte returns the first byte of a legacy audio tag of codec c whose source did
// not say more: the format that fits best, and the rate, size and channels that other
// writers put there.
func audioByte(c av.Codec) (first byte, ok bool) {
	switch c {
	case av.PCM:
		return 0x3F, true // little endian, 44.1 kHz, 16 bit, stereo
	case av.ADPCM:
		return 0x1F, true
	case av.MP3:
		return 0x2F, true
	case av.Nellymoser:
		return 0x66, true // 11 kHz, 16 bit, mono
	case av.PCMA:
		return 0x72, true // 16 bit, mono
	case av.PCMU:
		return 0x82, true
	case av.AAC:
		return 0xAF, true // constant whatever the stream is (Annex E.4.2.1)
	case av.Speex:
		return 0xB6, true
	}
	for format := range byte(16) {
		if format != soundEx && opaque("aud", format) == c {
			return format<<4 | 0x0F, true
		}
	}
	return 0, false
}

// enhancedCodec returns the codec of a FourCC and whether it is one of those that
// Enhanced RTMP v2 lists for kind k. hev1 is not listed but seen.
func enhancedCodec(k av.Kind, fourCC av.Codec) (av.Codec, bool) {
	if k == av.Video {
		switch fourCC {
		case av.H264, av.H265, av.VVC, av.AV1, av.VP8, av.VP9:
			return fourCC, true
		case fourCCHEV1:
			return av.H265, true
		}
		return fourCC, false
	}
	switch fourCC {
	case av.AAC, av.MP3, av.Opus, av.FLAC, av.AC3, av.EAC3:
		return fourCC, true
	}
	return fourCC, false
}

// hasCompositionTime reports whether CodedFrames of codec c begin with a composition
// time (Enhanced RTMP v2, ExVideoTagBody).
func hasCompositionTime(c av.Codec) bool { return c == av.H264 || c == av.H265 || c == av.VVC }
