package test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoPorts are the settings that let several servers run beside each other.
var demoPorts = []string{"--set", "rtmp.listen=127.0.0.1:0", "--set", "http.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0", "--set", "log.format=json"}

// TestDemo does what "weir demo" tells a newcomer to do: its test stream plays, the ffmpeg
// line publishes, and the ffplay lines play both.
func TestDemo(t *testing.T) {
	t.Parallel()
	s := runServer(t, append([]string{"demo"}, demoPorts...)...)
	t.Cleanup(func() { s.stop(t) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var told []string
	if err := every(ctx, 10*time.Second, func() error {
		told = s.lines("ffmpeg ", "ffplay ")
		if len(told) < 4 {
			return fmt.Errorf("the demo told %d commands: %q", len(told), told)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(told) // ffmpeg before ffplay
	for _, line := range told {
		if program := line[:7]; program == "ffmpeg " {
			p, err := start(ctx, command{sys: debian12(), args: []string{"sh", "-c", "exec " + line + " </dev/null"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.end(syscall.SIGTERM) })
			if err := s.waitLive(ctx, "live/cam", 2*time.Second); err != nil {
				t.Fatalf("%v after %q, which said: %s", err, line, tail(p.said()))
			}
			continue
		}
		t.Run(fileName(line), func(t *testing.T) { watch(ctx, t, line) })
	}
}

// status matches what ffplay prints again and again: the time that it shows.
var status = regexp.MustCompile(`^\s*([0-9.]+|nan) +(A-V|M-V|M-A|): *\S+ +fd=`)

// watch runs an ffplay line until two seconds have been shown. A live stream does not
// end by itself, and -t does not end ffplay.
func watch(ctx context.Context, t *testing.T, line string) {
	p, err := start(ctx, command{
		sys: debian12(), env: []string{"SDL_VIDEODRIVER=dummy", "SDL_AUDIODRIVER=dummy"},
		args: []string{"sh", "-c", "exec " + line + " -v error -stats"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var complaints []string
	err = every(ctx, 20*time.Second, func() error {
		first, last := -1.0, -1.0
		complaints = nil
		for _, l := range strings.FieldsFunc(p.said(), func(r rune) bool { return r == '\r' || r == '\n' }) {
			m := status.FindStringSubmatch(l)
			if m == nil {
				if strings.TrimSpace(l) != "" {
					complaints = append(complaints, l)
				}
				continue
			}
			if sec, err := strconv.ParseFloat(m[1], 64); err == nil && m[1] != "nan" {
				if first < 0 {
					first = sec
				}
				last = sec
			}
		}
		if last-first < 2 {
			return fmt.Errorf("shown from %.2f s to %.2f s", first, last)
		}
		return nil
	})
	p.end(syscall.SIGTERM)
	if err != nil {
		t.Errorf("%v; it said: %s", err, tail(p.said()))
	}
	if len(complaints) > 0 {
		t.Errorf("it complains: %q", complaints)
	}
}
