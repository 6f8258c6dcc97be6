package rtmp

import (
	"fmt"

	"weir/amf"
)

// command acts on a command message (RTMP 1.0 §7.2, and what encoders send beside it).
func (s *ServerSession) command(m *Message) error {
	if !s.commands.take(s.limits.CommandRate, s.limits.CommandBurst) {
		return &LimitError{What: "commands"}
	}
	cmd, err := parseCommand(m)
	if err != nil {
		if !s.connected {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		s.drop(&s.dropped.commands, "undecodable command")
		return nil
	}
	if cmd.err != nil && cmd.decides() {
		return fmt.Errorf("%w: reading %s: %w", ErrProtocol, cmd.name, cmd.err)
	}
	if !s.connected && cmd.name != "connect" {
		_ = s.result(&cmd, "_error", nil, (&StatusError{
			Code: CodeCallFailed, Description: "connect first",
		}).info())
		s.farewell.Store(true)
		return fmt.Errorf("%w: %.32q before connect", ErrProtocol, cmd.name)
	}
	if err := s.dispatch(&cmd); err != nil {
		return endOf(s.ctx, err, s.stageName)
	}
	return nil
}

// decides reports whether the command needs all its arguments, so that a part of them is not enough.
func (c *command) decides() bool {
	switch c.name {
	case "connect", "publish", "play", "play2":
		return true
	}
	return false
}

// dispatch is the table of commands.
func (s *ServerSession) dispatch(cmd *command) error {
	switch cmd.name {
	case "connect":
		return s.connect(cmd)
	case "createStream":
		return s.createStream(cmd)
	case "deleteStream":
		return s.deleteStream(cmd)
	case "closeStream":
		return s.closeCommand()
	case "publish":
		return s.publish(cmd)
	case "play":
		return s.play(cmd)
	case "play2":
		return s.play2(cmd)
	case "pause", "pauseRaw":
		return s.pause(cmd)
	case "seek":
		return s.status(s.msg.StreamID, &StatusError{
			Level: LevelError, Code: CodeSeekFailed, Description: "a live stream cannot be sought in",
		})
	case "receiveAudio", "receiveVideo":
		return s.receive(cmd)
	case "FCPublish":
		return s.answerFC(cmd, "onFCPublish", CodePublishStart)
	case "FCUnpublish":
		return s.fcUnpublish(cmd)
	case "FCSubscribe":
		return s.answerFC(cmd, "onFCSubscribe", CodePlayStart)
	case "FCUnsubscribe":
		return s.answerFC(cmd, "onFCUnsubscribe", CodePlayStop)
	case "releaseStream":
		// A releaseStream never ends the publishing of another peer.
		return s.result(cmd, "_result", nil, amf.Undefined{})
	case "getStreamLength":
		return s.result(cmd, "_result", nil, 0.0)
	case "close":
		return fmt.Errorf("%w: close command", ErrClosedByPeer)
	case "_result", "_error", "onStatus":
		return nil // these are answers: answering them would go on for ever
	}
	// _checkbw and unknown commands: an empty answer lets clients that wait for one go on.
	return s.result(cmd, "_result", nil, nil)
}

// answerFC answers a command of the FC family: with a result, if it wants one, and with its onFC
// command, whose description is the stream's name.
func (s *ServerSession) answerFC(cmd *command, name, code string) error {
	var ms []*Message
	if cmd.tid != 0 && (cmd.name == "FCPublish" || cmd.name == "FCUnpublish") {
		ms = append(ms, resultMessage("_result", cmd.tid, nil, amf.Undefined{}))
	}
	st := StatusError{Level: LevelStatus, Code: code, Description: cmd.str(0)}
	ms = append(ms, commandMessage(0, name, 0.0, nil, st.info()))
	return s.conn.WriteMessages(ms...)
}

// fcUnpublish ends the publishing of the stream named, or of the only stream, as the name is not
// always the one that was published. Many encoders disconnect before the answer.
func (s *ServerSession) fcUnpublish(cmd *command) error {
	if st := s.publishedAs(cmd.str(0)); st != nil {
		if err := s.stop(st); err != nil {
			return err
		}
	}
	return s.answerFC(cmd, "onFCUnpublish", CodeUnpublishSuccess)
}

// publishedAs returns the stream that is published by a name, or the connection's only
// stream if it is published.
func (s *ServerSession) publishedAs(name string) *netStream {
	for _, st := range s.streams {
		if st.pub != nil && (st.name == name || len(s.streams) == 1) {
			return st
		}
	}
	return nil
}

// closeCommand ends what is published or played on the command's message stream, which stays open.
func (s *ServerSession) closeCommand() error {
	st := s.stream(s.msg.StreamID)
	if st == nil {
		return nil
	}
	return s.unpublish(st)
}

// unpublish stops a stream and confirms it to a publisher.
func (s *ServerSession) unpublish(st *netStream) error {
	published := st.pub != nil
	if err := s.stop(st); err != nil || !published {
		return err
	}
	return s.status(st.id, &StatusError{
		Level: LevelStatus, Code: CodeUnpublishSuccess, Description: "The stream is no longer published.",
	})
}
