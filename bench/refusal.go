package bench

import (
	"bytes"
	"errors"
)

// errStreamEnd says that the server ended the stream.
var errStreamEnd = errors.New("the stream ended")

// refusal is the server's no.
type refusal struct{ what string }

func (r *refusal) Error() string { return "refused: " + r.what }

// commandVerdict looks at a command from the server: a refusal, the stream's end, or
// nothing of interest. started is true if publishing or playing may begin.
func commandVerdict(b []byte) (started bool, err error) {
	has := func(s string) bool { return bytes.Contains(b, []byte(s)) }
	switch {
	case has("NetStream.Publish.Start"), has("NetStream.Play.Start"):
		return true, nil
	case has("_error"), has("\x00\x05error"):
		return false, &refusal{statusCode(b)}
	case has("NetStream.Play.UnpublishNotify"), has("NetStream.Play.Complete"):
		return false, errStreamEnd
	}
	return false, nil
}

// isPublishVerdict reports whether a refusal is about connecting or publishing, and not
// about one of the commands around them.
func isPublishVerdict(b []byte) bool {
	return bytes.Contains(b, []byte("NetStream.Publish.")) || bytes.Contains(b, []byte("NetConnection.Connect."))
}

// statusCode finds the status code in a command: the value of its property "code".
func statusCode(b []byte) string {
	_, v, ok := bytes.Cut(b, []byte("\x00\x04code\x02"))
	if !ok || len(v) < 2 {
		return "without a code"
	}
	n := int(v[0])<<8 | int(v[1])
	return string(v[2:min(2+n, len(v))])
}
