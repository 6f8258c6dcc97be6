package deliver

import (
	"container/list"
	"encoding/json"
	"strings"
	"time"

	"weir/internal/event"
	"weir/internal/hook"
	"weir/internal/session"
)

// envelope is how an event is written for its receiver.
type envelope struct {
	Version int            `json:"version"`
	ID      string         `json:"id"`
	Seq     uint64         `json:"seq"`
	Type    string         `json:"type"`
	Time    time.Time      `json:"time"`
	Server  hook.Server    `json:"server"`
	Stream  *event.Stream  `json:"stream,omitempty"`
	Session *event.Session `json:"session,omitempty"`
	Data    map[string]any `json:"data,omitempty"`
}

// event returns what is in the envelope.
func (v *envelope) event() event.Event {
	return event.Event{ID: v.ID, Type: v.Type, Time: v.Time, Stream: v.Stream, Session: v.Session, Data: v.Data}
}

// item is one event on its way to one hook.
type item struct {
	n      uint64 // its number in the journal; 0: it is not in it
	id     string
	typ    string
	stream string // path; empty for none
	time   time.Time
	body   []byte // the envelope
	// shown is what the session showed when it came, as far as the hook may know it; it is in no journal.
	shown *session.Shown
	rank  rank
	key   string // of its lane

	inLane, inRank *list.Element // its places in the queue
}

// seal makes an item of an event. Events cannot fail to be written: their data is of plain types.
func seal(e *event.Event, seq uint64, server hook.Server) (*item, error) {
	b, err := json.Marshal(&envelope{1, e.ID, seq, e.Type, e.Time, server, e.Stream, e.Session, e.Data})
	if err != nil {
		return nil, err
	}
	return newItem(e, b), nil
}

func newItem(e *event.Event, body []byte) *item {
	it := &item{id: e.ID, typ: e.Type, time: e.Time, body: body, rank: rankOf(e.Type)}
	if e.Stream != nil {
		it.stream = e.Stream.Path
	}
	it.key = it.stream
	if it.typ == event.Disconnect { // after what ended on the connection
		it.key, _ = e.Data["stream"].(string)
	}
	if it.typ == event.PublishRejected { // anybody can cause them, under any path: they share a lane and go first
		it.key = "rejected"
	}
	return it
}

// size is what an item takes in memory, about.
func (it *item) size() int {
	n := len(it.body) + itemSize
	if s := it.shown; s != nil {
		n += len(s.Path) + len(s.Query) + len(s.ConnectQuery) + len(s.TCURL) + len(s.PageURL) + len(s.Base)
	}
	return n
}

// itemSize is what an item takes beside its body.
const itemSize = 400

// rank says what is thrown away first when a queue is full.
type rank uint8

const (
	rankPlayer rank = iota // player.*, publish.rejected
	rankPlay               // play.*
	rankOther
	rankKept // publishers that were let in, streams, the server, recordings: never thrown away before hardFactor
)

func rankOf(typ string) rank {
	if typ == event.PublishRejected {
		return rankPlayer
	}
	family, _, _ := strings.Cut(typ, ".")
	switch family {
	case "player":
		return rankPlayer
	case "play":
		return rankPlay
	case "publisher", "limit", "config", "segment", "connection":
		return rankOther
	}
	return rankKept
}
