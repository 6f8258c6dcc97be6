package server_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/format/flv"
	"weir/internal/config"
	"weir/internal/push"
	"weir/internal/server"
	"weir/rtmp"
)

// tagsOf reads an FLV file.
func tagsOf(t *testing.T, name string) (list []rtmp.Message) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r := flv.NewReader(bytes.NewReader(b))
	for {
		tag, err := r.ReadTag()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rtmp.Message{Type: rtmp.MessageType(tag.Type), Timestamp: tag.Timestamp, Payload: slices.Clone(tag.Body)})
	}
}

// picture is one of the stream or of the slate, by its number there.
type picture struct {
	slate bool
	n     int
}

// TestSlateFromFiles: a slate that ffmpeg made of the publisher's encoder, as FLV, MP4 and MPEG-TS, is played while the publisher is
// away, in order and without a hole, and ffmpeg decodes the stream across both seams without a complaint.
func TestSlateFromFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	encode := func(name, picture, seconds string) string {
		name = filepath.Join(folder, name)
		ffmpegRun(t, "-f", "lavfi", "-i", picture+"=size=128x96:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", seconds, "-pix_fmt", "yuv420p",
			"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-c:a", "aac", "-flvflags", "no_duration_filesize", name)
		return name
	}
	stream := tagsOf(t, encode("stream.flv", "testsrc2", "6"))
	slates := map[string]string{"flv": encode("slate.flv", "testsrc", "2")}
	for _, kind := range []string{"mp4", "ts"} {
		slates[kind] = filepath.Join(folder, "slate."+kind)
		ffmpegRun(t, "-i", slates["flv"], "-c", "copy", slates[kind])
	}
	which := map[string]picture{}
	rounds := map[bool]int{}
	for slate, tags := range map[bool][]rtmp.Message{false: stream, true: tagsOf(t, slates["flv"])} {
		for i := range tags {
			if m := &tags[i]; m.Type == rtmp.TypeVideo && m.Payload[1] == 1 {
				which[hashOf(m)] = picture{slate, rounds[slate]}
				rounds[slate]++
			}
		}
	}

	there := start(t, nil)
	var targets []push.Config
	for kind, file := range slates {
		c := target(kind, "rtmp://"+there.Addr("rtmp").String()+"/in", kind)
		c.Slate = file
		targets = append(targets, c)
	}
	here := start(t, pushTo(targets...))
	publish := func(until uint32) (lose func()) {
		c, err := rtmp.Dial(t.Context(), here.url("live/cam"), rtmp.DialOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.Publish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for _, m := range stream {
			<-time.After(time.Until(begun.Add(time.Duration(m.Timestamp) * time.Millisecond)))
			if err := p.WriteMessage(&m); err != nil {
				t.Fatal(err)
			}
			if m.Timestamp > until {
				break
			}
		}
		return func() { _ = c.Close() }
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for kind := range slates {
		wg.Go(func() {
			file := filepath.Join(folder, "got-"+kind+".flv")
			ffmpegRun(t, "-i", there.url("in/"+kind), "-t", "12", "-c", "copy", file)
			ffmpegRun(t, "-xerror", "-i", file, "-f", "null", "-") // a complaint fails it
			var seams []bool
			var before picture
			var last uint32
			for _, m := range tagsOf(t, file) {
				if m.Type != rtmp.TypeVideo || m.Payload[1] != 1 {
					continue
				}
				is, ok := which[hashOf(&m)]
				n := len(seams)
				switch {
				case !ok:
					t.Fatalf("%s: a picture at %d is neither the stream's nor the slate's", kind, m.Timestamp)
				case n == 0:
					seams = append(seams, is.slate)
				case m.Timestamp <= last || m.Timestamp-last > 100:
					t.Errorf("%s: time goes from %d to %d", kind, last, m.Timestamp)
				}
				if n > 0 && is.slate != before.slate {
					seams, before.n = append(seams, is.slate), -1
				}
				if want := before.n + 1; n > 0 && is.n != want && (!is.slate || is.n != want%rounds[true]) {
					t.Errorf("%s: picture %d comes after %+v, not %d", kind, is.n, before, want)
				}
				before, last = is, m.Timestamp
			}
			if !slices.Equal(seams, []bool{false, true, false, true}) && !slices.Equal(seams, []bool{false, true, false}) {
				t.Errorf("%s: whether it is the slate goes %v", kind, seams)
			}
		})
	}
	for kind := range slates { // a player that waits makes its stream
		eventually(t, "a player waits for "+kind, func() bool { return there.hub.Get("in/"+kind) != nil })
	}
	lose := publish(3000)
	lose()
	<-time.After(3 * time.Second) // the publisher is away for longer than a round of the slate
	lose = publish(6000)
	lose() // the slate lets the players have their twelve seconds, however late they begin
	wg.Wait()
	if strings.Contains(here.log.String(), "the slate is not used") {
		t.Error("the log says that a slate does not fit")
	}
}

// TestSlateIsChecked: a file that cannot be used keeps the server from starting, and a change of the configuration from being taken,
// with the place of the key and a sentence.
func TestSlateIsChecked(t *testing.T) {
	t.Parallel()
	conf := server.Default()
	conf.RTMP.Listen, conf.HTTP.Listen, conf.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	to := target("x", "rtmp://127.0.0.1:1/in", "x")
	to.Slate = filepath.Join(t.TempDir(), "none.mp4")
	pushTo(to)(&conf)
	here := start(t, nil)
	err := config.Check(&conf)
	if err == nil || !strings.Contains(err.Error(), "streams.0.push.0.slate") || !strings.Contains(err.Error(), to.Slate+" cannot be used: no such file or directory") {
		t.Error(err)
	}
	if status, answer := here.ask("POST", "/api/v1/pushes", `{"stream":"live/cam","url":"rtmp://127.0.0.1:1/in","key":"x","slate":"`+to.Slate+`"}`); status != 422 || !strings.Contains(answer, "cannot be used: no such file or directory") {
		t.Error(status, answer)
	}
}
