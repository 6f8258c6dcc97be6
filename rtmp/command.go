package rtmp

import (
	"errors"
	"fmt"
	"math"

	"weir/amf"
)

// command is one command message (RTMP 1.0 §7): a name, a transaction id, the command
// object and further arguments.
type command struct {
	name string
	// tid is the transaction id; 0 if the peer sent none that is a number.
	tid    float64
	object amf.Value
	args   []amf.Value
	// err is why the message could not be read to its end. Commands whose arguments
	// decide about something must look at it.
	err error
}

// errNoCommand is returned for a message from which not even a name and a transaction
// id could be read.
var errNoCommand = errors.New("no command name and transaction id")

// parseCommand reads a message of type TypeCommand or TypeCommandAMF3.
func parseCommand(m *Message) (command, error) {
	body := m.Payload
	if m.Type == TypeCommandAMF3 {
		body = amf.Body3(body)
	}
	values, err := amf.DecodeAll(body, amf.Limits{})
	if len(values) < 2 {
		if err == nil {
			err = errNoCommand
		}
		return command{}, fmt.Errorf("reading a command: %w", err)
	}
	name, ok := values[0].(string)
	if !ok {
		return command{}, fmt.Errorf("reading a command: %w", errNoCommand)
	}
	c := command{name: name, err: err}
	if tid, ok := values[1].(float64); ok && !math.IsNaN(tid) && !math.IsInf(tid, 0) {
		c.tid = tid
	}
	if len(values) > 2 {
		c.object = values[2]
		c.args = values[3:]
	}
	return c, nil
}

// arg returns the i-th argument after the command object, or nil.
func (c *command) arg(i int) amf.Value {
	if i >= len(c.args) {
		return nil
	}
	return c.args[i]
}

// str returns the i-th argument if it is a string, else "".
func (c *command) str(i int) string {
	s, _ := c.arg(i).(string)
	return s
}

// number returns the i-th argument if it is a finite number, else def.
func (c *command) number(i int, def float64) float64 {
	f, ok := c.arg(i).(float64)
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return def
	}
	return f
}

// flag reads the i-th argument as a switch: a boolean, or a number that is not 0. What
// is neither, or missing, is def.
func (c *command) flag(i int, def bool) bool {
	switch v := c.arg(i).(type) {
	case bool:
		return v
	case float64:
		return v != 0 // a NaN is not 0
	}
	return def
}

// streamArg reads the i-th argument as a message stream id.
func (c *command) streamArg(i int) (uint32, bool) {
	f := c.number(i, -1)
	if f < 0 || f > math.MaxUint32 {
		return 0, false
	}
	return uint32(f), true
}

// usualCommand is how many bytes nearly all of our commands fit into.
const usualCommand = 256

// commandMessage builds a command on a message stream. The values are ours or have been
// decoded: package amf can write them.
func commandMessage(streamID uint32, values ...amf.Value) *Message {
	body, _ := amf.Append(make([]byte, 0, usualCommand), values...)
	return &Message{Type: TypeCommand, StreamID: streamID, Payload: body}
}

// resultMessage answers a command on the connection's own stream. values are the
// command object and what follows it.
func resultMessage(name string, tid float64, values ...amf.Value) *Message {
	return commandMessage(0, append([]amf.Value{name, tid}, values...)...)
}

// statusMessages appends onStatus messages of a message stream to ms.
func statusMessages(ms []*Message, streamID uint32, sts ...*StatusError) []*Message {
	for _, st := range sts {
		ms = append(ms, commandMessage(streamID, "onStatus", 0.0, nil, st.info()))
	}
	return ms
}

// AppendStatus appends what tells a player st: the reason why it is not sent the stream any more.
func AppendStatus(dst []byte, st *StatusError, streamID uint32, chunkSize int) []byte {
	for _, m := range statusMessages(nil, streamID, st) {
		dst = AppendMessage(dst, m, chunkSize)
	}
	return dst
}

// AppendPlayEnd appends what tells a player that its stream has ended: StreamEOF,
// NetStream.Play.UnpublishNotify and NetStream.Play.Stop. Players close upon it.
func AppendPlayEnd(dst []byte, streamID uint32, chunkSize int) []byte {
	for _, m := range playEnd(streamID) {
		dst = AppendMessage(dst, m, chunkSize)
	}
	return dst
}

// playEnd is the messages of AppendPlayEnd.
func playEnd(streamID uint32) []*Message {
	return statusMessages(streamEvent(eventStreamEOF, streamID), streamID,
		&StatusError{Level: LevelStatus, Code: CodePlayUnpublishNotify, Description: "The stream is no longer published."},
		&StatusError{Level: LevelStatus, Code: CodePlayStop, Description: "Playing stopped."})
}
