package flv

import "encoding/binary"

// isHEVCConfig reports whether a sequence header of codec id 7 holds an
// HEVCDecoderConfigurationRecord: patched OBS builds before 29.1 send H.265 so. The two
// records begin alike; one that walks through as AVC is AVC.
func isHEVCConfig(b []byte) bool { return !isAVCRecord(b) && isHEVCRecord(b) }

// isAVCRecord walks an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
func isAVCRecord(b []byte) bool {
	if len(b) < 7 || b[0] != 1 {
		return false
	}
	rest, ok := skipNALUs(b[6:], int(b[5]&31), 31, 7)
	if !ok || len(rest) == 0 {
		return false
	}
	_, ok = skipNALUs(rest[1:], int(rest[0]), 31, 8)
	return ok
}

// isHEVCRecord walks an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1).
func isHEVCRecord(b []byte) bool {
	if len(b) < 23 || b[0] != 1 {
		return false
	}
	rest, sps := b[23:], false
	for range b[22] {
		if len(rest) < 3 {
			return false
		}
		kind, n := rest[0]&63, int(binary.BigEndian.Uint16(rest[1:]))
		var ok bool
		if rest, ok = skipNALUs(rest[3:], n, 63<<1, kind<<1); !ok {
			return false
		}
		sps = sps || kind == 33 && n > 0
	}
	return sps
}

// skipNALUs skips n NAL units behind 16-bit lengths, whose first byte under mask
// must be want.
func skipNALUs(b []byte, n int, mask, want byte) (rest []byte, ok bool) {
	for range n {
		if len(b) < 3 {
			return nil, false
		}
		size := int(binary.BigEndian.Uint16(b))
		if size == 0 || size > len(b)-2 || b[2]&mask != want {
			return nil, false
		}
		b = b[2+size:]
	}
	return b, true
}
