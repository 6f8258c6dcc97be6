package mpegts

import (
	"bytes"
	"fmt"
	"slices"
)

// maxLeftOut is how many streams that are left out are named.
const maxLeftOut = maxStreams

// LeftOut names the streams of the program that the Demuxer leaves out, because it does not read
// their coding, in the order of the program map: "LATM AAC audio", "MPEG-2 video". Of
// MPEG audio only the frames tell the layer, so that "MP2 audio" is named from the first one on.
func (d *Demuxer) LeftOut() []string {
	names := slices.Clone(d.leftOut)
	for _, s := range d.streams {
		if s.layer != 0 {
			names = append(names, layerName(s.layer))
		}
	}
	return names
}

// layerName names MPEG audio of layer I or II.
func layerName(layer int) string { return fmt.Sprintf("MP%d audio", layer) }

// typeNames are the stream types that are not read (H.222.0, Table 2-34, and those in use).
var typeNames = map[uint8]string{
	0x01: "MPEG-1 video", 0x02: "MPEG-2 video", 0x10: "MPEG-4 Part 2 video", 0x11: "LATM AAC audio", 0x1c: "raw AAC audio",
	0x1e: "auxiliary video", 0x1f: "SVC video", 0x20: "MVC video", 0x21: "JPEG 2000 video", 0x2d: "MPEG-H audio", 0x2e: "MPEG-H audio",
	0x32: "JPEG XS video", 0x33: "H.266 video", 0x35: "EVC video", 0x42: "AVS video", 0x80: "PCM audio", 0x82: "DTS audio", 0x83: "TrueHD audio",
	0x84: "E-AC-3 audio", 0x85: "DTS-HD audio", 0x86: "DTS-HD audio", 0x8a: "DTS audio", 0x90: "subtitle track", 0x92: "subtitle track",
	0xa1: "E-AC-3 audio", 0xa2: "DTS-HD audio", 0xd1: "Dirac video", 0xd2: "AVS2 video", 0xd4: "AVS3 video", 0xea: "VC-1 video",
	0x05: "private sections", 0x08: "DSM-CC data", 0x0a: "DSM-CC data", 0x0b: "DSM-CC data", 0x0c: "DSM-CC data", 0x0d: "DSM-CC data",
	0x15: "metadata", 0x16: "metadata",
}

// privateNames are what descriptors say of private data (ETSI EN 300 468, Table 12).
var privateNames = map[byte]string{
	0x45: "VBI data", 0x46: "teletext track", 0x56: "teletext track", 0x59: "subtitle track", 0x6a: "AC-3 audio", 0x7a: "E-AC-3 audio",
	0x7b: "DTS audio", 0x7c: "AAC audio",
}

// registeredNames are what registration descriptors say.
var registeredNames = map[string]string{
	"AV01": "AV1 video", "VVC ": "H.266 video", "BSSD": "PCM audio", "DTS1": "DTS audio", "DTS2": "DTS audio", "DTS3": "DTS audio",
	"AC-4": "AC-4 audio", "VC-1": "VC-1 video", "drac": "Dirac video", "KLVA": "metadata", "Opus": "Opus audio", "mlpa": "TrueHD audio",
	"Ipcm": "PCM audio", "VP09": "VP9 video", "VP90": "VP9 video",
}

// nameOf names a stream that is not read, by its entry in the program map.
func nameOf(e *mapped) string {
	for tag, body := range descriptors(e.descriptors) {
		if tag == descriptorRegistration && len(body) >= 4 {
			if name, ok := registeredNames[string(body[:4])]; ok {
				return name
			}
		}
	}
	if e.streamType == typePrivate {
		for tag, body := range descriptors(e.descriptors) {
			if name, ok := privateNames[tag]; ok {
				return name
			}
			if tag == descriptorExtension && bytes.HasPrefix(body, []byte{0x15}) {
				return "AC-4 audio"
			}
		}
		return "private data"
	}
	if name, ok := typeNames[e.streamType]; ok {
		return name
	}
	return fmt.Sprintf("stream type %#02x", e.streamType)
}
