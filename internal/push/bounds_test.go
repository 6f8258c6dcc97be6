package push

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/stream"
	"weir/rtmp"
)

// TestBounds: what is as long as it may be is taken, and what is one longer is not.
func TestBounds(t *testing.T) {
	const host = "rtmp://h.example/"
	for name, c := range map[string]struct {
		set  func(c *Config, n int)
		most int
		says string
	}{
		"key":         {func(c *Config, n int) { c.Key = strings.Repeat("k", n) }, 1024, "a key has at most 1024 bytes"},
		"URL":         {func(c *Config, n int) { c.URL = host + strings.Repeat("a", n-len(host)) }, 2048, "longer than 2048 bytes"},
		"name":        {func(c *Config, n int) { c.Name = strings.Repeat("n", n) }, 40, "up to 40 lower-case letters"},
		"slate's":     {func(c *Config, n int) { c.Slate = strings.Repeat("s", n-len(".ts")) + ".ts" }, 1024, "nor the name of a file"},
		"fingerprint": {func(c *Config, n int) { c.Pin = strings.Repeat("a", n) }, 64, "64 hexadecimal digits"},
	} {
		for _, more := range []int{0, 1} {
			good := to("it", host+"live", "cam")
			c.set(&good, c.most+more)
			if err := good.Validate(); (err == nil) != (more == 0) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s of %d: %v", name, c.most+more, err)
			}
		}
	}
	list := make([]Config, 33)
	for i := range list {
		list[i] = to(fmt.Sprint("t", i), host+"live", "cam")
	}
	if err := Check(list[:32]); err != nil {
		t.Error(err)
	}
	if err := Check(list); err == nil || !strings.Contains(err.Error(), "more than 32 targets") {
		t.Error(err)
	}
}

// TestTargetsOfTheAPIAreBounded: a thousand may be made for all streams together.
func TestTargetsOfTheAPIAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 999 {
		w.m.kept.Added = append(w.m.kept.Added, added{fmt.Sprint("live/", i), to("it", "rtmp://h.example/live", "cam")})
	}
	if _, err := w.m.Add("live/a", to("it", "rtmp://h.example/live", "cam")); err != nil {
		t.Error(err)
	}
	if _, err := w.m.Add("live/b", to("it", "rtmp://h.example/live", "cam")); !errors.Is(err, ErrTooMany) || len(w.m.kept.Added) != 1000 {
		t.Errorf("%v, %d targets", err, len(w.m.kept.Added))
	}
}

// TestNoPartOfTheAddressIsShown: a server that says what it was asked for, or what the one before it was, gets nothing of that shown.
func TestNoPartOfTheAddressIsShown(t *testing.T) {
	c := to("it", "rtmp://us3r:pa55word@h.example/live?auth=urlt0ken", "n4me?sign=s1gnature&x=qu3ry")
	first, err := c.address(vars{path: "live/cam"})
	if err != nil {
		t.Fatal(err)
	}
	next := first.movedTo("rtmp://b.example/other?ticket=t1cket")
	for _, part := range []string{"us3r", "pa55word", "urlt0ken", "n4me", "s1gnature", "qu3ry", "t1cket"} {
		said := "asked for: " + part + " and no more"
		if got := next.mask(said); got != "asked for: *** and no more" {
			t.Errorf("%q", got)
		}
		if got := first.mask(said); got != "asked for: *** and no more" && part != "t1cket" {
			t.Errorf("%q of the first", got)
		}
	}
	if u := next.tcURL(); u != "rtmp://b.example/other?ticket=t1cket" {
		t.Error(u)
	}
}

// TestStatusesThatEnd: these end a session although they may come as no errors; others do not.
func TestStatusesThatEnd(t *testing.T) {
	for code, ends := range map[string]bool{
		"NetStream.Unpublish.InternalKill": true, "NetStream.Publish.BadName": true, "NetStream.Publish.Failed": true,
		"NetStream.Publish.Rejected": true, "NetStream.Publish.Denied": true, "NetStream.Publish.Start": false, "NetStream.Data.Start": false,
	} {
		l := &link{told: make(chan struct{}, 1)}
		st := &rtmp.StatusError{Code: code}
		l.status(st)
		l.status(st) // it does not wait for anybody
		if got := len(l.told) == 1; got != ends || got && l.why() != error(st) {
			t.Errorf("%s: %v, %v", code, got, l.why())
		}
	}
}

