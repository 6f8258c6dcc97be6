package relay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/amf"
	"weir/av"
	"weir/format/flv"
	"weir/internal/fetch"
)

const ms = time.Millisecond

// list is a source of frames, for each round anew.
type list struct {
	frames []*av.Frame
	live   bool
	end    error // instead of io.EOF
}

func (s *list) ReadFrame() (*av.Frame, error) {
	if len(s.frames) == 0 {
		return nil, cmp.Or(s.end, io.EOF)
	}
	f := s.frames[0]
	s.frames = s.frames[1:]
	return f, nil
}

func (s *list) Live() bool               { return s.live }
func (*list) Condition() fetch.Condition { return fetch.Condition{} }
func (*list) Close() error               { return nil }

// rounds opens the same frames over and over.
func rounds(frames ...*av.Frame) func(context.Context) (fetch.Source, error) {
	return func(context.Context) (fetch.Source, error) { return &list{frames: slices.Clone(frames)}, nil }
}

// written is a target that keeps what it gets, as "video 0.040 key" and so on.
type written struct {
	nowhere
	frames []*av.Frame
}

func (w *written) WriteFrame(f *av.Frame) error {
	w.frames = append(w.frames, f)
	return nil
}

func (w *written) String() string {
	var b strings.Builder
	for _, f := range w.frames {
		fmt.Fprintf(&b, "%s%d ", f.Payload, f.DTS/ms)
	}
	return strings.TrimSpace(b.String())
}

func (*written) Name() string { return "" }

func (w *written) create(context.Context) (Target, error) { return w, nil }

// header, key, delta and sound make frames whose payloads are their names.
func header(name string) *av.Frame {
	return &av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: []byte(name)}
}

func picture(name string, at time.Duration, flags av.Flags) *av.Frame {
	return &av.Frame{Kind: av.Video, Codec: av.H264, Flags: flags, DTS: at * ms, PTS: at * ms, Payload: []byte(name)}
}

func sound(at time.Duration) *av.Frame {
	return &av.Frame{Kind: av.Audio, Codec: av.AAC, Flags: av.Key, DTS: at * ms, PTS: at * ms, Payload: []byte("s")}
}

func script(name string, at time.Duration) *av.Frame {
	b, err := amf.Append(nil, name)
	if err != nil {
		panic(err)
	}
	return &av.Frame{Kind: av.Data, Type: av.Script, DTS: at * ms, PTS: at * ms, Payload: b}
}

// TestLoopBeginsWithTheFirstHeaders has a source whose configuration changes: its next round begins
// with the first one.
func TestLoopBeginsWithTheFirstHeaders(t *testing.T) {
	var w written
	source := rounds(header("A"), picture("a", 0, av.Key), picture("a", 40, 0), header("B"), picture("b", 80, av.Key), picture("b", 120, 0))
	if _, err := Copy(t.Context(), source, w.create, Options{Loop: true, Frames: 10, Unpaced: true}); err != nil {
		t.Fatal(err)
	}
	const want = "A0 a0 a40 B40 b80 b120 A160 a160 a200 B200 b240 b280 A320 a320 a360"
	if w.String() != want {
		t.Errorf("the target got\n%s, not\n%s", w.String(), want)
	}
}

// TestLoopDoesNotRepeatHeadersInForce has a source with one configuration.
func TestLoopDoesNotRepeatHeadersInForce(t *testing.T) {
	var w written
	source := rounds(header("A"), picture("a", 0, av.Key), picture("a", 40, 0))
	if _, err := Copy(t.Context(), source, w.create, Options{Loop: true, Frames: 4, Unpaced: true}); err != nil {
		t.Fatal(err)
	}
	if want := "A0 a0 a40 a80 a120"; w.String() != want {
		t.Errorf("the target got %s, not %s", w.String(), want)
	}
}

// TestClockThatJumpsWithinASource goes on in time, and takes the time that the media last.
func TestClockThatJumpsWithinASource(t *testing.T) {
	for name, c := range map[string]struct {
		frames []*av.Frame
		want   string
		took   time.Duration
	}{
		"it begins again": {
			[]*av.Frame{
				header("A"), picture("a", 5000, av.Key), sound(5010), picture("a", 7000, 0), sound(7010),
				header("A"), picture("a", 0, av.Key), sound(10), picture("a", 2000, 0), sound(2010),
			},
			"A0 a0 s10 a2000 s2010 A2010 a2043 s2053 a4043 s4053", 4053 * ms,
		},
		"it jumps by an hour": {
			[]*av.Frame{header("A"), picture("a", 0, av.Key), picture("a", 40, 0), picture("a", 3600080, 0), picture("a", 3600120, 0)},
			"A0 a0 a40 a80 a120", 120 * ms,
		},
		"a pause of a few seconds stays": {
			[]*av.Frame{header("A"), picture("a", 0, av.Key), picture("a", 5000, 0)},
			"A0 a0 a5000", 5000 * ms,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			var w written
			begin := time.Now()
			if _, err := Copy(t.Context(), rounds(c.frames...), w.create, Options{}); err != nil {
				t.Fatal(name, err)
			}
			if w.String() != c.want {
				t.Errorf("%s: the target got\n%s, not\n%s", name, w.String(), c.want)
			}
			if took := time.Since(begin); took != c.took {
				t.Errorf("%s: it took %v, not %v", name, took, c.took)
			}
		})
	}
}

