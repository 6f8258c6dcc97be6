package rtmp

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/amf"
)

// fmsVersion is fmsVer of the answer to connect: some players look for "FMS/".
const fmsVersion = "FMS/3,5,7,7009"

// handshake performs the handshake, with a deadline for each of its parts, and answers peers that speak HTTP.
func (s *ServerSession) handshake() error {
	timeout := s.srv.timeout(s.srv.HandshakeTimeout)
	s.conn.budget = uint64(s.limits.BytesBeforeConnect)
	if err := s.srv.handshakeTLS(s.ctx, s.conn.nc, timeout); err != nil {
		return &HandshakeError{Err: endOf(s.ctx, err, StageTLS)}
	}
	s.enter(StageC0C1, timeout)
	err := acceptHandshake(&s.conn.buf, s.conn.handshakeWriter(), func() { s.enter(StageC2, timeout) })
	if errors.Is(err, ErrHTTP) {
		s.farewell.Store(true)
		_ = s.conn.writeEncoded([]byte(httpAnswer))
	}
	if err != nil {
		return &HandshakeError{Err: endOf(s.ctx, err, s.stageName)}
	}
	s.enter(StageConnect, s.srv.timeout(s.srv.ConnectTimeout))
	return nil
}

// httpAnswer is for clients that take the port for a web server, mostly health checks.
const httpAnswer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 28\r\nConnection: close\r\n\r\nThis port speaks RTMP only.\n"

// connect answers the connect command (RTMP 1.0 §7.2.1.1).
func (s *ServerSession) connect(cmd *command) error {
	if s.connected {
		return fmt.Errorf("%w: second connect", ErrProtocol)
	}
	r, err := s.connectRequest(cmd)
	if err == nil && s.srv.Authenticator != nil {
		r.User, err = s.srv.Authenticator.Verify(r)
	}
	if err == nil {
		asked := r.App
		if err = s.srv.Handler.Connect(s.ctx, s, r); err == nil && r.App != asked {
			err = s.rename(r.App)
		}
	}
	if err != nil {
		return s.refuseConnect(cmd, err)
	}
	s.connected = true
	err = s.conn.WriteMessages(
		&Message{Type: TypeWindowAckSize, Payload: appendBE32(nil, windowSize)},
		&Message{Type: TypeSetPeerBandwidth, Payload: append(appendBE32(nil, windowSize), 2)},
		&Message{Type: TypeSetChunkSize, Payload: appendBE32(nil, uint32(s.srv.chunkSize()))},
		s.connectResult(cmd))
	if err != nil {
		return err
	}
	s.conn.budget = s.conn.bytesIn.Load() + uint64(s.limits.BytesBeforeConnect+s.limits.StrayBytes)
	s.enter(StageCommand, s.srv.timeout(s.srv.CommandTimeout))
	return nil
}

// connectRequest reads the command and sets what the session is told by it.
func (s *ServerSession) connectRequest(cmd *command) (*ConnectRequest, error) {
	props, ok := amf.Properties(cmd.object)
	if !ok {
		return nil, &StatusError{Code: CodeConnectRejected, Description: "connect without properties"}
	}
	r := &ConnectRequest{Properties: props, Args: cmd.args, Caps: parseCaps(props)}
	text := func(keys ...string) string {
		for _, k := range keys {
			if v, ok := props.GetString(k); ok && v != "" {
				return v
			}
		}
		return ""
	}
	rawApp, tcURL := text("app"), trimQuotes(text("tcUrl", "tcurl"))
	r.FlashVer, r.PageURL, r.SwfURL = text("flashVer"), text("pageUrl"), text("swfUrl", "swfurl")
	if r.auth = parseAuth(rawApp); r.auth.scheme == "" {
		app := r.auth.app
		r.auth = parseAuth(tcURL)
		r.auth.app = app
	}
	if r.auth.scheme != "" {
		rawApp, tcURL = withoutParams(rawApp, authKeys...), withoutParams(tcURL, authKeys...)
	}
	u, err := parseApp(rawApp, tcURL)
	if err != nil {
		return nil, &StatusError{Code: CodeConnectInvalidApp, Description: err.Error()}
	}
	r.App, r.Vhost, r.TcURL, r.RawQuery, r.Query = u.App, u.Vhost, tcURL, u.RawQuery, u.Query
	s.rawApp, s.app, s.tcURL, s.rawQuery, s.caps = rawApp, r.App, tcURL, r.RawQuery, r.Caps
	s.flash = r.PageURL != "" || r.SwfURL != ""
	s.props.Store(&props)
	return r, nil
}

