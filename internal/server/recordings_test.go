package server

import (
	"strings"
	"testing"

	"weir/internal/record"
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

// TestRuleOfUnknownFiles: a file that does not say by what rule it is kept goes by that of its directory, and is kept if there are several.
func TestRuleOfUnknownFiles(t *testing.T) {
	entries := []record.Config{
		{Name: "low", Dir: "/srv/", Keep: record.Keep{Total: 1}, Upload: "a"}, {Name: "main", Dir: "/srv"}, {Name: "other", Dir: "/other", Keep: record.Keep{Total: 2}, Upload: "b"},
	}
	for dir, want := range map[string]record.Config{"/srv": {Name: "low"}, "/other": entries[2], "/none": {}} {
		if name, keep, upload := ruleOf(entries, dir); name != want.Name || keep != want.Keep || upload != want.Upload {
			t.Errorf("%s: %q, %+v, %q", dir, name, keep, upload)
		}
	}
}
