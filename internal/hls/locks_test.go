package hls

import (
	"testing"
	"time"

	"weir/internal/stream"
)

// TestForgetWhileRendering: a packager that stops does not wait for who renders a playlist,
// and who waits for the packager.
func TestForgetWhileRendering(t *testing.T) {
	r := newRig(t, Default(), stream.Default())
	r.publish(what{fps: 25, gop: 2 * time.Second, audio: 1})
	for _, f := range r.frames(what{fps: 25, gop: 2 * time.Second, audio: 1}, 100*time.Millisecond) {
		r.write(&f)
	}
	r.open()
	main := r.p.Rendition("main")
	main.cache.mu.Lock() // as Playlist does, before it asks for the packager's
	paused := make(chan struct{})
	go func() {
		defer close(paused)
		r.p.pause()
	}()
	select {
	case <-paused:
		main.cache.mu.Unlock()
	case <-time.After(5 * time.Second):
		main.cache.mu.Unlock()
		<-paused
		t.Error("the packager's lock is held while the cache's is waited for, which Playlist takes the other way round")
	}
}
