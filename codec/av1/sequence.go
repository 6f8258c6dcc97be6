package av1

import (
	"errors"
	"fmt"

	"weir/codec/bits"
)

// MaxSize is the largest width and height in pixels that is believed.
const MaxSize = 16384

// maxRate is the largest frame rate that is believed.
const maxRate = 1000

// SequenceHeader is what a sequence header says (5.5).
type SequenceHeader struct {
	Profile        uint8 // seq_profile
	Level          uint8 // seq_level_idx[0]
	HighTier       bool  // seq_tier[0]
	StillPicture   bool
	ReducedHeader  bool // reduced_still_picture_header: frame headers are shorter
	BitDepth       uint8
	Monochrome     bool
	SubsamplingX   bool
	SubsamplingY   bool
	SamplePosition uint8
	FullRange      bool
	// Width and Height are the largest that a frame may have, in pixels; 0 if they are
	// beyond MaxSize.
	Width, Height int
	// FrameRate is in frames per second; 0 if not declared, not constant or not believable.
	FrameRate float64
}

// ParseSequenceHeader parses the payload of a sequence header OBU. It fails with
// io.ErrUnexpectedEOF, or for values that the specification does not allow.
func ParseSequenceHeader(payload []byte) (SequenceHeader, error) {
	s, err := parseSequenceHeader(payload)
	if err != nil {
		return SequenceHeader{}, fmt.Errorf("av1: reading a sequence header: %w", err)
	}
	return s, nil
}

func parseSequenceHeader(payload []byte) (SequenceHeader, error) {
	var s SequenceHeader
	r := bits.NewReader(payload)
	s.Profile, s.StillPicture, s.ReducedHeader = uint8(r.U(3)), r.Flag(), r.Flag()
	if s.ReducedHeader {
		s.Level = uint8(r.U(5))
	} else {
		s.parseOperatingPoints(&r)
	}
	widthBits, heightBits := int(r.U(4))+1, int(r.U(4))+1
	width, height := int(r.U(widthBits))+1, int(r.U(heightBits))+1
	if !s.ReducedHeader {
		if r.Flag() { // frame_id_numbers_present_flag
			r.Skip(7)
		}
		r.Skip(3)
		parseTools(&r)
	} else {
		r.Skip(3)
	}
	r.Skip(3) // enable_superres, enable_cdef, enable_restoration
	s.parseColor(&r)
	r.Skip(1) // film_grain_params_present
	if err := r.Err(); err != nil {
		return s, err
	}
	if s.Profile > 2 {
		return s, errors.New("profile out of range")
	}
	if width <= MaxSize && height <= MaxSize {
		s.Width, s.Height = width, height
	}
	return s, nil
}

// parseOperatingPoints reads the timing and the operating points, of which the first counts.
func (s *SequenceHeader) parseOperatingPoints(r *bits.Reader) {
	decoderModel, delayBits := false, 0
	if r.Flag() { // timing_info_present_flag
		tick, scale := r.U(32), r.U(32)
		if r.Flag() { // equal_picture_interval
			ticks := uint64(uvlc(r)) + 1
			if tick > 0 && r.Err() == nil {
				if rate := float64(scale) / (float64(tick) * float64(ticks)); rate <= maxRate {
					s.FrameRate = rate
				}
			}
		}
		if decoderModel = r.Flag(); decoderModel {
			delayBits = int(r.U(5)) + 1
			r.Skip(42)
		}
	}
	displayDelay := r.Flag()
	for i := range int(r.U(5)) + 1 {
		r.Skip(12) // operating_point_idc
		level, tier := uint8(r.U(5)), false
		if level > 7 {
			tier = r.Flag()
		}
		if i == 0 {
			s.Level, s.HighTier = level, tier
		}
		if decoderModel && r.Flag() {
			r.Skip(2*delayBits + 1)
		}
		if displayDelay && r.Flag() {
			r.Skip(4)
		}
	}
}

// uvlc reads a number of variable length (4.10.3): 2^32-1 if it has 32 leading zeros or more.
func uvlc(r *bits.Reader) uint32 {
	n := 0
	for r.Err() == nil && !r.Flag() {
		n++
	}
	if n >= 32 {
		return 1<<32 - 1
	}
	return uint32(r.U(n) + 1<<n - 1)
}

// parseTools passes over the coding tools that a full header lists.
func parseTools(r *bits.Reader) {
	r.Skip(4)
	hint := r.Flag() // enable_order_hint
	if hint {
		r.Skip(2)
	}
	const selectTools = 2
	screen := uint64(selectTools)
	if !r.Flag() { // seq_choose_screen_content_tools
		screen = r.U(1)
	}
	if screen > 0 && !r.Flag() { // seq_choose_integer_mv
		r.Skip(1)
	}
	if hint {
		r.Skip(3)
	}
}

// parseColor reads color_config (5.5.2).
func (s *SequenceHeader) parseColor(r *bits.Reader) {
	s.BitDepth = 8
	if r.Flag() { // high_bitdepth
		s.BitDepth = 10
		if s.Profile == 2 && r.Flag() {
			s.BitDepth = 12
		}
	}
	if s.Profile != 1 {
		s.Monochrome = r.Flag()
	}
	const unspecified, srgbPrimaries, srgbTransfer, identity = 2, 1, 13, 0
	primaries, transfer, matrix := uint64(unspecified), uint64(unspecified), uint64(unspecified)
	if r.Flag() {
		primaries, transfer, matrix = r.U(8), r.U(8), r.U(8)
	}
	if s.Monochrome {
		s.FullRange = r.Flag()
		s.SubsamplingX, s.SubsamplingY = true, true
		return
	}
	if primaries == srgbPrimaries && transfer == srgbTransfer && matrix == identity {
		s.FullRange = true
	} else {
		s.FullRange = r.Flag()
		switch {
		case s.Profile == 0:
			s.SubsamplingX, s.SubsamplingY = true, true
		case s.Profile == 2 && s.BitDepth == 12:
			if s.SubsamplingX = r.Flag(); s.SubsamplingX {
				s.SubsamplingY = r.Flag()
			}
		case s.Profile == 2:
			s.SubsamplingX = true
		}
		if s.SubsamplingX && s.SubsamplingY {
			s.SamplePosition = uint8(r.U(2))
		}
	}
	r.Skip(1) // separate_uv_delta_q
}
