package push

import (
	"crypto/tls"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/config"
)

// wires are the ways in which targets are written, and what OBS sends for the same URL and key.
var wires = []struct {
	name                            string
	c                               Config
	app, tcURL, stream, dials, says string // says: why it is refused
}{
	{"youtube", Config{Service: "youtube", Key: "abcd-efgh"}, "live2", "rtmps://a.rtmps.youtube.com:443/live2", "abcd-efgh", "a.rtmps.youtube.com:443", ""},
	{"youtube's backup", Config{Service: "youtube", URL: "rtmps://b.rtmps.youtube.com:443/live2?backup=1", Key: "abcd"}, "live2?backup=1", "rtmps://b.rtmps.youtube.com:443/live2?backup=1", "abcd", "b.rtmps.youtube.com:443", ""},
	{"youtube's backup joined", Config{URL: "rtmp://b.rtmp.youtube.com/live2?backup=1/abcd-efgh"}, "live2?backup=1", "rtmp://b.rtmp.youtube.com/live2?backup=1", "abcd-efgh", "b.rtmp.youtube.com:1935", ""},
	{"twitch", Config{Service: "twitch", Key: "live_123_abc"}, "app", "rtmp://live.twitch.tv/app", "live_123_abc", "live.twitch.tv:1935", ""},
	{"twitch with a test", Config{Service: "twitch", URL: "rtmp://live-fra.twitch.tv/app/", Key: "live_1?bandwidthtest=true"}, "app", "rtmp://live-fra.twitch.tv/app", "live_1?bandwidthtest=true", "live-fra.twitch.tv:1935", ""},
	{"twitch joined", Config{URL: "rtmp://live.twitch.tv/app/live_123"}, "app", "rtmp://live.twitch.tv/app", "live_123", "live.twitch.tv:1935", ""},
	{
		"facebook",
		Config{Service: "facebook", Key: "FB-1-0-Ab?s_bl=1&s_ps=1&s_sw=0&s_vt=api-s&a=Abz_x9"},
		"rtmp", "rtmps://rtmp-api.facebook.com:443/rtmp", "FB-1-0-Ab?s_bl=1&s_ps=1&s_sw=0&s_vt=api-s&a=Abz_x9", "rtmp-api.facebook.com:443", "",
	},
	{
		"facebook joined",
		Config{URL: "rtmps://live-api-s.facebook.com:443/rtmp/FB-1-0-Ab?s_bl=1&a=Abz/x9"},
		"rtmp", "rtmps://live-api-s.facebook.com:443/rtmp", "FB-1-0-Ab?s_bl=1&a=Abz/x9", "live-api-s.facebook.com:443", "",
	},
	{"kick", Config{Service: "kick", URL: "rtmps://fa7.global-contribute.live-video.net", Key: "sk_us-west-2_x"}, "app", "rtmps://fa7.global-contribute.live-video.net/app", "sk_us-west-2_x", "fa7.global-contribute.live-video.net:443", ""},
	{"kick joined", Config{URL: "rtmps://fa7.global-contribute.live-video.net/sk_us-west-2_x"}, "app", "rtmps://fa7.global-contribute.live-video.net/app", "sk_us-west-2_x", "fa7.global-contribute.live-video.net:443", ""},
	{"kick with app", Config{URL: "rtmps://fa7.global-contribute.live-video.net/app/sk_x"}, "app", "rtmps://fa7.global-contribute.live-video.net/app", "sk_x", "fa7.global-contribute.live-video.net:443", ""},
	{"ivs", Config{Service: "ivs", URL: "rtmps://a1b2.contribute.live-video.net:443/app/", Key: "sk_eu_y"}, "app", "rtmps://a1b2.contribute.live-video.net:443/app", "sk_eu_y", "a1b2.contribute.live-video.net:443", ""},
	{"x", Config{Service: "x", URL: "rtmp://de.pscp.tv:80/x", Key: "k3y"}, "x", "rtmp://de.pscp.tv:80/x", "k3y", "de.pscp.tv:80", ""},
	{"cloudflare", Config{Service: "cloudflare", Key: "3e6d"}, "live", "rtmps://live.cloudflare.com:443/live", "3e6d", "live.cloudflare.com:443", ""},
	{"linkedin", Config{Service: "linkedin", URL: "rtmps://1-2.livestream.linkedin.com:443/live", Key: "ab"}, "live", "rtmps://1-2.livestream.linkedin.com:443/live", "ab", "1-2.livestream.linkedin.com:443", ""},
	{"restream", Config{Service: "restream", Key: "re_1_2"}, "live", "rtmp://live.restream.io/live", "re_1_2", "live.restream.io:1935", ""},
	{"trovo", Config{Service: "trovo", Key: "73_x?auth=1"}, "live", "rtmp://livepush.trovo.live/live", "73_x?auth=1", "livepush.trovo.live:1935", ""},
	{"vimeo", Config{Service: "vimeo", Key: "a-b"}, "live", "rtmp://rtmp.cloud.vimeo.com/live", "a-b", "rtmp.cloud.vimeo.com:1935", ""},
	{"dlive", Config{Service: "dlive", Key: "dl"}, "live", "rtmp://stream.dlive.tv/live", "dl", "stream.dlive.tv:1935", ""},
	{"a server of one's own", Config{URL: "rtmp://192.0.2.7/live/cam"}, "live", "rtmp://192.0.2.7/live", "cam", "192.0.2.7:1935", ""},
	{"a deep application", Config{URL: "rtmp://[2001:db8::7]:1940/a/b", Key: "c/d?e=f"}, "a/b", "rtmp://[2001:db8::7]:1940/a/b", "c/d?e=f", "[2001:db8::7]:1940", ""},
	{"templates", Config{URL: "rtmp://origin/{app}/{name}?{query}"}, "live", "rtmp://origin/live", "cam?key=theirs", "origin:1935", ""},
	{"a user", Config{URL: "rtmp://u:p4ss@h.example/live", Key: "cam"}, "live", "rtmp://h.example/live", "cam", "h.example:1935", ""},

	{"kick without URL", Config{Service: "kick", Key: "sk_x"}, "", "", "", "", "Kick gives everybody a URL of their own"},
	{"no key", Config{Service: "twitch"}, "", "", "", "", "there is no key"},
	{"no URL", Config{}, "", "", "", "", "there is no URL"},
	{"http", Config{URL: "https://h/live/cam"}, "", "", "", "", `streams are not sent by "https"`},
	{"another template", Config{URL: "rtmp://h/live/{key}"}, "", "", "", "", "there is no {key}"},
	{"a template as host", Config{URL: "rtmp://{name}/live/cam"}, "", "", "", "", "a { in its host"},
	{"no application", Config{URL: "rtmp://h", Key: "cam"}, "", "", "", "", "names no application"},
	{"no port", Config{URL: "rtmp://h:99999/live/cam"}, "", "", "", "", "the URL's port 99999 is none"},
	{"the port 0", Config{URL: "rtmp://h:0/live/cam"}, "", "", "", "", "the URL's port 0 is none"},
	{"cloudflare without TLS", Config{Service: "cloudflare", URL: "rtmp://live.cloudflare.com/live", Key: "3e6d"}, "", "", "", "", "Cloudflare takes streams by RTMPS alone"},
	{"a line", Config{URL: "rtmp://h/live", Key: "cam\nx"}, "", "", "", "", "no control characters"},
}

