package flv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"weir/amf"
	"weir/av"
)

// MaxMetadata is the length in bytes of the longest metadata that is read or written.
const MaxMetadata = 64 << 10

const (
	onMetaData   = "onMetaData"
	setDataFrame = "@setDataFrame"

	videoInfoMap = "videoTrackIdInfoMap"
	audioInfoMap = "audioTrackIdInfoMap"
)

// ParseMetadata reads the payload of a Script frame: its name, and the properties of the
// first object or array behind it, nil if there is none. A leading "@setDataFrame" is
// passed over. It fails with ErrLimit for more than MaxMetadata bytes, with ErrReserved
// if the payload does not begin with a string, and with package amf's errors; name is
// returned with an error if it was read.
func ParseMetadata(payload []byte) (name string, props amf.Object, err error) {
	if len(payload) > MaxMetadata {
		return "", nil, fmt.Errorf("flv: reading metadata of %d bytes: %w", len(payload), ErrLimit)
	}
	d := amf.NewDecoder(payload, amf.Limits{})
	for name == "" || name == setDataFrame {
		v, err := d.Next()
		if err != nil {
			return name, nil, fmt.Errorf("flv: reading the name of a script: %w", err)
		}
		s, ok := v.(string)
		if !ok || s == "" {
			return name, nil, fmt.Errorf("flv: reading the name of a script: %w", ErrReserved)
		}
		name = s
	}
	for {
		v, err := d.Next()
		if errors.Is(err, io.EOF) {
			return name, nil, nil
		}
		if err != nil {
			return name, nil, fmt.Errorf("flv: reading %s: %w", strconv.QuoteToASCII(name), err)
		}
		if props, ok := amf.Properties(v); ok {
			return name, props, nil
		}
	}
}

// BuildMetadata returns the payload of an onMetaData script: the name, and an ECMA array
// that says what tracks say. Codec ids are those of Annex E where it has one, else the
// FourCC as a number (Enhanced RTMP v2, "Metadata Frame"). The default tracks' facts
// stand at the top, other tracks' in videoTrackIdInfoMap and audioTrackIdInfoMap.
//
// extra is the publisher's own metadata. Its other fields follow in their order; of the
// fields about media it only fills in what a track does not tell, and those about media
// that is not there are dropped, as are facts about a file: duration, filesize, and the
// index of key frames. What would not fit into MaxMetadata is left out.
func BuildMetadata(tracks []av.Track, extra amf.Object) []byte {
	b := metadataBuilder{extra: lastOf(extra)}
	for i := range tracks {
		if t := &tracks[i]; t.ID == 0 {
			switch t.Kind {
			case av.Video:
				b.video = t
			case av.Audio:
				b.audio = t
			}
		}
	}
	b.out = append(b.out, 2, 0, byte(len(onMetaData)))
	b.out = append(b.out, onMetaData...)
	b.out = append(b.out, 8, 0, 0, 0, 0)
	count := len(b.out) - 4
	if b.video != nil {
		b.addAll(videoFacts(b.video, b.extra))
	}
	if b.audio != nil {
		b.addAll(audioFacts(b.audio, b.extra, topLevel))
	}
	b.addInfoMap(videoInfoMap, av.Video, tracks)
	b.addInfoMap(audioInfoMap, av.Audio, tracks)
	for _, p := range b.extra {
		if b.keeps(p.Key) {
			b.add(p.Key, p.Value)
		}
	}
	binary.BigEndian.PutUint32(b.out[count:], uint32(b.n))
	return append(b.out, 0, 0, 9)
}

// metadataBuilder encodes property by property, so that what does not fit or cannot be
// encoded costs itself only.
type metadataBuilder struct {
	out          []byte
	n            int // properties written
	extra        amf.Object
	video, audio *av.Track
}

func (b *metadataBuilder) add(key string, v amf.Value) {
	if key == "" || len(key) > math.MaxUint16 {
		return
	}
	out := binary.BigEndian.AppendUint16(b.out, uint16(len(key)))
	out = append(out, key...)
	out, err := amf.Append(out, v)
	if err != nil || len(out)+3 > MaxMetadata {
		return // b.out keeps its length
	}
	b.out = out
	b.n++
}

func (b *metadataBuilder) addAll(ps amf.Object) {
	for _, p := range ps {
		b.add(p.Key, p.Value)
	}
}

// addInfoMap adds the facts about the tracks of kind k beside the default one. The
// publisher's further facts about each stay.
func (b *metadataBuilder) addInfoMap(key string, k av.Kind, tracks []av.Track) {
	v, _ := b.extra.Get(key)
	theirs, _ := amf.Properties(v)
	var infos amf.Object
	for i := range tracks {
		t := &tracks[i]
		if t.Kind != k || t.ID == 0 {
			continue
		}
		id := strconv.Itoa(int(t.ID))
		v, _ := theirs.Get(id)
		own, _ := amf.Properties(v)
		own = lastOf(own)
		var info amf.Object
		if k == av.Video {
			info = videoFacts(t, own)
		} else {
			info = audioFacts(t, own, inMap)
		}
		for _, p := range own {
			if _, ours := generated[strings.ToLower(p.Key)]; !ours && p.Key != "" {
				info = append(info, p)
			}
		}
		infos = append(infos, amf.Property{Key: id, Value: info})
	}
	if len(infos) > 0 {
		b.add(key, infos)
	}
}

