package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"weir/internal/session"
)

// sessionList is the answer of /sessions.
type sessionList struct {
	Total    int
	Next     string
	Sessions []Session
}

// TestPagesOfSessions: pages follow one another without gap or repetition.
func TestPagesOfSessions(t *testing.T) {
	r := newRig(t, nil)
	var want []string
	for range 7 {
		want = append(want, r.play("live/a", "rtmp").ID)
	}
	var got []string
	for at, pages := "", 1; ; pages++ {
		l := get[sessionList](r, "/sessions?limit=3&cursor="+at)
		for _, s := range l.Sessions {
			got = append(got, s.ID)
		}
		if at = l.Next; at == "" {
			if pages != 3 || l.Total != 7 {
				t.Errorf("%d pages of %d", pages, l.Total)
			}
			break
		}
	}
	if len(got) != 7 {
		t.Fatalf("%v, want %v", got, want)
	}
	seen := map[string]bool{}
	for _, id := range got {
		seen[id] = true
	}
	for _, id := range want {
		if !seen[id] {
			t.Errorf("%s is missing", id)
		}
	}
}

// TestFiltersOfSessions holds each filter to sessions that it takes and leaves.
func TestFiltersOfSessions(t *testing.T) {
	r := newRig(t, nil)
	names := map[string]string{
		r.publish("live/a", "rtmp").ID: "publisher",
		r.play("live/a", "hls").ID:     "viewer",
		r.play("other/b", "rtmp").ID:   "waiter",
		r.open(session.Info{Protocol: "rtmp", Remote: netip.MustParseAddrPort("192.0.2.1:1")}).ID: "pending",
	}
	for query, want := range map[string]int{
		"": 4, "app=live": 2, "app=other": 1, "app=liv": 0, "protocol=rtmp": 3, "role=publish": 1, "role=play": 2, "role=pending": 1,
		"stream=live/a": 2, "stream=live%2Fa": 2, "stream=live": 0, "online=true": 2, "online=false": 2, "online=false&protocol=rtmp&role=play": 1,
	} {
		l := get[sessionList](r, "/sessions?"+query)
		var got []string
		for _, s := range l.Sessions {
			got = append(got, names[s.ID])
		}
		if len(got) != want || l.Total != want {
			t.Errorf("%s: %v, want %d", query, got, want)
		}
	}
}

// TestDetailOfSession: it has what admitted the session and what the kernel measures, and only what is known.
func TestDetailOfSession(t *testing.T) {
	r := newRig(t, nil)
	s := r.publish("live/a", "rtmp")
	plain := r.ask(http.MethodGet, apiPrefix+"/sessions/"+s.ID, "")
	for _, absent := range []string{"network", "until", "admitted_by", "user\"", "key_id", "label"} {
		if strings.Contains(plain.body, absent) {
			t.Errorf("%s is told though it is not known: %s", absent, plain.body)
		}
	}
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s.SetGrant(session.Grant{Entry: 0, Key: 1 << 60, Terms: &session.Terms{
		By: "hook", KeyID: "cam1", Label: "Front door", User: "u42", Labels: map[string]string{"plan": "pro"}, Until: until,
	}})
	s.SetNetwork(func() (session.Network, bool) {
		return session.Network{RTT: 25 * time.Millisecond, RTTVariance: 500 * time.Microsecond, Retransmits: 7, OutOfOrder: 3, Unsent: 1024, Rate: 8_000_000}, true
	})
	s.Frames.Store(42)
	d := get[SessionDetail](r, "/sessions/"+s.ID)
	if d.User != "u42" || d.KeyID != "cam1" || d.Label != "Front door" || d.Labels["plan"] != "pro" || d.AdmittedBy != "hook" || d.Until == nil || !d.Until.Equal(until) ||
		d.Frames != 42 || d.BytesReceived != 1000 || d.Remote != "203.0.113.7:51234" || d.UserAgent != "FMLE/3.0" || d.Role != "publish" {
		t.Errorf("%+v", d)
	}
	if d.Network == nil || *d.Network != (Network{RTT: 0.025, RTTVariance: 0.0005, Retransmits: 7, OutOfOrder: 3, Unsent: 1024, Rate: 8_000_000}) {
		t.Errorf("%+v", d.Network)
	}
	if body := r.ask(http.MethodGet, apiPrefix+"/sessions/"+s.ID, "").body; strings.Contains(body, fmt.Sprint(1<<60)) {
		t.Errorf("what stands for the key is shown: %s", body)
	}
	if l := get[sessionList](r, "/sessions"); len(l.Sessions) != 1 || l.Sessions[0].User != "u42" || l.Sessions[0].Labels["plan"] != "pro" {
		t.Errorf("%+v", l)
	}
}

// TestKick: a session that is ended has the reason "kicked"; there is none with its id any more.
func TestKick(t *testing.T) {
	ended := make(chan session.End, 1)
	r := newRig(t, func(c *Config) {
		c.Sessions = session.New(session.Limits{}, session.Observer{Closed: func(_ *session.Session, e session.End) { ended <- e }})
	})
	s := r.play("live/a", "rtmp")
	if a := r.ask(http.MethodDelete, apiPrefix+"/sessions/"+s.ID, ""); a.status != http.StatusNoContent {
		t.Fatal(a.status, a.body)
	}
	if e := <-ended; e.Reason != session.Kicked {
		t.Errorf("%+v", e)
	}
	if a := r.ask(http.MethodDelete, apiPrefix+"/sessions/"+s.ID, ""); a.status != http.StatusNotFound || a.code() != "session_not_found" {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	if !strings.Contains(r.log.String(), `what="session ended"`) || !strings.Contains(r.log.String(), "session="+s.ID) {
		t.Errorf("the log: %s", r.log)
	}
}
