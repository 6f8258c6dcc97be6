package test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"weir/rtmp"
)

// write writes the configuration, with a line of its own.
func (d *day) write(extra string) {
	d.t.Helper()
	text := fmt.Sprintf(`log: {format: json, level: debug}
state: %[1]s/state
drain: 5s
rtmp: {listen: "127.0.0.1:0", idle_timeout: 10s}
http: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0", token: %[2]s}
tracing: {url: "http://%[9]s/v1/traces"}
auth:
  signed: {keys: [{id: a, secret: %[3]s}]}
  hook: {url: %[10]q}
hooks:
  - {name: billing, url: "http://%[4]s/", directory: %[1]s/hooks, secret: "%[5]s"}
streams:
  - match: guests/*
    publish: {auth: [hook], grace: 300ms}
    pull: {allow_private: true}
    record: [{dir: %[1]s/rec, min_free: ""}]
  - match: live/*
    record: [{dir: %[1]s/rec, min_free: ""}]
    publish:
      grace: 300ms
      keys:
        - {id: alice, key: %[6]s, label: Alice, path: live/alice}
        - {id: old, key: %[7]s, expires: 2020-01-01}
        - {id: dave, user: dave, key: %[11]s}
  - match: members/*
    publish: {grace: 300ms}
    play: {auth: [signed]}
%[8]s`, d.dir, apiToken, linkSecret, d.receiver.addr, hookSecret, secretName, oldSecret, extra, d.traces.addr, d.invites.url, password)
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// run runs weir and returns its exit status and what it printed.
func (d *day) run(args ...string) (int, string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.weir, args...)
	cmd.Env = environ()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		d.t.Fatal(err)
	}
	if args[0] != "key" && args[0] != "sign" { // which print a secret, as they must
		d.logs = append(d.logs, string(out))
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// ask asks the API, wants a status and keeps the answer.
func (d *day) ask(method, path, body string, status int) []byte {
	d.t.Helper()
	q, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.s.admin+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+apiToken)
	if method == http.MethodPatch {
		q.Header.Set("Content-Type", "application/merge-patch+json")
	}
	return d.do(q, status)
}

func (d *day) do(q *http.Request, status int) []byte {
	d.t.Helper()
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		d.t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	if a.StatusCode != status {
		d.t.Fatalf("%s %s: %s, want %d: %s", q.Method, q.URL.Path, a.Status, status, text)
	}
	fmt.Fprintln(&d.emitted, a.Header)
	d.emitted.Write(text)
	return text
}

// publish has ffmpeg publish a moving picture until it is ended.
func (d *day) publish(stream string) *process {
	d.t.Helper()
	p, err := start(d.t.Context(), command{sys: debian12(), args: []string{
		"ffmpeg", "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=25", "-f", "lavfi", "-i", "sine",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-c:a", "aac", "-t", "120",
		"-f", "flv", d.s.rtmpURL(stream),
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// refused has somebody publish who may not, and keeps what that one is told.
func (d *day) refused(stream string) {
	d.t.Helper()
	v, err := speak(d.t.Context(), d.s.rtmpURL(stream), rtmp.DialOptions{})
	if err == nil {
		v.lose()
		d.t.Errorf("published %s", stream)
		return
	}
	st, ok := errors.AsType[*rtmp.StatusError](err)
	if !ok {
		d.t.Fatalf("%s: %v", stream, err)
	}
	fmt.Fprintln(&d.emitted, st.Code, st.Description, st.Properties)
}

// look reads everything that the server shows.
func (d *day) look(streams map[string]string) {
	d.t.Helper()
	if d.read == nil {
		d.read = map[string]string{}
	}
	for at, text := range readEverything(d.t, d.s, apiToken, streams) {
		d.read[at] += text
	}
}

// watch keeps what the API says of events, until the server ends.
func (d *day) watch() {
	d.t.Helper()
	q, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "http://"+d.s.admin+"/api/v1/events", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+apiToken)
	a, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(q)
	if err != nil || a.StatusCode != http.StatusOK {
		d.t.Fatal(a, err)
	}
	go func() {
		defer a.Body.Close()
		for lines := bufio.NewReader(a.Body); ; {
			line, err := lines.ReadString('\n')
			d.mu.Lock()
			d.stream = append(d.stream, line)
			d.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

// watched returns how many events of a type the API has told of.
func (d *day) watched(typ string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Count(strings.Join(d.stream, ""), `"type":"`+typ+`"`)
}

// sessions returns the sessions of the API in a role.
func (d *day) sessions(role string) (list []struct {
	ID, Role, Stream string
	KeyID            string `json:"key_id"`
},
) {
	d.t.Helper()
	var a struct {
		Sessions []struct {
			ID, Role, Stream string
			KeyID            string `json:"key_id"`
		}
	}
	if err := json.Unmarshal(d.ask(http.MethodGet, "/api/v1/sessions?limit=1000&role="+role, "", http.StatusOK), &a); err != nil {
		d.t.Fatal(err)
	}
	return a.Sessions
}

// publisher returns the session that publishes a stream and its key's id; empty if nobody does.
func (d *day) publisher(stream string) (id, key string) {
	d.t.Helper()
	for _, s := range d.sessions("publish") {
		if s.Stream == stream {
			return s.ID, s.KeyID
		}
	}
	return "", ""
}

func (d *day) until(what string, ok func() bool) {
	d.t.Helper()
	if err := every(d.t.Context(), 30*time.Second, func() error {
		if !ok() {
			return fmt.Errorf("waited in vain: %s\n%s", what, d.s.said())
		}
		return nil
	}); err != nil {
		d.t.Fatal(err)
	}
}
