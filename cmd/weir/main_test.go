package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir"
	"weir/internal/config"
)

// command runs the command line and returns the exit status and what was printed.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(args, &out, &errOut)
	return status, out.String(), errOut.String()
}

func TestReferencePageIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, out, _ := command(t, "config", "reference"); out != string(page) {
		t.Fatal("docs/configuration.md is out of date: make generate")
	}
}

func TestDefaultsAreAConfiguration(t *testing.T) {
	_, out, _ := command(t, "config", "defaults")
	file := filepath.Join(t.TempDir(), "weir.yml")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, errOut := command(t, "config", "check", "-c", file); status != 0 {
		t.Fatal(errOut)
	}
}

// freePorts are the arguments with which a server takes free ports, whatever protocols it has, and has no admin.
func freePorts(t *testing.T) []string {
	t.Helper()
	conf := weir.DefaultConfig()
	keys, err := config.Keys(&conf)
	if err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, k := range keys {
		if strings.HasSuffix(k.Path, ".listen") && strings.Count(k.Path, ".") == 1 {
			args = append(args, "--set", k.Path+"=127.0.0.1:0")
		}
	}
	return append(args, "--set", "admin.listen=")
}

func TestExitStatus(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yml")
	if err := os.WriteFile(bad, []byte("http:\n  lisen: \":1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"version", 0, ""},
		{"version --json", 0, ""},
		{"--help", 0, ""},
		{"serve --help", 0, ""},
		{"", 2, "expected one of"},
		{"serv", 2, "did you mean"},
		{"serve --nonsense", 2, "unknown flag"},
		{"serve -c /nowhere/weir.yml", 2, "there is no such file"},
		{"serve -c " + bad, 2, `bad.yml:2:3: http.lisen: unknown key, did you mean "listen"?`},
		{"serve --set http.lisen=:1", 2, "http.lisen"},
		{"config check --set http.port=80", 2, "--set http.port: unknown key; http has listen, tls, cors, index, trusted_proxies, proxy_header, proxy_protocol\n"},
		{"serve --set http.listen=127.0.0.1:8088", 2, "http.listen: 127.0.0.1:8088 is taken twice"},
		{"config check --set http.listen=127.0.0.1:8088", 2, "http.listen: 127.0.0.1:8088 is taken twice: admin.listen has 127.0.0.1:8088 too"},
		{"config check --set http.listen=:0 --set admin.listen=127.0.0.1:0", 0, ""},
		{"config check --set http.listen=127.0.0.2:8088", 0, ""},
		{"config check --set http.listen=:8443 --set admin.listen=127.0.0.1:1936", 0, ""}, // HTTPS is off without a certificate
		{"serve --set admin.listen=:8088", 2, "admin.token"},
		{"config check --set admin.hosts=[weir.example.org,tv]", 0, ""},
		{"config check --set admin.hosts=[tv,http://tv]", 2, `admin.hosts.1: "http://tv" is no host name`},
		{"config check --set streams.0.play.start=live --set streams.0.repair=true --set streams.0.publish.grace_after_stop=0s", 0, ""},
		{"config check --set streams.0.play.start=now", 2, "streams.0.play.start: found \"now\", allowed: live, burst, key"},
		{"config check --set streams.0.publish.grace_after_stop=2h", 2, "allowed: a duration such as 10s, 1m30s, 200ms or 0s, at most 1h"},
		{"config check --set http.listen=8080", 2, `http.listen: found "8080", allowed: HOST:PORT, :PORT, or "" to listen nowhere`},
		{"config check --set streams.0.match=live//x", 2, `streams.0.match: the pattern "live//x" has an empty segment`},
		{"config check --set http.tls.cert=/nowhere.pem --set http.tls.key=/nowhere.key", 2, "--set http.tls.cert: TLS certificate: stat /nowhere.pem"},
		{"serve " + strings.Join(freePorts(t), " ") + " --set http.listen=256.0.0.1:1", 1, "listening for http"},
		{"config show --set log.level=debug", 0, ""},
		{"config schema", 0, ""},
	} {
		status, _, errOut := command(t, strings.Fields(c.args)...)
		if status != c.status || !strings.Contains(errOut, c.says) {
			t.Errorf("weir %s: exit status %d, want %d; it says %q", c.args, status, c.status, errOut)
		}
	}
}

// An entry of streams that can never apply is refused with its place and the entry that hides it.
func TestConfigCheckRefusesHiddenEntries(t *testing.T) {
	for _, c := range []struct{ name, entries, says string }{
		{
			"hidden", "  - match: \"**\"\n  - match: live/*\n    latency: low\n",
			`weir.yml:3:12: streams.1.match: "live/*" never applies: streams.0.match (weir.yml:2:12), "**", comes first and matches all of it; put this entry before that one`,
		},
		{
			"twice", "  - match: live/a\n  - match: live/b\n  - match: live/a\n",
			`weir.yml:4:12: streams.2.match: "live/a" never applies: streams.0.match (weir.yml:2:12), "live/a", comes first and matches all of it; put this entry before that one`,
		},
		{
			"no stream's path", "  - match: cam\n",
			`weir.yml:2:12: streams.0.match: "cam" matches no stream: a stream's path is app/name, of 2 to 16 segments, such as live/cam`,
		},
		{"narrow before wide", "  - match: live/a\n  - match: live/*\n  - match: \"**\"\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("weir.yml", []byte("streams:\n"+c.entries), 0o600); err != nil {
				t.Fatal(err)
			}
			status, _, errOut := command(t, "config", "check", "-c", "weir.yml")
			if c.says == "" {
				if status != 0 {
					t.Error(status, errOut)
				}
				return
			}
			dir, _ := os.Getwd()
			if got := strings.TrimSpace(strings.ReplaceAll(errOut, dir+"/", "")); status != 2 || got != c.says {
				t.Errorf("exit status %d\n got %s\nwant %s", status, got, c.says)
			}
		})
	}
}

