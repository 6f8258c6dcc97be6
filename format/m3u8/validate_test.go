package m3u8

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// live is a good Low-Latency playlist that begins with segment first: three whole segments
// of 2 s with parts, then parts of the next.
func live(first, parts int) *Media {
	p := &Media{
		Version: 7, IndependentSegments: true, TargetDuration: 2, MediaSequence: uint64(first), PartTarget: 500 * ms,
		ServerControl: &ServerControl{CanBlockReload: true, HoldBack: 6 * time.Second, PartHoldBack: 1500 * ms},
	}
	for i := first; i < first+4; i++ {
		n := parts
		if i < first+3 {
			n = 4
		}
		s := Segment{ProgramDateTime: noon.Add(time.Duration(i) * 2 * time.Second), Parts: nil}
		for j := range n {
			s.Parts = append(s.Parts, Part{Duration: 500 * ms, URI: fmt.Sprintf("%d.%d.m4s", i, j), Independent: j == 0})
		}
		if i < first+3 {
			s.Duration, s.URI = 2*time.Second, fmt.Sprintf("%d.m4s", i)
		}
		if n > 0 {
			p.Segments = append(p.Segments, s)
		}
	}
	p.Segments[0].Map = &Map{URI: "init.mp4"}
	p.PreloadHints = []PreloadHint{{Type: HintPart, URI: fmt.Sprintf("%d.%d.m4s", first+3, parts)}}
	return p
}

