package fmp4

import (
	"encoding/binary"

	"weir/av"
	"weir/codec/opus"
)

// sampleEntry is what a sample description tells.
type sampleEntry struct {
	kind     av.Kind
	codec    av.Codec
	config   []byte
	size     av.Size
	rate     int
	channels int
}

// readEntry reads the first sample entry of an stsd box; ok is false if it is of no codec
// that can be read.
func readEntry(stsd []byte) (e sampleEntry, ok bool) {
	if len(stsd) < 16 {
		return e, false
	}
	size := binary.BigEndian.Uint32(stsd[8:])
	if size < 16 || int64(size) > int64(len(stsd)-8) {
		return e, false
	}
	typ, b := string(stsd[12:16]), stsd[16:8+size]
	switch typ {
	case "avc1", "avc3", "hvc1", "hev1", "av01", "vp09", "vp08":
		return videoEntry(typ, b)
	case "mp4a", "Opus", "fLaC", "ac-3", "ec-3", ".mp3":
		return audioEntry(typ, b)
	}
	return e, false
}

func videoEntry(typ string, b []byte) (e sampleEntry, ok bool) {
	const fields = 78
	if len(b) < fields+8 {
		return e, false
	}
	e.size = av.Size{Width: int(binary.BigEndian.Uint16(b[24:])), Height: int(binary.BigEndian.Uint16(b[26:]))}
	record := ""
	switch typ {
	case "avc1", "avc3":
		e.codec, record = av.H264, "avcC"
	case "hvc1", "hev1":
		e.codec, record = av.H265, "hvcC"
	case "av01":
		e.codec, record = av.AV1, "av1C"
	case "vp09":
		e.codec, record = av.VP9, "vpcC"
	case "vp08":
		e.codec, record = av.VP8, "vpcC"
	}
	e.config = find(b[fields:], record)
	return e, len(e.config) > 0
}

func audioEntry(typ string, b []byte) (e sampleEntry, ok bool) {
	fields := 28
	if len(b) < fields {
		return e, false
	}
	e.kind = av.Audio
	e.channels, e.rate = int(binary.BigEndian.Uint16(b[16:])), int(binary.BigEndian.Uint32(b[24:])>>16)
	switch binary.BigEndian.Uint16(b[8:]) { // QuickTime's versions of the entry
	case 1:
		fields += 16
	case 2:
		fields += 36
	}
	if len(b) < fields {
		return e, false
	}
	boxes := b[fields:]
	if wave := find(boxes, "wave"); wave != nil {
		boxes = wave
	}
	switch typ {
	case "mp4a":
		return esds(e, find(boxes, "esds"))
	case ".mp3":
		e.codec = av.MP3
	case "ac-3":
		e.codec = av.AC3
	case "ec-3":
		e.codec = av.EAC3
	case "Opus":
		e.codec = av.Opus
		e.config = opusHead(find(boxes, "dOps"))
		return e, e.config != nil
	case "fLaC":
		e.codec = av.FLAC
		d := find(boxes, "dfLa")
		if len(d) < 4 {
			return e, false
		}
		e.config = append([]byte("fLaC"), d[4:]...)
	}
	return e, true
}

// opusHead is the identification header for a dOps box, nil if it is none.
func opusHead(b []byte) []byte {
	if len(b) < 11 {
		return nil
	}
	h := opus.Head{
		Channels: b[1], PreSkip: binary.BigEndian.Uint16(b[2:]), InputRate: binary.BigEndian.Uint32(b[4:]),
		Gain: int16(binary.BigEndian.Uint16(b[8:])), Family: b[10],
	}
	if h.Family == 0 {
		h.Streams, h.Coupled = 1, h.Channels-1
	} else {
		if len(b) < 13 {
			return nil
		}
		h.Streams, h.Coupled, h.Mapping = b[11], b[12], b[13:]
	}
	out, err := h.AppendBinary(nil)
	if err != nil {
		return nil
	}
	return out
}

// esds reads an elementary stream descriptor (ISO/IEC 14496-1, 7.2.6.5).
func esds(e sampleEntry, b []byte) (sampleEntry, bool) {
	const esTag, configTag, specificTag = 3, 4, 5
	if len(b) < 4 {
		return e, false
	}
	es := descriptor(b[4:], esTag)
	if len(es) < 3 {
		return e, false
	}
	flags := es[2]
	es = es[3:]
	skip := 0
	if flags&0x80 != 0 {
		skip += 2
	}
	if flags&0x40 != 0 {
		if len(es) <= skip {
			return e, false
		}
		skip += 1 + int(es[skip])
	}
	if flags&0x20 != 0 {
		skip += 2
	}
	if len(es) < skip {
		return e, false
	}
	conf := descriptor(es[skip:], configTag)
	if len(conf) < 13 {
		return e, false
	}
	switch conf[0] {
	case objectAAC, 0x66, 0x67, 0x68: // MPEG-4, and the profiles of MPEG-2
		e.codec, e.config = av.AAC, descriptor(conf[13:], specificTag)
		return e, len(e.config) > 0
	case objectMP3, objectMP32:
		e.codec = av.MP3
		return e, true
	case 0xa5:
		e.codec = av.AC3
		return e, true
	}
	return e, false
}

// descriptor returns what is in the first descriptor with a tag, nil if there is none.
func descriptor(b []byte, tag byte) []byte {
	for len(b) > 1 {
		n, i := 0, 1
		for ; i < len(b) && i < 5; i++ {
			n = n<<7 | int(b[i]&0x7f)
			if b[i]&0x80 == 0 {
				i++
				break
			}
		}
		if n > len(b)-i {
			return nil
		}
		if b[0] == tag {
			return b[i : i+n]
		}
		b = b[i+n:]
	}
	return nil
}
