package h265

import (
	"errors"
	"fmt"

	"weir/codec/bits"
)

// MaxSize is the largest width and height in pixels that is believed.
const MaxSize = 16384

// maxRate is the largest frame rate that is believed: some encoders declare their clock.
const maxRate = 1000

// SPS is what a sequence parameter set says (7.3.2.2.1, 7.3.3 and E.2.1).
type SPS struct {
	ProfileSpace     uint8
	HighTier         bool
	Profile          uint8  // general_profile_idc
	Compatibility    uint32 // general_profile_compatibility_flags, flag 0 highest
	Constraints      uint64 // 48 constraint indicator flags, the first highest
	Level            uint8  // general_level_idc: 30 times the level
	SubLayers        uint8  // temporal layers, 1 to 7
	TemporalIDNested bool
	ID               uint8
	ChromaFormat     uint8 // 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4
	BitDepth         uint8 // luma
	BitDepthChroma   uint8
	// Width and Height are in pixels after cropping to the conformance window; 0 if they
	// are beyond MaxSize.
	Width, Height int
	// Reorder is how many frames may precede one in decoding order and follow it in output
	// order: 0 means that there are no B frames to reorder.
	Reorder int
	// SARWidth:SARHeight is the shape of a pixel; 0:0 if not declared.
	SARWidth, SARHeight uint16
	// FrameRate is in pictures per second, fields counting as pictures where there are any;
	// 0 if not declared or not believable.
	FrameRate float64
}

// ParseSPS parses a sequence parameter set, a whole NAL unit. If what follows the size is
// damaged, the frame rate and pixel shape are undeclared. It fails with
// io.ErrUnexpectedEOF, bits.ErrRange, or for values that the standard does not allow.
func ParseSPS(unit []byte) (SPS, error) {
	s, err := parseSPS(unit)
	if err != nil {
		return SPS{}, fmt.Errorf("h265: reading a sequence parameter set: %w", err)
	}
	return s, nil
}

func parseSPS(unit []byte) (SPS, error) {
	var s SPS
	r, err := payload(unit, TypeSPS)
	if err != nil {
		return s, err
	}
	r.Skip(4) // sps_video_parameter_set_id
	sub := int(r.U(3))
	s.SubLayers, s.TemporalIDNested = uint8(sub)+1, r.Flag()
	s.parseProfile(&r, sub)
	id, chroma := r.UE(), r.UE()
	separate := chroma == 3 && r.Flag()
	width, height := uint64(r.UE()), uint64(r.UE())
	var window [4]uint64
	if r.Flag() {
		for i := range window {
			window[i] = uint64(r.UE())
		}
	}
	luma, chromaDepth, lsb := r.UE(), r.UE(), r.UE()
	if err := r.Err(); err != nil {
		return s, err
	}
	if sub > 6 || id > 15 || chroma > 3 || luma > 8 || chromaDepth > 8 || lsb > 12 {
		return s, errors.New("value out of range")
	}
	s.ID, s.ChromaFormat, s.BitDepth, s.BitDepthChroma = uint8(id), uint8(chroma), uint8(luma)+8, uint8(chromaDepth)+8
	unitX, unitY := uint64(1), uint64(1) // Table 6-1
	if !separate && (chroma == 1 || chroma == 2) {
		unitX = 2
	}
	if chroma == 1 {
		unitY = 2
	}
	s.Width, s.Height = cropped(width, unitX*(window[0]+window[1])), cropped(height, unitY*(window[2]+window[3]))
	if s.Width == 0 || s.Height == 0 {
		s.Width, s.Height = 0, 0
	}
	s.Reorder = skipOrdering(&r, sub)
	if r.Err() == nil {
		s.parseCoding(&r, int(lsb)+4)
	}
	return s, nil
}

// payload returns a reader of what follows the header of a base layer's NAL unit of type t.
func payload(unit []byte, t int) (bits.Reader, error) {
	if got := Type(unit); got != t {
		return bits.Reader{}, fmt.Errorf("NAL unit of type %d", got)
	}
	if unit[0]&1 != 0 || unit[1]>>3 != 0 {
		return bits.Reader{}, errors.New("not of the base layer")
	}
	return bits.NewRBSPReader(unit[2:]), nil
}

// parseProfile reads profile_tier_level (7.3.3) with sub layers above the first.
func (s *SPS) parseProfile(r *bits.Reader, sub int) {
	s.ProfileSpace, s.HighTier, s.Profile = uint8(r.U(2)), r.Flag(), uint8(r.U(5))
	s.Compatibility, s.Constraints, s.Level = uint32(r.U(32)), r.U(48), uint8(r.U(8))
	skip := 0
	for range sub {
		if r.Flag() {
			skip += 88
		}
		if r.Flag() {
			skip += 8
		}
	}
	if sub > 0 {
		skip += 2 * (8 - sub)
	}
	r.Skip(skip)
}

// cropped returns size less crop, or 0 if it is not believable.
func cropped(size, crop uint64) int {
	if crop >= size || size-crop > MaxSize {
		return 0
	}
	return int(size - crop)
}

