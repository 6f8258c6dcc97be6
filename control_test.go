package weir_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
)

// TestHandler: a program serves streams below a path of its own.
func TestHandler(t *testing.T) {
	s := run(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/tv/", http.StripPrefix("/tv", s.Handler()))
	web := httptest.NewServer(mux)
	defer web.Close()
	p, err := s.Publish(t.Context(), "live/a")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.WriteFrame(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		t.Fatal(err)
	}
	// Whatever format there is, what comes is media, and not a page.
	played := false
	for _, suffix := range []string{".flv", ".ts"} {
		answer, err := http.Get(web.URL + "/tv/live/a" + suffix)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 3)
		_, err = io.ReadFull(answer.Body, head)
		played = played || err == nil && answer.StatusCode == http.StatusOK && strings.HasPrefix(answer.Header.Get("Content-Type"), "video/")
		_ = answer.Body.Close()
	}
	if !played {
		t.Error("the stream is not played")
	}
	page, err := http.Get(web.URL + "/tv/live/a/")
	if err != nil {
		t.Fatal(err)
	}
	defer page.Body.Close()
	if page.StatusCode != http.StatusOK {
		t.Errorf("the page: %d", page.StatusCode)
	}
}

// TestEvents: a program sees a publisher come and go, and the iteration ends with its context.
func TestEvents(t *testing.T) {
	s := run(t, nil)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	events := s.Events(ctx, "publish.*")
	p, err := s.Publish(t.Context(), "live/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WriteFrame(&av.Frame{Kind: av.Audio, Codec: av.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0}}); err != nil {
		t.Fatal(err)
	}
	p.Close()
	var got []string
	for e := range events {
		if e.Stream != "live/a" || e.Session == "" || e.ID == "" {
			t.Errorf("%+v", e)
		}
		got = append(got, e.Type)
		if len(got) == 2 {
			stop()
		}
	}
	if !slices.Equal(got, []string{"publish.start", "publish.stop"}) {
		t.Errorf("got %v", got)
	}
}
