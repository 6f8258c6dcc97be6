package hls

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"weir/internal/hls"
)

// TestC224_HeldRequestsAreBounded: those of one viewer, those for one stream, and all. One too many
// is answered with 429, and others are not hurt.
func TestC224_HeldRequestsAreBounded(t *testing.T) {
	p := &HLS{heldOf: map[*hls.Packager]int{}}
	a, b := new(hls.Packager), new(hls.Packager)
	var releases []func()
	take := func(of *hls.Packager, v *viewer) bool {
		w := httptest.NewRecorder()
		release, ok := p.hold(w, of, v)
		if ok {
			releases = append(releases, release)
		} else if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Error(w.Code, w.Header())
		}
		return ok
	}
	v := newViewer(viewerKey{"live/a", "a"}, grant)
	for range 16 {
		if !take(a, v) {
			t.Fatal("a viewer's request is refused too early")
		}
	}
	if take(a, v) {
		t.Error("a viewer's requests are not bounded")
	}
	for range 16384 - 16 {
		if !take(a, nil) {
			t.Fatal("a stream's request is refused too early")
		}
	}
	if take(a, nil) {
		t.Error("a stream's requests are not bounded")
	}
	if !take(b, nil) {
		t.Error("another stream suffers")
	}
	for range 3 {
		other := new(hls.Packager)
		for range 16384 {
			if len(releases) == 65536 {
				break
			}
			if !take(other, nil) {
				t.Fatalf("a request is refused while %d are held", len(releases))
			}
		}
	}
	if take(b, nil) || len(releases) != 65536 {
		t.Errorf("%d are held", len(releases))
	}
	for _, release := range releases {
		release()
	}
	if p.held.Load() != 0 || v.held.Load() != 0 || len(p.heldOf) != 0 {
		t.Errorf("%d, %d and %v are still held", p.held.Load(), v.held.Load(), p.heldOf)
	}
}
