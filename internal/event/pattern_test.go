package event

import (
	"strings"
	"testing"
)

func TestCheckPattern(t *testing.T) {
	for _, good := range []string{"publish.start", "publish.*", "*", "recording.done"} {
		if err := CheckPattern(good); err != nil {
			t.Error(err)
		}
	}
	for bad, near := range map[string]string{
		"publish.begin": `did you mean "publish.start"?`, "play.strat": `did you mean "play.start"?`, "stream.onlin": `did you mean "stream.online"?`,
		"zzz": "there is no event \"zzz\"; there are publish.start", "publish*": `no event "publish*"; there are`, "": "there is no event \"\"",
		strings.Repeat("x", 5000): `"; there are`,
	} {
		if err := CheckPattern(bad); err == nil || !strings.Contains(err.Error(), near) || len(err.Error()) > 1000 {
			t.Errorf("%.20s: %v", bad, err)
		}
	}
}

// TestHasStream holds the types that hooks with match are never told of to those that say so themselves.
func TestHasStream(t *testing.T) {
	for typ, want := range map[string]bool{PublishStart: true, PlayStop: true, PullState: true, SegmentDone: true, RecordingDone: true, Disconnect: false, ServerStart: false, LimitReached: false} {
		if HasStream(typ) != want {
			t.Error(typ)
		}
	}
}
