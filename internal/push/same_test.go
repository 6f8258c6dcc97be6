package push

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/stream"
	"weir/rtmp"
)

// TestWarn: targets that would fight for a key are told of, each with where the other one is, and no key; others are not.
func TestWarn(t *testing.T) {
	const hidden = "hunter2"
	fixed := func(name string) Config { return to(name, "rtmp://h.example/live", hidden) }
	each := func(url, key string) Config { return to("", url, key) }
	const one, many = "is sent to the same URL with the same key, and a server takes one stream for a key", "every stream that matches \"live/*\" is sent there with the same key"
	for name, c := range map[string]struct {
		entries []Entry
		want    []string
	}{
		"one":                          {[]Entry{{"live/cam", []Config{fixed("a")}}}, nil},
		"two of an entry":              {[]Entry{{"live/cam", []Config{fixed("a"), fixed("b")}}}, []string{one}},
		"one is off":                   {[]Entry{{"live/cam", []Config{fixed("a"), with(fixed("b"), func(c *Config) { c.Enabled = false })}}}, nil},
		"two entries":                  {[]Entry{{"live/cam", []Config{fixed("a")}}, {"live/b", []Config{fixed("a")}}}, []string{one}},
		"the key behind the URL":       {[]Entry{{"live/cam", []Config{fixed("a"), each("rtmp://h.example/live/"+hidden, "")}}}, []string{one}},
		"another key":                  {[]Entry{{"live/cam", []Config{fixed("a"), to("b", "rtmp://h.example/live", "other")}}}, nil},
		"many streams":                 {[]Entry{{"live/*", []Config{fixed("a")}}}, []string{many}},
		"many apps":                    {[]Entry{{"live/*", []Config{each("rtmp://h.example/{app}", hidden)}}}, []string{many}},
		"many, each with its name":     {[]Entry{{"live/*", []Config{each("rtmp://h.example/live", "{name}")}}}, nil},
		"many, with their queries":     {[]Entry{{"live/*", []Config{each("rtmp://h.example/live", "x?{query}")}}}, nil},
		"all, each with its app":       {[]Entry{{"**", []Config{each("rtmp://h.example/{app}", "{name}")}}}, nil},
		"two of many":                  {[]Entry{{"live/*", []Config{each("rtmp://h.example/live", "{name}"), each("rtmp://h.example/{app}", "{name}")}}}, []string{one}},
		"two entries with their names": {[]Entry{{"live/*", []Config{each("rtmp://h.example/live", "{name}")}}, {"tv/*", []Config{each("rtmp://h.example/live", "{name}")}}}, nil},
		"a space":                      {[]Entry{{"live/cam", []Config{to("a", "rtmp://h.example/live", " "+hidden)}}}, []string{"the key begins or ends with a space, which is not sent"}},
	} {
		t.Run(name, func(t *testing.T) {
			errs := Warn(c.entries)
			if len(errs) != len(c.want) {
				t.Fatalf("%v", errs)
			}
			for i, want := range c.want {
				if got := errs[i].Error(); !strings.Contains(got, want) || strings.Contains(got, hidden) {
					t.Errorf("%s\nnot %s", got, want)
				}
			}
		})
	}
}

// TestSameTargetTwice: the API makes no second target with the URL and key of another one of the stream, however they are written.
func TestSameTargetTwice(t *testing.T) {
	w := newWorld(t, nil, to("conf", "rtmp://h.example/live", "{name}"))
	add := func(name, url, key string) error {
		_, err := w.m.Add("live/cam", to(name, url, key))
		return err
	}
	if err := add("", "rtmp://h.example/live/cam", ""); !errors.Is(err, ErrSame) {
		t.Errorf("as the configuration's: %v", err)
	}
	if err := add("a", "rtmp://h.example/live", "other"); err != nil {
		t.Fatal(err)
	}
	if err := add("b", "rtmp://h.example/live", "other"); !errors.Is(err, ErrSame) {
		t.Errorf("as the API's: %v", err)
	}
	if err := add("b", "rtmp://h.example/live", "third"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.m.Change("live/cam", "b", func(c *Config) { c.Key = "other" }); !errors.Is(err, ErrSame) {
		t.Errorf("by a change: %v", err)
	}
	if _, err := w.m.Change("live/cam", "b", func(c *Config) { c.Slate = slateRepeat }); err != nil {
		t.Errorf("of something else: %v", err)
	}
	if _, err := w.m.Add("live/fourth", to("", "rtmp://h.example/live", "third")); err != nil {
		t.Errorf("of another stream: %v", err)
	}
}

// TestKeyOfAnotherStream: a server that refuses a second stream with a key says that this server itself sends the first.
func TestKeyOfAnotherStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble(t)
		d.publish = func(v *visit) error {
			if v.n > 1 {
				return &rtmp.StatusError{Level: rtmp.LevelError, Code: rtmp.CodePublishBadName, Description: "Already publishing"}
			}
			return nil
		}
		w := newWorld(t, func(o *Options) { o.Dial = d.dial }, to("it", "rtmp://h.example/live", "hunter2"))
		first := w.publish("live/cam", "p1")
		first.run(2 * time.Second)
		w.publish("live/other", "p2").run(2 * time.Second)
		list := w.m.List("live/other")
		if len(list) != 1 || list[0].State != Refused || !strings.HasPrefix(list[0].Error, "this server sends live/cam there with the same key, and a server takes one stream for a key; it says: ") || strings.Contains(list[0].Error, "hunter2") {
			t.Errorf("%+v", list)
		}
		first.pub.Close(stream.ErrUnpublished)
	})
}
