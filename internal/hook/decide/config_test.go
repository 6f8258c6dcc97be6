package decide

import (
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/config"
	"weir/internal/hook"
	"weir/internal/session"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		yaml string
		err  string // the whole of it, or its end behind …
	}{
		{"", ""},
		{"url: https://auth.example.com/", ""},
		{"url: unix:/run/hook.sock:/auth\n  format: srs", ""},
		{"publish_url: https://a/SECRET/[app]\n  format: srs", `weir.yml:2:16: hook.publish_url: [app] is replaced in the address of the hook for on_hls_notify alone: leave it out, the service is told in the question itself`},
		{"url: {}", "…found a group of keys, allowed: text"},
		{"url: rtmp://x/SECRET", `weir.yml:2:8: hook.url: services are not called by "rtmp": write https://HOST/PATH, http://HOST/PATH or unix:/SOCKET:/PATH`},
		{"publish_url: x/SECRET", `weir.yml:2:16: hook.publish_url: this is no URL: write https://HOST/PATH, http://HOST/PATH or unix:/SOCKET:/PATH`},
		{"method: get", `weir.yml:2:11: hook.method: only the format nginx-rtmp has it, and auth.hook.format is weir`},
		{"method: get\n  format: nginx-rtmp", ""},
		{"method: get\n  format: nginx-rtmp\n  secret: whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "…questions are signed over their body, and a get has none: use post, or leave out auth.hook.secret"},
		{"format: srs\n  recheck: 30s", `weir.yml:3:12: hook.recheck: services of the format srs do not expect to be asked again: leave it at 0s`},
		{"publish_url: https://a/ http://b/x\n  format: srs", ""},
		{"publish_url: https://a/ SECRET\n  format: srs", `…this is no URL: write https://HOST/PATH, http://HOST/PATH or unix:/SOCKET:/PATH`},
		{"connect_url: https://a/", `weir.yml:2:16: hook.connect_url: services of the format weir are not asked about connections: leave it out`},
		{"connect_url: https://a/\n  format: srs", ""},
		{"forward_url: https://a/\n  format: srs", ""},
		{"forward_url: https://a/\n  format: nginx-rtmp", `weir.yml:2:16: hook.forward_url: only services of the format srs are asked where streams are sent: those of the format weir answer with push, leave it out`},
		{"forward_url: https://a/ https://b/\n  format: srs", `…it is one address, as in SRS: the service answers with all servers`},
		{"update_url: https://a/\n  format: nginx-rtmp", `…nobody is asked again before auth.hook.recheck is set`},
		{"update_url: https://a/\n  format: nginx-rtmp\n  recheck: 30s\n  update: strict", ""},
		{"update: lenient", `…only the format nginx-rtmp has it, and auth.hook.format is weir`},
		{"secret: SECRET", "…such as openssl rand -base64 32 prints"},
		{"secret: SECRET\n  format: ome", ""},
		{"timeout: 99ms", "…from 100ms to 30s"},
	} {
		var conf struct {
			Hook Config `yaml:"hook"`
		}
		conf.Hook = DefaultConfig()
		_, err := config.Load(&conf, config.Source{File: "weir.yml", Data: []byte("hook:\n  " + c.yaml + "\n")})
		end, part := strings.CutPrefix(c.err, "…")
		switch {
		case c.err == "":
			if err != nil {
				t.Errorf("%s: %v", c.yaml, err)
			}
		case err == nil || strings.Contains(err.Error(), "SECRET"),
			!part && err.Error() != c.err, part && !strings.HasSuffix(err.Error(), end):
			t.Errorf("%s: %v", c.yaml, err)
		}
	}
}

func TestFormatsOfConfig(t *testing.T) {
	for _, f := range hook.FormatNames() {
		conf := DefaultConfig()
		conf.URL, conf.Format = "https://x/", f
		if p, err := NewPlan(conf); err != nil || p.format.Name != f {
			t.Error(f, err)
		}
	}
	conf := DefaultConfig()
	if conf.Enabled() || conf.Asks(session.Play) || conf.Timeout != 3*time.Second || conf.OnError != "deny" {
		t.Errorf("%+v", conf)
	}
	if p, err := NewPlan(conf); err != nil || len(p.targets(publisher(""))) != 0 {
		t.Error(err)
	}
	conf.URL, conf.CA = "https://x/", "/does/not/exist.pem"
	if _, err := NewPlan(conf); err == nil {
		t.Error("certificates that are not there")
	}
	if err := conf.Check(); err == nil || !strings.Contains(err.Error(), "/does/not/exist.pem") {
		t.Error(err)
	}
}

func percentile(d []time.Duration, p int) time.Duration {
	slices.Sort(d)
	return d[(len(d)-1)*p/100]
}
