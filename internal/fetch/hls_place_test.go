package fetch

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/session"
)

// window is a live playlist of six segments from a number on, in a folder of its own, that lie behind a token.
func window(t *testing.T, w *web, number int, folder string) {
	t.Helper()
	lines := []string{"#EXT-X-MEDIA-SEQUENCE:" + strconv.Itoa(number), `#EXT-X-MAP:URI="/init"`}
	for i := number; i < number+6; i++ {
		name := strconv.Itoa(i)
		lines = append(lines, folder+name+"?token="+folder)
		w.files["/"+folder+name] = sound(t, time.Duration(i)*gap, gap, name)
	}
	w.files["/init"] = soundInit(t)
	w.files["/x.m3u8"] = list(append(lines, "…")...)
}

// sits reads what a source gives until nothing comes for ten seconds, or until it has ended.
func sits(t *testing.T, s Source) (got []string, err error) {
	t.Helper()
	p := newPatient(s, 10*time.Second)
	defer p.Close()
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return got, err
		}
		if f.Type == av.Media {
			got = append(got, string(f.Payload))
		}
	}
}

// TestPlaylistThatStands: a live stream whose encoder stops without a word gives what it has once, however often it is opened again; it goes on
// when the playlist does, at what is new but no farther from its end than a new reader, whatever tokens it has then.
func TestPlaylistThatStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t, files: map[string][]byte{}}
		place := &Place{}
		open := func() Source {
			w.place = place
			s := w.mustOpen("/x.m3u8")
			return s
		}
		for _, step := range []struct {
			first  int // of the playlist, which stands from then on; less than 0: as it is
			folder string
			want   []string
		}{
			{10, "a/", []string{"13", "14", "15"}},
			{-1, "", nil},
			{-1, "", nil},
			{11, "b/", []string{"16"}},
			{11, "c/", nil},
			{13, "c/", []string{"17", "18"}},
			{40, "c/", []string{"43", "44", "45"}},
			{0, "d/", []string{"3", "4", "5"}}, // the encoder was begun anew
			{-1, "", nil},
			{37, "a/", []string{"40", "41", "42"}},
		} {
			if step.first >= 0 {
				window(t, w, step.first, step.folder)
			}
			w.asked = nil
			got, err := sits(t, open())
			if !slices.Equal(got, step.want) || session.ReasonOf(err) != session.Idle || !strings.Contains(err.Error(), "no frame has come for 10s: its playlist can be had, but has no new segment: the encoder has stopped") {
				t.Fatalf("%+v: %q, %v", step, got, err)
			}
			if n := len(w.asked); step.want == nil && n > 25 {
				t.Errorf("%+v: %d requests in ten seconds", step, n)
			}
		}
	})
}

// TestLastPictureOfASegment: of a transport stream that stands all pictures come, and who opens it again once it goes on gets those that
// follow: none is lost in between, and none comes twice.
func TestLastPictureOfASegment(t *testing.T) {
	tape, err := tapes()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t, files: map[string][]byte{}, place: &Place{}}
		for i, b := range tape[0] {
			w.files["/"+strconv.Itoa(i)+".ts"] = []byte(b)
		}
		last, n := time.Duration(0), 0
		for _, until := range []int{3, 4, 6} {
			lines := []string{}
			for i := range until {
				lines = append(lines, strconv.Itoa(i)+".ts")
			}
			w.files["/x.m3u8"] = list(append(lines, "…")...)
			p := newPatient(w.mustOpen("/x.m3u8"), 10*time.Second)
			for {
				f, err := p.ReadFrame()
				if err != nil {
					break
				}
				if f.Type != av.Media {
					continue
				}
				if d := f.DTS - last; n > 0 && (d < pictureTime-time.Millisecond || d > pictureTime+time.Millisecond) {
					t.Errorf("picture %d comes %v after the one before", n, d)
				}
				last, n = f.DTS, n+1
			}
			_ = p.Close()
			if n != until*pictures {
				t.Errorf("of %d segments %d pictures came, not %d", until, n, until*pictures)
			}
		}
	})
}

// TestPlaceInTheMiddle: a segment whose frames were not all taken is read again; one that has ended is read from its beginning, and who has no place begins
// at the end.
func TestPlaceInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t, files: map[string][]byte{}, place: &Place{}}
		window(t, w, 10, "")
		s := w.mustOpen("/x.m3u8")
		for n := 0; n < 2; {
			f, err := s.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if f.Type == av.Media {
				n++
			}
		}
		if got, _ := sits(t, w.mustOpen("/x.m3u8")); !slices.Equal(got, []string{"14", "15"}) {
			t.Errorf("read again: %q", got)
		}
		w.files["/x.m3u8"] = []byte(strings.Replace(string(w.files["/x.m3u8"]), "#EXT-X-MEDIA", "#EXT-X-ENDLIST\n#EXT-X-MEDIA", 1))
		if got := all(t, w.mustOpen("/x.m3u8")); len(got) != 6 {
			t.Errorf("of a stream that has ended: %v", got)
		}
		window(t, w, 10, "")
		w.place = nil
		if got, _ := sits(t, w.mustOpen("/x.m3u8")); !slices.Equal(got, []string{"13", "14", "15"}) {
			t.Errorf("without a place: %q", got)
		}
	})
}

// TestPlaceOfTwoPlaylists: the place of sound that has a playlist of its own is remembered apart.
func TestPlaceOfTwoPlaylists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &web{t: t, files: map[string][]byte{}, place: &Place{}}
		window(t, w, 10, "a/")
		w.files["/a.m3u8"] = w.files["/x.m3u8"]
		window(t, w, 20, "b/")
		w.files["/b.m3u8"] = w.files["/x.m3u8"]
		w.files["/x.m3u8"] = []byte("#EXTM3U\n" + `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="g",NAME="n",URI="b.m3u8"` + "\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"g\"\na.m3u8\n")
		if got, err := sits(t, w.mustOpen("/x.m3u8")); !slices.Equal(got, []string{"13", "14", "15"}) { // then it waits for the first playlist
			t.Errorf("%q, %v", got, err)
		}
		w.answer = func(r *http.Request) (int, []byte) {
			if strings.HasPrefix(r.URL.Path, "/a/") || strings.HasPrefix(r.URL.Path, "/b/") && r.URL.Path != "/b/23" {
				t.Errorf("asked for %s again", r.URL.Path)
			}
			return 0, nil
		}
		if got, _ := sits(t, w.mustOpen("/x.m3u8")); len(got) != 0 {
			t.Errorf("%q again", got)
		}
	})
}
