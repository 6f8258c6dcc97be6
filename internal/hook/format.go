package hook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"weir/internal/admit"
	"weir/internal/event"
	"weir/internal/session"
)

// Server is what services are told of the server that asks.
type Server struct {
	ID   string `json:"id"`   // random, the same for as long as the server runs
	Name string `json:"name"` // for people
}

// Question asks whether a peer may publish or play. Its request holds what the peer showed, and so does
// every call made of it: neither is for logs.
type Question struct {
	*admit.Request
	ID       string // of this question, random
	Time     time.Time
	Deadline time.Duration // how long the answer is waited for
	Server   Server
}

// Format is how questions, answers and events are written. Formats do not change.
type Format struct {
	Name string
	// Pairs is whether services pair each question with the end of what they allowed, so that none may stand for several peers.
	Pairs bool
	// EncodeDecision returns the call that asks, without its target.
	EncodeDecision func(q *Question) *Call
	// EncodeConnect returns the call that asks about a connection (see admit.Request.Connects), without its target. It
	// is nil for formats that do not ask about connections.
	EncodeConnect func(q *Question) *Call
	// DecodeDecision reads what was answered. An error says that the service failed: it did not decide.
	DecodeDecision func(q *Question, r *Reply) (*Answer, error)
	// EncodeEvent returns the calls that tell of an event, one to be made after the other, without their
	// target; none if the other server does not tell of such. It is nil for those that tell of nothing,
	// and for our own format, in which events are not translated.
	EncodeEvent func(e *event.Event, s Server) []*Call
	// Events are the types that EncodeEvent writes.
	Events []string
	// Calls are the names of the calls of EncodeEvent, each with the types of events that it tells of; nil where hooks do
	// not choose among them.
	Calls map[string][]string
	// Unasked are those of Calls that a hook makes only if it names them.
	Unasked []string
	// EncodeForward returns the call that asks where a publisher's stream is also sent, once it is let in, without its
	// target, and DecodeForward reads the answer as DecodeDecision does: its terms hold the pushes alone. They are nil for
	// formats that have no such question.
	EncodeForward func(q *Question) *Call
	DecodeForward func(q *Question, r *Reply) (*Answer, error)
}

// formats is all of them; the first is the default.
var formats = []*Format{&weirFormat, &nginxFormat, &srsFormat, &mediamtxFormat, &omeFormat}

// FormatNamed returns the format with a name, nil if there is none.
func FormatNamed(name string) *Format {
	for _, f := range formats {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// FormatNames returns the names of all formats, the default first.
func FormatNames() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Name
	}
	return names
}

// Answer is what a service said to a question.
type Answer struct {
	Allow bool
	// Status is the HTTP status that a denial came with, 0 if it came in a body.
	Status int
	// Reason is for the peer: at most 200 printable characters.
	Reason string
	// Unread says what came in the place of an answer, for a denial that is none but was taken for one. It holds nothing of what came.
	Unread string
	// From says who has answered: the call, if it has a name, and the address as far as it may be shown.
	From string
	// RetryAfter is when the peer may ask again, for a denial with status 429; 0: not said.
	RetryAfter time.Duration
	// Cache is how long the answer holds for the same question; 0: for this one alone.
	Cache time.Duration
	// Terms are those of an allowance; its By is left empty.
	Terms session.Terms
}

// appName returns the parts of a stream's path, of which only the name may have slashes.
func appName(path string) (app, name string) {
	app, name, _ = strings.Cut(path, "/")
	return app, name
}

// address returns an IP address without port or zone; empty for none.
func address(a netip.AddrPort) string {
	if !a.Addr().IsValid() {
		return ""
	}
	return a.Addr().Unmap().WithZone("").String()
}

// family returns which of the names that other servers know a protocol goes by; web is theirs for all
// that plays by HTTP.
func family(protocol, web string) string {
	for _, f := range []struct{ begins, name string }{
		{"rtmp", "rtmp"}, {"rtsp", "rtsp"}, {"srt", "srt"}, {"webrtc", "webrtc"}, {"whip", "webrtc"}, {"whep", "webrtc"},
	} {
		if strings.HasPrefix(protocol, f.begins) {
			return f.name
		}
	}
	return web
}

// uuid returns a UUID (version 8, RFC 9562) that stands for a session.
func uuid(id string) string {
	sum := sha256.Sum256([]byte(id))
	b := sum[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	x := hex.EncodeToString(b)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// jsonCall returns a POST of v. All that is ever given can be encoded.
func jsonCall(v any) *Call {
	return &Call{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}}, Body: encode(v)}
}

// encode writes v as JSON, with <, > and & as they are.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("hook: " + err.Error()) // a type that JSON has no form for
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
