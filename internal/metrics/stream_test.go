package metrics

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPerStream: a thousand streams have series of their own, and the others one together; those of a stream that has
// gone are 0, until five minutes later.
func TestPerStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		live, on := 1000, true
		m := New(Sources{PerStream: func(yield func(Stream)) bool {
			for i := range live {
				yield(Stream{Path: fmt.Sprintf("live/%04d", i), Bitrate: 1000, Players: 2, Faults: 1, Width: 640})
			}
			return on
		}})
		// has checks series, and how many streams have any.
		has := func(streams int, want ...string) {
			t.Helper()
			text := ours(scrape(t, m))
			for _, line := range want {
				if !strings.Contains(text, line+"\n") {
					t.Errorf("no %s", line)
				}
			}
			if n := strings.Count(text, "\nweir_stream_players{"); n != streams {
				t.Errorf("%d streams have series, not %d", n, streams)
			}
		}
		has(1000, `weir_stream_players{stream="live/0999"} 2`)
		live = 1003
		has(1001, `weir_stream_players{stream="live/0999"} 2`, `weir_stream_players{stream="other"} 6`,
			`weir_stream_bits_per_second{stream="other"} 3000`, `weir_stream_faults{stream="other"} 3`)
		if strings.Contains(scrape(t, m), `weir_stream_width_pixels{stream="other"}`) {
			t.Error("the others have a width")
		}
		live = 999
		has(1000, `weir_stream_players{stream="live/0999"} 0`, `weir_stream_bits_per_second{stream="live/0999"} 0`)
		<-time.After(5 * time.Minute)
		has(1000, `weir_stream_players{stream="live/0999"} 0`)
		<-time.After(time.Second)
		has(999)
		live = 0
		has(999)
		<-time.After(5*time.Minute + time.Second)
		has(0)
		live = 5
		has(5)
		live, on = 0, false
		has(0)
	})
}
