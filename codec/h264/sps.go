package h264

import (
	"errors"
	"fmt"
	"strconv"

	"weir/codec/bits"
)

// MaxSize is the largest width and height in pixels that is believed.
const MaxSize = 16384

// maxRate is the largest frame rate that is believed: some encoders declare their clock.
const maxRate = 1000

// SPS is what a sequence parameter set says (7.3.2.1.1 and E.1.1).
type SPS struct {
	Profile        uint8 // profile_idc
	Constraints    uint8 // constraint_set flags, the first in the highest bit
	Level          uint8 // level_idc
	ID             uint8
	ChromaFormat   uint8 // 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4
	BitDepth       uint8 // luma
	BitDepthChroma uint8
	RefFrames      uint8 // max_num_ref_frames
	// Interlaced is true if fields and frames with interlaced macroblocks may occur.
	Interlaced bool
	// Width and Height are in pixels after cropping; 0 if they are beyond MaxSize.
	Width, Height int
	// SARWidth:SARHeight is the shape of a pixel; 0:0 if not declared.
	SARWidth, SARHeight uint16
	// FrameRate is in frames per second; 0 if not declared or not believable.
	FrameRate float64
	// Reorder is how many frames may precede one in decoding order and follow it in output
	// order, -1 if not declared: 0 means that there are no B frames to reorder.
	Reorder int
}

// ParseSPS parses a sequence parameter set, a whole NAL unit. A VUI that is cut short
// leaves what it would have said undeclared. It fails with io.ErrUnexpectedEOF,
// bits.ErrRange, or for values that the standard does not allow.
func ParseSPS(unit []byte) (SPS, error) {
	s, err := parseSPS(unit)
	if err != nil {
		return SPS{}, fmt.Errorf("h264: reading a sequence parameter set: %w", err)
	}
	return s, nil
}

func parseSPS(unit []byte) (SPS, error) {
	s := SPS{ChromaFormat: 1, BitDepth: 8, BitDepthChroma: 8, Reorder: -1}
	if t := Type(unit); t != TypeSPS {
		return s, fmt.Errorf("NAL unit of type %d", t)
	}
	r := bits.NewRBSPReader(unit[1:])
	s.Profile, s.Constraints, s.Level = uint8(r.U(8)), uint8(r.U(8)), uint8(r.U(8))
	id := r.UE()
	if id > 31 {
		return s, errors.New("id out of range")
	}
	s.ID = uint8(id)
	separate := false
	switch s.Profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		chroma := r.UE()
		if chroma == 3 {
			separate = r.Flag()
		}
		luma, chromaDepth := r.UE(), r.UE()
		if chroma > 3 || luma > 6 || chromaDepth > 6 {
			return s, errors.New("chroma format or bit depth out of range")
		}
		s.ChromaFormat, s.BitDepth, s.BitDepthChroma = uint8(chroma), uint8(luma)+8, uint8(chromaDepth)+8
		r.Skip(1) // qpprime_y_zero_transform_bypass_flag
		if r.Flag() {
			lists := 8
			if chroma == 3 {
				lists = 12
			}
			for i := range lists {
				if r.Flag() {
					skipScalingList(&r, i)
				}
			}
		}
	}
	r.UE() // log2_max_frame_num_minus4
	switch r.UE() {
	case 0:
		r.UE() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		r.Skip(1) // delta_pic_order_always_zero_flag
		r.SE()
		r.SE()
		n := r.UE()
		if n > 255 {
			return s, errors.New("picture order cycle out of range")
		}
		for range n {
			r.SE()
		}
	}
	refs := r.UE()
	r.Skip(1) // gaps_in_frame_num_value_allowed_flag
	width, height := 16*(uint64(r.UE())+1), 16*(uint64(r.UE())+1)
	if s.Interlaced = !r.Flag(); s.Interlaced {
		height *= 2
		r.Skip(1) // mb_adaptive_frame_field_flag
	}
	r.Skip(1) // direct_8x8_inference_flag
	var crop [4]uint64
	if r.Flag() {
		for i := range crop {
			crop[i] = uint64(r.UE())
		}
	}
	hasVUI := r.Flag()
	if err := r.Err(); err != nil {
		return s, err
	}
	if refs > 16 {
		return s, errors.New("number of reference frames out of range")
	}
	s.RefFrames = uint8(refs)
	unitX, unitY := uint64(1), uint64(1) // Table 6-1
	if !separate {
		if s.ChromaFormat == 1 || s.ChromaFormat == 2 {
			unitX = 2
		}
		if s.ChromaFormat == 1 {
			unitY = 2
		}
	}
	if s.Interlaced {
		unitY *= 2
	}
	s.Width, s.Height = cropped(width, unitX*(crop[0]+crop[1])), cropped(height, unitY*(crop[2]+crop[3]))
	if s.Width == 0 || s.Height == 0 {
		s.Width, s.Height = 0, 0
	}
	if hasVUI {
		s.parseVUI(&r)
	}
	return s, nil
}

