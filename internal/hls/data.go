package hls

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"weir/amf"
	"weir/format/flv"
	"weir/format/m3u8"
	"weir/internal/stream"
)

const (
	// maxTexts bounds the texts that wait for their part, and maxText each of them.
	maxTexts = 256
	maxText  = 16 << 10
	// maxID bounds the id of a cue, as a peer gave it.
	maxID = 64
)

// text is timed metadata that goes out with the media: an ID3 tag.
type text struct {
	at  time.Duration
	tag []byte
}

// data takes a data message: cues become date ranges of the playlists, and texts go out
// with the media. Everything else is not for HLS.
func (p *Packager) data(e *stream.Entry) {
	name, props, err := flv.ParseMetadata(e.Payload)
	if err != nil {
		return
	}
	at := e.DTS + p.shift
	switch name {
	case "onTextData":
		if s, ok := props.GetString("text"); ok && len(s) <= maxText && len(p.texts) < maxTexts {
			p.texts = append(p.texts, text{at, id3Text(name, s)})
		}
	case "onAdCue":
		p.adCue(props, p.dateOf(at, e.Arrived))
	case "onScte35", "onSCTE35":
		p.splice(props, "data", p.dateOf(at, e.Arrived))
	case "onCuePoint":
		if n, _ := props.GetString("name"); n == "scte35" {
			v, _ := props.Get("parameters")
			parameters, _ := amf.Properties(v)
			p.splice(parameters, "data", p.dateOf(at, e.Arrived))
		}
	}
}

// adCue makes a date range of an ad marker: a break of a planned length, which a
// SpliceIn of the same id ends.
func (p *Packager) adCue(props amf.Object, at time.Time) {
	kind, _ := props.GetString("type")
	id := cueID(props)
	if elapsed, ok := seconds(props, "elapsed"); ok {
		at = at.Add(-elapsed)
	}
	if kind == "SpliceIn" {
		if d := p.events.find(id); d != nil {
			length := max(at.Sub(d.StartDate), 0)
			d.Duration = &length
			p.renditions[0].changed()
		}
		return
	}
	d := m3u8.DateRange{ID: id, Class: "ad-cue", StartDate: at, Extra: []m3u8.Attribute{{Name: "X-CUE-TYPE", Value: `"` + printable(kind) + `"`}}}
	if length, ok := seconds(props, "duration"); ok {
		d.PlannedDuration = &length
	}
	p.addEvent(&d)
}

// splice makes a date range of a splice_info_section of SCTE-35 in base64.
func (p *Packager) splice(props amf.Object, key string, at time.Time) {
	s, _ := props.GetString(key)
	const maxSection = 4096    // SCTE 35, 9.6: its length is a number of 12 bits
	if len(s) > 2*maxSection { // room for line breaks
		return
	}
	section, err := base64.StdEncoding.DecodeString(s)
	const tableID = 0xfc
	if err != nil || len(section) < 15 || len(section) > maxSection || section[0] != tableID {
		return
	}
	d := m3u8.DateRange{StartDate: at}
	// A splice_insert says whether it leads away from the programme or back (SCTE 35, 9.7.3).
	const spliceInsert, command = 5, 13
	isInsert := section[command] == spliceInsert && len(section) > command+6 && section[command+5]&0x80 == 0
	switch {
	case isInsert && section[command+6]&0x80 != 0:
		d.SCTE35Out = section
	case isInsert:
		d.SCTE35In = section
	default:
		d.SCTE35Cmd = section
	}
	if isInsert {
		event := uint32(section[command+1])<<24 | uint32(section[command+2])<<16 | uint32(section[command+3])<<8 | uint32(section[command+4])
		d.ID = fmt.Sprintf("splice-%d", event)
	} else {
		d.ID = fmt.Sprintf("splice-at-%d", at.UnixMilli())
	}
	if old := p.events.find(d.ID); old != nil && d.SCTE35In != nil { // the same event: its end
		length := max(at.Sub(old.StartDate), 0)
		old.SCTE35In, old.Duration = section, &length
		p.renditions[0].changed()
		return
	}
	p.addEvent(&d)
}

// addEvent adds a date range, unless it is known already.
func (p *Packager) addEvent(d *m3u8.DateRange) {
	if p.events.find(d.ID) != nil {
		return
	}
	p.events.add(*d)
	for _, r := range p.renditions {
		r.changed()
	}
}

// cueID is the id of a cue as a playlist may have it.
func cueID(props amf.Object) string {
	id := ""
	switch v, _ := props.Get("id"); v := v.(type) {
	case string:
		id = printable(v)
	case float64:
		id = strconv.FormatFloat(v, 'f', -1, 64)
	}
	return "cue-" + id
}

// printable is s without what a quoted string may not hold.
func printable(s string) string {
	b := make([]byte, 0, min(len(s), maxID))
	for i := 0; i < len(s) && len(b) < maxID; i++ {
		if c := s[i]; c >= ' ' && c < 0x7f && c != '"' {
			b = append(b, c)
		}
	}
	return string(b)
}

// seconds reads a length of time.
func seconds(props amf.Object, key string) (time.Duration, bool) {
	const most = 24 * 60 * 60
	v, ok := props.GetNumber(key)
	if !ok || !(v >= 0 && v <= most) {
		return 0, false
	}
	return time.Duration(v * float64(time.Second)).Round(time.Millisecond), true
}

// id3Text is an ID3 tag of version 2.4 with one text of the user's own (ID3 2.4, 4.2.6).
func id3Text(description, value string) []byte {
	const utf8 = 3
	body := append([]byte{utf8}, description...)
	body = append(append(append(body, 0), value...), 0)
	b := append([]byte("ID3\x04\x00\x00"), synchsafe(10+len(body))...)
	b = append(append(b, "TXXX"...), synchsafe(len(body))...)
	return append(append(b, 0, 0), body...)
}

// synchsafe is a number of 28 bits, seven in a byte.
func synchsafe(n int) []byte {
	return []byte{byte(n>>21) & 0x7f, byte(n>>14) & 0x7f, byte(n>>7) & 0x7f, byte(n) & 0x7f}
}