// TestScriptTagsAreNotLost has several before the media, one among them, and all again in the next round.
func TestScriptTagsAreNotLost(t *testing.T) {
	var w written
	source := rounds(script("onMetaData", 0), script("onXMPData", 0), header("A"), picture("a", 0, av.Key), script("onCuePoint", 20), picture("a", 40, 0))
	if _, err := Copy(t.Context(), source, w.create, Options{Loop: true, Frames: 4, Unpaced: true}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range w.frames {
		if f.Type != av.Script {
			got = append(got, string(f.Payload))
			continue
		}
		values, err := amf.DecodeAll(f.Payload, amf.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%v %d", values[0], f.DTS/ms))
	}
	const want = "onMetaData 0 onXMPData 0 A a onCuePoint 20 a onXMPData 80 a onCuePoint 100 a"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("the target got\n%s, not\n%s", s, want)
	}
}

// TestStartInASourceWhoseClockBeginsAgain counts what was before the jump.
func TestStartInASourceWhoseClockBeginsAgain(t *testing.T) {
	var w written
	source := rounds(header("A"), picture("a", 0, av.Key), picture("a", 3000, av.Key), picture("b", 0, av.Key), picture("c", 3000, av.Key))
	if _, err := Copy(t.Context(), source, w.create, Options{Start: 5 * time.Second, Unpaced: true}); err != nil {
		t.Fatal(err)
	}
	if want := "A0 c0"; w.String() != want {
		t.Errorf("the target got %s, not %s", w.String(), want)
	}
}

// TestJoinedFiles has two files of one format in one: nothing is lost, and no time falls.
func TestJoinedFiles(t *testing.T) {
	ts := filepath.Join(t.TempDir(), "one.ts")
	encode(t, ts, "-c:v libx264 -g 25 -bf 2 -preset veryfast -c:a aac -f mpegts")
	for _, file := range []string{sample, ts} {
		one, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		joined := filepath.Join(t.TempDir(), "joined"+filepath.Ext(file))
		if filepath.Ext(file) == ".flv" {
			const headSize = 13
			err = os.WriteFile(joined, slices.Concat(one, one[headSize:]), 0o600)
		} else {
			err = os.WriteFile(joined, bytes.Repeat(one, 2), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "out.flv")
		if _, err := Copy(t.Context(), from(joined), to(out), Options{Unpaced: true}); err != nil {
			t.Fatal(err)
		}
		want, got := frames(t, file), frames(t, out)
		if len(got) < 2*len(want)-4 {
			t.Errorf("%s: %d frames of twice %d", filepath.Ext(file), len(got), len(want))
		}
		for _, kind := range []av.Kind{av.Video, av.Audio} {
			list := only(got, kind)
			for i := 1; i < len(list); i++ {
				if d := list[i].DTS - list[i-1].DTS; d < 0 || d > 300*ms {
					t.Errorf("%s: %v goes on %v after frame %d", filepath.Ext(file), kind, d, i-1)
				}
			}
		}
	}
}

// tags writes an FLV file of tag bodies.
func tags(t *testing.T, bodies ...[]byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.flv")
	b := flv.AppendFileHeader(nil, true, true)
	for i, body := range bodies {
		b = flv.AppendTag(b, flv.TagVideo, uint32(40*i), nil, body)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTracksLeftOutAreNamed reads files with tracks that nothing here can carry.
func TestTracksLeftOutAreNamed(t *testing.T) {
	pcm := filepath.Join(t.TempDir(), "pcm.mov")
	encode(t, pcm, "-c:v libx264 -preset veryfast -c:a pcm_s16le -timecode 01:00:00:00")
	mpeg2, latm := filepath.Join(t.TempDir(), "mpeg2.ts"), filepath.Join(t.TempDir(), "latm.ts")
	encode(t, mpeg2, "-map 0:v -map 0:v -map 1:a -c:v:0 libx264 -c:v:1 mpeg2video -preset veryfast -c:a mp2")
	encode(t, latm, "-c:v libx264 -preset veryfast -c:a aac -mpegts_flags latm")
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"MPEG-2 and MP2": {mpeg2, []string{"MPEG-2 video is left out: it cannot be carried", "MP2 audio is left out: it cannot be carried"}},
		"LATM":           {latm, []string{"LATM AAC audio is left out: it cannot be carried"}},
		"MOV":            {pcm, []string{"PCM audio is left out: it cannot be carried", "timecode track is left out: it cannot be carried"}},
		"FLV": {
			tags(t, []byte{0x17, 0, 0, 0, 0, 1}, []byte{0x17, 1, 0, 0, 0, 0, 0, 0, 1, 0x65}, []byte("\x91zzzz...")),
			[]string{`"zzzz" video is left out: it cannot be carried`},
		},
	} {
		var got []string
		out := filepath.Join(t.TempDir(), "out.flv")
		if _, err := Copy(t.Context(), from(c.file), to(out), Options{Unpaced: true, Notice: func(s string) { got = append(got, s) }}); err != nil {
			t.Fatal(name, err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: it says %q, not %q", name, got, c.want)
		}
	}
	b, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.flv")
	if err := os.WriteFile(cut, b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	var said []string
	if _, err := Copy(t.Context(), from(cut), to(""), Options{Unpaced: true, Notice: func(s string) { said = append(said, s) }}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"the source ends within a frame: it was cut off, or is still being written"}; !slices.Equal(said, want) {
		t.Errorf("of a file that is cut off it says %q, not %q", said, want)
	}
	_, err = Copy(t.Context(), from(tags(t, []byte("\x91zzzz..."))), to(""), Options{Unpaced: true})
	if want := `the source has no track that can be carried: "zzzz" video`; err == nil || err.Error() != want {
		t.Errorf("a source of such tracks alone: %v, not %s", err, want)
	}
}

// TestLoopOutlastsItsTarget has a target that is away while a round ends, and longer than one: the copy goes on, and what comes back gets
// the headers and then the next key frame.
func TestLoopOutlastsItsTarget(t *testing.T) {
	source := rounds(header("A"), picture("a", 0, av.Key), picture("a", 500, 0), picture("b", 1000, av.Key), picture("b", 1500, 0))
	synctest.Test(t, func(t *testing.T) {
		var before, after written
		opened, said := 0, []string(nil)
		create := func(context.Context) (Target, error) {
			opened++
			switch opened {
			case 1:
				return &brittle{&before, 5}, nil // it fails at the last picture of the first round
			case 2, 3, 4:
				return nil, errors.New("x: refused")
			}
			return &after, nil
		}
		s, err := Copy(t.Context(), source, create, Options{Loop: true, Reconnect: true, Frames: 16, Notice: func(s string) { said = append(said, s) }})
		if err != nil || s.Reconnects != 1 || s.Frames != 16 {
			t.Errorf("%+v, %v", s, err)
		}
		if want := "A0 a0 a500 b1000"; before.String() != want {
			t.Errorf("before it got %s, not %s", before.String(), want)
		}
		// Lost at 1.5 s, it is tried at 2.0 (the first frame of the next round), 2.5, 3.5 and 5.5 s.
		if want := "A6000 a6000 a6500 b7000 b7500"; after.String() != want {
			t.Errorf("after it got %s, not %s", after.String(), want)
		}
		if len(said) != 5 || said[4] != ": connected again after 4s" {
			t.Errorf("it says %q", said)
		}
	})
}

// TestLostConnectionIsNoEnd: a source whose connection breaks is not taken for one that has ended.
func TestLostConnectionIsNoEnd(t *testing.T) {
	const lost = "the connection to the source was lost before the stream had ended"
	source := func(context.Context) (fetch.Source, error) {
		return &list{frames: []*av.Frame{picture("a", 0, av.Key)}, live: true, end: fetch.ErrLost}, nil
	}
	var w written
	if _, err := Copy(t.Context(), source, w.create, Options{Unpaced: true}); err == nil || err.Error() != lost || w.String() != "a0" {
		t.Errorf("it ends with %v, and %s was sent", err, w.String())
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 700*ms)
		defer stop()
		var said []string
		_, err := Copy(ctx, source, (&written{}).create, Options{Unpaced: true, Retry: true, Notice: func(s string) { said = append(said, s) }})
		if want := []string{lost + ": trying again in 500ms", lost + ": trying again in 500ms"}; err != nil || !slices.Equal(said, want) {
			t.Errorf("%v; it says %q, not %q", err, said, want)
		}
	})
}
