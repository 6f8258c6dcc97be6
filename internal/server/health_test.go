package server

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"weir/internal/event"
	"weir/internal/health"
)

// TestFaultsAreEvents: each fault is one, and so is that none is left.
func TestFaultsAreEvents(t *testing.T) {
	s, err := New(configured(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sub := s.events.Subscribe(10, []string{"publisher.*"})
	defer sub.Close()
	gap := health.Finding{Kind: health.KindGap, Track: "video 0", Since: time.Now(), Sentence: "there is a gap", Setting: "lower the bitrate"}
	far := health.Finding{Kind: health.KindKeyFrames, Track: "video 0", Since: time.Now(), Sentence: "no key frame", Setting: "set it"}
	for _, c := range []health.Change{
		{Path: "live/a", Finding: gap},
		{Path: "live/a", Finding: far},
		{Path: "live/a", Finding: gap, Over: true},
		{Path: "live/a", Finding: far, Over: true, Healthy: true},
	} {
		s.healthChanged(c)
	}
	data := func(f health.Finding) map[string]any {
		return map[string]any{"finding": f.Kind, "sentence": f.Sentence, "setting": f.Setting, "track": f.Track}
	}
	for i, want := range []event.Event{
		{Type: event.PublisherUnhealthy, Data: data(gap)}, {Type: event.PublisherUnhealthy, Data: data(far)}, {Type: event.PublisherHealthy},
	} {
		select {
		case got := <-sub.C():
			if got.Type != want.Type || got.Stream == nil || got.Stream.Path != "live/a" || !cmp.Equal(got.Data, want.Data) {
				t.Errorf("event %d: %+v, want %+v", i, got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no event %d", i)
		}
	}
	select {
	case e := <-sub.C():
		t.Errorf("one more: %+v", e)
	default:
	}
}
