package av1

// maxUnits is how many OBUs of a temporal unit are looked at for its first frame header.
const maxUnits = 64

// IsKey reports whether a decoder can start at a temporal unit: its first frame is a key
// frame that is shown, after a sequence header. known is false if there is no frame or the
// data is damaged before it, and for a key frame without sequence header, at which a decoder
// can start if it was given the one of the configuration record. IsKey does not allocate.
func IsKey(payload []byte) (key, known bool) {
	sequence := false
	for range maxUnits {
		u, rest, err := Next(payload)
		if err != nil {
			return false, false
		}
		switch u.Type {
		case TypeSequenceHeader:
			if sequence = len(u.Payload) > 0; sequence && u.Payload[0]&8 != 0 {
				return true, true // reduced_still_picture_header: each frame is a key frame
			}
		case TypeFrame, TypeFrameHeader:
			if len(u.Payload) == 0 {
				return false, false
			}
			// show_existing_frame (1), frame_type (2), show_frame (1): key frames are type 0.
			switch {
			case u.Payload[0]&0xf0 != 0x10:
				return false, true
			case !sequence:
				return false, false
			}
			return true, true
		}
		payload = rest
	}
	return false, false
}
