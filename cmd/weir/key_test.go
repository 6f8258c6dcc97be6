package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/session"
)

// TestKeyCommands makes, lists and revokes keys as an operator does.
func TestKeyCommands(t *testing.T) {
	state := "--set=state=" + filepath.Join(t.TempDir(), "state")
	status, secret, said := command(t, "key", "new", "live/*", "--path", "live/alice", "--label", "Alice's camera", "--id", "alice", state)
	if status != 0 || len(secret) < 27 || strings.Count(secret, "\n") != 1 || said != "Key alice to publish live/*, which leads to live/alice. It is shown this once:\n" {
		t.Fatalf("exit status %d: %q, %q", status, secret, said)
	}
	if status, out, said := command(t, "key", "new", "live/x", "--role", "play", "--for", "30d", state); status != 0 || out == secret || !strings.Contains(said, " to play live/x. It is") {
		t.Errorf("exit status %d: %q, %q", status, out, said)
	}
	status, out, _ := command(t, "key", "list", state)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 0 || len(lines) != 3 || strings.Contains(out, strings.TrimSpace(secret)) || strings.Contains(out, "sha256") ||
		strings.Join(strings.Fields(lines[1]), " ") != "alice publish live/* live/alice valid - - keys.json Alice's camera" {
		t.Errorf("exit status %d:\n%s", status, out)
	}
	if status, _, said := command(t, "key", "revoke", "alice", "--keep", state); status != 0 || said != "Key alice is revoked; its sessions may go on.\n" {
		t.Errorf("exit status %d: %s", status, said)
	}
	if status, _, said := command(t, "key", "revoke", "alice", state); status != 0 || said != "Key alice is revoked; a running server ends its sessions.\n" {
		t.Errorf("exit status %d: %s", status, said)
	}
	var list []listedKey
	_, out, _ = command(t, "key", "list", "--json", state)
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || list[0].State != "revoked" || list[1].State != "valid" ||
		time.Until(list[1].Expires) > 720*time.Hour || time.Until(list[1].Expires) < 719*time.Hour {
		t.Errorf("%v\n%s", err, out)
	}
	for _, c := range []struct{ args, says string }{
		{"key new live/x", "keys are kept in the folder that the configuration calls state, and it names none"},
		{"key revoke nobody " + state, `key "nobody": there is no such key; `},
		{"key new live//x " + state, "has an empty segment"},
		{"key new live/x --id alice " + state, "there is a key alice already; revoked ones keep their ids"},
		{"key new live/x --role watch " + state, "--role must be one of"},
		{"key new live/x --for 1h --expires 2100-01-01 " + state, "--for and --expires can't be used together"},
		{"key new bob " + state, `no stream can be called "bob"`},
		{"key new live/x --for 3x " + state, `"3x" is no duration: write 30d, 12h or 1h30m`},
		{"key new live/x --expires soon " + state, `"soon" is no time`},
		{"key new live/x --expires 2001-01-01 " + state, "2001-01-01 is over already"},
	} {
		if status, out, said := command(t, strings.Fields(c.args)...); status == 0 || out != "" || !strings.Contains(said, c.says) {
			t.Errorf("weir %s: exit status %d: %q, %q", c.args, status, out, said)
		}
	}
}

