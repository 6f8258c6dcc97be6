package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"weir/av"
	"weir/format/flv"
	"weir/internal/fetch"
	"weir/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sample = "../demo/sample.flv"

// frames reads a file's media frames.
func frames(t *testing.T, name string) (fs []*av.Frame) {
	t.Helper()
	s, err := fetch.Open(t.Context(), name, fetch.Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for {
		f, err := s.ReadFrame()
		if errors.Is(err, io.EOF) {
			return fs
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == av.Media {
			fs = append(fs, f)
		}
	}
}

// serve runs a server and returns where it listens.
func serve(t *testing.T) (rtmpURL, httpURL, wsURL string) {
	t.Helper()
	c := server.Default()
	c.RTMP.Listen = "127.0.0.1:0"
	c.HTTP.Listen, c.Admin.Listen = "127.0.0.1:0", ""
	s, err := server.New(c, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	h := s.Addr("http").String()
	return "rtmp://" + s.Addr("rtmp").String() + "/live/x", "http://" + h + "/live/x.flv", "ws://" + h + "/live/x.flv"
}

func from(name string) func(context.Context) (fetch.Source, error) {
	return func(ctx context.Context) (fetch.Source, error) { return fetch.Open(ctx, name, fetch.Access{}) }
}

func to(name string) func(context.Context) (Target, error) {
	return func(ctx context.Context) (Target, error) { return Create(ctx, name, TargetOptions{}) }
}

// TestRoundTrips pushes a file to a server and pulls it by each protocol: what comes is a run of
// what was sent, bit by bit.
func TestRoundTrips(t *testing.T) {
	rtmpURL, httpURL, wsURL := serve(t)
	want := frames(t, sample)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	pushed := make(chan error, 1)
	go func() {
		_, err := Copy(ctx, from(sample), to(rtmpURL), Options{Loop: true, Speed: 4})
		pushed <- err
	}()
	for _, url := range []string{rtmpURL, httpURL, wsURL} {
		file := filepath.Join(t.TempDir(), "x.flv")
		s, err := Copy(ctx, from(url), to(file), Options{Frames: 300, Unpaced: true})
		if err != nil || s.Frames != 300 {
			t.Fatal(url, s, err)
		}
		compare(t, frames(t, file), want)
	}
	stop()
	if err := <-pushed; err != nil {
		t.Fatal(err)
	}
}

// compare checks that got's payloads are a run of want's, looped, and its times do not fall.
func compare(t *testing.T, got, want []*av.Frame) {
	t.Helper()
	for _, kind := range []av.Kind{av.Video, av.Audio} {
		g, w := only(got, kind), only(want, kind)
		start := -1
		for i := range w {
			if bytes.Equal(w[i].Payload, g[0].Payload) {
				start = i
				break
			}
		}
		if start < 0 {
			t.Fatalf("%v: the first frame was never sent", kind)
		}
		for i, f := range g {
			if !bytes.Equal(f.Payload, w[(start+i)%len(w)].Payload) {
				t.Fatalf("%v: frame %d differs", kind, i)
			}
			if i > 0 && f.DTS < g[i-1].DTS {
				t.Fatalf("%v: time falls at frame %d from %v to %v", kind, i, g[i-1].DTS, f.DTS)
			}
		}
	}
}

func only(fs []*av.Frame, k av.Kind) (out []*av.Frame) {
	for _, f := range fs {
		if f.Kind == k {
			out = append(out, f)
		}
	}
	return out
}

func TestLoopGoesOnInTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.flv")
	n := int64(len(frames(t, sample)))
	if _, err := Copy(t.Context(), from(sample), to(file), Options{Loop: true, Frames: 3 * n, Unpaced: true}); err != nil {
		t.Fatal(err)
	}
	got := frames(t, file)
	compare(t, got, frames(t, sample))
	v := only(got, av.Video)
	for i := 1; i < len(v); i++ {
		if d := v[i].DTS - v[i-1].DTS; d > 80*time.Millisecond {
			t.Fatalf("a gap of %v at frame %d", d, i)
		}
	}
}

func TestStartBeginsAtAKeyFrame(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.flv")
	if _, err := Copy(t.Context(), from(sample), to(file), Options{Start: 3 * time.Second, Unpaced: true}); err != nil {
		t.Fatal(err)
	}
	v := only(frames(t, file), av.Video)
	if !v[0].IsKey() || v[0].DTS != 0 || len(v) != 180 {
		t.Fatal(v[0].Flags, v[0].DTS, len(v))
	}
}

// TestStartBehindTheEnd says how long the source is.
func TestStartBehindTheEnd(t *testing.T) {
	source := rounds(header("A"), picture("a", 0, av.Key), picture("a", 40, 0), picture("b", 2000, av.Key))
	_, err := Copy(t.Context(), source, (&written{}).create, Options{Start: time.Minute, Unpaced: true})
	if want := "the source has 2s, and was to be begun after 1m0s"; err == nil || err.Error() != want {
		t.Errorf("it says %v, not %s", err, want)
	}
}

// brittle fails after some frames, and cannot be opened again for a while.
type brittle struct {
	Target
	left int
}

func (b *brittle) WriteFrame(f *av.Frame) error {
	if b.left--; b.left == 0 {
		return errors.New("gone")
	}
	return b.Target.WriteFrame(f)
}

func TestReconnectGoesOnAtAKeyFrameWithHeaders(t *testing.T) {
	dir := t.TempDir()
	var opened atomic.Int32
	create := func(ctx context.Context) (Target, error) {
		switch opened.Add(1) {
		case 1:
			f, err := Create(ctx, filepath.Join(dir, "1.flv"), TargetOptions{})
			return &brittle{f, 100}, err
		case 2:
			return nil, errors.New("still gone")
		}
		return Create(ctx, filepath.Join(dir, "2.flv"), TargetOptions{})
	}
	var said []string
	s, err := Copy(t.Context(), from(sample), create, Options{Reconnect: true, Speed: 4, Notice: func(s string) { said = append(said, s) }})
	if err != nil || s.Reconnects != 1 {
		t.Fatal(s, err)
	}
	if len(said) != 3 || said[0] != "gone: the connection is lost, trying again" || said[1] != "still gone: trying again in 500ms" ||
		!strings.HasPrefix(said[2], filepath.Join(dir, "2.flv")+": connected again after ") {
		t.Errorf("it says %q", said)
	}
	f, err := os.Open(filepath.Join(dir, "2.flv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := flv.NewFrameReader(f)
	var seen []av.Type
	for {
		fr, err := r.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, fr.Type)
		if fr.Type == av.Media {
			if !fr.IsKey() || fr.Kind != av.Video || len(seen) != 4 {
				t.Fatal("begins with", fr.Kind, fr.Flags, seen)
			}
			return
		}
	}
}

// TestFramesThatNobodyGotAreNotSent has a target that goes away for good, and one that takes no sound.
func TestFramesThatNobodyGotAreNotSent(t *testing.T) {
	source := rounds(header("A"), picture("a", 0, av.Key), sound(10), picture("a", 2000, 0), picture("a", 4000, av.Key))
	synctest.Test(t, func(t *testing.T) {
		var said []string
		opened := false
		create := func(context.Context) (Target, error) {
			if opened {
				return nil, errors.New("x: refused")
			}
			opened = true
			return &brittle{&written{}, 4}, nil // of which one is the header
		}
		s, err := Copy(t.Context(), source, create, Options{Reconnect: true, Notice: func(s string) { said = append(said, s) }})
		if want := "x: refused: the rest of the source was not sent"; err == nil || err.Error() != want {
			t.Errorf("it ends with %v, not %s", err, want)
		}
		if s.Frames != 4 || s.Sent != 2 || s.Bytes != 2 {
			t.Errorf("%d frames, %d of them sent, %d bytes", s.Frames, s.Sent, s.Bytes)
		}
		if want := []string{"gone: the connection is lost, trying again", "x: refused: trying again in 500ms"}; !slices.Equal(said, want) {
			t.Errorf("it says %q, not %q", said, want)
		}
	})
	s, err := Copy(t.Context(), source, func(context.Context) (Target, error) { return deaf{&written{}}, nil }, Options{Unpaced: true})
	if err != nil || s.Frames != 4 || s.Sent != 3 {
		t.Errorf("of a track that is left out: %d frames, %d of them sent, %v", s.Frames, s.Sent, err)
	}
}

// deaf takes no sound.
type deaf struct{ Target }

func (d deaf) WriteFrame(f *av.Frame) error {
	if f.Kind == av.Audio {
		return errLeftOut
	}
	return d.Target.WriteFrame(f)
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct{ source, target, names, says string }{
		{"nowhere.flv", "", "nowhere.flv: ", "no such file or directory"},
		{"copy.go", "", "copy.go: ", "neither FLV, MP4, MPEG-TS nor an HLS playlist"},
		{"udp://127.0.0.1:1/x", "", "udp://127.0.0.1:1/x: ", "udp:// is not supported: use rtmp, rtmps, http, https, ws, wss or a file"},
		{sample, "x.mp4", "x.mp4: ", "only .flv can be written"},
		{sample, "http://127.0.0.1/x", "http://127.0.0.1/x: ", "publishing to http:// is not supported: use rtmp or rtmps"},
		{"http://127.0.0.1:1/live/x.flv?key=hunter2", "", "http://127.0.0.1:1/live/x.flv?key=***: 127.0.0.1 refuses the connection: nothing listens at that port, or a firewall is in between", ""},
		{"ws://127.0.0.1:1/live/x.flv", "", "ws://127.0.0.1:1/live/x.flv: 127.0.0.1 refuses the connection: nothing listens at that port, or a firewall is in between", ""},
		{"rtmp://127.0.0.1:1/live/x?key=hunter2", "", "rtmp://127.0.0.1:1/live/x?key=***: 127.0.0.1 refuses the connection: nothing listens at that port, or a firewall is in between", ""},
		{sample, "rtmp://127.0.0.1:1/live/x", "rtmp://127.0.0.1:1/live/x: 127.0.0.1 refuses the connection: nothing listens at that port, or a firewall is in between", ""},
	} {
		_, err := Copy(t.Context(), from(c.source), to(c.target), Options{Unpaced: true})
		if err == nil || !strings.HasPrefix(err.Error(), c.names) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s to %q: got %v, want %s…%s", c.source, c.target, err, c.names, c.says)
		}
	}
}
