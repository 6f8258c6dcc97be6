package pull

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestKeptAcrossRestarts: what the API has fetched is fetched after a restart as before, what it has given up is not, and the file, in
// which there are keys, is its user's alone.
func TestKeptAcrossRestarts(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	file := filepath.Join(folder, "pulls.json")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		restart := func() {
			t.Helper()
			r.Close()
			r.begin(folder)
			r.Apply()
		}
		restart()
		if _, err := os.Stat(file); err == nil {
			t.Error("a file is written for nothing")
		}
		always := Plan{Sources: []string{"rtmp://a/{path}?key=k", "rtmp://b/x"}, Tuning: defaultTuning()}
		always.Silence, always.Prefer, always.Insecure, always.Pin = 1500*time.Millisecond, preferFirst, true, strings.Repeat("ab", 32)
		demand := Plan{Sources: []string{"rtmp://b/{path}"}, OnDemand: true, Tuning: defaultTuning()}
		demand.Linger = 3 * time.Second
		for path, plan := range map[string]Plan{"live/always": always, "live/demand": demand, "live/gone": always} {
			if _, err := r.Add(path, plan); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Remove("live/gone"); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(info, err)
		}
		for range 2 {
			restart()
			r.lives(time.Second, "live/always", 'a')
			if s := r.state("live/demand"); s.Status != Idle || s.By != ByAPI || !s.OnDemand || len(r.List()) != 2 {
				t.Errorf("%+v", r.List())
			}
			if p := r.pulls["live/always"].current(); !p.sameSources(&always) || p.By != ByAPI || p.OnDemand {
				t.Errorf("%+v", p)
			}
			if p := r.pulls["live/demand"].current(); !p.sameSources(&demand) || p.Linger != demand.Linger {
				t.Errorf("%+v", p)
			}
			p := r.mustPlay("live/demand")
			r.lives(time.Second, "live/demand", 'b')
			p.s.Leave()
		}
		if _, err := r.Add("live/always", always); err == nil {
			t.Error("it is made twice")
		}
		if err := r.Remove("live/always"); err != nil {
			t.Fatal(err)
		}
		if err := r.Remove("live/demand"); err != nil {
			t.Fatal(err)
		}
		restart()
		if len(r.List()) != 0 {
			t.Errorf("%+v", r.List())
		}
	})
}

// TestPrivateAfterARestart: a source of the API may be at a private address while the configuration allows that, also after a restart.
func TestPrivateAfterARestart(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.Close()
		r.begin(folder)
		if _, err := r.Add(path, Plan{Sources: []string{"rtmp://a/x"}, OnDemand: true, Tuning: defaultTuning()}); err != nil {
			t.Fatal(err)
		}
		for _, allowed := range []bool{true, false} {
			r.mu.Lock()
			r.conf.Private = allowed
			r.mu.Unlock()
			r.Apply()
			if p := r.pulls[path].current(); p.Private != allowed {
				t.Errorf("allowed %v: %v", allowed, p.Private)
			}
			r.Close()
			r.begin(folder)
			if p := r.pulls[path].current(); p.Private != allowed {
				t.Errorf("allowed %v, after a restart: %v", allowed, p.Private)
			}
		}
	})
}

// TestDamagedStore: a file that is damaged is said to be, with what to do, and without the keys that are in it; it stays as it is.
func TestDamagedStore(t *testing.T) {
	const entry = `{"stream": %q, "sources": [%q], "on_demand": true, "linger": %q, "silence": "5s", "prefer": %q}`
	good := fmt.Sprintf(entry, "live/x", "rtmp://a/x?key=hunter2", "30s", "sticky")
	for name, c := range map[string]struct{ text, says string }{
		"no JSON":      {"{", "no JSON of the form"},
		"cut off":      {"[" + good, "no JSON of the form"},
		"another form": {`[{"stream": ["hunter2"]}]`, "no JSON of the form"},
		"a bad path":   {"[" + fmt.Sprintf(entry, "x", "rtmp://a/x", "30s", "sticky") + "]", "entry 1"},
		"a bad source": {"[" + good + "," + fmt.Sprintf(entry, "live/y", "file:///etc/passwd?hunter2", "30s", "sticky") + "]", "entry 2"},
		"no source":    {`[{"stream": "live/x", "linger": "30s", "silence": "5s", "prefer": "sticky"}]`, "it has 0 sources"},
		"bad duration": {"[" + fmt.Sprintf(entry, "live/x", "rtmp://a/x", "-1s", "sticky") + "]", `linger is "-1s"`},
		"bad word":     {"[" + fmt.Sprintf(entry, "live/x", "rtmp://a/x", "30s", "never") + "]", `prefer is "never"`},
		"twice":        {"[" + good + "," + good + "]", "twice"},
		"too many":     {"[" + strings.Repeat(good+",", maxAdded) + good + "]", "more than 1000 streams"},
	} {
		folder := t.TempDir()
		file := filepath.Join(folder, "pulls.json")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := NewManager(Options{State: folder, Config: func(string) *Config { return &Config{} }})
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), file) ||
			!strings.Contains(err.Error(), "mend it, or remove it") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
		if b, err := os.ReadFile(file); string(b) != c.text || err != nil {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// TestStoreFails: what cannot be kept is not fetched, and what cannot be forgotten goes on.
func TestStoreFails(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a file")
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.Close()
		r.begin(folder)
		if err := os.WriteFile(folder, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		plan := Plan{Sources: []string{"rtmp://a/x"}, Tuning: defaultTuning()}
		if _, err := r.Add(path, plan); err == nil || len(r.List()) != 0 {
			t.Errorf("%v, %+v", err, r.List())
		}
		if err := os.Remove(folder); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Add(path, plan); err != nil {
			t.Fatal(err)
		}
		r.lives(time.Second, path, 'a')
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(folder, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.Remove(path); err == nil || r.state(path).Status != Live {
			t.Errorf("%v, %+v", err, r.List())
		}
	})
}
