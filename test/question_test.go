package test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// A question is what a service is asked about a peer.
type question struct {
	Action, Role string
	Session      struct {
		ID, Protocol, Remote string
		Via                  []string
	}
	Stream struct {
		Path, Name string
		Query      map[string][]string
	}
}

// A service decides who may publish and play, and remembers what it was asked.
type service struct {
	url string

	mu    sync.Mutex // guards below
	asked []question
}

// answering starts a service that ends with the test.
func answering(t *testing.T, answer func(q question) string) *service {
	t.Helper()
	a := &service{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q question
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&q); err != nil {
			t.Error(err)
		}
		a.mu.Lock()
		a.asked = append(a.asked, q)
		a.mu.Unlock()
		_, _ = io.WriteString(w, answer(q))
	}))
	t.Cleanup(srv.Close)
	a.url = srv.URL
	return a
}

// questions returns what was asked so far.
func (a *service) questions() []question {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}