// TestAddresses has what is sent for each way to write a target, and what is said of those that are none.
func TestAddresses(t *testing.T) {
	for _, w := range wires {
		c := DefaultConfig()
		if w.c.Service != "" {
			c.Service = w.c.Service
		}
		c.URL, c.Key = w.c.URL, w.c.Key
		err := c.Validate()
		if w.says != "" {
			if err == nil || !strings.Contains(err.Error(), w.says) {
				t.Errorf("%s: %v", w.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
			continue
		}
		a, err := c.address(vars{"live/cam", "key=theirs"})
		if err != nil || a.tcURL() != w.tcURL || a.Name != w.stream {
			t.Errorf("%s: %+v, %v", w.name, a, err)
		}
		if strings.Contains(a.String(), "p4ss") || strings.Contains(a.String(), "backup=1") {
			t.Errorf("%s is shown as %s", w.name, a)
		}
	}
}

// TestC429_P18_WireOfEachService: what reaches each service is what OBS sends for the URL and the key, and
// nothing else but for servers that are no known service; and each frame of a film is there, as its publisher sent it, in its order.
func TestC429_P18_WireOfEachService(t *testing.T) {
	var names []string
	for _, w := range wires {
		if _, authority, _, err := split(w.tcURL); err == nil {
			names = append(names, hostOf(authority))
		}
	}
	cert, roots := authority(t, nil, names...)
	for _, w := range wires {
		if w.says != "" {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := DefaultConfig()
				if w.c.Service != "" {
					c.Service = w.c.Service
				}
				c.URL, c.Key, c.Name = w.c.URL, w.c.Key, "it"
				d := newDouble(t)
				d.tls = &tls.Config{Certificates: []tls.Certificate{cert}}
				world := newWorld(t, func(o *Options) { o.Dial, o.Roots = d.dial, roots }, c)
				sent := world.film("live/cam", 2*time.Second)
				world.until("away", in(Away))
				time.Sleep(time.Second) // what was gathered last is on its way
				v := d.list()[0]
				if v.address != w.dials || v.text("app") != w.app || v.text("tcUrl") != w.tcURL || v.text("swfUrl") != w.tcURL || v.name() != w.stream {
					t.Errorf("%s: app %q, tcUrl %q, swfUrl %q, name %q", v.address, v.text("app"), v.text("tcUrl"), v.text("swfUrl"), v.name())
				}
				if v.text("flashVer") != "FMLE/3.0 (compatible; FMSc/1.0)" || v.text("type") != "nonprivate" {
					t.Errorf("%q %q", v.text("flashVer"), v.text("type"))
				}
				want := []string{"app", "type", "flashVer", "swfUrl", "tcUrl"}
				if serviceOf(c.Service, hostOfURL(w.tcURL)) == custom {
					want = append(want, "weir.hops")
				}
				if got := v.properties(); !slices.Equal(got, want) {
					t.Errorf("connect has %q, not %q", got, want)
				}
				if got := v.media(); len(sent) < 100 || !slices.Equal(got, sent) {
					t.Errorf("%d frames came, and they are not the %d that were sent", len(got), len(sent))
				}
			})
		})
	}
}

