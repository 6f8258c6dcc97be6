package codec

import (
	"errors"
	"fmt"

	"weir/av"
	"weir/codec/aac"
	"weir/codec/av1"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/nal"
)

// ErrNoConfig is returned while nothing has told a track's configuration.
var ErrNoConfig = errors.New("no configuration has come, neither as such nor in band")

// A Deriver finds the configuration record that other formats can use of a track: the one that its
// source sent, if that is whole, or else one made of what is in band. Sources send start
// codes where a record belongs, a record without parameter sets, an ADTS header instead of
// an AudioSpecificConfig, or no record at all. The zero value is ready; it is for one
// track of one codec.
type Deriver struct {
	sets       ParameterSets
	lengthSize int // of what is in band; 0 while that is not known
	units      [][]byte
}

// Record takes what the source sent as the configuration record, and returns the one to
// use: record itself if it is whole, else one made of the parameter sets or the ADTS header in
// it. It fails if there is nothing in it that can be used; then Frame may find the configuration.
func (d *Deriver) Record(c av.Codec, kind av.Kind, record []byte) ([]byte, error) {
	// Parsers of records could take what follows for one.
	switch {
	case len(record) == 0 && c != av.Opus:
		return nil, fmt.Errorf("codec: reading the configuration of %s: it is empty", c)
	case (c == av.H264 || c == av.H265) && nal.IsAnnexB(record, 0):
		if found, ok := d.parameterSets(c, record); ok {
			return found, nil
		}
		return nil, fmt.Errorf("codec: reading the configuration of %s: %w", c, errNoSets)
	case c == av.AAC:
		if found, ok := adtsConfig(record); ok {
			return found, nil
		}
	}
	t, err := Describe(c, kind, record)
	if err == nil {
		if err = complete(c, record); err == nil {
			return t.Config, nil
		}
		err = fmt.Errorf("codec: reading the configuration of %s: %w", c, err)
		d.lengthSize = NALLengthSize(c, record)
	}
	if c == av.H264 || c == av.H265 {
		if found, ok := d.parameterSets(c, record); ok {
			return found, nil
		}
	}
	return nil, err
}

// complete says what a record that can be parsed lacks.
func complete(c av.Codec, record []byte) error {
	var sps, pps []byte
	switch c {
	case av.H264:
		r, err := h264.ParseConfig(record)
		if err != nil {
			return err
		}
		for _, u := range r.SPS {
			if RoleOf(c, u) == UnitSPS {
				sps = u
			}
		}
		for _, u := range r.PPS {
			if RoleOf(c, u) == UnitPPS {
				pps = u
			}
		}
	case av.H265:
		r, err := h265.ParseConfig(record)
		if err != nil {
			return err
		}
		sps, pps = r.Unit(h265.TypeSPS), r.Unit(h265.TypePPS)
	case av.AAC:
		r, err := aac.ParseConfig(record)
		const undefined = 47 // and above
		if err == nil && (r.ObjectType >= undefined || r.ChannelConfig != 0 && r.Channels() == 0) {
			err = errors.New("its object type or channels are not defined")
		}
		return err
	default:
		return nil
	}
	if sps == nil || pps == nil {
		return errNoSets
	}
	return nil
}

// Frame takes a media frame, and returns the configuration record that its parameter sets,
// those of frames before it, its sequence header or its ADTS header tell. It returns nil
// while that is not known, and for codecs that it cannot be derived of.
func (d *Deriver) Frame(c av.Codec, payload []byte) []byte {
	switch c {
	case av.H264, av.H265:
		found, _ := d.parameterSets(c, payload)
		return found
	case av.AAC:
		found, _ := adtsConfig(payload)
		return found
	case av.AV1:
		r, err := av1.NewConfig(payload)
		if err != nil {
			return nil
		}
		found, err := r.AppendBinary(nil)
		if err != nil {
			return nil
		}
		return found
	}
	return nil
}

