package rtmp

import (
	"weir/amf"
)

// PlayWriter writes media to one message stream of a player. Its methods may be called
// by any goroutine.
type PlayWriter struct {
	session *ServerSession
	id      uint32
}

// StreamID returns the message stream id that the player gave.
func (w *PlayWriter) StreamID() uint32 { return w.id }

// WriteMessage writes m with the stream's id in place of its own. The payload is not
// kept. It blocks while the player does not read, for the server's WriteTimeout at most.
// An error ends the session.
func (w *PlayWriter) WriteMessage(m *Message) error {
	copied := *m
	copied.StreamID = w.id
	return w.check(w.session.conn.WriteMessage(&copied))
}

// check ends the session if its own write failed: nothing else notices a peer that has vanished.
func (w *PlayWriter) check(err error) error {
	if s := w.session; err != nil && !s.conn.detached.Load() {
		s.Close(endOf(s.ctx, err, StagePlay))
	}
	return err
}

// End tells the player that the stream has ended: StreamEOF,
// NetStream.Play.UnpublishNotify and NetStream.Play.Stop. Players close upon it.
func (w *PlayWriter) End() error {
	w.session.farewell.Store(true)
	return w.check(w.session.conn.WriteMessages(playEnd(w.id)...))
}

// Status writes onStatus to the player, such as NetStream.Play.StreamNotFound when it
// has waited in vain.
func (w *PlayWriter) Status(st *StatusError) error { return w.check(w.session.status(w.id, st)) }

// play answers the play command (RTMP 1.0 §7.2.2.1).
func (s *ServerSession) play(cmd *command) error {
	name, isString := cmd.arg(0).(string)
	if on, isBool := cmd.arg(0).(bool); isBool && !on {
		return s.closeCommand() // play(false) means stop
	}
	if !isString {
		name = ""
	}
	return s.startPlay(name, cmd.number(1, -2), cmd.number(2, -1), cmd.flag(3, true))
}

// play2 switches to another stream; a live one is simply played instead.
func (s *ServerSession) play2(cmd *command) error {
	o, _ := amf.Properties(cmd.arg(0))
	name, ok := o.GetString("streamName")
	if !ok {
		return s.status(s.msg.StreamID, &StatusError{
			Code: CodePlayFailed, Description: "play2 without streamName",
		})
	}
	if err := s.startPlay(name, -2, -1, true); err != nil {
		return err
	}
	if st := s.stream(s.msg.StreamID); st != nil && st.play != nil && st.name == name {
		return s.status(st.id, &StatusError{
			Level: LevelStatus, Code: CodePlayTransition, Description: "Switched to " + name + ".",
		})
	}
	return nil
}

// startPlay begins to play a stream on the command's message stream.
func (s *ServerSession) startPlay(name string, start, duration float64, reset bool) error {
	st := s.streamFor()
	if st == nil {
		return s.noStream(CodePlayFailed)
	}
	if st.pub != nil {
		return s.status(st.id, &StatusError{Code: CodePlayFailed, Description: "this message stream is in use"})
	}
	u, err := ParsePath(s.rawApp, s.tcURL, name)
	if err != nil {
		return s.refused(st, "play", &StatusError{Code: CodePlayStreamNotFound, Description: err.Error()}, err)
	}
	// Some clients count in milliseconds: any negative value means live.
	switch {
	case start < 0 && start != -1 && start != -1000:
		start = -2
	case start < 0:
		start = -1
	}
	play, err := s.srv.Handler.Play(s.ctx, s, &PlayRequest{
		StreamID: st.id, StreamURL: u, RawName: name,
		Start: start, Duration: max(duration, -1), Reset: reset,
	})
	if err != nil {
		return s.refused(st, "play", asStatus(err, CodePlayFailed, "the stream cannot be played"), err)
	}
	if st.play != nil {
		if err := s.closeStream(st, ErrReplaced); err != nil {
			play.Close(err)
			return err
		}
	}
	st.play, st.name = play, name
	s.kind.Store(uint32(KindPlayer))
	s.admitted()
	if err := s.writePlayStart(st.id, name, reset); err != nil {
		return err
	}
	play.Start(&PlayWriter{session: s, id: st.id})
	if s.conn.detached.Load() {
		s.conn.buf.setSize(0)
	}
	return nil
}

// writePlayStart tells the player that playing begins. Players built on Flash wait for |RtmpSampleAccess.
func (s *ServerSession) writePlayStart(id uint32, name string, reset bool) error {
	details := amf.Object{{Key: "details", Value: name}, {Key: "clientid", Value: "weir"}}
	ms := streamEvent(eventStreamBegin, id)
	if reset {
		ms = statusMessages(ms, id, &StatusError{
			Level: LevelStatus, Code: CodePlayReset, Description: "Playing and resetting.", Properties: details,
		})
	}
	ms = statusMessages(ms, id, &StatusError{
		Level: LevelStatus, Code: CodePlayStart, Description: "Playing started.", Properties: details,
	})
	if s.flash {
		body, _ := amf.Append(nil, "|RtmpSampleAccess", true, true)
		ms = append(ms, &Message{Type: TypeData, StreamID: id, Payload: body})
	}
	return s.conn.WriteMessages(ms...)
}

// pause answers pause and pauseRaw (RTMP 1.0 §7.2.2.8).
func (s *ServerSession) pause(cmd *command) error {
	st := s.stream(s.msg.StreamID)
	if st == nil || st.play == nil {
		return nil
	}
	paused := cmd.flag(0, true)
	st.play.Pause(paused)
	event, status := uint16(eventStreamEOF), StatusError{Level: LevelStatus, Code: CodePauseNotify, Description: "Paused."}
	if !paused {
		event, status = eventStreamBegin, StatusError{Level: LevelStatus, Code: CodeUnpauseNotify, Description: "Playing again."}
	}
	return s.conn.WriteMessages(statusMessages(streamEvent(event, st.id), st.id, &status)...)
}

// receive answers receiveAudio and receiveVideo (RTMP 1.0 §7.2.2.4, §7.2.2.5). After turning one on
// again Flash waits for a new start.
func (s *ServerSession) receive(cmd *command) error {
	st := s.stream(s.msg.StreamID)
	if st == nil || st.play == nil {
		return nil
	}
	on := cmd.flag(0, true)
	if cmd.name == "receiveAudio" {
		st.play.ReceiveAudio(on)
	} else {
		st.play.ReceiveVideo(on)
	}
	if !on {
		return nil
	}
	return s.conn.WriteMessages(statusMessages(nil, st.id,
		&StatusError{Level: LevelStatus, Code: CodeSeekNotify, Description: "Going on."},
		&StatusError{Level: LevelStatus, Code: CodePlayStart, Description: "Playing started."})...)
}
