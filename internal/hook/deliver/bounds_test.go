package deliver

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"weir/internal/event"
)

// TestPostsAtOnce: 16 posts of a hook are on their way at once, and the others wait.
func TestPostsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var posts atomic.Int64
		answer := make(chan struct{})
		f := newFixture(t, []Config{post("http://192.0.2.1/")}, &fake{func(context.Context, []envelope, int) result {
			posts.Add(1)
			<-answer
			return result{status: 200}
		}})
		for i := range 40 {
			f.bus.Publish(publishEvent(event.PublishStart, fmt.Sprint("live/", i), fmt.Sprint("s", i)))
		}
		synctest.Wait()
		if n := posts.Load(); n != 16 {
			t.Errorf("%d posts at once", n)
		}
		close(answer)
		synctest.Wait()
		if n := posts.Load(); n != 40 {
			t.Errorf("%d posts in all", n)
		}
		f.Close()
	})
}

// TestJournalLineBound: a line of 1 MiB is read, and a longer one is not.
func TestJournalLineBound(t *testing.T) {
	for n, bad := range map[int]int{1 << 20: 0, 1<<20 + 1: 1} {
		body := entryOf(t, publishEvent(event.PublishStart, "live/a", "s1"), 1).item.body
		text := "e 1 " + string(body)
		text += strings.Repeat(" ", n-len("00000000 ")-len(text))
		line := fmt.Appendf(nil, "%08x %s", crc32.ChecksumIEEE([]byte(text)), text)
		j := newJournal(t.TempDir())
		j.read(append(line, '\n'))
		if len(line) != n || j.bad != bad || len(j.pending) != 1-bad || bytes.ContainsRune(line, '\n') {
			t.Errorf("%d bytes: %d bad, %d events", len(line), j.bad, len(j.pending))
		}
	}
}