// rename puts the connection into another application than the client named. Its query stays.
func (s *ServerSession) rename(app string) error {
	if err := checkPath(app); err != nil {
		return &StatusError{Code: CodeConnectInvalidApp, Description: err.Error()}
	}
	_, query, _ := strings.Cut(s.rawApp, "?")
	s.rawApp, s.app = escapeApp.Replace(app)+"?"+query, app
	return nil
}

// escapeApp writes an application as a client would, so that it is read back as it is.
var escapeApp = strings.NewReplacer("%", "%25", "?", "%3F", "'", "%27", " ", "%20")

// connectResult is the answer to an accepted connect.
func (s *ServerSession) connectResult(cmd *command) *Message {
	props := amf.Object{
		{Key: "fmsVer", Value: fmsVersion},
		{Key: "capabilities", Value: 31.0},
		{Key: "mode", Value: 1.0},
	}
	st := &StatusError{Level: LevelStatus, Code: CodeConnectSuccess, Description: "Connection succeeded."}
	// AMF3 is read but not written: the answer is always 0, and clients fall back.
	st.Properties = amf.Object{{Key: "objectEncoding", Value: 0.0}}
	if s.caps.Enhanced() {
		st.Properties = s.srv.capsFor(&s.caps).properties(st.Properties)
	}
	return resultMessage("_result", cmd.tid, props, st.info())
}

// refuseConnect answers an unwanted connect; the connection ends with it.
func (s *ServerSession) refuseConnect(cmd *command, reason error) error {
	st := asStatus(reason, CodeConnectRejected, authPrefix+"connection refused")
	s.farewell.Store(true)
	_ = s.conn.WriteMessage(resultMessage("_error", cmd.tid, nil, st.info()))
	return fmt.Errorf("connect %w: %w", ErrRefused, reason)
}

// createStream answers the command of that name with the lowest free id, so that
// nearly all connections have stream 1 (RTMP 1.0 §7.2.1.3).
func (s *ServerSession) createStream(cmd *command) error {
	st := s.newStream(0)
	if st == nil {
		return s.result(cmd, "_error", nil, (&StatusError{
			Code: CodeCallFailed, Description: "too many streams on this connection",
		}).info())
	}
	return s.result(cmd, "_result", nil, float64(st.id))
}

// newStream adds a message stream, with the lowest free id if id is 0; nil if there are
// too many.
func (s *ServerSession) newStream(id uint32) *netStream {
	if len(s.streams) >= s.limits.Streams {
		return nil
	}
	if id == 0 {
		taken := func(st *netStream) bool { return st.id == id }
		for id = 1; slices.ContainsFunc(s.streams, taken); id++ {
		}
	}
	st := &netStream{id: id}
	s.streams = append(s.streams, st)
	return st
}

// deleteStream ends a message stream. The argument may be wrong or missing: then the
// command's own stream is meant, or the only one.
func (s *ServerSession) deleteStream(cmd *command) error {
	id, ok := cmd.streamArg(0)
	if !ok || s.exact(id) == nil {
		id = s.msg.StreamID
	}
	st := s.stream(id)
	if st == nil {
		return nil
	}
	s.streams = slices.DeleteFunc(s.streams, func(x *netStream) bool { return x == st })
	return s.stop(st)
}

// stop closes what is published and played on a stream, as the peer asked. A detached session ends
// with its playback, as the connection belongs to the caller.
func (s *ServerSession) stop(st *netStream) error {
	playing := st.play != nil
	if !st.active() {
		return nil
	}
	cause := ErrUnpublished
	if playing {
		cause = ErrStopped
	}
	st.name = ""
	if err := s.closeStream(st, cause); err != nil {
		return err
	}
	if playing && s.conn.detached.Load() {
		return ErrStopped
	}
	s.settle()
	return nil
}

// status writes onStatus on a message stream.
func (s *ServerSession) status(streamID uint32, st *StatusError) error {
	if st.Level == "" || st.Level == LevelError {
		s.farewell.Store(true)
	}
	return s.conn.WriteMessages(statusMessages(nil, streamID, st)...)
}

// result answers a command. A command with transaction id 0 wants no answer.
func (s *ServerSession) result(cmd *command, name string, values ...amf.Value) error {
	if cmd.tid == 0 {
		return nil
	}
	return s.conn.WriteMessage(resultMessage(name, cmd.tid, values...))
}

// refused tells the peer why it may not publish or play and ends the session, unless
// other streams of the connection are active.
func (s *ServerSession) refused(st *netStream, what string, told *StatusError, reason error) error {
	if err := s.status(st.id, told); err != nil {
		return err
	}
	if slices.ContainsFunc(s.streams, (*netStream).active) {
		return nil
	}
	return fmt.Errorf("%s %w: %w", what, ErrRefused, reason)
}
