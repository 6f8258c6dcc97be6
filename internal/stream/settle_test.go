package stream

import "testing"

// TestExpectIsThePublishersOwn: what a publisher's metadata promises settles a stream that has begun with its
// media, and no other.
func TestExpectIsThePublishersOwn(t *testing.T) {
	settled := func(s *Stream) bool {
		select {
		case <-s.Settled():
			return true
		default:
			return false
		}
	}
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		if _, err := h.Play("live/a"); err != nil { // keeps the stream
			t.Fatal(err)
		}
		first := publish(t, h, nil)
		first.Expect(true, false)
		first.Close(nil) // before any media
		second := publish(t, h, nil)
		write(t, second, vcfg(), keyFrame(0))
		if settled(second.Stream()) {
			t.Error("it does not wait for the sound of a publisher that promised nothing")
		}
		write(t, second, acfg(), audio(0))
		if !settled(second.Stream()) {
			t.Error("it has sound and picture, and is not settled")
		}
	})
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		first := publish(t, h, nil)
		first.Expect(true, true)
		second := publish(t, h, nil) // waits to take over
		second.Expect(true, false)
		write(t, second, vcfg(), keyFrame(0))
		if !settled(second.Stream()) {
			t.Error("it waits for sound that the publisher which took over said is not there")
		}
	})
	bubble(t, Options{}, func(t *testing.T, h *Hub) {
		first := publish(t, h, nil)
		write(t, first, vcfg(), keyFrame(0))
		second := publish(t, h, nil)
		second.Expect(true, false) // has sent no media: the first one's sound may still come
		write(t, first, vcfg(), inter(40))
		if settled(first.Stream()) {
			t.Error("the stream goes by what a publisher that waits has promised")
		}
	})
}
