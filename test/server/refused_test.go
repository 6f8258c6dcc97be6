package server_test

import (
	"errors"
	"net/http"
	"testing"

	"weir/internal/freeport"
	"weir/rtmp"
)

// TestRefusalsAcrossEdges: an edge of an edge whose origin is away learns that the stream cannot be had, and not that it has ended, whatever
// the edges speak; so do its players.
func TestRefusalsAcrossEdges(t *testing.T) {
	const told = "The stream cannot be fetched from where it is at the moment."
	for _, scheme := range []string{"rtmp", "http"} {
		t.Run(scheme, func(t *testing.T) {
			first := start(t, edgeOf(scheme+"://"+freeport.Addr(t)))
			url := "rtmp://" + first.Addr("rtmp").String()
			if scheme == "http" {
				url = "http://" + first.Addr("http").String()
			}
			second := start(t, edgeOf(url))
			for range 2 { // the second is told of the failure at once
				c, p, err := second.play(t.Context(), "live/x")
				if err == nil {
					defer c.Close()
					_, err = p.ReadMessage()
				}
				if st, ok := errors.AsType[*rtmp.StatusError](err); !ok || st.Code != rtmp.CodePlayStreamNotFound || st.Description != told {
					t.Errorf("the player is told %v", err)
				}
			}
			if res, body := second.get("live/y.flv"); res.StatusCode != http.StatusNotFound || string(body) != told+"\n" {
				t.Errorf("the viewer is told %s: %q", res.Status, body)
			}
			for _, p := range second.pulls() {
				if p.Status != "absent" || p.Reason != "not_found" {
					t.Errorf("the second edge has %+v", p)
				}
			}
		})
	}
}
