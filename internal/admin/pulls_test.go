package admin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestPulls: streams are listed, made, tried again and deleted, each change is logged, and no secret is in the log.
func TestPulls(t *testing.T) {
	pulls := &fakePulls{}
	r := newRig(t, func(c *Config) { c.Pulls = pulls })
	type answer struct {
		Total int
		Next  string
		Pulls []Pull
	}
	for query, want := range map[string]string{
		"": "2 live/a live/cam", "?stream=live/cam": "1 live/cam", "?stream=live/none": "0", "?status=live": "1 live/a", "?status=idle": "0", "?stream=live/a&status=failed": "0", "?limit=1": "2 live/a",
	} {
		a := get[answer](r, "/pulls"+query)
		got := fmt.Sprint(a.Total)
		for _, p := range a.Pulls {
			got += " " + p.Stream
		}
		if got != want {
			t.Errorf("%q: %s, want %s", query, got, want)
		}
		if (a.Next != "") != (query == "?limit=1") {
			t.Errorf("%q goes on at %q", query, a.Next)
		}
	}
	second := get[answer](r, "/pulls?limit=1&cursor="+get[answer](r, "/pulls?limit=1").Next)
	if len(second.Pulls) != 1 || second.Pulls[0].Stream != "live/cam" || second.Next != "" || second.Total != 2 {
		t.Errorf("the second page: %+v", second)
	}
	list := get[answer](r, "/pulls?stream=live/cam").Pulls
	if len(list) != 1 || list[0].Stream != "live/cam" || list[0].Status != "retrying" || list[0].Tries != 3 || list[0].NextTry == nil || list[0].Reason != "not_found" {
		t.Fatalf("%+v", list)
	}
	a := r.ask(http.MethodPost, apiPrefix+"/pulls", `{"stream":"live/b","sources":["rtmp://a/b/hunter2"],"on_demand":true,"linger":2.5,"silence":3,"prefer":"first"}`)
	if a.status != http.StatusCreated || strings.Contains(a.body, "hunter2") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := pulls.added; len(n) != 1 || n[0].Stream != "live/b" || !n[0].OnDemand || n[0].Linger != 2.5 || n[0].Silence != 3 || n[0].Prefer != "first" || n[0].Sources[0] != "rtmp://a/b/hunter2" {
		t.Errorf("%+v", n)
	}
	if a := r.ask(http.MethodPost, apiPrefix+"/pulls/retry", `{"stream":"live/cam"}`); a.status != http.StatusAccepted || pulls.retried != "live/cam" {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, path := range []string{"live/cam", "live%2Fcam"} {
		pulls.removed = ""
		if a := r.ask(http.MethodDelete, apiPrefix+"/pulls/"+path, ""); a.status != http.StatusNoContent || pulls.removed != "live/cam" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, line := range []string{"pull made", "pull tried again", "pull deleted"} {
		if !strings.Contains(r.log.String(), line) {
			t.Errorf("the log has no %q: %s", line, r.log)
		}
	}
	if strings.Contains(r.log.String(), "hunter2") {
		t.Error("the log has a key")
	}
}
