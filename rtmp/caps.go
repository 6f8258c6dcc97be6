package rtmp

import (
	"math"
	"slices"
	"strconv"

	"weir/amf"
)

// CapsEx is the extended capabilities of a peer (Enhanced RTMP v2, capsEx).
type CapsEx uint32

// The extended capabilities.
const (
	CapReconnect           CapsEx = 1 << iota // understands NetConnection.Connect.ReconnectRequest
	CapMultitrack                             // several tracks of a kind in one stream
	CapModEx                                  // parses the ModEx packet type
	CapTimestampNanoOffset                    // applies nanosecond offsets
)

// FourCCInfo says what a peer can do with one codec (Enhanced RTMP v2, FourCcInfoMask).
type FourCCInfo uint8

// The abilities.
const (
	CanDecode FourCCInfo = 1 << iota
	CanEncode
	CanForward
)

// maxFourCCs bounds each of a peer's codec lists.
const maxFourCCs = 64

// FourCCEntry is one codec of an info map. The FourCC "*" stands for any codec and
// overrides the others.
type FourCCEntry struct {
	FourCC string
	Info   FourCCInfo
}

// Caps is what one side announces of Enhanced RTMP v2 in connect ("Enhancing NetConnection connect Command").
type Caps struct {
	// FourCCs is fourCcList: the codecs that the peer can receive; "*" is any.
	FourCCs []string
	// Video and Audio are videoFourCcInfoMap and audioFourCcInfoMap.
	Video, Audio []FourCCEntry
	// CapsEx is capsEx.
	CapsEx CapsEx
	// VideoFunction is the legacy property of that name: 1 seek, 2 HDR, 4 video
	// metadata packets, 8 large-scale tile.
	VideoFunction uint32
}

// Enhanced reports whether the peer announced anything of Enhanced RTMP.
func (c *Caps) Enhanced() bool {
	return len(c.FourCCs)+len(c.Video)+len(c.Audio) > 0 || c.CapsEx != 0
}

// CanReceive reports whether the peer may be sent a codec. It is true for all codecs if the peer
// listed none, as nothing is then known of it.
func (c *Caps) CanReceive(fourCC string) bool {
	if len(c.FourCCs)+len(c.Video)+len(c.Audio) == 0 {
		return true
	}
	if slices.Contains(c.FourCCs, fourCC) || slices.Contains(c.FourCCs, "*") {
		return true
	}
	for _, m := range [][]FourCCEntry{c.Video, c.Audio} {
		for _, e := range m {
			if (e.FourCC == fourCC || e.FourCC == "*") && e.Info&(CanDecode|CanForward) != 0 {
				return true
			}
		}
	}
	return false
}

// parseCaps reads the capabilities from the properties of connect. Values come as
// ECMA arrays instead of objects, objects instead of arrays and strings instead of
// numbers; what cannot be read is ignored.
func parseCaps(props amf.Object) Caps {
	var c Caps
	if v, ok := props.Get("fourCcList"); ok {
		c.FourCCs = parseFourCCs(v)
	}
	if v, ok := props.Get("videoFourCcInfoMap"); ok {
		c.Video = parseInfoMap(v)
	}
	if v, ok := props.Get("audioFourCcInfoMap"); ok {
		c.Audio = parseInfoMap(v)
	}
	if v, ok := props.Get("capsEx"); ok {
		c.CapsEx = CapsEx(parseUint32(v))
	}
	if v, ok := props.Get("videoFunction"); ok {
		c.VideoFunction = parseUint32(v)
	}
	return c
}

// parseFourCCs reads a list of codec names.
func parseFourCCs(v amf.Value) []string {
	var values []amf.Value
	if a, ok := v.(amf.StrictArray); ok {
		values = a
	} else if o, ok := amf.Properties(v); ok {
		for _, p := range o[:min(len(o), maxFourCCs)] {
			values = append(values, p.Value)
		}
	}
	var list []string
	for _, v := range values[:min(len(values), maxFourCCs)] {
		if s, ok := v.(string); ok && validFourCC(s) {
			list = append(list, s)
		}
	}
	return list
}

// parseInfoMap reads a map of codec names to abilities.
func parseInfoMap(v amf.Value) []FourCCEntry {
	o, _ := amf.Properties(v)
	var list []FourCCEntry
	for _, p := range o[:min(len(o), maxFourCCs)] {
		if validFourCC(p.Key) {
			list = append(list, FourCCEntry{FourCC: p.Key, Info: FourCCInfo(parseUint32(p.Value) & 7)})
		}
	}
	return list
}

// validFourCC reports whether s has the form of a codec name.
func validFourCC(s string) bool { return len(s) == 4 || s == "*" }

// parseUint32 reads a number, also from a string; it returns 0 for anything else.
func parseUint32(v amf.Value) uint32 {
	f, ok := v.(float64)
	if s, isString := v.(string); isString {
		var err error
		f, err = strconv.ParseFloat(s, 64)
		ok = err == nil
	}
	if !ok || !(f >= 0 && f <= math.MaxUint32) {
		return 0
	}
	return uint32(f)
}

// properties appends the capabilities to o in the form of connect.
func (c *Caps) properties(o amf.Object) amf.Object {
	if len(c.FourCCs) > 0 {
		list := make(amf.StrictArray, len(c.FourCCs))
		for i, s := range c.FourCCs {
			list[i] = s
		}
		o = append(o, amf.Property{Key: "fourCcList", Value: list})
	}
	for _, m := range []struct {
		key  string
		list []FourCCEntry
	}{{"videoFourCcInfoMap", c.Video}, {"audioFourCcInfoMap", c.Audio}} {
		if len(m.list) == 0 {
			continue
		}
		info := make(amf.Object, len(m.list))
		for i, e := range m.list {
			info[i] = amf.Property{Key: e.FourCC, Value: float64(e.Info)}
		}
		o = append(o, amf.Property{Key: m.key, Value: info})
	}
	if c.CapsEx != 0 {
		o = append(o, amf.Property{Key: "capsEx", Value: float64(c.CapsEx)})
	}
	return o
}
