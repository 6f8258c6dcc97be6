package timeline

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// TestPut follows two tracks through everything that clocks do. Times are in milliseconds.
func TestPut(t *testing.T) {
	const video, audio = 0, 1
	type frame struct {
		track        int
		dts, arrived time.Duration
		want         time.Duration
		what         Repair
	}
	for name, frames := range map[string][]frame{
		"it begins at 0":                    {{video, 5000, 0, 0, Clean}, {audio, 5010, 10, 10, Clean}, {video, 5040, 40, 40, Clean}},
		"a step back is held":               {{video, 0, 0, 0, Clean}, {video, 40, 40, 40, Clean}, {video, 20, 60, 40, Clamped}, {video, 80, 80, 80, Clean}},
		"a pause of the source is kept":     {{video, 0, 0, 0, Clean}, {video, 40, 40, 40, Clean}, {video, 30040, 30040, 30040, Clean}},
		"a jump forward goes on at once":    {{video, 0, 0, 0, Clean}, {video, 40, 40, 40, Clean}, {video, 3600080, 80, 80, Rebased}, {video, 3600120, 120, 120, Clean}},
		"a clock that begins again goes on": {{video, 5000, 0, 0, Clean}, {video, 9000, 4000, 4000, Clean}, {video, 9040, 4040, 4040, Clean}, {video, 0, 4080, 4080, Rebased}, {audio, 10, 4090, 4090, Clean}},
		"a track that has not jumped yet": {
			{video, 60000, 0, 0, Clean},
			{audio, 60010, 10, 10, Clean},
			{video, 60040, 40, 40, Clean},
			{video, 0, 80, 80, Rebased},
			{audio, 60090, 90, 90, Clean},
			{audio, 30, 110, 110, Clean},
		},
		"a track that begins far away": {{video, 0, 0, 0, Clean}, {audio, 100000, 10, 0, Shifted}, {audio, 100020, 30, 20, Clean}},
	} {
		var line Timeline
		line.NewSource()
		var clocks [2]Clock
		for i, f := range frames {
			if got, what := line.Put(&clocks[f.track], f.dts*ms, 0, f.arrived*ms); got != f.want*ms || what != f.what {
				t.Errorf("%s: frame %d is at %v (%d), not %v (%d)", name, i, got, what, f.want*ms, f.what)
			}
		}
	}
}

func TestNewSource(t *testing.T) {
	for name, c := range map[string]struct{ arrived, want time.Duration }{
		"after a real gap": {340, 340},
		"without one":      {40, 80}, // behind what the last picture shows
	} {
		var line Timeline
		line.NewSource()
		var video, audio Clock
		line.Put(&video, 0, 0, 0)
		line.Put(&video, 40*ms, 0, 40*ms)
		line.NewSource()
		video.Restart()
		audio.Restart()
		if at := line.Near(&audio, 7000*ms); at != 40*ms {
			t.Errorf("%s: a header is at %v, not at the newest frame", name, at)
		}
		if at := line.Peek(&video, 7000*ms, 0, c.arrived*ms); at != c.want*ms {
			t.Errorf("%s: the first frame would be at %v, not %v", name, at, c.want*ms)
		}
		if at, what := line.Put(&video, 7000*ms, 0, c.arrived*ms); at != c.want*ms || what != Clean {
			t.Errorf("%s: the first frame is at %v (%d), not %v", name, at, what, c.want*ms)
		}
		if line.Head() != c.want*ms || line.Arrived() != c.arrived*ms {
			t.Error(name, line.Head(), line.Arrived())
		}
	}
}