func TestRules(t *testing.T) {
	for first := range 3 {
		for parts := range 4 {
			if err := live(first, parts).Validate(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		change func(p *Media)
		want   string
	}{
		{func(p *Media) { p.Version = 5 }, "needs 6"},
		{func(p *Media) { p.Segments[1].Gap = true }, "needs 8"},
		{func(p *Media) { p.TargetDuration = 0 }, "not positive"},
		{func(p *Media) { p.TargetDuration = 1 }, "more than the target"},
		{func(p *Media) { p.Segments = nil }, "no segments"},
		{func(p *Media) { p.Start = &Start{Offset: -time.Hour} }, "outside"},
		{func(p *Media) { p.ServerControl.HoldBack = 5 * time.Second }, "HOLD-BACK"},
		{func(p *Media) { p.ServerControl.CanSkipUntil = 11 * time.Second }, "CAN-SKIP-UNTIL"},
		{func(p *Media) { p.ServerControl.CanSkipDateRanges = true }, "CAN-SKIP-DATERANGES"},
		{func(p *Media) { p.ServerControl.PartHoldBack = 900 * ms }, "PART-HOLD-BACK"},
		{func(p *Media) { p.ServerControl = nil }, "PART-HOLD-BACK"},
		{func(p *Media) { p.ServerControl.CanBlockReload = false }, "CAN-BLOCK-RELOAD"},
		{func(p *Media) { p.Skip = &Skip{} }, "no segments"},
		{func(p *Media) { p.Segments[0].URI = "" }, "no URI"},
		{func(p *Media) { p.Segments[0].Map = nil }, "without EXT-X-MAP"},
		{func(p *Media) { p.Segments[1].Map, p.Segments[0].Map = p.Segments[0].Map, nil }, "only from segment"},
		{func(p *Media) { p.Segments[0].Duration = 1900 * ms }, "last 2s, and it 1.9s"},
		{func(p *Media) { p.PartTarget = 0 }, "without EXT-X-PART-INF"},
		{func(p *Media) { p.Segments[1].Parts[1].Duration = 501 * ms }, "lasts 501ms"},
		{func(p *Media) { p.Segments[1].Parts[1].Duration = 424 * ms }, "less than 85 %"},
		{func(p *Media) { p.Segments[1].Parts[0].Independent = false }, "not independent"},
		{func(p *Media) { p.PreloadHints = append(p.PreloadHints, PreloadHint{Type: HintPart, URI: "z"}) }, "several hints"},
		{func(p *Media) { p.PreloadHints[0].Type = "KEY" }, "hint of type"},
		{func(p *Media) { p.PreloadHints[0].URI = p.Segments[2].Parts[0].URI }, "which is there"},
		{func(p *Media) { p.EndList = true }, "has ended"},
		{func(p *Media) { p.RenditionReports = []RenditionReport{{"a", 1, -1}} }, "LAST-PART"},
		{func(p *Media) { p.RenditionReports = []RenditionReport{{"a", 1, 1}, {"a", 1, 1}} }, "reported twice"},
		{func(p *Media) { p.Segments[1].URI = p.Segments[0].URI }, "used twice"},
		{func(p *Media) { p.Segments[1].Parts[1].URI = p.Segments[1].Parts[0].URI }, "used twice"},
		{func(p *Media) { p.Segments[1].ProgramDateTime = noon.Add(-time.Hour) }, "goes back"},
		{func(p *Media) { p.DateRanges = []DateRange{{}} }, "without ID"},
		{func(p *Media) { p.DateRanges = []DateRange{{ID: "a", StartDate: noon, EndDate: noon.Add(-1)}} }, "ends before"},
		{func(p *Media) { p.DateRanges = []DateRange{{ID: "a", StartDate: noon, EndOnNext: true}} }, "END-ON-NEXT"},
		{func(p *Media) {
			p.DateRanges = []DateRange{{ID: "a", StartDate: noon, Duration: seconds(1), EndDate: noon.Add(2 * time.Second)}}
		}, "another end"},
		{func(p *Media) {
			p.DateRanges = []DateRange{{ID: "a", StartDate: noon}, {ID: "a", StartDate: noon.Add(1)}}
		}, "contradict"},
	} {
		p := live(5, 2)
		c.change(p)
		if err := p.Validate(); !errors.Is(err, ErrRule) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

func TestUpdateRules(t *testing.T) {
	good := []*Media{live(1, 0), live(1, 1), live(1, 1), live(1, 3), live(2, 0), live(2, 2), live(6, 0)}
	var h History
	for i, p := range good {
		if i > 0 {
			if err := ValidateUpdate(good[i-1], p); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
		if err := h.Add(p); err != nil {
			t.Errorf("history %d: %v", i, err)
		}
	}
	for _, c := range []struct {
		change func(p *Media)
		want   string
	}{
		{func(p *Media) { p.TargetDuration = 3 }, "target duration changed"},
		{func(p *Media) { p.PartTarget = 510 * ms }, "part target changed"},
		{func(p *Media) { p.Type = "EVENT" }, "type changed"},
		{func(p *Media) { p.MediaSequence = 4 }, "went back"},
		{func(p *Media) { p.DiscontinuitySequence = 1 }, "discontinuity sequence"},
		{func(p *Media) { p.Segments = p.Segments[:2] }, "lost its end"},
		{func(p *Media) { p.Segments = p.Segments[:2] }, "less than 3 target durations"},
		{func(p *Media) { p.Segments[1].Discontinuity = true }, "DISCONTINUITY of segment 7"},
		{func(p *Media) { p.Segments[1].ProgramDateTime = noon }, "date of segment 7"},
		{func(p *Media) { p.Segments[0].Map = &Map{URI: "other.mp4"} }, "MAP of segment 6"},
		{func(p *Media) { p.Segments[0].URI = "other.m4s" }, "segment 6 changed"},
		{func(p *Media) { p.Segments[1].Parts[2].URI = "other.m4s" }, "parts of segment 7"},
		{func(p *Media) { p.Segments[3].Parts[0].URI = "5.0.m4s" }, "as something before"},
		{func(p *Media) { p.Segments[2].Parts[2].URI = "other.m4s" }, "was hinted"},
		{func(p *Media) { p.Skip = &Skip{Segments: 1} }, "delta"},
	} {
		p := live(6, 1)
		c.change(p)
		if err := ValidateUpdate(live(5, 2), p); !errors.Is(err, ErrRule) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	promised, not := live(5, 2), live(5, 2)
	not.IndependentSegments = false
	if err := ValidateUpdate(not, promised); err == nil || !strings.Contains(err.Error(), "INDEPENDENT") {
		t.Error(err)
	}
	if err := ValidateUpdate(promised, not); err != nil {
		t.Error(err)
	}
	ended := live(5, 2)
	ended.EndList, ended.PreloadHints = true, nil
	if err := ValidateUpdate(ended, live(5, 3)); err == nil || !strings.Contains(err.Error(), "had ended") {
		t.Error(err)
	}
}

func TestHistoryRemembersNames(t *testing.T) {
	var h History
	for _, first := range []int{1, 10} {
		if err := h.Add(live(first, 0)); err != nil {
			t.Fatal(err)
		}
	}
	p := live(20, 0)
	p.Segments[2].URI = "2.m4s" // long gone
	if err := h.Add(p); !errors.Is(err, ErrRule) || !strings.Contains(err.Error(), "was in segment 2") {
		t.Error(err)
	}
}
