package decide

import (
	"bufio"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
)

// service starts one of the scripts in testdata and returns its address.
func service(t *testing.T, script string) string {
	t.Helper()
	program := map[string]string{".py": "python3", ".js": "node"}[filepath.Ext(script)]
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is missing: scripts/install test installs Python, and Node comes from elsewhere", program)
	}
	cmd := exec.CommandContext(t.Context(), program, filepath.Join("testdata", script))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return "http://127.0.0.1:" + strings.TrimSpace(port) + "/auth"
}

// TestServices asks services as users of each server write them: allow, deny, rename, slow and dead.
func TestServices(t *testing.T) {
	for _, c := range []struct {
		format, script string
		denied         session.Reason
		reason         string // what the peer is told
		renames        bool
	}{
		{"weir", "weir_auth.py", session.Denied, "not on the list", true},
		{"nginx-rtmp", "nginx_auth.py", session.Denied, "Not allowed.", true},
		{"nginx-rtmp", "nginx_auth.js", session.BadKey, "The login is missing or wrong.", true},
		{"srs", "srs_server.py", session.Denied, "Not allowed.", false},
		{"srs", "srs_server.js", session.Denied, "invalid token", false},
		{"mediamtx", "mediamtx_auth.py", session.Denied, "Not allowed.", false},
		{"ome", "ome_admission.js", session.Denied, "not on the list", true},
	} {
		t.Run(c.script, func(t *testing.T) {
			t.Parallel()
			client := newRig(t, service(t, c.script), func(conf *Config) {
				conf.Format, conf.Timeout = c.format, 10*time.Second
				if c.format == "ome" {
					conf.Secret = "1234"
				}
			})
			named := func(r *admit.Request, name string) *admit.Request {
				r.Path = "live/" + name
				return r
			}
			good, bad := "token=good", "token=bad"
			for _, r := range []*admit.Request{publisher(good), player(good)} {
				if terms, err := client.Decide(t.Context(), r); err != nil || terms.By != "hook" || terms.Path != "" {
					t.Errorf("allow, %s: %+v, %v", r.Role, terms, err)
				}
			}
			for _, r := range []*admit.Request{publisher(bad), player(bad)} {
				if _, err := client.Decide(t.Context(), r); session.ReasonOf(err) != c.denied || session.PeerText(err) != c.reason {
					t.Errorf("deny, %s: %v, %q", r.Role, err, session.PeerText(err))
				}
			}
			if c.format == "mediamtx" {
				_, err := client.Decide(t.Context(), player(""))
				if r, ok := errors.AsType[*session.Refusal](err); !ok || !r.Login {
					t.Errorf("nothing shown: %v", err)
				}
				login := player("")
				login.Credential = admit.Credential{Kind: "basic", User: "bob", Secret: "good"}
				if _, err := client.Decide(t.Context(), login); err != nil {
					t.Errorf("a password: %v", err)
				}
			}
			if c.renames {
				terms, err := client.Decide(t.Context(), named(publisher(""), "s3cret-of-alice"))
				if err != nil || terms.Path != "live/alice" || c.format == "ome" && terms.Duration != time.Minute {
					t.Errorf("rename: %+v, %v", terms, err)
				}
			}
			conf := client.plan.Load().conf
			conf.Timeout = 300 * time.Millisecond
			use(t, client.Client, conf)
			began := time.Now()
			_, err := client.Decide(t.Context(), named(publisher(good), "slow"))
			if session.ReasonOf(err) != session.Hook || !strings.Contains(err.Error(), "no answer in time") || time.Since(began) > 5*time.Second {
				t.Errorf("slow: %v after %v", err, time.Since(began))
			}
			conf.Timeout = 10 * time.Second
			use(t, client.Client, conf)
			for range 3 { // it ends at the first, and is not there at the others
				_, err = client.Decide(t.Context(), named(publisher(good), "dead"))
				if session.ReasonOf(err) != session.Hook || strings.Contains(err.Error(), "in time") || !strings.Contains(session.PeerText(err), "try again later") {
					t.Errorf("dead: %v", err)
				}
			}
			if shown := client.log.String(); strings.Contains(shown, "token=") || strings.Contains(shown, "s3cret") {
				t.Errorf("logged %s", shown)
			}
		})
	}
}