// TestKeysOfTheConfiguration: weir key shows them, with their place, and does not take their ids; and it needs no secret of the file.
func TestKeysOfTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yml")
	text := `state: ` + dir + `/state
admin: {token: {env: NOT_SET_ANYWHERE}}
hooks: [{url: "https://a.example/", secret: {env: NOT_SET_ANYWHERE}}]
streams:
  - match: live/*
    publish:
      keys:
        - {id: alice, key: {file: /nowhere/alice}, label: Alice, path: live/alice}
        - {id: old, hash: "sha256:62249369389075490555a758353aec61500c6218fa597252d52dc4bd0148f12d", expires: 2001-01-31}
        - plain-key-of-the-file
    play: {keys: [{user: carol, key: {env: NOT_SET_ANYWHERE}}]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, said := command(t, "key", "new", "live/x", "--id", "made", "-c", file); status != 0 {
		t.Fatal(status, said)
	}
	status, out, said := command(t, "key", "list", "-c", file)
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"ID ROLE MATCH PATH STATE EXPIRES LAST USED WHERE LABEL",
		"made publish live/x - valid - - keys.json",
		"alice publish live/* live/alice valid - - " + file + ":8 Alice",
		"old publish live/* - expired 2001-01-31T00:00Z - " + file + ":9",
		"- publish live/* - valid - - " + file + ":10",
		"- play live/* - valid - - " + file + ":11",
	}
	if status != 0 || !slices.Equal(lines, want) || strings.Contains(out, "plain-key") {
		t.Errorf("%d %s\n%s\nwant\n%s", status, said, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	for _, c := range []struct{ args, says string }{
		{"key new live/x --id alice", "the configuration has a key alice already (" + file + ":8)"},
		{"key revoke alice", "key alice is in the configuration (" + file + ":8): take it out there"},
	} {
		if status, out, said := command(t, append(strings.Fields(c.args), "-c", file)...); status != 2 || out != "" || !strings.Contains(said, c.says) {
			t.Errorf("weir %s: %d %q %s", c.args, status, out, said)
		}
	}
	// Without a folder of state they are listed as well.
	if status, out, said := command(t, "key", "list", "--set", `streams=[{"match":"live/*","play":{"keys":["x"]}}]`); status != 0 || !strings.Contains(out, "--set") {
		t.Errorf("%d %q %s", status, out, said)
	}
	// What is wrong with the rest is said all the same, where no secret is missing.
	if status, _, said := command(t, "key", "list", "--set", "limits.streams=-1"); status != 2 || !strings.Contains(said, "limits.streams") {
		t.Errorf("%d %s", status, said)
	}
}

func TestKeyHash(t *testing.T) {
	for in, want := range map[string]string{
		"abc\n": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
		"abc":   "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
		"":      "",
		"\n":    "",
	} {
		var b, said bytes.Buffer
		if err := hashKey(strings.NewReader(in), &console{Out: &b, Err: &said}, false); b.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", in, b.String(), err)
		}
		if want != "" && !strings.Contains(said.String(), "A key of 3 characters can be guessed") {
			t.Errorf("%q: %s", in, said.String())
		}
	}
}

// TestPasswordHash: what the command prints is taken by the configuration.
func TestPasswordHash(t *testing.T) {
	var b bytes.Buffer
	if err := hashKey(strings.NewReader("correct horse\n"), &console{Out: &b, Err: io.Discard}, true); err != nil {
		t.Fatal(err)
	}
	r := admit.DefaultRule()
	r.Keys = []admit.Key{{User: "ann", Hash: strings.TrimSuffix(b.String(), "\n")}}
	if err := r.Validate(); err != nil || !strings.HasPrefix(b.String(), "argon2id:") {
		t.Errorf("%s: %v", b.String(), err)
	}
}

// TestForeignSigns: links of other servers' schemes, and what cannot be signed by them.
func TestForeignSigns(t *testing.T) {
	const at = " --expires 2100-01-01T00:00:00Z --set auth.signed.keys=[{\"id\":a,\"secret\":1kU^b6}] --set auth.signed.scheme="
	for args, want := range map[string]string{
		"sign ws://192.168.0.100:3333/app/stream" + at + "ome":                  "policy=eyJ1cmxfZXhwaXJlIjo0MTAyNDQ0ODAwMDAwfQ&signature=",
		"sign /live/a.m3u8 --ip 203.0.113.7/32" + at + "secure_link":            "md5=",
		"sign rtmp://host/live/a" + at + "ome":                                  "!a whole URL with its port",
		"sign live/a" + at + "ome":                                              "!a whole URL with its port",
		"sign /live/a.m3u8" + at + "secure_link":                                "!say for which address",
		"sign /live/* --ip 203.0.113.7/32" + at + "secure_link":                 "!the path of a URL",
		"sign /a/b --ip 203.0.113.7/32 --until 2100-01-01" + at + "secure_link": "!leave out",
	} {
		status, out, said := command(t, strings.Fields(args)...)
		if text, fails := strings.CutPrefix(want, "!"); fails && (status != 2 || !strings.Contains(said, text)) || !fails && (status != 0 || !strings.HasPrefix(out, want)) {
			t.Errorf("weir %s: %d %q %s", args, status, out, said)
		}
	}
}

func TestTokenCommand(t *testing.T) {
	_, a, _ := command(t, "token")
	_, b, _ := command(t, "token")
	if len(a) != 53 || a == b {
		t.Errorf("%q, %q", a, b)
	}
}

// TestSignCommand has a gate follow what the command signs.
func TestSignCommand(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yml")
	text := "auth: {signed: {keys: [{id: a, secret: 0123456789abcdef-a}, {id: b, secret: 0123456789abcdef-b}]}}\nstreams: [{match: '**', play: {auth: [signed]}, publish: {auth: [signed]}}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := (&source{File: file}).load()
	if err != nil {
		t.Fatal(err)
	}
	conf := loaded.Config()
	e := conf.Streams[0]
	rules, err := admit.NewRules([]admit.Entry{{Match: e.Match, Publish: e.Publish.Rule, Play: e.Play.Rule}}, admit.Entry{}, &conf.Auth.Signed)
	if err != nil {
		t.Fatal(err)
	}
	g := admit.New(rules, admit.Options{})
	for _, c := range []struct {
		args string
		role session.Role
		path string
		addr string
		kid  string // "": refused
	}{
		{"live/a --for 1h", session.Play, "live/a", "192.0.2.1", "a"},
		{"live/a --for 1h", session.Publish, "live/a", "192.0.2.1", ""},
		{"live/a --for 1h", session.Play, "live/b", "192.0.2.1", ""},
		{"live/** --expires 2200-01-01 --kid b --role publish", session.Publish, "live/b/c", "192.0.2.1", "b"},
		{"live/a --for 1h --ip 192.0.2.0/24 --until 2200-01-01T00:00:00Z", session.Play, "live/a", "192.0.2.1", "a"},
		{"live/a --for 1h --ip 192.0.2.0/24", session.Play, "live/a", "198.51.100.1", ""},
		{"live/a --for 1h --from 2200-01-01T00:00:00Z", session.Play, "live/a", "192.0.2.1", ""},
	} {
		status, out, said := command(t, append([]string{"sign", "-c", file}, strings.Fields(c.args)...)...)
		if status != 0 || strings.Count(out, "\n") != 1 || len(out) > 200 {
			t.Errorf("weir sign %s: exit status %d: %q, %s", c.args, status, out, said)
			continue
		}
		grant, err := g.Admit(context.Background(), &admit.Request{
			Role: c.role, Path: c.path, RawQuery: strings.TrimSpace(out), Remote: netip.AddrPortFrom(netip.MustParseAddr(c.addr), 1),
		})
		if (err == nil) != (c.kid != "") || err == nil && grant.Terms.KeyID != c.kid {
			t.Errorf("weir sign %s: %+v, %v", c.args, grant.Terms, err)
		}
	}
	for _, c := range []struct{ args, says string }{
		{"sign live/a --for 1h", "the configuration has no key to sign with"},
		{"sign live/a -c " + file, "say how long the link admits"},
		{"sign live/* --for 1h -c " + file, "is neither a stream"},
		{"sign live/a --for 1h --kid c -c " + file, `auth.signed has no key with the id "c"`},
		{"sign live/a --for 1h --ip x -c " + file, "--ip"},
		{"sign live/a --for 1h --until 2001-01-01 -c " + file, "2001-01-01 is over already"},
		{"config check --set streams.0.play.auth=[signed]", "streams.0.play.auth.0: signed admits nobody until auth.signed.keys is set"},
		{"config check --set streams.0.play.auth=[keys,jwt]", "streams.0.play.auth.1: jwt admits nobody until auth.jwt.jwks or auth.jwt.secret is set"},
	} {
		if status, out, said := command(t, strings.Fields(c.args)...); status != 2 && !strings.HasPrefix(c.args, "sign live/a --for 1h --ip") || out != "" || !strings.Contains(said, c.says) {
			t.Errorf("weir %s: exit status %d: %q, %q", c.args, status, out, said)
		}
	}
}

// TestSignHints: a link that nobody will take is signed, and what is probably wrong is said beside it. Other secrets of the file
// need not be there.
func TestSignHints(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yml")
	text := "admin: {token: {env: NOT_SET_ANYWHERE}}\nauth: {signed: {keys: [{id: a, secret: 0123456789abcdef-a}]}}\nstreams: [{match: 'live/*', play: {auth: [signed]}}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, hint := range map[string]string{
		"live/cam --for 1h":                "",
		"live/cam --for 1d12h":             "",
		"live/** --for 1h":                 "",
		"live/cam.m3u8 --for 1h":           "write weir sign live/cam\n",
		"live/bob/index.m3u8 --for 1h":     "write weir sign live/bob\n",
		"live/cam --for 1h --role publish": "streams.0 (live/*) does not take signed links: add signed to its publish.auth",
		"vod/cam --for 1h":                 "No entry of streams matches vod/cam",
	} {
		status, out, said := command(t, append([]string{"sign", "-c", file}, strings.Fields(args)...)...)
		if status != 0 || !strings.HasPrefix(out, "exp=") || (said == "") != (hint == "") || !strings.Contains(said, hint) {
			t.Errorf("weir sign %s: %d %q %q", args, status, out, said)
		}
	}
}
