package main

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/bench"
)

func TestBind_DefaultsAndNames(t *testing.T) {
	var c bench.PlayersConfig
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	args, err := bind(fs, &c)
	if err != nil {
		t.Fatal(err)
	}
	if err := fs.Parse([]string{"--slow-rate", "9000", "--warmup=3s", "--insecure", "rtmp://h/a/b"}); err != nil {
		t.Fatal(err)
	}
	*args[0] = fs.Arg(0)
	want := bench.PlayersConfig{
		URL: "rtmp://h/a/b", Players: 100, Streams: 1, Rate: 1000, Warmup: 3 * time.Second, Duration: 10 * time.Second,
		Join: 15 * time.Second, SlowRate: 9000, Bitrate: 2_500_000, Insecure: true,
	}
	if c != want {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	for _, conf := range []any{new(bench.PublishersConfig), new(bench.StormConfig), new(bench.FloorConfig)} {
		if _, err := bind(flag.NewFlagSet("x", flag.ContinueOnError), conf); err != nil {
			t.Error(err)
		}
	}
}

func TestRun(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00\x09\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x17\x01\x00\x00\x00\x00\x00\x00\x10"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer s.Close()
	args := []string{"players", "--json", "--players", "2", "--warmup", "0s", "--duration", "50ms", s.URL}
	var out strings.Builder
	if err := run(t.Context(), args, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	var r bench.PlayersReport
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil || r.Main.Started != 2 || r.Main.Unstamped != 2 {
		t.Errorf("%s: %v", out.String(), err)
	}
	for _, args := range [][]string{nil, {"play"}, {"players"}, {"players", "a", "b"}, {"floor", "a"}, {"players", "--no-such"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
