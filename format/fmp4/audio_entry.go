package fmp4

import (
	"weir/av"
	"weir/codec/aac"
	"weir/codec/ac3"
	"weir/codec/bits"
	"weir/codec/flac"
	"weir/codec/opus"
)

// appendAudioEntry appends an AudioSampleEntry (ISO/IEC 14496-12, 12.2.3) with the codec's
// own box.
func appendAudioEntry(b []byte, t *Track) ([]byte, error) {
	name := map[av.Codec]string{av.Opus: "Opus", av.FLAC: "fLaC", av.AC3: "ac-3", av.EAC3: "ec-3"}[t.Codec]
	if name == "" {
		name = "mp4a"
	}
	channels, rate, size := t.Channels, t.SampleRate, 16
	if channels <= 0 {
		channels = 2
	}
	if t.Codec == av.Opus {
		rate = opus.SampleRate
	}
	if s, err := flac.ParseStreamInfo(t.Config); err == nil && t.Codec == av.FLAC {
		size = s.BitDepth
	}
	b, entry := openBox(b, name)
	b = be16(zeros(b, 6), 1) // data reference
	b = be16(zeros(b, 8), fits16(channels))
	b = be16(b, uint16(size))
	b = be32(zeros(b, 4), uint32(fits16(rate))<<16) // 0 if it does not fit
	var err error
	switch t.Codec {
	case av.AAC:
		if _, err = aac.ParseConfig(t.Config); err == nil {
			b = appendESDS(b, t.ID, objectAAC, t.Config)
		}
	case av.MP3:
		b = appendESDS(b, t.ID, mp3Object(rate), nil)
	case av.Opus:
		b, err = appendOpus(b, t.Config)
	case av.FLAC:
		b, err = appendFLAC(b, t.Config)
	case av.AC3:
		b, err = appendAC3(b, t)
	case av.EAC3:
		b, err = appendEAC3(b, t)
	}
	if err != nil {
		return b, configError(err)
	}
	return closeBox(b, entry), nil
}

// Object type indications (ISO/IEC 14496-1, 7.2.6.6.2).
const (
	objectAAC  = 0x40
	objectMP3  = 0x6b // MPEG-1
	objectMP32 = 0x69 // MPEG-2, at half the rates
)

// mp3Object is the object type of MP3 at a sample rate.
func mp3Object(rate int) byte {
	const leastOfMPEG1 = 32000
	if rate > 0 && rate < leastOfMPEG1 {
		return objectMP32
	}
	return objectMP3
}

// appendESDS appends the elementary stream descriptor (ISO/IEC 14496-1, 7.2.6.5).
func appendESDS(b []byte, id uint32, object byte, specific []byte) []byte {
	const esTag, configTag, specificTag, slTag = 3, 4, 5, 6
	const head = 5 // of a descriptor: its tag, and its length in four bytes
	b, at := openFull(b, "esds", 0, 0)
	n := 13
	if len(specific) > 0 {
		n += head + len(specific)
	}
	b = appendDescriptor(b, esTag, 3+head+n+head+1)
	b = append(be16(b, uint16(id)), 0)
	b = appendDescriptor(b, configTag, n)
	const audio = 5<<2 | 1
	b = append(b, object, audio)
	b = zeros(b, 3+4+4) // buffer size, greatest and average bit rate
	if len(specific) > 0 {
		b = append(appendDescriptor(b, specificTag, len(specific)), specific...)
	}
	b = append(appendDescriptor(b, slTag, 1), 2)
	return closeBox(b, at)
}

func appendDescriptor(b []byte, tag byte, n int) []byte {
	return append(b, tag, byte(n>>21)|0x80, byte(n>>14)|0x80, byte(n>>7)|0x80, byte(n)&0x7f)
}

