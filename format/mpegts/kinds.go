package mpegts

import (
	"errors"
	"fmt"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/opus"
)

// The data that a stream may carry beside the codecs of package av.
const (
	// ID3 is timed ID3 tags (Timed Metadata for HTTP Live Streaming).
	ID3 av.Codec = 'I'<<24 | 'D'<<16 | '3'<<8 | ' '
	// SCTE35 is splice information sections (ANSI/SCTE 35), each from its table id to its CRC.
	SCTE35 av.Codec = 'C'<<24 | 'U'<<16 | 'E'<<8 | 'I'
)

// ErrUnsupported is returned for a track that a transport stream cannot carry.
var ErrUnsupported = errors.New("not possible in MPEG-TS")

// The stream types (H.222.0, Table 2-34; ATSC A/52 and A/53; ANSI/SCTE 35).
const (
	typeMPEG1Audio = 0x03
	typeMPEG2Audio = 0x04
	typePrivate    = 0x06
	typeADTS       = 0x0f
	typeMetadata   = 0x15
	typeH264       = 0x1b
	typeH265       = 0x24
	typeAC3        = 0x81
	typeSCTE35     = 0x86
	typeEAC3       = 0x87
)

// The stream ids of PES packets (H.222.0, Table 2-22).
const (
	idVideo   = 0xe0
	idAudio   = 0xc0
	idPrivate = 0xbd
)

// Supported reports whether a Muxer can carry a codec: H.264, H.265, AAC, MP3, AC-3,
// E-AC-3, Opus, ID3 or SCTE35. Some configurations of AAC and Opus are refused
// nevertheless: see CheckTrack.
func Supported(c av.Codec) bool {
	switch c {
	case av.H264, av.H265, av.AAC, av.MP3, av.AC3, av.EAC3, av.Opus, ID3, SCTE35:
		return true
	}
	return false
}

// CheckTrack returns nil if a Muxer can carry the track, and an error that wraps
// ErrUnsupported and says why if it cannot.
func CheckTrack(t *av.Track) error {
	_, err := newElementary(t)
	return err
}

// elementary is how a track is carried.
type elementary struct {
	streamType  uint8
	streamID    uint8  // of its PES packets; 0 for sections
	descriptors []byte // in the program map
	aac         aac.Config
	hasAAC      bool   // aac is set
	program     []byte // what frames of AAC must begin with, since the header cannot tell the channels
}

// newElementary says how a track is carried.
func newElementary(t *av.Track) (elementary, error) {
	if kind := kindOf(t.Codec); !Supported(t.Codec) || kind != t.Kind {
		return elementary{}, refuse(t, "the format has no place for it")
	}
	switch t.Codec {
	case av.H264:
		return elementary{streamType: typeH264, streamID: idVideo}, nil
	case av.H265:
		return elementary{streamType: typeH265, streamID: idVideo, descriptors: appendRegistration(nil, "HEVC")}, nil
	case av.AAC:
		return newAAC(t)
	case av.MP3:
		return elementary{streamType: mpegAudioType(t.SampleRate), streamID: idAudio}, nil
	case av.AC3:
		return elementary{streamType: typeAC3, streamID: idPrivate, descriptors: appendRegistration(nil, "AC-3")}, nil
	case av.EAC3:
		return elementary{streamType: typeEAC3, streamID: idPrivate, descriptors: appendRegistration(nil, "EAC3")}, nil
	case av.Opus:
		return newOpus(t)
	case ID3:
		return elementary{streamType: typeMetadata, streamID: idPrivate, descriptors: appendMetadataDescriptor(nil)}, nil
	}
	return elementary{streamType: typeSCTE35, descriptors: appendRegistration(nil, "CUEI")}, nil
}

// refuse returns the error for a track that cannot be carried.
func refuse(t *av.Track, why string) error {
	return fmt.Errorf("%s track %d (%v): %w: %s", t.Kind, t.ID, t.Codec, ErrUnsupported, why)
}

// kindOf returns the kind of a codec that is supported.
func kindOf(c av.Codec) av.Kind {
	switch c {
	case av.H264, av.H265:
		return av.Video
	case ID3, SCTE35:
		return av.Data
	}
	return av.Audio
}

// mpegAudioType tells MPEG-1 audio from the lower rates of MPEG-2.
func mpegAudioType(rate int) uint8 {
	const lowestMPEG1 = 32000
	if rate > 0 && rate < lowestMPEG1 {
		return typeMPEG2Audio
	}
	return typeMPEG1Audio
}

func newAAC(t *av.Track) (elementary, error) {
	e := elementary{streamType: typeADTS, streamID: idAudio}
	if len(t.Config) == 0 {
		return e, nil // its frames may be ADTS already
	}
	c, err := aac.ParseConfig(t.Config)
	if err != nil {
		return e, refuse(t, err.Error())
	}
	if _, err := c.AppendADTS(nil, 0); err != nil {
		return e, refuse(t, err.Error())
	}
	e.aac, e.hasAAC = c, true
	if c.Program != nil {
		e.program = c.Program.AppendFrame(nil)
	}
	return e, nil
}

func newOpus(t *av.Track) (elementary, error) {
	e := elementary{streamType: typePrivate, streamID: idPrivate}
	code := byte(2)
	if len(t.Config) > 0 {
		h, err := opus.ParseHead(t.Config)
		if err != nil {
			return e, refuse(t, err.Error())
		}
		var ok bool
		if code, ok = opusChannelCode(&h); !ok {
			return e, refuse(t, "no channel configuration for its channels")
		}
	}
	e.descriptors = appendRegistration(nil, "Opus")
	e.descriptors = append(e.descriptors, descriptorExtension, 2, extensionOpus, code)
	return e, nil
}