// TestP19_KeysGoByteForByte: a key with ? and & reaches the server as it was written, from the
// configuration, the environment, a decision and the API.
func TestP19_KeysGoByteForByte(t *testing.T) {
	const key = "FB-1?s_bl=1&a=%2Fx+y=&b=ä"
	type section struct {
		Push []Config `yaml:"push" help:"targets"`
	}
	for name, src := range map[string]config.Source{
		"yaml":        {File: "x.yml", Data: []byte("push:\n  - {url: \"rtmp://h/rtmp\", key: \"" + key + "\"}\n")},
		"env":         {Environ: []string{"WEIR_PUSH_0_URL=rtmp://h/rtmp", "WEIR_PUSH_0_KEY=" + key}},
		"set":         {Sets: []string{"push.0.url=rtmp://h/rtmp", "push.0.key=" + key}},
		"short":       {File: "x.yml", Data: []byte("push: [\"rtmp://h/rtmp/" + key + "\"]\n")},
		"environment": {File: "x.yml", Data: []byte("push: [{url: \"rtmp://h/rtmp\", key: {env: KEY}}]\n"), Environ: []string{"KEY=" + key}},
	} {
		var s section
		if _, err := config.Load(&s, src); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a, err := s.Push[0].address(vars{path: "live/cam"})
		if err != nil || a.Name != key || a.URL != "rtmp://h/rtmp" {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial })
		grant(w, "p1", "granted", "rtmp://h/rtmp", key)
		if _, err := w.m.Add("live/cam", to("added", "rtmp://h/rtmp", key)); err != nil {
			t.Fatal(err)
		}
		w.publish("live/cam", "p1").run(2 * time.Second)
		for _, v := range d.list() {
			if v.name() != key {
				t.Errorf("%q was sent", v.name())
			}
		}
		if len(d.list()) != 2 {
			t.Error(len(d.list()))
		}
		if all := w.everything(); strings.Contains(all, "FB-1") || strings.Contains(all, "s_bl") {
			t.Errorf("the key is shown: %s", all)
		}
	})
}

// TestNames: targets without a name get one that says what they are, and all differ.
func TestNames(t *testing.T) {
	list := []Config{
		{URL: "rtmp://a.example/x/1"},
		{URL: "rtmp://a.example/x/2"},
		{Service: "twitch"},
		{Name: "twitch-2"},
		{Service: "twitch"},
		{URL: "rtmps://a.rtmps.youtube.com/live2/k"},
		{URL: "no URL"},
	}
	var got []string
	for _, c := range withNames(list) {
		got = append(got, c.Name)
	}
	if want := []string{"a-example", "a-example-2", "twitch", "twitch-2", "twitch-3", "youtube", "target"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if err := Check([]Config{{Name: "a"}, {Name: "a"}}); err == nil {
		t.Error("two of a name are taken")
	}
	if err := Check(make([]Config, MaxTargets+1)); err == nil || Check(make([]Config, MaxTargets)) != nil {
		t.Error(err)
	}
}
