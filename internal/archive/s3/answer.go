package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// maxAnswer bounds an answer that is not an object: a page of a list has some hundred kilobytes.
	maxAnswer = 1 << 20
	// answerTime is how long such an answer may take after its head. A call with a deadline of its own has that one instead.
	answerTime = headTime
)

var (
	errLongAnswer = fmt.Errorf("the storage's answer has more than %d bytes", maxAnswer)
	errSlowAnswer = fmt.Errorf("the storage's answer takes longer than %v", answerTime)
)

// movedError says that the storage is elsewhere. It is not followed there: what is sent is signed for the endpoint.
type movedError struct{ host string }

func (e *movedError) Error() string {
	return fmt.Sprintf("the storage sends requests on to %q: set endpoint, and region, to what it wants", e.host)
}

// answers bounds what a storage may answer. An object that was asked for is bounded by who reads it.
type answers struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	res, err := a.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel(err)
		return nil, err
	}
	if to, e := res.Location(); e == nil && res.StatusCode >= http.StatusMultipleChoices && res.StatusCode < http.StatusBadRequest && to.Host != r.URL.Host {
		_ = res.Body.Close()
		cancel(errClosed)
		return nil, &movedError{to.Host}
	}
	b := &answer{ReadCloser: res.Body, left: maxAnswer, cancel: cancel}
	if r.Header.Get("Range") != "" && res.StatusCode < http.StatusMultipleChoices {
		b.object = true
	} else if _, ok := ctx.Deadline(); !ok {
		b.patience = time.AfterFunc(answerTime, func() { cancel(errSlowAnswer) })
	}
	res.Body = b
	return res, nil
}

// answer is the body of an answer.
type answer struct {
	io.ReadCloser
	object   bool
	left     int
	patience *time.Timer // nil: there is another deadline
	cancel   context.CancelCauseFunc
}

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	if a.object {
		return a.ReadCloser.Read(p)
	}
	n, err := a.ReadCloser.Read(p[:min(len(p), a.left+1)])
	if n > a.left {
		return a.left, errLongAnswer
	}
	a.left -= n
	return n, err
}

// Close implements io.Closer.
func (a *answer) Close() error {
	if a.patience != nil {
		a.patience.Stop()
	}
	err := a.ReadCloser.Close()
	a.cancel(errClosed)
	return err
}

// errClosed ends the request whose answer is not read any further.
var errClosed = errors.New("the answer was closed")
