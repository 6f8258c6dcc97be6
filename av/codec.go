package av

import "strconv"

// Codec is a coding format, named by its FourCC (big-endian), the registered
// sample entry or Enhanced RTMP code where there is one. The zero Codec is
// unknown.
type Codec uint32

// Video codecs.
const (
	H264 Codec = 'a'<<24 | 'v'<<16 | 'c'<<8 | '1'
	H265 Codec = 'h'<<24 | 'v'<<16 | 'c'<<8 | '1'
	VVC  Codec = 'v'<<24 | 'v'<<16 | 'c'<<8 | '1'
	AV1  Codec = 'a'<<24 | 'v'<<16 | '0'<<8 | '1'
	VP8  Codec = 'v'<<24 | 'p'<<16 | '0'<<8 | '8'
	VP9  Codec = 'v'<<24 | 'p'<<16 | '0'<<8 | '9'
	// The following have no registered name in FLV; they pass through opaque.
	SorensonH263 Codec = 'F'<<24 | 'L'<<16 | 'V'<<8 | '1'
	ScreenVideo  Codec = 'F'<<24 | 'S'<<16 | 'V'<<8 | '1'
	ScreenVideo2 Codec = 'F'<<24 | 'S'<<16 | 'V'<<8 | '2'
	VP6          Codec = 'V'<<24 | 'P'<<16 | '6'<<8 | 'F'
	VP6Alpha     Codec = 'V'<<24 | 'P'<<16 | '6'<<8 | 'A'
)

// Audio codecs.
const (
	AAC  Codec = 'm'<<24 | 'p'<<16 | '4'<<8 | 'a'
	MP3  Codec = '.'<<24 | 'm'<<16 | 'p'<<8 | '3'
	Opus Codec = 'O'<<24 | 'p'<<16 | 'u'<<8 | 's'
	FLAC Codec = 'f'<<24 | 'L'<<16 | 'a'<<8 | 'C'
	AC3  Codec = 'a'<<24 | 'c'<<16 | '-'<<8 | '3'
	EAC3 Codec = 'e'<<24 | 'c'<<16 | '-'<<8 | '3'
	PCMA Codec = 'a'<<24 | 'l'<<16 | 'a'<<8 | 'w' // G.711 A-law
	PCMU Codec = 'u'<<24 | 'l'<<16 | 'a'<<8 | 'w' // G.711 mu-law
	// The following pass through opaque.
	PCM        Codec = 'l'<<24 | 'p'<<16 | 'c'<<8 | 'm' // FLV sound formats 0 and 3
	ADPCM      Codec = 'a'<<24 | 'd'<<16 | 'p'<<8 | 'c'
	Nellymoser Codec = 'n'<<24 | 'm'<<16 | 'o'<<8 | 's'
	Speex      Codec = 's'<<24 | 'p'<<16 | 'e'<<8 | 'x'
)

var codecNames = map[Codec]string{
	H264: "H.264", H265: "H.265", VVC: "H.266", AV1: "AV1", VP8: "VP8", VP9: "VP9",
	SorensonH263: "Sorenson H.263", ScreenVideo: "Screen Video", ScreenVideo2: "Screen Video 2", VP6: "VP6", VP6Alpha: "VP6 with alpha",
	AAC: "AAC", MP3: "MP3", Opus: "Opus", FLAC: "FLAC", AC3: "AC-3", EAC3: "E-AC-3",
	PCMA: "G.711 A-law", PCMU: "G.711 mu-law", PCM: "PCM", ADPCM: "ADPCM", Nellymoser: "Nellymoser", Speex: "Speex",
}

// String returns the name people use ("H.264"), else the FourCC quoted, with
// unprintable bytes escaped.
func (c Codec) String() string {
	if c == 0 {
		return "unknown"
	}
	if s, ok := codecNames[c]; ok {
		return s
	}
	return strconv.Quote(c.FourCC())
}

// FourCC returns the four bytes of c as a string; they may be unprintable.
func (c Codec) FourCC() string {
	return string([]byte{byte(c >> 24), byte(c >> 16), byte(c >> 8), byte(c)})
}
