package server_test

import (
	"slices"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/server"
	"weir/internal/session"
	"weir/rtmp"
)

// TestKeyTakenOutOfTheConfiguration: the sessions of a key end once it is not in the configuration any more, in the role in which it
// was taken out, and those of the others go on; unless they are to be kept. A key that is back admits again at once.
func TestKeyTakenOutOfTheConfiguration(t *testing.T) {
	const old, other, watch = secret + "-old", secret + "-other", secret + "-watch"
	signing := admit.SigningKey{ID: "a", Secret: secret + "-0123456789abcdef"}
	for _, on := range []string{"end", "keep"} {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			conf := func(publish, play []string, signed ...admit.SigningKey) server.Config {
				c := server.Default()
				c.RTMP.Listen, c.HTTP.Listen, c.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
				c.Auth.OnRemovedKey, c.Auth.Signed.Keys = on, signed
				s := server.DefaultStream()
				s.Play.Auth = []string{admit.ByKeys, admit.BySigned}
				for _, k := range publish {
					s.Publish.Keys = append(s.Publish.Keys, admit.Key{Key: k})
				}
				for _, k := range play {
					s.Play.Keys = append(s.Play.Keys, admit.Key{Key: k})
				}
				c.Streams = []server.StreamConfig{s}
				beginWithBurst(&c)
				return c
			}
			second := admit.SigningKey{ID: "b", Secret: secret + "-fedcba9876543210"}
			r := start(t, func(c *server.Config) { *c = conf([]string{old, other}, []string{old, watch}, signing, second) })
			gone, stays := r.mustPublish("live/a?key="+old), r.mustPublish("live/b?key="+other)
			publishSome(gone, 0, 15)
			publishSome(stays, 0, 15)
			link := func(k admit.SigningKey) string {
				return k.Sign(&admit.Signed{Role: session.Play, Path: "live/b", Expires: time.Now().Add(time.Minute)})
			}
			for _, query := range []string{"key=" + old, "key=" + watch, link(signing), link(second)} {
				next(t, r.mustPlay("live/b?"+query), rtmp.TypeVideo)
			}
			// The old key may still play: it is out of one list alone. So is one of those that sign.
			if _, err := r.Reload(conf([]string{other}, []string{old, watch}, second)); err != nil {
				t.Fatal(err)
			}
			if on == "keep" {
				if _, err := r.publish(t.Context(), "live/c?key="+old); err == nil {
					t.Error("a key that is gone admits")
				}
				r.until("the others are there", func() bool { return r.sessions.Len() == 6 })
				if err := gone.video(1000, videoFrame(true, 100, 100)); err != nil {
					t.Error(err)
				}
				return
			}
			_ = gone.ends(t)
			r.until("the player with the link has gone", func() bool { return r.sessions.Len() == 4 })
			if err := stays.video(1000, videoFrame(true, 100, 100)); err != nil {
				t.Error("the publisher with the other key:", err)
			}
			var left []string
			for _, x := range r.sessions.List() {
				left = append(left, x.Role().String()+" "+x.Terms().By)
			}
			slices.Sort(left)
			if want := []string{"play keys", "play keys", "play signed", "publish keys"}; !slices.Equal(left, want) {
				t.Errorf("%q are left, want %q", left, want)
			}
			r.wantMetric(`weir_session_closed_total{protocol="rtmp",reason="revoked",role="publish"}`, "1")
			r.wantMetric(`weir_session_closed_total{protocol="rtmp",reason="revoked",role="play"}`, "1")
			if _, err := r.Reload(conf([]string{old, other}, []string{old, watch}, second)); err != nil {
				t.Fatal(err)
			}
			back := r.mustPublish("live/a?key=" + old)
			publishSome(back, 0, 15)
			<-time.After(1500 * time.Millisecond) // the next look for sessions of keys that are gone
			if err := back.video(1000, videoFrame(true, 100, 100)); err != nil {
				t.Error("the publisher with the key that is back:", err)
			}
		})
	}
}
