package rtmp

import (
	"fmt"

	"weir/amf"
)

// publish answers the publish command (RTMP 1.0 §7.2.2.6). The handler decides before the status is sent.
func (s *ServerSession) publish(cmd *command) error {
	st := s.streamFor()
	if st == nil {
		return s.noStream(CodePublishFailed)
	}
	name, isString := cmd.arg(0).(string)
	switch {
	case st.pub != nil && (!isString || name == ""):
		return s.unpublish(st) // some encoders stop like this
	case st.pub != nil && name == st.name:
		return s.status(st.id, publishStarted(name)) // the command came twice
	case st.active():
		return s.status(st.id, &StatusError{
			Code: CodePublishBadName, Description: "this message stream is in use",
		})
	}
	u, err := ParsePath(s.rawApp, s.tcURL, name)
	if err != nil {
		return s.refused(st, "publish", &StatusError{Code: CodePublishBadName, Description: err.Error()}, err)
	}
	kind := cmd.str(1)
	switch kind {
	case "record", "append":
	case "appendWithGap":
		kind = "append"
	default:
		kind = "live"
	}
	pub, err := s.srv.Handler.Publish(s.ctx, s, &PublishRequest{
		StreamID: st.id, StreamURL: u, RawName: name, Kind: kind,
	})
	if err != nil {
		return s.refused(st, "publish", asStatus(err, CodePublishFailed, "the stream cannot be published"), err)
	}
	st.pub, st.name = pub, name
	s.kind.Store(uint32(KindPublisher))
	s.admitted()
	return s.conn.WriteMessages(statusMessages(streamEvent(eventStreamBegin, st.id), st.id, publishStarted(name))...)
}

// publishStarted is the status that encoders wait for.
func publishStarted(name string) *StatusError {
	return &StatusError{
		Level: LevelStatus, Code: CodePublishStart, Description: "Publishing started.",
		Properties: amf.Object{{Key: "details", Value: name}, {Key: "clientid", Value: "weir"}},
	}
}

// admitted lifts the bounds that hold until a peer publishes or plays.
func (s *ServerSession) admitted() {
	s.stray, s.strayLen = 0, 0
	s.conn.budget = 0
	s.conn.setWriteTimeout(s.srv.writeTimeout())
	s.settle()
}

// streamFor returns the message stream of a publish or play. A peer that did not create it gets it
// now. It returns nil if there are too many.
func (s *ServerSession) streamFor() *netStream {
	id := s.msg.StreamID
	if st := s.exact(id); st != nil {
		return st
	}
	if len(s.streams) == 1 && !s.streams[0].active() {
		return s.stream(id)
	}
	return s.newStream(id)
}

// noStream answers a publish or play for which there is no message stream left.
func (s *ServerSession) noStream(code string) error {
	return s.status(s.msg.StreamID, &StatusError{Code: code, Description: "too many streams on this connection"})
}

// streamEvent is a user control message about a message stream.
func streamEvent(event uint16, id uint32) []*Message {
	return []*Message{{Type: TypeUserControl, Payload: appendBE32([]byte{byte(event >> 8), byte(event)}, id)}}
}

// appendBE32 appends a big-endian number.
func appendBE32(b []byte, v uint32) []byte {
	return append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// media passes an audio or video message on.
func (s *ServerSession) media(m *Message) error {
	st := s.stream(m.StreamID)
	if st == nil || st.pub == nil {
		return s.strayMessage(m)
	}
	m.StreamID = st.id
	return s.deliver(st, m)
}

// deliver gives a message to the publication of a stream.
func (s *ServerSession) deliver(st *netStream, m *Message) error {
	if err := st.pub.Message(m); err != nil {
		return fmt.Errorf("publishing: %w", err)
	}
	return nil
}

// strayMessage drops media that comes without a publish, and ends the session after too much of it.
func (s *ServerSession) strayMessage(m *Message) error {
	s.drop(&s.dropped.stray, "media without publish")
	s.stray++
	s.strayLen += len(m.Payload)
	if s.stray > s.limits.StrayMessages || s.strayLen > s.limits.StrayBytes {
		return &LimitError{What: "messages without publish"}
	}
	return nil
}

// dataMessage passes a data message on, as AMF0 that begins with its name.
func (s *ServerSession) dataMessage(m *Message) error {
	st := s.stream(m.StreamID)
	if st == nil || st.pub == nil {
		return s.strayMessage(m)
	}
	m.StreamID = st.id
	if m.Type == TypeDataAMF3 {
		m.Type, m.Payload = TypeData, amf.Body3(m.Payload)
	}
	name, rest, ok := dataName(m.Payload)
	if ok && string(name) == "@setDataFrame" {
		m.SetDataFrame, m.Payload = true, rest
		name, _, ok = dataName(rest)
	}
	switch {
	case !ok:
		s.drop(&s.dropped.data, "undecodable data message")
	case len(m.Payload) > s.limits.DataBytes:
		s.drop(&s.dropped.data, "data message too long")
	case !s.data.take(s.limits.DataRate, 2*s.limits.DataRate):
		s.drop(&s.dropped.data, "data messages too frequent")
	case string(name) == "|RtmpSampleAccess":
	default:
		return s.deliver(st, m)
	}
	return nil
}

// dataName splits a data message into its name and what follows it.
func dataName(b []byte) (name, rest []byte, ok bool) {
	if len(b) < 3 || b[0] != amfString {
		return nil, nil, false
	}
	n := int(b[1])<<8 | int(b[2])
	if len(b) < 3+n {
		return nil, nil, false
	}
	return b[3 : 3+n], b[3+n:], true
}

// amfString is the marker of an AMF0 string.
const amfString = 0x02