// generated holds the fields that come from the tracks, in lower case.
var generated = map[string]struct{}{
	"width": {}, "height": {}, "framerate": {}, "fps": {}, "videocodecid": {},
	"audiocodecid": {}, "audiosamplerate": {}, "audiosamplesize": {}, "stereo": {}, "audiochannels": {},
	"samplerate": {}, "channels": {},
	"videotrackidinfomap": {}, "audiotrackidinfomap": {},
}

// ofFile holds, in lower case, the fields that are true of a recorded file only, and
// those that make players wait for media that a live stream may not have.
var ofFile = map[string]struct{}{
	"duration": {}, "filesize": {}, "datasize": {}, "videosize": {}, "audiosize": {},
	"keyframes": {}, "lasttimestamp": {}, "lastkeyframetimestamp": {}, "lastkeyframelocation": {}, "canseektoend": {},
	"hasvideo": {}, "hasaudio": {}, "haskeyframes": {}, "hascuepoints": {},
}

// keeps reports whether the publisher's field goes into the metadata as it is.
func (b *metadataBuilder) keeps(key string) bool {
	lower := strings.ToLower(key)
	if _, ours := generated[lower]; ours {
		return false
	}
	if _, gone := ofFile[lower]; gone {
		return false
	}
	switch {
	case strings.HasPrefix(lower, "avc"): // avcprofile, avclevel
		return b.video != nil && b.video.Codec == av.H264 && b.video.Profile == ""
	case strings.HasSuffix(lower, "width"), strings.HasSuffix(lower, "height"): // displayWidth, frameHeight
		return b.video != nil && b.video.Size == av.Size{}
	case strings.HasPrefix(lower, "aac"): // aacaot
		return b.audio != nil && b.audio.Codec == av.AAC
	case strings.HasPrefix(lower, "video"):
		return b.video != nil
	case strings.HasPrefix(lower, "audio"):
		return b.audio != nil
	}
	switch lower {
	case "2.1", "3.1", "4.0", "4.1", "5.1", "7.1": // OBS: is it this layout?
		return b.audio != nil
	}
	return true
}

// place says where facts stand; it decides the names of those about audio.
type place uint8

const (
	topLevel place = iota
	inMap
)

func videoFacts(t *av.Track, own amf.Object) amf.Object {
	var o amf.Object
	if t.Size.Width > 0 && t.Size.Height > 0 {
		o = append(o, number("width", float64(t.Size.Width)), number("height", float64(t.Size.Height)))
	} else {
		w, okW := positive(own, "width")
		h, okH := positive(own, "height")
		if okW && okH {
			o = append(o, number("width", w), number("height", h))
		}
	}
	rate := t.FrameRate
	if !(rate > 0) {
		var ok bool
		if rate, ok = positive(own, "framerate"); !ok {
			rate, _ = positive(own, "fps")
		}
	}
	if rate > 0 {
		o = append(o, number("framerate", rate))
	}
	if id, ok := videoCodecNumber(t.Codec); ok {
		o = append(o, number("videocodecid", id))
	}
	return o
}

func audioFacts(t *av.Track, own amf.Object, at place) amf.Object {
	rateKey, channelsKey := "audiosamplerate", "audiochannels"
	if at == inMap { // Enhanced RTMP v2 names them so in audioTrackIdInfoMap
		rateKey, channelsKey = "samplerate", "channels"
	}
	var o amf.Object
	if id, ok := audioCodecNumber(t.Codec); ok {
		o = append(o, number("audiocodecid", id))
	}
	rate, ok := float64(t.SampleRate), t.SampleRate > 0
	if !ok {
		rate, ok = positive(own, rateKey)
	}
	if ok {
		o = append(o, number(rateKey, rate))
	}
	channels, ok := float64(t.Channels), t.Channels > 0
	if !ok {
		channels, ok = positive(own, channelsKey)
	}
	if at == inMap {
		if ok {
			o = append(o, number(channelsKey, channels))
		}
		return o
	}
	size, sized := positive(own, "audiosamplesize") // no track tells it
	if !sized {
		size = 16
	}
	o = append(o, number("audiosamplesize", size))
	if ok {
		return append(o, amf.Property{Key: "stereo", Value: channels == 2}, number(channelsKey, channels))
	}
	if v, _ := own.Get("stereo"); v != nil {
		if stereo, ok := v.(bool); ok {
			o = append(o, amf.Property{Key: "stereo", Value: stereo})
		}
	}
	return o
}

func number(key string, v float64) amf.Property { return amf.Property{Key: key, Value: v} }

// positive returns a number of the publisher's that could be a size or a rate.
func positive(o amf.Object, key string) (float64, bool) {
	v, ok := o.GetNumber(key)
	if ok && v > 0 && v < 1<<31 {
		return v, true
	}
	return 0, false
}

func videoCodecNumber(c av.Codec) (float64, bool) {
	if id, standard, ok := videoID(c); standard {
		return float64(id), true
	} else if _, fourCC := enhancedCodec(av.Video, c); ok && !fourCC {
		return float64(id), true
	}
	return float64(c), c != 0
}

func audioCodecNumber(c av.Codec) (float64, bool) {
	if first, ok := audioByte(c); ok {
		return float64(first >> 4), true
	}
	return float64(c), c != 0
}

// lastOf returns o with only the last property of each key, where the first stood.
func lastOf(o amf.Object) amf.Object {
	at := make(map[string]int, len(o))
	out := make(amf.Object, 0, len(o))
	for _, p := range o {
		if i, dup := at[p.Key]; dup {
			out[i].Value = p.Value
			continue
		}
		at[p.Key] = len(out)
		out = append(out, p)
	}
	return out
}
