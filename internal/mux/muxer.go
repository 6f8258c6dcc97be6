package mux

import (
	"bytes"
	"slices"
	"time"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/internal/fanout"
	"weir/internal/stream"
	"weir/rtmp"
)

// Muxer encodes one stream in one variant. Its stream calls it.
type Muxer struct {
	set     *Set
	stream  *stream.Stream
	variant Variant
	log     *fanout.Log

	// Guarded by set.mu.
	users int
	idle  *time.Timer

	// Used under the stream's lock only.
	headers  *stream.Headers
	metadata []byte // the message that carries it
	scratch  []byte // for tag headers, or of MPEG-TS whole messages
	ts       tsEncoder
}

// Log returns what players read.
func (m *Muxer) Log() *fanout.Log { return m.log }

// Append implements stream.Muxer.
func (m *Muxer) Append(e *stream.Entry) {
	if e.Headers != m.headers {
		m.setHeaders(e.Headers)
	}
	if m.variant.isTS() {
		m.appendTS(e)
		return
	}
	f := &e.Frame
	if f.Kind != av.Data && !m.variant.wants(f.Kind, f.Track) {
		return
	}
	var msg fanout.Message
	switch {
	case f.Type == av.Config:
		msg.Headers = true
	case e.Sync || m.soundOnly() && f.Kind == av.Audio && f.Type == av.Media:
		msg.Sync = true
		msg.Preamble = m.preamble(f.DTS)
	}
	m.write(f, msg)
}

// soundOnly reports whether the variant leaves out the video that the stream's sync marks are at.
func (m *Muxer) soundOnly() bool {
	return m.variant.NoVideo && m.headers.Has(av.Video)
}

// write appends one frame to the log. A frame that the variant's form cannot express
// is left out: a player is told of such a codec when it joins.
func (m *Muxer) write(f *av.Frame, msg fanout.Message) {
	header, ok := flv.AppendHeader(m.scratch[:0], f, m.variant.Form)
	m.scratch = header[:0]
	if !ok {
		return
	}
	b := m.log.Reserve(m.size(f.DTS, len(header)+len(f.Payload)))
	m.log.Commit(m.append(b, f.DTS, flv.TagTypeOf(f), header, f.Payload), msg)
}

// setHeaders takes new headers, and writes the metadata if they change it.
func (m *Muxer) setHeaders(h *stream.Headers) {
	if m.variant.isTS() {
		m.setTracksTS(h)
		return
	}
	m.headers = h
	tracks := make([]av.Track, 0, len(h.Tracks))
	for i := range h.Tracks {
		if t := &h.Tracks[i]; m.variant.wants(t.Kind, t.ID) {
			tracks = append(tracks, t.Track)
		}
	}
	var extra amf.Object
	if h.Metadata != nil {
		if _, props, err := flv.ParseMetadata(h.Metadata); err == nil {
			extra = props
		}
	}
	body := m.buildMetadata(tracks, extra)
	if bytes.Equal(body, m.metadata) {
		return
	}
	m.metadata = body
	b := m.log.Reserve(m.size(metadataTime, len(m.dataPrefix())+len(body)))
	m.log.Commit(m.append(b, metadataTime, flv.TagScript, m.dataPrefix(), body), fanout.Message{Headers: true})
}

// buildMetadata is flv.BuildMetadata with the codec id that the variant's form writes.
func (m *Muxer) buildMetadata(tracks []av.Track, extra amf.Object) []byte {
	body := flv.BuildMetadata(tracks, extra)
	if !m.variant.Form.HEVC12 || !slices.ContainsFunc(tracks, func(t av.Track) bool { return t.Codec == av.H265 && t.ID == 0 }) {
		return body
	}
	name, props, err := flv.ParseMetadata(body)
	if err != nil {
		return body
	}
	const legacyHEVC = 12
	patched, err := amf.Append(nil, name, amf.ECMAArray(props.Set("videocodecid", float64(legacyHEVC))))
	if err != nil {
		return body
	}
	return patched
}

// metadataTime is the time of metadata. libavformat makes a text track of metadata
// with any other, and no player needs one.
const metadataTime = 0

// setDataFrame is the AMF0 string that a publisher puts before metadata.
var setDataFrame = []byte("\x02\x00\x0d@setDataFrame")

func (m *Muxer) dataPrefix() []byte {
	if m.variant.Publish {
		return setDataFrame
	}
	return nil
}

// preamble returns what a player must be sent before a message of time dts: metadata,
// then each track's configuration and what changes how it is shown.
func (m *Muxer) preamble(dts time.Duration) []byte {
	b := make([]byte, 0, 1024)
	b = m.append(b, metadataTime, flv.TagScript, m.dataPrefix(), m.metadata)
	for i := range m.headers.Tracks {
		t := &m.headers.Tracks[i]
		if !m.variant.wants(t.Kind, t.ID) {
			continue
		}
		for _, f := range [2]*av.Frame{t.ConfigFrame, t.Meta} {
			if f == nil {
				continue
			}
			header, ok := flv.AppendHeader(m.scratch[:0], f, m.variant.Form)
			m.scratch = header[:0]
			if ok {
				b = m.append(b, dts, flv.TagTypeOf(f), header, f.Payload)
			}
		}
	}
	return b
}

// Flush implements stream.Muxer.
func (m *Muxer) Flush() { m.log.DropSyncs() }

// End implements stream.Muxer: the log ends with what its protocol says at the end.
func (m *Muxer) End() {
	var end []byte
	switch {
	case m.variant.Format == RTMP && !m.variant.Publish:
		end = rtmp.AppendPlayEnd(nil, m.variant.StreamID, m.variant.ChunkSize)
	case m.variant.Format == WebSocketFLV || m.variant.Format == WebSocketTS:
		end = AppendWebSocketClose(nil)
	}
	if len(end) > 0 {
		m.log.Commit(append(m.log.Reserve(len(end)), end...), fanout.Message{})
	}
	m.log.Close()
}

// Wake implements stream.Muxer.
func (m *Muxer) Wake() { m.log.Wake() }