// appendOpus appends dOps (Encapsulation of Opus in ISOBMFF, 4.3.2): OpusHead without its
// magic, in the other byte order.
func appendOpus(b, config []byte) ([]byte, error) {
	h, err := opus.ParseHead(config)
	if err != nil {
		return b, err
	}
	b, at := openBox(b, "dOps")
	b = append(b, 0, h.Channels)
	b = be16(b, h.PreSkip)
	b = be32(b, h.InputRate)
	b = append(be16(b, uint16(h.Gain)), h.Family)
	if h.Family != 0 {
		b = append(append(b, h.Streams, h.Coupled), h.Mapping...)
	}
	return closeBox(b, at), nil
}

// appendFLAC appends dfLa (Encapsulation of FLAC in ISOBMFF, 3.3.2).
func appendFLAC(b, config []byte) ([]byte, error) {
	s, err := flac.ParseStreamInfo(config)
	if err != nil {
		return b, err
	}
	block, err := s.AppendBinary(nil)
	if err != nil {
		return b, err
	}
	b, at := openFull(b, "dfLa", 0, 0)
	const magic = 4 // which MP4 leaves out
	return closeBox(append(b, block[magic:]...), at), nil
}

// surround is how AC-3 is described: the fields that dac3 and dec3 share.
type surround struct {
	rateCode, id, mode, audioMode, rate uint8
	lfe                                 bool
	bitRate                             int
}

// surroundOf reads a track's first frame; without one it is what the facts suggest.
func surroundOf(t *Track) surround {
	s := surround{id: 8, audioMode: 2, rate: 10, bitRate: 192_000}
	if t.Codec == av.EAC3 {
		s.id = 16
	}
	switch t.SampleRate {
	case 44100:
		s.rateCode = 1
	case 32000:
		s.rateCode = 2
	}
	switch t.Channels {
	case 1:
		s.audioMode = 1
	case 6:
		s.audioMode, s.lfe, s.rate, s.bitRate = 7, true, 15, 448_000
	}
	f, err := ac3.ParseFrame(t.First)
	if err != nil || f.Enhanced != (t.Codec == av.EAC3) {
		return s
	}
	s.rateCode = map[int]uint8{48000: 0, 44100: 1, 32000: 2}[f.SampleRate]
	s.id, s.audioMode, s.lfe, s.bitRate = f.ID, f.Mode, f.LFE, f.BitRate
	if !f.Enhanced && len(t.First) > 5 {
		s.rate = t.First[4] & 0x3f >> 1 // frmsizecod, without the padding
		s.mode = t.First[5] & 7         // bsmod
	}
	return s
}

// appendAC3 appends dac3 (ETSI TS 102 366, F.4).
func appendAC3(b []byte, t *Track) ([]byte, error) {
	s := surroundOf(t)
	b, at := openBox(b, "dac3")
	w := bits.NewWriter(b)
	w.U(2, uint64(s.rateCode))
	w.U(5, uint64(s.id))
	w.U(3, uint64(s.mode))
	w.U(3, uint64(s.audioMode))
	w.U(1, flag(s.lfe))
	w.U(5, uint64(s.rate))
	w.U(5, 0)
	return closeBox(w.Bytes(), at), nil
}

// appendEAC3 appends dec3 (ETSI TS 102 366, F.6) of one independent substream.
func appendEAC3(b []byte, t *Track) ([]byte, error) {
	s := surroundOf(t)
	b, at := openBox(b, "dec3")
	w := bits.NewWriter(b)
	w.U(13, uint64(min(s.bitRate/1000, 1<<13-1)))
	w.U(3, 0) // one independent substream
	w.U(2, uint64(s.rateCode))
	w.U(5, uint64(s.id))
	w.U(2, 0)
	w.U(3, uint64(s.mode))
	w.U(3, uint64(s.audioMode))
	w.U(1, flag(s.lfe))
	w.U(3, 0)
	w.U(4, 0) // no dependent substreams
	w.U(1, 0)
	return closeBox(w.Bytes(), at), nil
}

func flag(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}
