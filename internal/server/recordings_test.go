package server

import (
	"strings"
	"testing"
)

// TestUploadsNeedState: uploads that would be forgotten at each restart are refused, with what to do.
func TestUploadsNeedState(t *testing.T) {
	sets := []string{"s3=" + storage("main", ""), "streams=[{match: 'live/*', record: [{dir: /srv, upload: main}]}]"}
	c, err := ReadConfiguration(Source{Sets: sets})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Loaded().Check(); err == nil || !strings.Contains(err.Error(), "streams.0.record.0.upload") || !strings.Contains(err.Error(), "set state, such as /var/lib/weir") {
		t.Error(err)
	}
	if c, err = ReadConfiguration(Source{Sets: append(sets, "state="+t.TempDir())}); err != nil || c.Loaded().Check() != nil {
		t.Error(err)
	}
}
