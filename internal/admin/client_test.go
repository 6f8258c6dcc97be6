package admin

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/event"
)

// TestGeneratedClient makes a TypeScript client of the description, has it compiled with a program that uses it,
// and runs that against the server. openapi-typescript refuses a document that is not valid.
func TestGeneratedClient(t *testing.T) {
	modules, err := filepath.Abs("../../web/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"openapi-typescript", "openapi-fetch", "typescript"} {
		if _, err := os.Stat(filepath.Join(modules, name)); err != nil {
			t.Fatal("make pages installs what this test needs:", err)
		}
	}
	bus := event.NewBus()
	r := newRig(t, func(c *Config) {
		c.Token = "t0ken"
		c.Configuration, c.Hooks, c.Keys, c.Events, c.Recorders = &fakeConfiguration{}, &fakeHooks{}, &fakeKeys{}, bus, &fakeRecorders{}
	})
	for _, path := range []string{"a/b/ü %c", "live/a", "live/b"} {
		r.publish(path, "rtmp")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { _ = r.server.Run(ctx) })
	wg.Go(func() { // again and again, as nobody sees when the client watches
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				bus.Publish(event.Event{Type: event.PublishStart, Stream: &event.Stream{Path: "live/c"}, Session: &event.Session{ID: "s1"}})
			}
		}
	})
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	client, err := os.ReadFile("testdata/client.ts")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"openapi.json": r.ask(http.MethodGet, documentPath, "").body,
		"client.ts":    string(client),
		"package.json": `{"type": "module"}`,
		"tsconfig.json": `{"compilerOptions": {"target": "es2022", "module": "nodenext", "moduleResolution": "nodenext", "lib": ["es2022", "dom", "dom.iterable"],
			"strict": true, "noUncheckedIndexedAccess": true, "exactOptionalPropertyTypes": true, "types": [], "skipLibCheck": true}, "files": ["client.ts"]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	run("node", "node_modules/openapi-typescript/bin/cli.js", "openapi.json", "-o", "schema.d.ts")
	run("node", "node_modules/typescript/bin/tsc", "-p", ".")
	want := strings.Join([]string{
		`streams ["a/b/ü %c","live/a","live/b"]`,
		`bitrate true`,
		`detail ["a/b/ü %c","rtmp",1,"MP3"]`,
		`missing [404,"stream_not_found"]`,
		`kicked 204`,
		`changed ["limits.streams: live","admin.token: restart"]`,
		`made [201,"cam1"]`,
		`events ["snapshot 3","publish.start live/c s1"]`,
		`hooks ["billing","failing","publish.start",2,202]`,
		`reloaded [200,0]`,
		`recorder ["recording","01A"]`,
		`version ["rtmp","hls"]`,
	}, "\n") + "\n"
	if got := run("node", "client.js", r.web.URL); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if r.conf.Hub.Get("a/b/ü %c") == nil || r.conf.Sessions.Len() != 2 {
		t.Error("the client has kicked somebody else")
	}
}