// TestNotesAtTheBound: two seconds that are 2.08 and a tenth more bits than the service wants are nothing to speak of; more is.
func TestNotesAtTheBound(t *testing.T) {
	for _, c := range []struct {
		gap, size int // frames from key frame to key frame, bytes a frame
		want      []string
	}{
		{52, 20, nil}, // 2.08 s
		{55, 20, []string{"key frames every 2.2s; Twitch wants 2s"}},
		{50, 33000, nil}, // 6.6 Mbit/s of 6.32
		{50, 36000, []string{"7.1 Mbit/s; Twitch takes 6.3 Mbit/s"}}, // of what has come, the newest frame's time is not over
	} {
		synctest.Test(t, func(t *testing.T) {
			hub := stream.New(stream.Options{})
			defer hub.Close(nil)
			p, err := hub.Publish("live/cam", stream.Info{Session: "p1"})
			if err != nil {
				t.Fatal(err)
			}
			s := &source{t: t, pub: p}
			s.write(&av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264, Payload: avcConfig})
			for n := range 4 * c.gap {
				at := time.Duration(n) * step
				f := &av.Frame{Kind: av.Video, Codec: av.H264, DTS: at, PTS: at, Payload: append(picture(0x41, n), make([]byte, c.size-10)...)}
				if n%c.gap == 0 {
					f.Flags, f.Payload[4] = av.Key, 0x65
				}
				f.Payload[2], f.Payload[3] = byte((c.size-4)>>8), byte(c.size-4)
				s.write(f)
				time.Sleep(step)
			}
			var got []string
			for _, n := range notes(serviceOf("twitch", ""), hub.Get("live/cam")) {
				got = append(got, n.Sentence)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%d frames, %d bytes: %q, want %q", c.gap, c.size, got, c.want)
			}
		})
	}
}

// TestWhatIsCounted: the bytes that metrics count are those of the frames that were sent, by service; and targets are counted by their states.
func TestWhatIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("one", "rtmp://h.example/live", "cam"), to("two", "rtmp://h.example/live", "cam"),
			with(to("off", "rtmp://h.example/live", "cam"), func(c *Config) { c.Enabled = false }))
		s := w.publish("live/cam", "p1")
		s.run(2 * time.Second)
		states := map[string]int{}
		w.m.Targets(func(service, state string, n int) { states[service+" "+state] = n })
		if want := map[string]int{"custom live": 2, "custom off": 1}; !maps.Equal(states, want) {
			t.Errorf("%v, want %v", states, want)
		}
		s.pub.Close(stream.ErrUnpublished)
		time.Sleep(10 * time.Second)
		sent := map[string]int64{}
		w.m.Sent(func(service string, bytes int64) {
			if bytes > 0 {
				sent[service] = bytes
			}
		})
		if want := map[string]int64{"custom": 2 * 50 * (10 + 5)}; !maps.Equal(sent, want) { // a picture and its sound, 50 times to each
			t.Errorf("%v, want %v", sent, want)
		}
	})
}

// slowOut is an out whose writes last as long as they are told to.
type slowOut struct{ takes time.Duration }

func (o *slowOut) WriteMessages(...*rtmp.Message) error {
	time.Sleep(o.takes)
	return nil
}

// TestBatches: less is gathered for a server that takes half a second for a write, so that no write takes longer, and gradually more again once
// it is faster; never more than 64 KiB or 256 messages.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &slowOut{}
		s := newSender(to, &rtmp.Caps{}, false, func(string) {})
		write := func(size int, takes time.Duration) {
			t.Helper()
			s.append(rtmp.TypeVideo, 0, nil, make([]byte, size))
			to.takes = takes
			if err := s.flush(); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			size  int
			takes time.Duration
			want  int
		}{
			{64 << 10, 500 * time.Millisecond, 64 << 10},
			{64 << 10, 4 * time.Second, 8 << 10},
			{8 << 10, time.Second, 4 << 10},
			{100, time.Hour, 1},
			{100, 0, 2},
			{100, 0, 4},
			{1000, time.Second, 500},
			{1000, 0, 1000},
		} {
			if write(c.size, c.takes); s.batch != c.want {
				t.Errorf("after %d bytes in %v: %d, want %d", c.size, c.takes, s.batch, c.want)
			}
		}
		for range 20 {
			write(100, 0)
		}
		if s.batch != 64<<10 {
			t.Errorf("in the end: %d", s.batch)
		}
		for n := range 300 {
			if full := s.full(); full != (n >= 256) {
				t.Fatalf("with %d messages full: %v", n, full)
			}
			s.append(rtmp.TypeVideo, 0, nil, []byte{1})
		}
		write(64<<10, 0)
		s.append(rtmp.TypeVideo, 0, nil, make([]byte, 64<<10-1))
		if s.full() {
			t.Error("full a byte too early")
		}
		if s.append(rtmp.TypeVideo, 0, nil, []byte{1}); !s.full() {
			t.Error("not full with 64 KiB")
		}
	})
}

// TestLeftOutTracksAreBounded: sixteen of them are named, each once.
func TestLeftOutTracksAreBounded(t *testing.T) {
	var said []string
	s := newSender(&noted{}, &rtmp.Caps{}, false, func(what string) { said = append(said, what) })
	for range 2 {
		for i := range 20 {
			s.omit(&av.Frame{Kind: av.Audio, Track: uint8(i), Codec: av.AAC}, "of no use")
		}
		s.omit(&av.Frame{Kind: av.Video, Type: av.Config, Codec: av.H264}, "no media")
	}
	if len(said) != 16 || said[15] != "audio track 15 (AAC) is left out: of no use" {
		t.Errorf("%d: %q", len(said), said)
	}
}
