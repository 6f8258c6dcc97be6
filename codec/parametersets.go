package codec

import (
	"bytes"
	"errors"

	"weir/av"
	"weir/codec/bits"
	"weir/codec/h264"
	"weir/codec/h265"
)

const (
	// maxSets is how many parameter sets of a kind a track may have.
	maxSets = 64
	// maxSetSize is how long one may be: what a configuration record can hold.
	maxSetSize = 1<<16 - 1
)

// errNoSets is returned where parameter sets are missing.
var errNoSets = errors.New("no sequence and picture parameter sets")

// ParameterSets collects the parameter sets that come in the frames of a track of H.264 or
// H.265, each with a number of its own: one with the number of another takes its place. The
// zero value is empty.
type ParameterSets struct {
	vps, sps, pps []parameterSet
}

// parameterSet is one parameter set, a whole NAL unit.
type parameterSet struct {
	id   uint32
	unit []byte
}

// Put takes the parameter sets among the NAL units of an access unit, and reports whether any
// differs from what was there before. A sequence parameter set that takes the place of
// another gives up those of before, if it is the first of its access unit: the picture
// parameter sets belonged to it. At most 64 of each kind are kept.
func (p *ParameterSets) Put(c av.Codec, units [][]byte) (changed bool) {
	first := true
	for _, u := range units {
		role := RoleOf(c, u)
		if !role.IsSet() {
			continue
		}
		changed = p.put(c, role, u, first) || changed
		first = first && role != UnitSPS
	}
	return changed
}

func (p *ParameterSets) put(c av.Codec, role UnitRole, u []byte, first bool) bool {
	id, ok := setID(c, role, u)
	if !ok || len(u) > maxSetSize {
		return false
	}
	list := &p.pps
	switch role {
	case UnitVPS:
		list = &p.vps
	case UnitSPS:
		list = &p.sps
	}
	at := len(*list)
	for i, s := range *list {
		if s.id == id {
			if bytes.Equal(s.unit, u) {
				return false
			}
			at = i
		}
	}
	if at == maxSets {
		return false
	}
	s := parameterSet{id, bytes.Clone(u)}
	switch {
	case at == len(*list):
		*list = append(*list, s)
	case role == UnitSPS && first:
		p.sps, p.pps = append(p.sps[:0], s), p.pps[:0]
	default:
		(*list)[at] = s
	}
	return true
}

// setID returns the number of a parameter set.
func setID(c av.Codec, role UnitRole, u []byte) (uint32, bool) {
	header := 1
	if c == av.H265 {
		header = 2
	}
	switch {
	case role == UnitSPS && c == av.H265:
		s, err := h265.ParseSPS(u)
		return uint32(s.ID), err == nil
	case role == UnitSPS:
		s, err := h264.ParseSPS(u)
		return uint32(s.ID), err == nil
	case len(u) <= header:
		return 0, false
	case role == UnitVPS:
		return uint32(u[header] >> 4), true
	}
	r := bits.NewRBSPReader(u[header:])
	id := r.UE()
	return id, r.Err() == nil
}

// Complete reports whether there are sets enough for a configuration record.
func (p *ParameterSets) Complete() bool { return len(p.sps) > 0 && len(p.pps) > 0 }

// Record makes the configuration record of the sets, for NAL units behind lengths of 1, 2 or 4
// bytes. It fails unless the sets are Complete.
func (p *ParameterSets) Record(c av.Codec, lengthSize int) ([]byte, error) {
	switch {
	case !p.Complete():
		return nil, errNoSets
	case c == av.H265:
		r, err := h265.NewConfig(bodies(p.vps), bodies(p.sps), bodies(p.pps))
		if err != nil {
			return nil, err
		}
		r.LengthSize = lengthSize
		return r.AppendBinary(nil)
	}
	r, err := h264.NewConfig(bodies(p.sps), bodies(p.pps))
	if err != nil {
		return nil, err
	}
	r.LengthSize = lengthSize
	return r.AppendBinary(nil)
}

// bodies returns the NAL units of parameter sets.
func bodies(sets []parameterSet) [][]byte {
	units := make([][]byte, len(sets))
	for i := range sets {
		units[i] = sets[i].unit
	}
	return units
}
