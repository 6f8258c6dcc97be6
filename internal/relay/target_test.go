package relay

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/rtmp"
)

// taker is an RTMP server that keeps the first bytes of the messages that it is given.
type taker struct {
	rtmp.Publication
	got chan string
}

func (h *taker) Connect(context.Context, *rtmp.ServerSession, *rtmp.ConnectRequest) error { return nil }

func (h *taker) Publish(context.Context, *rtmp.ServerSession, *rtmp.PublishRequest) (rtmp.Publication, error) {
	return h, nil
}

func (h *taker) Play(context.Context, *rtmp.ServerSession, *rtmp.PlayRequest) (rtmp.Playback, error) {
	return nil, &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodePlayFailed}
}

func (h *taker) Message(m *rtmp.Message) error {
	h.got <- string(m.Payload)
	return nil
}

func (h *taker) Close(error) { close(h.got) }

// serveTaker runs a server that announces caps and returns its URL.
func serveTaker(t *testing.T, caps *rtmp.Caps) (url string, h *taker) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h = &taker{got: make(chan string, 100)}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = (&rtmp.Server{Handler: h, Caps: caps}).Serve(ctx, ln)
	}()
	t.Cleanup(func() { stop(); <-done })
	return "rtmp://" + ln.Addr().String() + "/live/x", h
}

// TestTargetGetsWhatItAnnounced publishes two audio tracks and codecs of several kinds to servers that
// announce more or less.
func TestTargetGetsWhatItAnnounced(t *testing.T) {
	const one, two, hevc, enhanced = "\xaf\x01one", "\x95\x01mp4a\x01two", "\x93hvc1hevc", "\x91avc1\x00\x00\x00264"
	frames := []*av.Frame{
		{Kind: av.Audio, Codec: av.AAC, Payload: []byte("one")},
		{Kind: av.Audio, Codec: av.AAC, Track: 1, Payload: []byte("two")},
		{Kind: av.Video, Codec: av.H265, Flags: av.Key, Payload: []byte("hevc")},
	}
	var demux flv.Demuxer
	avc, err := demux.Demux(nil, flv.TagVideo, 0, []byte(enhanced))
	if err != nil {
		t.Fatal(err)
	}
	frames = append(frames, &avc[0])
	const track = "audio track 1 (AAC) is left out: the server has not announced that it takes several tracks of a kind; --multitrack sends it nevertheless"
	const codec = "video track 0 (H.265) is left out: the server has announced which codecs it takes, and this is not one of them"
	for name, c := range map[string]struct {
		caps       rtmp.Caps
		multitrack bool
		want       []string
		leftOut    []string
	}{
		"nothing":            {rtmp.Caps{}, false, []string{one, hevc, "\x17\x01\x00\x00\x00264"}, []string{track}},
		"nothing, but told":  {rtmp.Caps{}, true, []string{one, two, hevc, "\x17\x01\x00\x00\x00264"}, nil},
		"multitrack":         {rtmp.Caps{CapsEx: rtmp.CapMultitrack}, false, []string{one, two, hevc, enhanced}, nil},
		"AV1":                {rtmp.Caps{FourCCs: []string{"av01"}}, false, []string{one, "\x17\x01\x00\x00\x00264"}, []string{track, codec}},
		"H.265 and H.264":    {rtmp.Caps{FourCCs: []string{"hvc1", "avc1"}}, false, []string{one, hevc, enhanced}, []string{track}},
		"everything by maps": {rtmp.Caps{Video: []rtmp.FourCCEntry{{FourCC: "*", Info: rtmp.CanForward}}, CapsEx: rtmp.CapMultitrack}, false, []string{one, two, hevc, enhanced}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			url, h := serveTaker(t, &c.caps)
			target, err := Create(t.Context(), url, TargetOptions{Multitrack: c.multitrack})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // each track is named once
				for _, f := range frames {
					if err := target.WriteFrame(f); err != nil && !errors.Is(err, errLeftOut) {
						t.Fatal(err)
					}
				}
			}
			if err := target.Close(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for m := range h.got {
				got = append(got, m)
			}
			if want := slices.Concat(c.want, c.want); !slices.Equal(got, want) {
				t.Errorf("the server got %q, not %q", got, want)
			}
			if !slices.Equal(target.LeftOut(), c.leftOut) {
				t.Errorf("it says %q, not %q", target.LeftOut(), c.leftOut)
			}
		})
	}
}

func TestFilesAreNotOverwritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.flv")
	if err := os.WriteFile(file, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Create(t.Context(), file, TargetOptions{})
	if err == nil || err.Error() != file+": the file exists; --force overwrites it" {
		t.Error(err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "dear" {
		t.Errorf("the file is %q now, %v", b, err)
	}
	w, err := Create(t.Context(), file, TargetOptions{Overwrite: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WriteFrame(sound(0)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(b), "FLV") {
		t.Errorf("the file is %q now, %v", b, err)
	}
}

// TestNoEmptyFileIsLeft has a source that fails before its first frame: a second attempt finds no file.
func TestNoEmptyFileIsLeft(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.flv")
	_, err := Copy(t.Context(), rounds(), to(file), Options{Unpaced: true})
	if err == nil || err.Error() != "the source has ended without a frame" {
		t.Error(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Error("an empty file is left:", err)
	}
}

// TestDataTracksOfTransportStreamsAreNamed has timed metadata, for which FLV has no place.
func TestDataTracksOfTransportStreamsAreNamed(t *testing.T) {
	id3 := &av.Frame{Kind: av.Data, Codec: 'I'<<24 | 'D'<<16 | '3'<<8 | ' ', DTS: 20 * ms, PTS: 20 * ms, Payload: []byte("ID3")}
	var got []string
	_, err := Copy(t.Context(), rounds(picture("a", 0, av.Key), id3, picture("a", 40, 0)), to(filepath.Join(t.TempDir(), "x.flv")),
		Options{Unpaced: true, Notice: func(s string) { got = append(got, s) }, Duration: time.Minute})
	if want := []string{`data track 0 ("ID3 ") is left out: FLV has no place for it`}; err != nil || !slices.Equal(got, want) {
		t.Errorf("it says %q, not %q; %v", got, want, err)
	}
}
