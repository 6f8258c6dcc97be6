package rtmp

import (
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"weir/amf"
)

func TestGoldenAnswers(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    *Message
		want string
	}{
		{"createStream", resultMessage("_result", 2, nil, 1.0), "0300000000001d14000000000200075f726573756c7400400000000000000005003ff0000000000000"},
		{"releaseStream", resultMessage("_result", 3, nil, amf.Undefined{}), "0300000000001514000000000200075f726573756c740040080000000000000506"},
		{"StreamBegin", streamEvent(eventStreamBegin, 1)[0], "020000000000060400000000000000000001"},
		{"StreamEOF", streamEvent(eventStreamEOF, 1)[0], "020000000000060400000000000100000001"},
		{
			"Publish.Start", statusMessages(nil, 1, &StatusError{Level: LevelStatus, Code: CodePublishStart, Description: "ok"})[0],
			"0500000000005b14010000000200086f6e537461747573000000000000000000050300056c6576656c0200067374617475730004636f64650200174e657453747265616d2e5075626c6973682e5374617274000b6465736372697074696f6e0200026f6b000009",
		},
	} {
		if got := hex.EncodeToString(AppendMessage(nil, tt.m, 65536)); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestParseCommand(t *testing.T) {
	name := func(rest ...amf.Value) []byte {
		b, err := amf.Append(nil, rest...)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, tt := range []struct {
		name string
		typ  MessageType
		body []byte
		want command
		err  bool
	}{
		{"plain", TypeCommand, name("x", 2.0, nil, "a"), command{name: "x", tid: 2, args: []amf.Value{"a"}}, false},
		{"C-094 type 17", TypeCommandAMF3, append([]byte{0}, name("x", 2.0)...), command{name: "x", tid: 2}, false},
		{"C-094 type 17 without format byte", TypeCommandAMF3, name("x", 2.0), command{name: "x", tid: 2}, false},
		{"C-097 NaN", TypeCommand, name("x", math.NaN()), command{name: "x"}, false},
		{"C-097 infinity", TypeCommand, name("x", math.Inf(-1)), command{name: "x"}, false},
		{"C-097 negative", TypeCommand, name("x", -1.0), command{name: "x", tid: -1}, false},
		{"C-097 large", TypeCommand, name("x", 1e300), command{name: "x", tid: 1e300}, false},
		{"C-097 string", TypeCommand, name("x", "2"), command{name: "x"}, false},
		{"C-099 only a name", TypeCommand, name("x"), command{}, true},
		{"empty", TypeCommand, nil, command{}, true},
		{"name is a number", TypeCommand, name(1.0, 2.0), command{}, true},
	} {
		m := &Message{Type: tt.typ, Payload: tt.body}
		c, err := parseCommand(m)
		if (err != nil) != tt.err || c.name != tt.want.name || c.tid != tt.want.tid || len(c.args) != len(tt.want.args) {
			t.Errorf("%s: %+v, %v", tt.name, c, err)
		}
		for n := range len(tt.body) {
			_, _ = parseCommand(&Message{Type: tt.typ, Payload: tt.body[:n]}) // must not panic
		}
	}
	// What could be read is kept, and that it is not all is known.
	c, err := parseCommand(&Message{Type: TypeCommand, Payload: append(name("x", 1.0, nil, "a"), 2, 0, 9)})
	if err != nil || c.err == nil || c.str(0) != "a" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAnswersToCommands(t *testing.T) {
	for _, tt := range []struct {
		name string
		send []amf.Value
		want string // what comes back, before the pong
	}{
		{"C-107 releaseStream", []amf.Value{"releaseStream", 2.0, nil, "cam"}, "_result@0(2 {})"},
		{"C-107 FCPublish", []amf.Value{"FCPublish", 3.0, nil, "cam"}, "_result@0(3 {}) onFCPublish@0(0 NetStream.Publish.Start)"},
		{"FCUnpublish", []amf.Value{"FCUnpublish", 3.0, nil, "cam"}, "_result@0(3 {}) onFCUnpublish@0(0 NetStream.Unpublish.Success)"},
		{"C-108 _checkbw", []amf.Value{"_checkbw", 4.0, nil}, "_result@0(4 <nil>)"},
		{"C-109 getStreamLength", []amf.Value{"getStreamLength", 5.0, nil, "cam"}, "_result@0(5 0)"},
		{"C-110 unknown", []amf.Value{"somethingElse", 9.0, nil}, "_result@0(9 <nil>)"},
		{"C-110 unknown without transaction", []amf.Value{"somethingElse", 0.0, nil}, ""},
		{"C-112 FCSubscribe", []amf.Value{"FCSubscribe", 2.0, nil, "cam"}, "onFCSubscribe@0(0 NetStream.Play.Start)"},
		{"FCUnsubscribe", []amf.Value{"FCUnsubscribe", 2.0, nil, "cam"}, "onFCUnsubscribe@0(0 NetStream.Play.Stop)"},
		{"transaction 0", []amf.Value{"releaseStream", 0.0, nil, "cam"}, ""},
		{"C-097 transaction of 1e300", []amf.Value{"createStream", 1e300, nil}, "_result@0(1e+300 1)"},
		{"C-097 negative transaction", []amf.Value{"createStream", -1.0, nil}, "_result@0(-1 1)"},
		{"C-098 hostile name", []amf.Value{strings.Repeat("\n\x1b[31m\xff", 600), 3.0, nil}, "_result@0(3 <nil>)"},
		{"an answer is not answered", []amf.Value{"_result", 7.0, nil, nil}, ""},
		{"an error is not answered", []amf.Value{"_error", 7.0, nil, nil}, ""},
		{"pause of nothing", []amf.Value{"pause", 0.0, nil, true}, ""},
		{"closeStream of nothing", []amf.Value{"closeStream", 0.0, nil}, ""},
		{"deleteStream of nothing", []amf.Value{"deleteStream", 0.0, nil, 5.0}, ""},
		{"play2 of nothing", []amf.Value{"play2", 0.0, nil}, "onStatus@0(0 NetStream.Play.Failed)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, typ := range []MessageType{TypeCommand, TypeCommandAMF3} {
				p := serve(t, &Server{Handler: &fakeHandler{}}).handshake().send(blockCN)
				p.expect("_result")
				before := len(p.transcript())
				m := commandMessage(0, tt.send...)
				if m.Type = typ; typ == TypeCommandAMF3 {
					m.Payload = append([]byte{0}, m.Payload...)
				}
				p.media(*m).sync()
				want := strings.TrimSpace(tt.want + " control(000700001234)")
				if got := strings.TrimSpace(p.transcript()[before:]); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
}

func TestC107_PipelinedCommands(t *testing.T) {
	p := serve(t, &Server{Handler: &fakeHandler{}}).handshake().send(blockCN)
	p.expect("_result")
	var all []byte
	for i, values := range [][]amf.Value{{"releaseStream", 2.0, nil, "cam"}, {"FCPublish", 3.0, nil, "cam"}, {"createStream", 4.0, nil}, {"_checkbw", 5.0, nil}} {
		all = append(all, encode(commandMessage(uint32(i%2), values...))...)
	}
	p.write(all)
	var tids []float64
	for range 4 {
		cmd := p.expect("_result")
		if tids = append(tids, cmd.tid); cmd.tid == 4 && (cmd.object != nil || cmd.arg(0) != 1.0) {
			t.Errorf("createStream: %+v", cmd)
		}
	}
	if !slices.Equal(tids, []float64{2, 3, 4, 5}) {
		t.Error(tids)
	}
}

func TestUndecodableCommands(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	for _, body := range []string{"", "05", "020001", "020001" + "78", "0200017800", "0d0d", "11ff", "0200017800000000000000000007ffff"} {
		p.media(Message{Type: TypeCommand, Payload: unhexString(body)})
	}
	p.send(blockVK).sync() // C-091: of no consequence where nothing depends on it
	if n := h.session().Stats().Commands; n < 6 || len(h.received()) != 1 {
		t.Errorf("%d counted", n)
	}
	// publish, 0, null, then garbage in place of the name
	p.media(Message{Type: TypeCommand, StreamID: 1, Payload: unhexString("0200077075626c69736800000000000000000005" + "0e")})
	p.closed("protocol")
}

func TestTooManyCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHandler{}
		p := publishing(t, &Server{Handler: h})
		p.background(func() {
			for range 1000 {
				p.try(encode(commandMessage(0, "x", 0.0, nil)))
			}
		})
		if _, ok := errors.AsType[*LimitError](p.closed("limit")); !ok {
			t.Error("no LimitError")
		}
	})
}

func TestCloseCommand(t *testing.T) {
	h := &fakeHandler{}
	p := publishing(t, &Server{Handler: h})
	p.command(0, "close", 0.0, nil).closed("peer")
	h.waitFor(t, "unpublish live/cam: peer")
}

func TestStatusInfo(t *testing.T) {
	long := &StatusError{Code: "x", Description: strings.Repeat("d", 1000), Properties: amf.Object{{Key: "bad", Value: make(chan int)}}}
	o := long.info()
	if d, _ := o.GetString("description"); len(d) != 240 || len(o) != 3 {
		t.Errorf("%d bytes, %d properties", len(d), len(o))
	}
	if got := parseStatus((&StatusError{Code: "c", Description: "d", Properties: object("e", 1.0)}).info()); got.Level != LevelError || got.Code != "c" || len(got.Properties) != 1 {
		t.Errorf("%+v", got)
	}
	if parseStatus(5.0).Code != "" || (&StatusError{Code: "c"}).Error() != "c" {
		t.Error("odd values")
	}
}
