package decide

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"weir/internal/admit"
	"weir/internal/session"
)

// TestWhoSaidNo: a denial names the call and the host that it came from, and says so where what came is no answer, with nothing of its text.
// Who is denied after on_publish has let it in has an end that SRS tells of.
func TestWhoSaidNo(t *testing.T) {
	const page = "<html>SECRET login</html>"
	for name, c := range map[string]struct {
		publish, forward string
		status           int // of both
		err              string
		owed             bool
	}{
		"no to the publisher": {`{"code":1}`, "", 200, "the decision hook said no (on_publish at %)", false},
		"no with a message":   {`{"code":1,"msg":"not paid"}`, "", 200, "the decision hook said no: not paid (on_publish at %)", false},
		"a status":            {"0", "", 403, "the decision hook said no (status 403) (on_publish at %)", false},
		"a page": {
			page, "", 200,
			`the decision hook said no: the answer cannot be read: it is neither a number nor an object with a code, such as {"code": 0}; it has 25 bytes of text/html (on_publish at %)`, false,
		},
		"a code that is no number": {
			`{"code":"0"}`, "", 200,
			`the decision hook said no: the answer cannot be read: it is neither a number nor an object with a code, such as {"code": 0}; it has 12 bytes of text/html (on_publish at %)`, false,
		},
		"no to its servers": {"0", "1", 200, "the decision hook said no (on_forward at %)", true},
		"no list of servers": {
			"0", "0", 200,
			"the decision hook said no: the answer cannot be read: it has no list data.urls; it has 1 bytes of text/html (on_forward at %)", true,
		},
		"the second service fails": {"0", "fail", 200, "the decision hook: %: status 500", true},
	} {
		t.Run(name, func(t *testing.T) {
			to := serve(t, func(w http.ResponseWriter, r *http.Request) {
				var q struct{ Action string }
				_ = json.NewDecoder(r.Body).Decode(&q)
				answer := c.publish
				if q.Action == "on_forward" {
					answer = c.forward
				}
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				if answer == "fail" {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, answer)
			})
			rig := newRig(t, to+"/SECRET", func(conf *Config) { conf.Format, conf.ForwardURL = "srs", to+"/f" })
			var left []string
			rig.gone = func(q *admit.Request) { left = append(left, q.Session) }
			r := publisher("token=SECRET")
			_, err := rig.Decide(t.Context(), r)
			if want := strings.Replace(c.err, "%", to, 1); err == nil || err.Error() != want {
				t.Errorf("%v\nwant %s", err, want)
			}
			if reason := session.ReasonOf(err); reason != session.Denied && reason != session.Hook {
				t.Error(reason)
			}
			if r.Owed != c.owed || len(left) > 0 {
				t.Errorf("owed %t, and of those that have gone %q", r.Owed, left)
			}
		})
	}
}
