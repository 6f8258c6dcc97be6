package pages

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// taped says that what was recorded begins at a time, and counts how often it is asked.
type taped struct {
	begin time.Time
	asked int
}

func (r *taped) Past(_ context.Context, path string) (time.Duration, bool) {
	r.asked++
	return time.Since(r.begin), path != "live/none"
}

func (r *taped) Origins(context.Context) []string { return nil }

// TestPastIsKept: those who wait for a stream do not have its files looked through each time, and what is kept is bounded.
func TestPastIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &taped{begin: time.Now().Add(-time.Hour)}
		p := &Pages{recorded: r}
		for i, want := range []int{1, 1, 1, 2, 2} { // at 0, 2, 4, 6, 8 s
			past, ok := p.pastOf(t.Context(), "live/a")
			if want != r.asked || !ok || past != time.Hour+time.Duration(i)*2*time.Second {
				t.Errorf("%d: asked %d times, %v %v", i, r.asked, past, ok)
			}
			time.Sleep(2 * time.Second)
		}
		for range 2 {
			if _, ok := p.pastOf(t.Context(), "live/none"); ok || r.asked != 3 {
				t.Errorf("asked %d times, %v", r.asked, ok)
			}
		}
		for i := range 3000 {
			p.pastOf(t.Context(), "live/"+strconv.Itoa(i))
		}
		if n := len(p.pasts.byPath); n > 1024 {
			t.Errorf("%d are kept", n)
		}
	})
}

// TestPolicy: the page may load media from the servers that are named, and from no other; what would be another rule is left out.
func TestPolicy(t *testing.T) {
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob: https://a.example:9000; " +
		"connect-src 'self' https://a.example:9000; worker-src 'self' blob:; base-uri 'none'; form-action 'none'"
	if got := policy([]string{"https://a.example:9000", "https://b;script-src *", "https://c https://d"}); got != want {
		t.Errorf("%s", got)
	}
}
