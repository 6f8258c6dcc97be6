package server

import (
	"strings"
	"testing"

	"weir/internal/config"
)

// TestWarnUnasked: what could decide about peers and is named by no entry of streams is told of, with its place and no secret.
func TestWarnUnasked(t *testing.T) {
	const (
		srs     = "auth: {hook: {format: srs, publish_url: http://a/SECRET, forward_url: http://a/f}}\n"
		publish = ": it decides about nobody, because no entry of streams asks for it: whoever comes is let in where no key is asked for; " +
			`write publish: {auth: [hook]} into the entries that it is for, such as one with match: "**"`
		either = ": it decides about nobody, because no entry of streams asks for it: whoever comes is let in where no key is asked for; " +
			`write publish: {auth: [%]} or play: {auth: [%]} into the entries that it is for, such as one with match: "**"`
	)
	eitherOf := func(link string) string { return strings.ReplaceAll(either, "%", link) }
	for name, c := range map[string]struct {
		yaml string
		want []string
	}{
		"no entries":            {srs, []string{"weir.yml:1:41: auth.hook.publish_url" + publish, "weir.yml:1:71: auth.hook.forward_url" + publish}},
		"an entry without":      {srs + "streams: [{match: \"**\"}]", []string{"weir.yml:1:41: auth.hook.publish_url" + publish, "weir.yml:1:71: auth.hook.forward_url" + publish}},
		"publishers, named":     {srs + "streams: [{match: a/b}, {match: \"**\", publish: {auth: [hook]}}]", nil},
		"one url, no entry":     {"auth: {hook: {url: http://a/}}", []string{"weir.yml:1:20: auth.hook.url" + eitherOf("hook")}},
		"one url, players":      {"auth: {hook: {url: http://a/}}\nstreams: [{match: \"**\", play: {auth: [hook]}}]", nil},
		"players, not named":    {"auth: {hook: {url: http://a/, play_url: http://b/}}\nstreams: [{match: \"**\", publish: {auth: [hook]}}]", []string{"weir.yml:1:41: auth.hook.play_url" + strings.Replace(publish, "publish:", "play:", 1)}},
		"connections alone":     {"auth: {hook: {format: srs, connect_url: http://a/}}", nil},
		"tokens":                {"auth: {jwt: {jwks: https://a/SECRET}}", []string{"weir.yml:1:20: auth.jwt.jwks" + eitherOf("jwt")}},
		"tokens, named":         {"auth: {jwt: {jwks: https://a/}}\nstreams: [{match: \"**\", play: {auth: [keys, jwt]}}]", nil},
		"signed links":          {"auth: {signed: {keys: [{id: a, secret: 01234567890123456789012345678901SECRET}]}}", []string{"weir.yml:1:23: auth.signed.keys" + eitherOf("signed")}},
		"signed links, named":   {"auth: {signed: {keys: [{id: a, secret: 01234567890123456789012345678901SECRET}]}}\nstreams: [{match: \"**\", play: {auth: [signed]}}]", nil},
		"ends of connections":   {"hooks: [{url: http://a/, events: [connection.stop]}]", []string{"weir.yml:1:35: hooks.0.events.0: connection.stop is not told: it is for connections about which the decision hook was asked when they came, and auth.hook.connect_url is not set"}},
		"and they are asked":    {"hooks: [{url: http://a/, events: [connection.stop]}]\nauth: {hook: {format: srs, connect_url: http://a/}}", nil},
		"nothing is configured": {"streams: [{match: \"**\"}]", nil},
	} {
		t.Run(name, func(t *testing.T) {
			conf := Default()
			loaded, err := config.Load(&conf, config.Source{File: "weir.yml", Data: []byte(c.yaml)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range loaded.Warnings() {
				got = append(got, w.Error())
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
