// Package flvbody encodes streams as FLV tag bodies, which RTMP messages and FLV tags both carry. A
// protocol brings the framing around each body.
package flvbody

import (
	"bytes"
	"slices"
	"time"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/internal/accessunit"
	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/stream"
)

// Options are what the bodies depend on.
type Options struct {
	mux.Selection
	// Form says how the headers of the bodies are written.
	Form flv.Form
	// Repair joins access units that the publisher sends in pieces, and makes configurations that
	// it sends only in band; without Repair the payloads are the publisher's bytes.
	Repair bool
}

// Framing puts a body on the wire.
type Framing interface {
	// Size returns the size of a message whose body is n bytes long.
	Size(dts time.Duration, n int) int
	// Append appends the message whose body is header and payload.
	Append(dst []byte, dts time.Duration, t flv.TagType, header, payload []byte) []byte
	// AppendEnd appends what tells a player that the stream has ended.
	AppendEnd(dst []byte) []byte
}

// encoder implements mux.Encoder.
type encoder struct {
	opt      Options
	framing  Framing
	headers  *stream.Headers
	metadata []byte // the body that carries the metadata
	scratch  []byte // for the headers of bodies
	repair   accessunit.Repairer
}

// NewEncoder returns an encoder of bodies in a framing.
func NewEncoder(o Options, f Framing) mux.Encoder { return &encoder{opt: o, framing: f} }

// Append implements mux.Encoder.
func (m *encoder) Append(e *stream.Entry, out mux.Output) {
	if !m.opt.Repair {
		m.append(e, out)
		return
	}
	entries := m.repair.Put(e)
	for i := range entries {
		m.append(&entries[i], out)
	}
}

func (m *encoder) append(e *stream.Entry, out mux.Output) {
	if e.Headers != m.headers {
		m.setHeaders(e.Headers, out)
	}
	f := &e.Frame
	if f.Kind != av.Data && !m.opt.Wants(f.Kind, f.Track) {
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
	m.write(f, msg, out)
}

// soundOnly reports whether the variant leaves out the video at which the stream's sync points are.
func (m *encoder) soundOnly() bool {
	return m.opt.NoVideo && m.headers.Has(av.Video)
}

// write appends one frame to out, or nothing if the form cannot express it: a player that joins is
// told of such a codec.
func (m *encoder) write(f *av.Frame, msg fanout.Message, out mux.Output) {
	header, ok := flv.AppendHeader(m.scratch[:0], f, m.opt.Form)
	m.scratch = header[:0]
	if !ok {
		return
	}
	b := out.Reserve(m.framing.Size(f.DTS, len(header)+len(f.Payload)))
	out.Commit(m.framing.Append(b, f.DTS, flv.TagTypeOf(f), header, f.Payload), msg)
}

// setHeaders takes new headers, and writes the metadata if they change it.
func (m *encoder) setHeaders(h *stream.Headers, out mux.Output) {
	m.headers = h
	tracks := make([]av.Track, 0, len(h.Tracks))
	for i := range h.Tracks {
		if t := &h.Tracks[i]; m.opt.Wants(t.Kind, t.ID) {
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
	b := out.Reserve(m.framing.Size(metadataTime, len(body)))
	out.Commit(m.framing.Append(b, metadataTime, flv.TagScript, nil, body), fanout.Message{Headers: true})
}

// buildMetadata is flv.BuildMetadata with the codec id of the form.
func (m *encoder) buildMetadata(tracks []av.Track, extra amf.Object) []byte {
	body := flv.BuildMetadata(tracks, extra)
	if !m.opt.Form.HEVC12 || !slices.ContainsFunc(tracks, func(t av.Track) bool { return t.Codec == av.H265 && t.ID == 0 }) {
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

// preamble returns what a player must be sent before a message of time dts: metadata, then each
// track's configuration and what changes its display.
func (m *encoder) preamble(dts time.Duration) []byte {
	b := make([]byte, 0, 1024)
	b = m.framing.Append(b, metadataTime, flv.TagScript, nil, m.metadata)
	for i := range m.headers.Tracks {
		t := &m.headers.Tracks[i]
		if !m.opt.Wants(t.Kind, t.ID) {
			continue
		}
		config := t.ConfigFrame
		if m.opt.Repair {
			config = accessunit.ConfigFrame(t)
		}
		for _, f := range [2]*av.Frame{config, t.Meta} {
			if f == nil {
				continue
			}
			header, ok := flv.AppendHeader(m.scratch[:0], f, m.opt.Form)
			m.scratch = header[:0]
			if ok {
				b = m.framing.Append(b, dts, flv.TagTypeOf(f), header, f.Payload)
			}
		}
	}
	return b
}

// End implements mux.Encoder.
func (m *encoder) End(out mux.Output) []byte {
	if m.opt.Repair {
		entries := m.repair.Flush()
		for i := range entries {
			m.append(&entries[i], out)
		}
	}
	return m.framing.AppendEnd(nil)
}