// parameterSets takes the sets among NAL units in either framing.
func (d *Deriver) parameterSets(c av.Codec, b []byte) (record []byte, ok bool) {
	size := d.lengthSize
	if size == 0 {
		size = guessLength(c, b)
	}
	units := nal.Units(b, size)
	if nal.IsAnnexB(b, size) {
		units = nal.AnnexB(b)
	} else if size > 0 {
		d.lengthSize = size
	}
	d.units = d.units[:0]
	n := 0
	for u := range units {
		if n++; n > maxUnits || RoleOf(c, u).IsSlice() {
			break
		}
		d.units = append(d.units, u)
	}
	d.sets.Put(c, d.units)
	clear(d.units)
	if !d.sets.Complete() {
		return nil, false
	}
	const longest = 4
	if size = d.lengthSize; size == 0 {
		size = longest
	}
	record, err := d.sets.Record(c, size)
	return record, err == nil
}

// guessLength returns how many bytes lengths take in units that no record tells of; 0 if none
// fits, or if there are start codes.
func guessLength(c av.Codec, b []byte) int {
	if nal.IsAnnexB(b, 0) && !nal.Valid(b, 4) {
		return 0
	}
	for _, size := range [3]int{4, 2, 1} {
		if nal.Valid(b, size) && plausible(c, b, size) {
			return size
		}
	}
	return 0
}

// plausible reports whether each of the units could be one: its forbidden bit is not set, and
// one of them is a slice or a parameter set.
func plausible(c av.Codec, b []byte, size int) bool {
	found := false
	for u := range nal.Units(b, size) {
		if u[0]&0x80 != 0 {
			return false
		}
		r := RoleOf(c, u)
		found = found || r.IsSlice() || r.IsSet()
	}
	return found
}

// adtsConfig returns the AudioSpecificConfig that the ADTS header implies which b begins with.
func adtsConfig(b []byte) ([]byte, bool) {
	h, err := aac.ParseADTS(b)
	if err != nil || h.Size > len(b) && len(b) > h.HeaderSize {
		return nil, false
	}
	c, ok := h.FrameConfig(b[min(h.HeaderSize, len(b)):min(h.Size, len(b))])
	if !ok {
		return nil, false
	}
	config, err := c.AppendBinary(nil)
	return config, err == nil
}

// SameCoding reports whether a decoder and a player that were given one configuration record of
// a track can go on with media of the other. They can if the records are equal, or of
// H.264 and differ in nothing but the level, which is what a decoder may have to bear: some
// cameras change it with every key frame.
func SameCoding(c av.Codec, a, b []byte) bool {
	if string(a) == string(b) {
		return true
	}
	return c == av.H264 && len(a) == len(b) && sameButLevel(a, b)
}

func sameButLevel(a, b []byte) bool {
	const level = 3 // where it is, in a record and in a sequence parameter set
	x, err := h264.ParseConfig(a)
	if err != nil {
		return false
	}
	y, err := h264.ParseConfig(b)
	if err != nil || len(x.SPS) != len(y.SPS) {
		return false
	}
	may := map[int]bool{level: true}
	for i, at := 0, 6; i < len(x.SPS); i++ {
		if len(x.SPS[i]) != len(y.SPS[i]) {
			return false
		}
		if at += 2; len(x.SPS[i]) > level {
			may[at+level] = true
		}
		at += len(x.SPS[i])
	}
	for i := range a {
		if a[i] != b[i] && !may[i] {
			return false
		}
	}
	return true
}

// ContinuesPicture reports whether a frame of H.264 or H.265 begins with a slice that goes on
// with the picture of the frame before it: some sources send each slice in a frame of
// its own. nalLengthSize is that of the configuration record, 0 if there is none.
func ContinuesPicture(c av.Codec, payload []byte, nalLengthSize int) bool {
	if c != av.H264 && c != av.H265 {
		return false
	}
	if nalLengthSize == 0 {
		nalLengthSize = 4
	}
	more := false
	first := func(u []byte) bool {
		more = RoleOf(c, u) == UnitMoreSlice
		return false
	}
	if nal.IsAnnexB(payload, nalLengthSize) {
		nal.AnnexB(payload)(first)
	} else {
		nal.Units(payload, nalLengthSize)(first)
	}
	return more
}
