package deliver

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"weir/internal/event"
)

// TestStateOfHooks: a hook without a directory has its own in the state folder; a command that runs from a start to its stop ends with
// the server, and has none.
func TestStateOfHooks(t *testing.T) {
	state := t.TempDir()
	posts := post("http://127.0.0.1:1/")
	posts.Name = "posts"
	own := post("http://127.0.0.1:1/")
	own.Name, own.Directory = "own", t.TempDir()
	while := DefaultConfig()
	while.Name, while.Run, while.While, while.Events = "while", []string{"sleep", "1000"}, true, []string{event.StreamOnline}
	d, err := New([]Config{posts, own, while}, Options{Log: discard, Bus: event.NewBus(), Metrics: &counts{}, Server: testServer, State: state})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	entries, err := os.ReadDir(filepath.Join(state, "hooks"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if err != nil || !slices.Equal(names, []string{"posts"}) {
		t.Errorf("directories %v, %v", names, err)
	}
}
