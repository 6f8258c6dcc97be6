package push

import (
	"errors"
	"fmt"
	"strings"

	"weir/internal/hops"
	"weir/internal/reach"
	"weir/internal/session"
	"weir/rtmp"
)

// Errors with which a session with a server ends.
var (
	// errLoop: the target is this server's own stream.
	errLoop = errors.New("the target is the stream itself, on this server: it would go in a circle")
	// errBack: the target is where the stream is fetched from.
	errBack = errors.New("the stream is fetched from the target's host: it would go in a circle")
	// errSilent: a server has closed the connection right after publishing began, again and again.
	errSilent = errors.New("the server closes the connection right after publishing begins and does not say why: services do that when the stream key is wrong or has expired, or the channel may not go live")
	// errDowngrade: a server has sent us on to another scheme.
	errDowngrade = errors.New("the server sends its publishers on to a URL of another scheme, which is not followed")
	// errRedirects: servers send us on to each other.
	errRedirects = fmt.Errorf("the server sends its publishers on to another one more than %d times", maxRedirects)
)

// unsupportedError says that the target does not take what the stream is.
type unsupportedError struct{ what string }

func (e *unsupportedError) Error() string { return e.what }

// verdict is what a failure means.
type verdict struct {
	// refused: trying again soon is of no use, somebody must change something.
	refused bool
	reason  session.Reason
	text    string // a sentence, or part of one, without secrets
	// held: the server may refuse the stream for a connection that it has not noticed the loss of.
	held bool
	// soon: what stands in the way may be gone at any moment.
	soon bool
}

// judge says what a failure of a session with the server at a means.
func judge(err error, a *Address) verdict {
	if a == nil { // where it goes is not known
		a = &Address{}
	}
	v := judgeError(err, a)
	v.text = session.Printable(a.mask(v.text), maxText)
	return v
}

// maxText bounds what is kept of an error, in bytes.
const maxText = 400

func judgeError(err error, a *Address) verdict {
	host := a.Host
	switch {
	case errors.Is(err, errLoop), errors.Is(err, errBack):
		return verdict{refused: true, reason: session.Loop, text: err.Error()}
	case errors.Is(err, reach.ErrPrivate):
		return verdict{refused: true, reason: session.Address, text: host + " is not connected to: " + reach.ErrPrivate.Error()}
	case errors.Is(err, errSilent):
		return verdict{refused: true, reason: session.Denied, text: errSilent.Error()}
	case errors.Is(err, errDowngrade), errors.Is(err, errRedirects):
		return verdict{refused: true, reason: session.Redirected, text: err.Error()}
	}
	if e, ok := errors.AsType[*unsupportedError](err); ok {
		return verdict{refused: true, reason: session.Unsupported, text: e.what}
	}
	if st, ok := errors.AsType[*rtmp.StatusError](err); ok {
		return judgeStatus(st, a)
	}
	if errors.Is(err, rtmp.ErrAuthFailed) {
		return verdict{refused: true, reason: session.BadKey, text: "the server does not accept the user and password in the URL"}
	}
	if e, ok := errors.AsType[*rtmp.TimeoutError](err); ok && e.Stage == rtmp.StagePublish {
		return verdict{refused: false, reason: session.Stalled, text: fmt.Sprintf("%s has taken nothing for %v: the network there is cut or too slow", host, stallTime)}
	}
	if f := reach.Explain(err, host, "write the certificate's fingerprint as pin"); f != nil {
		return verdict{refused: f.Lasting, reason: f.Reason, text: f.Text}
	}
	return verdict{refused: false, reason: session.ReasonOf(err), text: err.Error()}
}

// statuses are the codes with which servers refuse, and what they mean to whoever set up the target.
var statuses = map[string]string{
	rtmp.CodePublishBadName:      "the server refuses the stream key or name: it is wrong or has expired, or somebody publishes with it already",
	rtmp.CodePublishDenied:       "the server does not allow this stream key or name to publish",
	rtmp.CodePublishRejected:     "the server rejects the stream: the key may be wrong, or the stream is not what it takes",
	rtmp.CodePublishUnauthorized: "the server does not know the stream key",
	rtmp.CodePublishFailed:       "the server could not begin the broadcast: the stream key may be wrong or used up",
	rtmp.CodeConnectRejected:     "the server rejects the connection: look at the URL, and at whether it wants a user and password",
	rtmp.CodeConnectInvalidApp:   "the server has no such application: look at the path of the URL",
	codeInternalKill:             "the service has ended the broadcast",
}

// codeInternalKill is Facebook's when the broadcast is ended on its page.
const codeInternalKill = "NetStream.Unpublish.InternalKill"

func judgeStatus(st *rtmp.StatusError, a *Address) verdict {
	switch word, _ := st.Properties.GetString(hops.Reason); word { // of a server of our kind
	case session.Takeover.String():
		return verdict{refused: true, reason: session.Takeover, text: "another publisher has taken the stream over on the server; it is taken back when the publisher here begins anew, or when you say so (weir pushes retry): " + st.Description}
	case session.Conflict.String():
		return verdict{soon: true, reason: session.Conflict, text: "another publisher has the stream on the server, which keeps it until that one has left: " + st.Description}
	case session.Loop.String():
		return verdict{refused: true, reason: session.Loop, text: "the stream would go in a circle: " + st.Description}
	}
	text, known := statuses[st.Code]
	if !known {
		return verdict{refused: false, reason: session.Denied, text: "the server has ended the stream: " + st.Error()}
	}
	reason := session.Denied
	if st.Code == rtmp.CodeConnectInvalidApp {
		reason, text = session.Path, fmt.Sprintf("%s, %s", text, a)
	}
	return verdict{refused: true, reason: reason, text: fmt.Sprintf("%s (%s)", text, strings.TrimSpace(st.Error()))}
}
