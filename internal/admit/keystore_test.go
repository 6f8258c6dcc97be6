package admit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/session"
	"weir/internal/statefile"
)

func newFile(t testing.TB) KeyFile {
	t.Helper()
	return KeyFileIn(filepath.Join(t.TempDir(), "state"))
}

func mustAdd(t testing.TB, f KeyFile, k StoredKey) (secret string, added StoredKey) {
	t.Helper()
	secret, added, err := f.Add(k)
	if err != nil {
		t.Fatal(err)
	}
	return secret, added
}

// storeGate is an open gate with the keys of a file.
func storeGate(t testing.TB, f KeyFile) (*Gate, *KeyStore) {
	t.Helper()
	s, err := OpenKeys(f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := NewRules(nil, Entry{Publish: DefaultRule(), Play: DefaultRule()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return New(rules, Options{Keys: s}), s
}

func TestKeyFile(t *testing.T) {
	f := newFile(t)
	if list, err := f.List(); err != nil || list != nil {
		t.Fatal(list, err)
	}
	before := time.Now().Add(-time.Second)
	secret, k := mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*", Path: "live/alice", Label: "Alice"})
	if len(secret) < 26 || len(k.ID) != idLength || k.Hash != HashKey(secret) || k.Created.Before(before) || k.Created.After(time.Now()) {
		t.Errorf("%q, %+v", secret, k)
	}
	other, _ := mustAdd(t, f, StoredKey{ID: "second", Role: "play", Match: "live/a", Expires: time.Now().Add(time.Hour).UTC().Truncate(time.Second)})
	if secret == other {
		t.Error("two keys are the same")
	}
	b, err := os.ReadFile(f.Name)
	if err != nil || bytes.Contains(b, []byte(secret)) || bytes.Contains(b, []byte(other)) {
		t.Errorf("%v; a key is in the file:\n%s", err, b)
	}
	info, err := os.Stat(f.Name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if info, err = os.Stat(filepath.Dir(f.Name)); err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
	if r, err := f.Revoke("second", true); err != nil || r.Revoked.IsZero() || !r.Keep || r.ID != "second" {
		t.Error(r, err)
	}
	if _, err := f.Revoke("third", false); !errors.Is(err, ErrNoSuchKey) {
		t.Error(err)
	}
	list, err := f.List()
	if err != nil || len(list) != 2 || list[0] != k || list[1].Revoked.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
	for _, c := range []struct {
		k    StoredKey
		want string
	}{
		{StoredKey{ID: "second", Role: "play", Match: "live/a"}, "there is a key second already"},
		{StoredKey{ID: "a b", Role: "play", Match: "live/a"}, "an id has 1 to 64 letters"},
		{StoredKey{Role: "watch", Match: "live/a"}, "neither publish nor play"},
		{StoredKey{Role: "play", Match: "live//a"}, "has an empty segment"},
		{StoredKey{Role: "play", Match: "live/a", Path: "a"}, "is no stream"},
		{StoredKey{Role: "play", Match: "live/a", Label: "\n"}, "a label has"},
	} {
		if _, _, err := f.Add(c.k); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.k, err, c.want)
		}
	}
	left, err := os.ReadDir(filepath.Dir(f.Name))
	if err != nil || len(left) != 2 { // and the lock
		t.Errorf("%v, %v", left, err)
	}
}

func TestKeyFileIsRefused(t *testing.T) {
	f := newFile(t)
	_, k := mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*"})
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	twice := text(keyFile{1, []StoredKey{k, k}})
	for name, c := range map[string]struct{ content, want string }{
		"no JSON":       {"{", "unexpected EOF"},
		"a new version": {`{"version":2,"keys":[]}`, "has version 2; this program reads version 1"},
		"unknown":       {`{"version":1,"keys":[{"id":"a","secret":"x"}]}`, `unknown field "secret"`},
		"no hash":       {`{"version":1,"keys":[{"id":"a","role":"play","match":"**"}]}`, "a hash is sha256:"},
		"twice":         {twice, "two keys with the id"},
		"large":         {strings.Repeat(" ", 16<<20+1), "has more than 16777216 bytes"},
	} {
		if err := os.WriteFile(f.Name, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.List(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := OpenKeys(f, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: a server starts with it", name)
		}
		if _, _, err := f.Add(StoredKey{Role: "publish", Match: "live/*"}); err == nil {
			t.Errorf("%s: it was overwritten", name)
		}
	}
}

// Several programs that change the file at once lose nothing.
func TestKeyFileConcurrently(t *testing.T) {
	f := newFile(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, _, err := f.Add(StoredKey{Role: "play", Match: "live/*"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := f.List(); err != nil || len(list) != 20 {
		t.Error(len(list), err)
	}
}

// TestStoredKeys: a running gate knows a new key at once, and streams that it is for ask for one from then on, also
// once it is revoked.
func TestStoredKeys(t *testing.T) {
	f := newFile(t)
	g, s := storeGate(t, f)
	admit := func(r *Request) (session.Grant, error) { return g.Admit(context.Background(), r) }
	if _, err := admit(publish("live/a", "", "192.0.2.1")); err != nil {
		t.Error("without keys:", err)
	}
	secret, k := mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*", Label: "first"})
	s.mu.Lock()
	s.looked = time.Time{} // a while ago
	s.mu.Unlock()
	s.Refresh()
	grant, err := admit(publish("live/a", "key="+secret, "192.0.2.1"))
	if err != nil || grant.Terms == nil || grant.Terms.By != ByKeys || grant.Terms.KeyID != k.ID || grant.Terms.Label != "first" {
		t.Fatalf("%+v, %v", grant, err)
	}
	for _, c := range []struct {
		r    *Request
		want session.Reason
	}{
		{publish("live/a", "", "127.0.0.1"), session.BadKey},
		{publish("live/a", "key=x", "127.0.0.1"), session.BadKey},
		{publish("other/a", "", "127.0.0.1"), letIn},
		{publish("other/a", "key="+secret, "127.0.0.1"), letIn}, // none is asked for
		{&Request{Role: session.Play, Path: "live/a", Remote: at("127.0.0.1")}, letIn},
	} {
		if grant, err := admit(c.r); c.want == letIn && (err != nil || grant.Terms != nil) || c.want != letIn && session.ReasonOf(err) != c.want {
			t.Errorf("%+v: %+v, %v", c.r, grant, err)
		}
	}
	// A key that was made since is found though nobody has read the file again.
	second, _ := mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*"})
	s.mu.Lock()
	s.looked = time.Time{}
	s.mu.Unlock()
	if _, err := admit(publish("live/a", "key="+second, "192.0.2.1")); err != nil {
		t.Error("a new key:", err)
	}
	if _, err := f.Revoke(k.ID, false); err != nil {
		t.Fatal(err)
	}
	s.Refresh()
	if _, err := admit(publish("live/a", "key="+secret, "192.0.2.1")); session.ReasonOf(err) != session.Revoked {
		t.Error("a revoked key:", err)
	}
	for after, want := range map[time.Duration]int{0: 1, endingTime - time.Second: 1} {
		if keys := s.ending(time.Now().Add(after)); len(keys) != want || !keys[grant.Key] {
			t.Errorf("to be ended after %v: %v", after, keys)
		}
	}
	if keys := s.ending(time.Now().Add(endingTime + time.Second)); len(keys) != 0 {
		t.Errorf("to be ended for ever: %v", keys)
	}
	// A broken file, or none, changes nothing.
	if err := os.WriteFile(f.Name, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Refresh()
	if _, err := admit(publish("live/a", "key="+second, "192.0.2.1")); err != nil {
		t.Error("after a broken file:", err)
	}
	if err := os.Remove(f.Name); err != nil {
		t.Fatal(err)
	}
	s.Refresh()
	if _, err := admit(publish("live/a", "", "127.0.0.1")); session.ReasonOf(err) != session.BadKey {
		t.Error("after the file is gone:", err)
	}
}

// TestRevokedTwice: the time is that of the first revocation, and what becomes of the sessions is what the last one says.
func TestRevokedTwice(t *testing.T) {
	f := newFile(t)
	synctest.Test(t, func(t *testing.T) {
		_, k := mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*"})
		first, err := f.Revoke(k.ID, true)
		if err != nil || !first.Keep || !first.Revoked.Equal(time.Now()) {
			t.Fatalf("%+v, %v", first, err)
		}
		time.Sleep(time.Minute)
		again, err := f.Revoke(k.ID, false)
		if err != nil || again.Keep || !again.Revoked.Equal(first.Revoked) {
			t.Errorf("%+v, %v; first %v", again, err, first.Revoked)
		}
	})
}

// TestRunWatches follows the file as a server does: what --keep says, what is taken out, and when keys were used.
func TestRunWatches(t *testing.T) {
	f := newFile(t)
	type made struct {
		secret string
		key    StoredKey
	}
	var keys []made
	for i := range 4 {
		secret, k := mustAdd(t, f, StoredKey{ID: fmt.Sprint("k", i), Role: "publish", Match: "live/*"})
		keys = append(keys, made{secret, k})
	}
	synctest.Test(t, func(t *testing.T) {
		g, s := storeGate(t, f)
		grants := make([]session.Grant, len(keys))
		for i, k := range keys {
			var err error
			if grants[i], err = g.Admit(context.Background(), publish("live/a", "key="+k.secret, "192.0.2.1")); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(context.Background())
		var ended atomic.Pointer[map[uint64]bool] // the last time
		done := make(chan error, 1)
		s.InUse = func() map[uint64]int { return map[uint64]int{grants[1].Key: 1} }
		go func() { done <- s.Run(ctx, func(keys map[uint64]bool) { ended.Store(&keys) }) }()
		next := func() string {
			time.Sleep(watchEvery + time.Millisecond)
			synctest.Wait()
			text := ""
			if keys := ended.Swap(nil); keys != nil {
				for i, g := range grants {
					if (*keys)[g.Key] {
						text += fmt.Sprint(i)
					}
				}
			}
			return text
		}
		if got := next(); got != "" {
			t.Error("nothing was revoked:", got)
		}
		for i, keep := range []bool{false, true, true} {
			if _, err := f.Revoke(keys[i].key.ID, keep); err != nil {
				t.Fatal(err)
			}
		}
		if got := next(); got != "0" {
			t.Error("one was revoked, two are kept:", got)
		}
		if got := next(); got != "0" { // for those that were being admitted
			t.Error("once more:", got)
		}
		if _, err := f.Revoke(keys[1].key.ID, false); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != "01" {
			t.Error("one is not kept any more:", got)
		}
		list, err := f.List()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(keyFile{keyFileVersion, list[:3]})
		if err := statefile.Write(f.Name, b); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != "013" {
			t.Error("one was taken out:", got)
		}
		list[1].Revoked = time.Time{}
		b, _ = json.Marshal(keyFile{keyFileVersion, list})
		if err := statefile.Write(f.Name, b); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != "0" {
			t.Error("one is back, and one is not revoked any more:", got)
		}
		time.Sleep(endingTime)
		synctest.Wait()
		ended.Store(nil)
		if got := next(); got != "" {
			t.Error("after three minutes:", got)
		}
		used, err := f.LastUsed()
		if err != nil || len(used) != 3 || used["k0"].IsZero() {
			t.Error(used, err)
		}
		if since := time.Since(used["k0"]); since < endingTime {
			t.Error("a key without sessions was used", since, "ago")
		}
		if since := time.Since(used["k1"]); since > 2*noteEvery {
			t.Error("a key with a session was used", since, "ago")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		// The next server knows.
		_, again := storeGate(t, f)
		if got := again.now.Load().list[0].stored.used.Load(); got != used["k0"].Unix() {
			t.Error(got, used)
		}
	})
}

// TestNamesThatAreKeys: a name that is a key which leads to another stream is told nowhere, whoever asks for it, also when the key
// is not valid any more. A player is let in where it would have been, to a stream of no name.
func TestNamesThatAreKeys(t *testing.T) {
	f := newFile(t)
	made, _ := mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*", Path: "live/alice"})
	revoked, old := mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*", Path: "live/alice"})
	if _, err := f.Revoke(old.ID, false); err != nil {
		t.Fatal(err)
	}
	plain, _ := mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*"})
	g, _ := storeGate(t, f)
	publishing, playing := DefaultRule(), DefaultRule()
	publishing.Keys = []Key{
		{Key: "configured", Path: "live/alice"},
		{Hash: HashKey("0123456789abcdef"), Path: "live/bob"},
		{Key: "has-run-out", Path: "live/alice", Expires: time.Now().Add(-time.Hour)},
		{Key: "itself", Path: "live/itself"},
		{Key: "without-a-path"},
		{Key: "passw0rd", User: "dave", Path: "live/dave"},
	}
	rules, err := NewRules([]Entry{
		{Match: "live/*", Publish: publishing, Play: playing},
		{Match: "closed/*", Publish: publishing, Play: Rule{Auth: []string{BySigned}, Allow: playing.Allow}},
		{Match: "other/*", Publish: DefaultRule(), Play: playing},
	}, Entry{Publish: DefaultRule(), Play: DefaultRule()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g.SetRules(rules)
	for _, c := range []struct {
		path string
		want bool
	}{
		{"live/configured", true},
		{"live/0123456789abcdef", true},
		{"live/has-run-out", true},
		{"live/passw0rd", false}, // it needs its user, and so is no name
		{"closed/configured", true},
		{"live/" + made, true},
		{"live/" + revoked, true},
		{"other/" + made, true}, // who makes a key chooses no word that could be a name
		{"live/configured/x", false},
		{"live/configure", false},
		{"live/itself", false}, // it leads to the stream of this name
		{"live/without-a-path", false},
		{"live/" + plain, false},
		{"live/alice", false},
		{"other/configured", false},
	} {
		r := publish(c.path, "", "127.0.0.1")
		r.Role = session.Play
		if g.SecretName(r) != c.want || g.Hides(r) != c.want {
			t.Errorf("%s: %v, hidden: %v, before it is decided", c.path, g.SecretName(r), g.Hides(r))
		}
		grant, err := g.Admit(context.Background(), r)
		if r.SecretName != c.want || grant.Hidden != (c.want && err == nil) || (err == nil) == strings.HasPrefix(c.path, "closed/") {
			t.Errorf("a player of %s: secret: %v, %+v, %v", c.path, r.SecretName, grant, err)
		}
		if told := r.Told(); (told == c.path) == c.want || c.want && !strings.HasSuffix(told, "/***") {
			t.Errorf("%s is told as %s", c.path, told)
		}
		r.Online = true
		if grant, err := g.Admit(context.Background(), r); r.SecretName || grant.Hidden {
			t.Errorf("%s is live and hidden: %+v, %v", c.path, grant, err)
		}
	}
	r := publish("other/"+made, "", "127.0.0.1")
	if grant, err := g.Admit(context.Background(), r); err != nil || !r.SecretName || grant.Hidden || g.Hides(r) {
		t.Errorf("a publisher where no key is asked for: %v, %+v, %v", r.SecretName, grant, err)
	}
}

// TestNamesThatAreKeysOfPlayers: a player whose key is its stream's name is led to the stream; a link that says under which name one
// may play goes before.
func TestNamesThatAreKeysOfPlayers(t *testing.T) {
	rule := DefaultRule()
	rule.Keys = []Key{{Key: "configured", Path: "live/alice"}}
	named := ""
	hooked := DefaultRule()
	hooked.Auth = []string{ByHook}
	rules, err := NewRules([]Entry{{Match: "live/*", Publish: rule, Play: rule}, {Match: "hooked/*", Publish: rule, Play: hooked}}, Entry{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := New(rules, Options{Links: map[string]Link{ByHook: linkFunc(func(*Request) (*session.Terms, error) {
		return &session.Terms{By: ByHook, Path: named}, nil
	})}})
	ask := func(path string) session.Grant {
		r := publish(path, "", "192.0.2.1")
		r.Role = session.Play
		grant, err := g.Admit(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		return grant
	}
	if grant := ask("live/configured"); grant.Hidden || grant.PathOf("live/configured") != "live/alice" {
		t.Errorf("%+v", grant)
	}
	for to, want := range map[string]string{"": "hooked/***", "hooked/alice": "hooked/alice", "hooked/configured": "hooked/configured"} {
		named = to
		if grant := ask("hooked/configured"); grant.Hidden != (to == "") || grant.PathOf("hooked/configured") != want {
			t.Errorf("the hook names %q: %+v", to, grant)
		}
	}
}

// TestNamesThatAreNoKeys: a name is taken for a key, and left out of the log, only where a key of the role and of such streams leads
// to a stream of another name; elsewhere one who shows no key has guessed none.
func TestNamesThatAreNoKeys(t *testing.T) {
	f := newFile(t)
	mustAdd(t, f, StoredKey{Role: "publish", Match: "live/*", Path: "live/alice"})
	mustAdd(t, f, StoredKey{Role: "publish", Match: "cams/*"})
	mustAdd(t, f, StoredKey{Role: "play", Match: "live/*"})
	g, _ := storeGate(t, f)
	for _, c := range []struct {
		role session.Role
		path string
		want bool
	}{
		{session.Publish, "live/x", true},
		{session.Publish, "cams/x", false},
		{session.Play, "live/alice", false},
	} {
		for range 2 * throttleAfter {
			r := publish(c.path, "", "192.0.2.1")
			r.Role = c.role
			_, err := g.Admit(context.Background(), r)
			e, ok := errors.AsType[*Error](err)
			if !ok || r.SecretName != c.want || g.SecretName(r) != c.want || e.guess != c.want {
				t.Errorf("%s %s: the name is secret: %v; %v", c.role, c.path, r.SecretName, err)
			}
			if c.want {
				break // each is a guess
			}
		}
	}
}
