package server_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"weir/amf"
	"weir/rtmp"
)

// The building blocks of the case catalogue: whole messages in chunks of 128 bytes.
const (
	blockCN   = "0300000000003a1400000000020007636f6e6e656374003ff00000000000000300036170700200046c6976650005746355726c02000d72746d703a2f2f682f6c697665000009"
	blockCS   = "03000000000019140000000002000c63726561746553747265616d00400000000000000005"
	blockPUB  = "0400000000002114010000000200077075626c6973680040080000000000000502000363616d0200046c697665"
	blockPLAY = "040000000000171401000000020004706c61790040080000000000000502000363616d"
	blockMETA = "04000000000046120100000002000d40736574446174614672616d6502000a6f6e4d657461446174610800000002000577696474680040300000000000000006686569676874004030000000000000000009"
	blockVSH  = "06000000000016090100000017000000000142c00affe100046742c00a01000268ce"
	blockVK   = "0600000000000b09010000001701000000000000026588"
	blockVP   = "0600000000000b0901000000270100000000000002419a"
	blockASH  = "040000000000040801000000af001210"
	blockAR   = "040000000000080801000000af01210049900219"
	blockFCU  = "0300000000001e140000000002000b4643556e7075626c6973680040140000000000000502000363616d"
	blockDEL  = "03000000000022140000000002000c64656c65746553747265616d00401800000000000005003ff0000000000000"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// rawPeer is a client written by hand.
type rawPeer struct {
	t    testing.TB
	nc   net.Conn
	conn *rtmp.Conn
}

// tcp opens a connection that says nothing.
func (r *running) tcp(proto string) *net.TCPConn {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.Addr(proto).String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	if err := nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return nc.(*net.TCPConn)
}

// raw shakes hands.
func (r *running) raw() *rawPeer {
	r.t.Helper()
	nc := r.tcp("rtmp")
	conn, err := rtmp.ClientConn(nc, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return &rawPeer{r.t, nc, conn}
}

// send writes building blocks in one write.
func (p *rawPeer) send(blocks ...string) *rawPeer {
	p.t.Helper()
	b, err := hex.DecodeString(strings.Join(blocks, ""))
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// command sends a command.
func (p *rawPeer) command(streamID uint32, values ...amf.Value) *rawPeer {
	p.t.Helper()
	body, err := amf.Append(nil, values...)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.message(rtmp.TypeCommand, streamID, 0, body)
}

// message sends a message.
func (p *rawPeer) message(typ rtmp.MessageType, streamID, ts uint32, body []byte) *rawPeer {
	p.t.Helper()
	if err := p.try(typ, streamID, ts, body); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// try is message for a server that may have closed already.
func (p *rawPeer) try(typ rtmp.MessageType, streamID, ts uint32, body []byte) error {
	return p.conn.WriteMessage(&rtmp.Message{Type: typ, StreamID: streamID, Timestamp: ts, Payload: body})
}

// connect connects to an application and creates message stream 1.
func (p *rawPeer) connect(app string) *rawPeer {
	p.t.Helper()
	p.command(0, "connect", 1.0, amf.Object{{Key: "app", Value: app}, {Key: "tcUrl", Value: "rtmp://h/" + app}})
	p.command(0, "createStream", 2.0, nil)
	p.result(2)
	return p
}

// next returns the next message but for control messages.
func (p *rawPeer) next() (rtmp.Message, error) {
	_ = p.nc.SetReadDeadline(time.Now().Add(patience))
	return p.conn.ReadMessage()
}

// answer is a command of the server.
type answer struct {
	name     string
	tid      float64
	streamID uint32
	code     string
	about    string // the description
}

// answer returns the next command.
func (p *rawPeer) answer() (answer, error) {
	for {
		m, err := p.next()
		if err != nil {
			return answer{}, err
		}
		if m.Type != rtmp.TypeCommand {
			continue
		}
		vs, err := amf.DecodeAll(m.Payload, amf.Limits{})
		if err != nil || len(vs) < 2 {
			return answer{}, fmt.Errorf("a command of %v: %w", vs, err)
		}
		a := answer{streamID: m.StreamID}
		a.name, _ = vs[0].(string)
		a.tid, _ = vs[1].(float64)
		if len(vs) > 3 {
			info, _ := amf.Properties(vs[3])
			a.code, _ = info.GetString("code")
			a.about, _ = info.GetString("description")
		}
		return a, nil
	}
}

// result waits for the answer to a transaction.
func (p *rawPeer) result(tid float64) answer {
	p.t.Helper()
	for {
		a, err := p.answer()
		if err != nil {
			p.t.Fatalf("waiting for the answer %v: %v", tid, err)
		}
		if a.tid == tid && (a.name == "_result" || a.name == "_error") {
			return a
		}
	}
}

// status waits for the next status of a stream, which must have the code.
func (p *rawPeer) status(code string) answer {
	p.t.Helper()
	for {
		a, err := p.answer()
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", code, err)
		}
		if a.name == "onStatus" {
			if a.code != code {
				p.t.Fatalf("%s (%s), want %s", a.code, a.about, code)
			}
			return a
		}
	}
}

// wantEnd reads until the server has closed, and returns the codes that came before.
func (p *rawPeer) wantEnd() (codes []string) {
	p.t.Helper()
	for {
		a, err := p.answer()
		switch {
		case err == nil:
			if a.code != "" {
				codes = append(codes, a.code)
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.t.Fatal("the server does not close the connection")
		default:
			return codes
		}
	}
}

// until waits until ok.
func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	for begin := time.Now(); !ok(); <-time.After(time.Millisecond) {
		if time.Since(begin) > patience {
			r.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// live reports whether somebody publishes path.
func (r *running) live(path string) bool {
	s := r.hub.Get(path)
	return s != nil && s.Stats().Live
}

// metric returns the value of one line of the metrics, "" if there is none.
func (r *running) metric(name string) string {
	r.t.Helper()
	_, body := get(r.t, r.adminURL("/metrics"))
	for line := range strings.Lines(body) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// wantMetric waits until a line of the metrics has the value.
func (r *running) wantMetric(name, value string) {
	r.t.Helper()
	var got string
	for begin := time.Now(); ; <-time.After(5 * time.Millisecond) {
		if got = r.metric(name); got == value {
			return
		}
		if time.Since(begin) > patience {
			r.t.Fatalf("%s is %q, want %q", name, got, value)
		}
	}
}