// skipOrdering passes over the sizes of the picture buffer for each sub layer, and returns
// the number of reordered pictures for the highest.
func skipOrdering(r *bits.Reader, sub int) int {
	n := 1
	if r.Flag() {
		n = sub + 1
	}
	reorder := uint32(0)
	for range n {
		r.UE()
		reorder = r.UE()
		r.UE()
	}
	return int(min(reorder, 16))
}

// parseCoding passes over the coding tools up to the usability information, and reads that.
func (s *SPS) parseCoding(r *bits.Reader, lsbBits int) {
	for range 6 {
		r.UE()
	}
	if r.Flag() && r.Flag() { // scaling_list_enabled_flag, sps_scaling_list_data_present_flag
		skipScalingLists(r)
	}
	r.Skip(2)
	if r.Flag() { // pcm_enabled_flag
		r.Skip(8)
		r.UE()
		r.UE()
		r.Skip(1)
	}
	if !skipReferenceSets(r) {
		return
	}
	if r.Flag() { // long_term_ref_pics_present_flag
		n := r.UE()
		if n > 32 {
			return
		}
		r.Skip(int(n) * (lsbBits + 1))
	}
	r.Skip(2)
	if r.Flag() {
		s.parseVUI(r)
	}
}

// skipScalingLists passes over scaling_list_data (7.3.4).
func skipScalingLists(r *bits.Reader) {
	for size := range 4 {
		step := 1
		if size == 3 {
			step = 3
		}
		for m := 0; m < 6; m += step {
			if !r.Flag() {
				r.UE()
				continue
			}
			n := min(64, 1<<(4+2*size))
			if size > 1 {
				n++
			}
			for range n {
				r.SE()
			}
			if r.Err() != nil {
				return
			}
		}
	}
}

// skipReferenceSets passes over the short-term reference picture sets (7.3.7).
func skipReferenceSets(r *bits.Reader) bool {
	sets := r.UE()
	if sets > 64 {
		return false
	}
	last := uint32(0) // pictures in the set before
	for i := range sets {
		if i > 0 && r.Flag() { // inter_ref_pic_set_prediction_flag
			r.Skip(1)
			r.UE()
			n := uint32(0)
			for range last + 1 {
				if r.Flag() || r.Flag() { // used_by_curr_pic_flag, use_delta_flag
					n++
				}
			}
			last = n
		} else {
			negative, positive := r.UE(), r.UE()
			if negative > 16 || positive > 16 {
				return false
			}
			last = negative + positive
			for range last {
				r.UE()
				r.Skip(1)
			}
		}
		if r.Err() != nil || last > 32 {
			return false
		}
	}
	return true
}

// sar holds the pixel shapes of Table E.1.
var sar = [...][2]uint16{
	{},
	{1, 1},
	{12, 11},
	{10, 11},
	{16, 11},
	{40, 33},
	{24, 11},
	{20, 11},
	{32, 11},
	{80, 33},
	{18, 11},
	{15, 11},
	{64, 33},
	{160, 99},
	{4, 3},
	{3, 2},
	{2, 1},
}

// parseVUI reads the usability information (E.2.1) up to the frame rate.
func (s *SPS) parseVUI(r *bits.Reader) {
	if r.Flag() {
		idc := r.U(8)
		shape := [2]uint16{}
		if idc == 255 {
			shape = [2]uint16{uint16(r.U(16)), uint16(r.U(16))}
		} else if idc < uint64(len(sar)) {
			shape = sar[idc]
		}
		if r.Err() == nil {
			s.SARWidth, s.SARHeight = shape[0], shape[1]
		}
	}
	if r.Flag() { // overscan_info_present_flag
		r.Skip(1)
	}
	if r.Flag() { // video_signal_type_present_flag
		r.Skip(4)
		if r.Flag() {
			r.Skip(24)
		}
	}
	if r.Flag() { // chroma_loc_info_present_flag
		r.UE()
		r.UE()
	}
	r.Skip(3)
	if r.Flag() { // default_display_window_flag
		for range 4 {
			r.UE()
		}
	}
	s.FrameRate = timing(r)
}

// timing reads the timing information that VUI and video parameter sets share.
func timing(r *bits.Reader) float64 {
	if !r.Flag() {
		return 0
	}
	tick, scale := r.U(32), r.U(32)
	if r.Err() != nil || tick == 0 {
		return 0
	}
	rate := float64(scale) / float64(tick)
	if rate > maxRate {
		return 0
	}
	return rate
}

// VPSFrameRate returns the pictures per second that a video parameter set, a whole NAL
// unit, declares (7.3.2.1); 0 if it does not, or is damaged. Some encoders declare it only there.
func VPSFrameRate(unit []byte) float64 {
	r, err := payload(unit, TypeVPS)
	if err != nil {
		return 0
	}
	r.Skip(12)
	sub := int(r.U(3))
	r.Skip(17)
	var s SPS
	s.parseProfile(&r, sub)
	skipOrdering(&r, sub)
	layers, sets := int(r.U(6))+1, r.UE()
	if sets > 1023 {
		return 0
	}
	r.Skip(int(sets) * layers)
	return timing(&r)
}