// TestConfigCheckWarns: what is allowed and most likely not meant is told with its place, and is no error.
func TestConfigCheckWarns(t *testing.T) {
	t.Chdir(t.TempDir())
	text := "streams:\n  - match: live/*\n    publish:\n      keys: [{key: a, expires: 2020-01-31}, {key: b, expires: 2120-01-31}]\n" +
		"  - match: tv/*\n    push:\n      - {url: rtmp://h/live, key: hunter2}\n      - rtmp://h/live/hunter2\n" +
		"hooks:\n  - {run: [/nowhere/notify, x]}\n  - {run: [sh, -c, exit]}\n"
	if err := os.WriteFile("weir.yml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out, errOut := command(t, "config", "check", "-c", "weir.yml")
	dir, _ := os.Getwd()
	want := "warning: weir.yml:10:12: hooks.0.run.0: the program cannot be run now: exec: \"/nowhere/notify\": stat /nowhere/notify: no such file or directory\n" +
		"warning: weir.yml:4:32: streams.0.publish.keys.0.expires: the key ran out on 2020-01-31T00:00:00Z: nobody gets in by it\n" +
		"warning: weir.yml:7:35: streams.1.push.0.key: every stream that matches \"tv/*\" is sent there with the same key, and a server takes one stream for a key: give the stream that is meant an entry of its own, or write {name} into the key\n" +
		"warning: weir.yml:8:9: streams.1.push.1.url: streams.1.push.0.key (weir.yml:7:35) is sent to the same URL with the same key, and a server takes one stream for a key: remove one of the two\n"
	if got := strings.ReplaceAll(errOut, dir+"/", ""); status != 0 || out != "The configuration is good.\n" || got != want {
		t.Errorf("%d %s\n got %s\nwant %s", status, out, got, want)
	}
}

// The log begins with the version, has dates in text as well, and says what SIGHUP does.
func TestServeLog(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			r, w := io.Pipe()
			done := make(chan int, 1)
			go func() {
				args := append([]string{"serve", "--set", "log.format=" + format}, freePorts(t)...)
				done <- run(args, io.Discard, w)
				w.Close()
			}()
			lines := bufio.NewScanner(r)
			first := true
			for lines.Scan() {
				line := lines.Text()
				if first && (!strings.Contains(line, "weir starts") || !strings.Contains(line, "version")) {
					t.Errorf("begins with %s", line)
				}
				first = false
				if today := time.Now().Format(time.DateOnly); !strings.Contains(line, today) && !strings.Contains(line, time.Now().Add(-time.Minute).Format(time.DateOnly)) {
					t.Errorf("a line without its date: %s", line)
				}
				if strings.Contains(line, "stopping") && !strings.Contains(line, "SIGTERM was received") {
					t.Errorf("the end has no cause: %s", line)
				}
				switch {
				case strings.Contains(line, "listening") && strings.Contains(line, "http"): // the last listener
					_ = self.Signal(syscall.SIGHUP)
				case strings.Contains(line, "configuration unchanged: there is no file"):
					_ = self.Signal(syscall.SIGTERM)
				}
			}
			if status := <-done; status != 0 {
				t.Errorf("exit status %d", status)
			}
		})
	}
}

// What the program says of its protocols comes from the table of protocols.
func TestProtocolsAreNamedByTheTable(t *testing.T) {
	_, text, _ := command(t, "version")
	_, js, _ := command(t, "version", "--json")
	_, help, _ := command(t, "--help")
	all, err := json.Marshal(weir.Protocols())
	if err != nil {
		t.Fatal(err)
	}
	if want := "protocols " + strings.Join(weir.Protocols(), " ") + "\n"; !strings.HasSuffix(text, want) {
		t.Errorf("version says %q, want %q", text, want)
	}
	if want := `"protocols":` + string(all); !strings.Contains(js, want) {
		t.Errorf("version --json says %s, want %s", js, want)
	}
	if flat := strings.Join(strings.Fields(help), " "); !strings.Contains(flat, strings.ToUpper(strings.Join(weir.Protocols(), ", "))) {
		t.Errorf("--help says %s", help)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	_, out, errOut := command(t, "config", "show", "--set", "admin.token=hunter2", "--set", "streams.0.match=live/*", "--set", "streams.0.publish.keys=[hunter3]")
	if strings.Contains(out+errOut, "hunter") {
		t.Fatal(out, errOut)
	}
}
