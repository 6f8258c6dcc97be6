package httpserver

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// deadlined is a response whose connection has a deadline.
type deadlined struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

// SetWriteDeadline is what http.ResponseController calls.
func (d *deadlined) SetWriteDeadline(t time.Time) error {
	d.deadline = t
	return nil
}

// TestDeadlineIsOneRequests: what one answer was given time for does not cut off a later one on the
// same connection.
func TestDeadlineIsOneRequests(t *testing.T) {
	w := &deadlined{httptest.NewRecorder(), time.Now()}
	New(Config{}, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/live/a.none", nil))
	if w.Code != http.StatusNotFound || time.Until(w.deadline) < answerTime-time.Second {
		t.Errorf("%d, deadline %v", w.Code, w.deadline)
	}
}