// cropped returns size less crop, or 0 if it is not believable.
func cropped(size, crop uint64) int {
	if crop >= size || size-crop > MaxSize {
		return 0
	}
	return int(size - crop)
}

// skipScalingList passes over scaling list i (7.3.2.1.1.1).
func skipScalingList(r *bits.Reader, i int) {
	size := 64
	if i < 6 {
		size = 16
	}
	last, next := int32(8), int32(8)
	for range size {
		if next != 0 {
			next = (last + r.SE()) & 255
		}
		if next != 0 {
			last = next
		}
		if r.Err() != nil {
			return
		}
	}
}

// sar holds the pixel shapes of Table E-1.
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

// parseVUI reads the usability information (E.1.1).
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
	if r.Flag() { // timing_info_present_flag
		tick, scale := r.U(32), r.U(32)
		r.Skip(1) // fixed_frame_rate_flag
		if r.Err() == nil && tick > 0 {
			// A tick is a field's time, also where there are no fields.
			if rate := float64(scale) / float64(tick) / 2; rate <= maxRate {
				s.FrameRate = rate
			}
		}
	}
	nalHRD := r.Flag()
	if nalHRD {
		skipHRD(r)
	}
	vclHRD := r.Flag()
	if vclHRD {
		skipHRD(r)
	}
	if nalHRD || vclHRD {
		r.Skip(1) // low_delay_hrd_flag
	}
	r.Skip(1)     // pic_struct_present_flag
	if r.Flag() { // bitstream_restriction_flag
		r.Skip(1)
		for range 4 {
			r.UE()
		}
		if n := r.UE(); r.Err() == nil && n <= 16 {
			s.Reorder = int(n)
		}
	}
}

// skipHRD passes over the parameters of a hypothetical decoder (E.1.2).
func skipHRD(r *bits.Reader) {
	n := r.UE()
	r.Skip(8)
	for range min(n, 31) + 1 {
		r.UE()
		r.UE()
		r.Skip(1)
	}
	r.Skip(20)
}

// ProfileName returns the name that people know a profile by, such as "High"; for an
// unknown profile, its number. constraints are the record's Compatibility.
func ProfileName(profile, constraints uint8) string {
	set := func(i int) bool { return constraints&(0x80>>i) != 0 }
	intra := ""
	if set(3) {
		intra = " Intra"
	}
	switch profile {
	case 44:
		return "CAVLC 4:4:4 Intra"
	case 66:
		if set(1) {
			return "Constrained Baseline"
		}
		return "Baseline"
	case 77:
		return "Main"
	case 88:
		return "Extended"
	case 100:
		return "High"
	case 110:
		return "High 10" + intra
	case 122:
		return "High 4:2:2" + intra
	case 244:
		if set(3) {
			return "High 4:4:4 Intra"
		}
		return "High 4:4:4 Predictive"
	case 83:
		return "Scalable Baseline"
	case 86:
		return "Scalable High"
	case 118:
		return "Multiview High"
	case 128:
		return "Stereo High"
	}
	return strconv.Itoa(int(profile))
}

// LevelName returns a level as people write it, such as "3.1", or "1b" (A.3.1).
func LevelName(profile, constraints, level uint8) string {
	if level == 9 || level == 11 && constraints&0x10 != 0 && !hasExtension(profile) {
		return "1b"
	}
	return fmt.Sprintf("%d.%d", level/10, level%10)
}
