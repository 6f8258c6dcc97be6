package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_PROGRAM") != "" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// process runs the program as a process of its own until the test ends, and returns where its admin listener is.
func process(t *testing.T, args ...string) (cmd *exec.Cmd, admin string) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BE_THE_PROGRAM=1")
	errOut, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		in := bufio.NewScanner(errOut)
		for in.Scan() {
			var line struct{ Msg, Proto, Addr string }
			if json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "listening" && line.Proto == "admin" {
				found <- line.Addr
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	select {
	case admin = <-found:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not listen")
	}
	return cmd, "http://" + admin
}

// TestO19_PatchSurvivesAKill: a change by the API is there for the next server although the first one is killed the moment
// it has answered, and is shown with its origin.
func TestO19_PatchSurvivesAKill(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	args := append(freePorts(t)[:len(freePorts(t))-2], "--set", "admin.listen=127.0.0.1:0", "--set", "state="+state, "--set", "log.format=json")
	serve := append([]string{"serve"}, args...)
	for n, body := range []string{`{"limits":{"streams":11}}`, `{"limits":{"streams":12,"connections":13}}`, `{"limits":{"streams":null}}`} {
		cmd, admin := process(t, serve...)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, admin+"/api/v1/config", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/merge-patch+json")
		res, err := new(http.Transport).RoundTrip(req)
		_ = cmd.Process.Kill()
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", res.StatusCode, answer)
		}
		_ = cmd.Wait()
		status, shown, errOut := command(t, append([]string{"config", "show"}, args...)...)
		overlay := filepath.Join(state, "config.d", "50-api.yml")
		for _, want := range [][]string{
			{"streams: 11  # " + overlay + ":3\n"},
			{"streams: 12  # " + overlay + ":4\n", "connections: 13  # " + overlay + ":3\n"},
			{"streams: 10000  # default\n", "connections: 13  # " + overlay + ":3\n"},
		}[n] {
			if status != 0 || !strings.Contains(shown, want) {
				t.Errorf("after %s: %d %s, no %q in\n%s", body, status, errOut, want, shown)
			}
		}
	}
}
