package fanout

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// upper is a rewrite to capital letters. It fails the test if it is given a message that is not
// whole: those of these tests are words that begin with a colon and end in a blank.
func upper(t *testing.T) func([]byte) {
	return func(b []byte) {
		if !bytes.HasPrefix(b, []byte(":")) || !bytes.HasSuffix(b, []byte(" ")) {
			t.Errorf("given %.40q: not whole messages", b)
		}
		copy(b, bytes.ToUpper(b))
	}
}

// TestRewrite: a player with a rewrite gets the log's messages and preambles rewritten, at whatever
// pace it takes them, and nobody else does. What is sent to it alone stays as it is.
func TestRewrite(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		other, quick, slow := &simSink{room: -1}, &simSink{room: -1}, &simSink{room: 1}
		key(l, ":key ", ":head ")
		e.Add(other, nil, l, Counters{}).Join(l, Start{})
		e.Add(quick, nil, l, Counters{}).Join(l, Start{Rewrite: upper(t)})
		p := e.Add(slow, nil, l, Counters{})
		p.Send([]byte("hello "))
		p.Join(l, Start{Rewrite: upper(t)})
		large := ":" + strings.Repeat("x", 3*rewriteChunk) + " " // goes out in one piece too
		put(l, large, Message{})
		put(l, ":last ", Message{})
		synctest.Wait()
		p.Send([]byte("private "))
		for range 50 {
			slow.give(3)
			synctest.Wait()
		}
		slow.give(-1)
		synctest.Wait()
		plain := ":head :key " + large + ":last "
		if got := other.String(); got != plain {
			t.Errorf("a player without a rewrite got %.60q", got)
		}
		if got := quick.String(); got != strings.ToUpper(plain) {
			t.Errorf("a player with a rewrite got %.60q", got)
		}
		got, ok := strings.CutPrefix(slow.String(), "hello ")
		if rest := strings.Replace(got, "private ", "", 1); !ok || rest == got || rest != strings.ToUpper(plain) {
			t.Errorf("a slow player with a rewrite got %.60q", slow.String())
		}
	})
}

// TestRewriteAfterASkip: a player that skips goes on with whole messages, and with the new preamble.
func TestRewriteAfterASkip(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s := &simSink{room: 7}
		e.Add(s, nil, l, Counters{}).Join(l, Start{Rewrite: upper(t)})
		key(l, ":one ", ":p ")
		for range 12 {
			elapse(time.Second)
			put(l, ":lost ", Message{})
		}
		put(l, ":cfg ", Message{Headers: true})
		key(l, ":two ", ":q ")
		synctest.Wait()
		s.give(-1)
		synctest.Wait()
		if got := s.String(); got != ":P :ONE :Q :TWO " {
			t.Errorf("got %q", got)
		}
	})
}

// TestRewriteAfterAPause: the messages after a pause are rewritten too.
func TestRewriteAfterAPause(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		l := e.NewLog(testLog)
		s := &simSink{room: -1}
		p := e.Add(s, nil, l, Counters{})
		p.Join(l, Start{Rewrite: upper(t)})
		key(l, ":one ", "")
		synctest.Wait()
		p.Pause()
		synctest.Wait()
		put(l, ":unseen ", Message{})
		p.Resume()
		synctest.Wait()
		key(l, ":two ", "")
		synctest.Wait()
		if got := s.String(); got != ":ONE :TWO " {
			t.Errorf("got %q", got)
		}
	})
}

// TestRewriteEndsWithItsJoin: the next log that the player reads has a rewrite of its own, or none.
func TestRewriteEndsWithItsJoin(t *testing.T) {
	bubble(t, Options{Workers: 1}, func(t *testing.T, e *Engine) {
		first, second := e.NewLog(testLog), e.NewLog(testLog)
		s := &simSink{room: -1}
		p := e.Add(s, nil, first, Counters{})
		p.Join(first, Start{Rewrite: upper(t)})
		key(first, ":one ", "")
		synctest.Wait()
		p.Join(second, Start{})
		key(second, ":two ", "")
		synctest.Wait()
		if got := s.String(); got != ":ONE :two " {
			t.Errorf("got %q", got)
		}
	})
}
