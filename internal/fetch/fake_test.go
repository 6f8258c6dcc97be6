package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/format/fmp4"
)

// web is servers without a network, so that what has a clock runs under testing/synctest.
type web struct {
	t      *testing.T
	files  map[string][]byte // by the path of the URL
	plain  bool              // it knows no ranges
	answer func(r *http.Request) (status int, b []byte)

	place *Place

	asked []string // path, query and range
}

// RoundTrip implements http.RoundTripper.
func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	what := r.URL.RequestURI()
	span := r.Header.Get("Range")
	if span != "" {
		what += " " + span
	}
	w.asked = append(w.asked, what)
	b, ok := w.files[r.URL.Path]
	status := http.StatusOK
	if !ok {
		status = http.StatusNotFound
	}
	if w.answer != nil {
		if own, body := w.answer(r); own != 0 {
			status, b = own, body
		}
	}
	var from, to int
	if n, _ := fmt.Sscanf(span, "bytes=%d-%d", &from, &to); n == 2 && status == http.StatusOK && !w.plain {
		b, status = b[from:min(to+1, len(b))], http.StatusPartialContent
	}
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(b)), ContentLength: int64(len(b)), Request: r,
	}, nil
}

// open reads the playlist at a path, with its query.
func (w *web) open(at string) (*hlsSource, error) {
	w.t.Helper()
	u, err := url.Parse("http://h.example" + at)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, end := context.WithCancel(w.t.Context())
	s := &hlsSource{ctx: ctx, client: &http.Client{Transport: w}, end: end, place: w.place}
	res, err := get(context.Background(), s.client, u.String(), "")
	if err != nil {
		w.t.Fatal(err)
	}
	return s, s.begin(u, u, res.Body, false)
}

// mustOpen is open that succeeds.
func (w *web) mustOpen(at string) *hlsSource {
	w.t.Helper()
	s, err := w.open(at)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// heard is a frame of media as tests compare it.
type heard struct {
	track uint8
	ms    int64
	text  string
}

// all reads a source to its end, and returns the media.
func all(t *testing.T, s Source) (list []heard) {
	t.Helper()
	for {
		f, err := s.ReadFrame()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == av.Media {
			list = append(list, heard{f.Track, f.DTS.Milliseconds(), string(f.Payload)})
		}
	}
}

// ticks is how many of the sounds' ticks a second has.
const ticks = 1000

// soundInit is the initialization of a track of sound.
func soundInit(t *testing.T) []byte {
	t.Helper()
	b, err := fmp4.AppendInit(nil, []fmp4.Track{{
		Track: av.Track{Kind: av.Audio, Codec: av.AAC, Config: []byte{0x11, 0x90}, SampleRate: 48000, Channels: 2}, ID: 1, Timescale: ticks,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sound is a fragment of frames that follow one another from a time on, a text each, each of which lasts for a duration.
func sound(t *testing.T, from, each time.Duration, texts ...string) []byte {
	t.Helper()
	run := fmp4.Run{ID: 1, DTS: from.Milliseconds()}
	for _, text := range texts {
		run.Samples = append(run.Samples, fmp4.Sample{Duration: uint32(each.Milliseconds()), Key: true, Payload: []byte(text)})
	}
	b, err := fmp4.AppendFragment(nil, 1, []fmp4.Run{run})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// list is a playlist of these lines, that ends unless the last one is "…".
func list(lines ...string) []byte {
	b := "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n"
	for _, l := range lines {
		if !strings.HasPrefix(l, "#") && l != "…" {
			b += "#EXTINF:0.2,\n"
		}
		if l != "…" {
			b += l + "\n"
		}
	}
	if lines[len(lines)-1] != "…" {
		b += "#EXT-X-ENDLIST\n"
	}
	return []byte(b)
}
