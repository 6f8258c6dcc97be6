package pull

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
)

// TestAbsent: what nobody publishes at sources that are well is no failure, and no warning; what cannot be had for another reason is one.
func TestAbsent(t *testing.T) {
	for name, c := range map[string]struct {
		before []behaviour // what the origins do while the player comes
		does   []behaviour // and then, if they have been live
		want   Status
		reason session.Reason
	}{
		"nobody publishes it":             {[]behaviour{refuses}, nil, Absent, session.NotFound},
		"a player is left to wait":        {[]behaviour{silent}, nil, Absent, session.Idle},
		"neither has it":                  {[]behaviour{refuses, silent}, nil, Absent, session.Idle},
		"no answer":                       {[]behaviour{hangs}, nil, Failed, session.Timeout},
		"the connection is closed":        {[]behaviour{breaks}, nil, Failed, session.EOF},
		"one does not answer":             {[]behaviour{hangs, refuses}, nil, Failed, session.NotFound},
		"it has ended":                    {[]behaviour{sends}, []behaviour{ends}, Absent, session.StreamEnded},
		"it has ended, and is waited for": {[]behaviour{sends}, []behaviour{ends, silent}, Absent, session.Idle},
		"it was lost":                     {[]behaviour{sends}, []behaviour{breaks}, Failed, session.EOF},
		"it hangs":                        {[]behaviour{sends}, []behaviour{silent, hangs}, Failed, session.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				urls := []string{"rtmp://a/{path}", "rtmp://b/{path}"}
				r := newRig(t, urls[:len(c.before)]...)
				for i, b := range c.before {
					r.origins["ab"[i]].become(b)
				}
				p := r.mustPlay(path)
				for i, b := range c.does {
					if i == 0 {
						r.lives(time.Second, path, 'a')
						time.Sleep(time.Second)
						r.origins['a'].become(b)
						r.within(6*time.Second, "it is not live any more", func() bool { return r.state(path).Status != Live })
						continue
					}
					r.origins['a'].become(b)
				}
				given := []Status{Failed, Absent}
				r.within(time.Minute, "it is given up", func() bool { return slices.Contains(given, r.state(path).Status) })
				p.s.Leave()
				s := r.state(path)
				if s.Status != c.want || s.Reason != c.reason {
					t.Errorf("%v for %v: %v", s.Status, s.Reason, s.Err)
				}
				if warned := strings.Contains(r.log.String(), "level=WARN msg=\"the stream cannot be fetched: trying again for the next player\""); warned != (c.want == Failed) {
					t.Errorf("a warning: %t\n%s", warned, r.log)
				}
				if c.before[0] != sends && c.want == Absent && strings.Contains(r.log.String(), "WARN") {
					t.Errorf("it is warned of:\n%s", r.log)
				}
				if statuses := r.statuses(); statuses[len(statuses)-1] != c.want {
					t.Errorf("told %v", statuses)
				}
			})
		})
	}
}
