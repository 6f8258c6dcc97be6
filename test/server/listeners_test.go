package server_test

import (
	"strings"
	"testing"

	"weir/internal/config"
	"weir/internal/server"
)

// TestTwoListenersOnOnePort: a protocol's port is refused to others with both places; one that is off,
// or that the system chooses, is free.
func TestTwoListenersOnOnePort(t *testing.T) {
	for _, c := range []struct {
		rtmp, http string
		want       []string
	}{
		{":1935", ":1935", []string{
			"rtmp.listen: :1935 is taken twice: http.listen has :1935 too; give each a port of its own",
			"http.listen: :1935 is taken twice: rtmp.listen has :1935 too; give each a port of its own",
		}},
		{":0", ":0", nil},
		{"", ":1935", nil},
	} {
		conf := server.Default()
		conf.RTMP.Listen, conf.HTTP.Listen = c.rtmp, c.http
		err := config.Validate(&conf)
		if (err == nil) != (c.want == nil) {
			t.Errorf("rtmp on %q, http on %q: %v", c.rtmp, c.http, err)
		}
		for _, want := range c.want {
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("rtmp on %q, http on %q: %v, want %q", c.rtmp, c.http, err, want)
			}
		}
	}
}
