package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"weir/amf"
	"weir/internal/admit"
	"weir/internal/server"
	"weir/internal/session"
	"weir/internal/stream"
	"weir/rtmp"
)

// streams makes one entry for all streams.
func streams(change func(*server.StreamConfig)) func(*server.Config) {
	return func(c *server.Config) {
		s := server.DefaultStream()
		change(&s)
		c.Streams = []server.StreamConfig{s}
	}
}

// TestC120_WrongKeysAreThrottled guesses keys from one address and asks from another.
func TestC120_WrongKeysAreThrottled(t *testing.T) {
	r := start(t, func(c *server.Config) {
		streams(func(s *server.StreamConfig) { s.Play.Keys = []admit.Key{{Key: secret}} })(c)
		c.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	publishSome(r.mustPublish("live/a"), 0, 15)
	ask := func(from, key string) int {
		req, err := http.NewRequest(http.MethodGet, r.httpURL("live/a.flv?key="+key), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", from)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusTooManyRequests && res.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		return res.StatusCode
	}
	if got := ask("192.0.2.1", secret); got != 200 {
		t.Fatal("the right key at first:", got)
	}
	count := map[int]int{}
	for i := range 100 {
		count[ask("192.0.2.1", fmt.Sprint("wrong", i))]++
	}
	if count[403] > 25 || count[403]+count[429] != 100 {
		t.Error(count)
	}
	if got := ask("192.0.2.1", secret); got != http.StatusTooManyRequests {
		t.Error("the right key after a hundred wrong ones:", got)
	}
	if got := ask("192.0.2.2", secret); got != 200 {
		t.Error("another address:", got)
	}
	if strings.Contains(r.log.String(), "wrong1") {
		t.Error("a wrong key is in the log")
	}
	if bad, throttled := r.metric(`weir_rejected_total{reason="bad_key"}`), r.metric(`weir_rejected_total{reason="throttled"}`); bad != fmt.Sprint(count[403]) || throttled != fmt.Sprint(count[429]+1) {
		t.Errorf("the metrics say %s wrong keys and %s throttled, it was %v", bad, throttled, count)
	}
}

// TestC123_StartOnlyAfterAdmission holds the program's answer back.
func TestC123_StartOnlyAfterAdmission(t *testing.T) {
	asked, answer := make(chan admit.Request, 1), make(chan error)
	r := start(t, nil, func(o *server.Options) {
		o.Admit = func(_ context.Context, q *admit.Request) (*session.Terms, error) { asked <- *q; return nil, <-answer }
	})
	p := r.raw().connect("live").send(blockPUB)
	if q := <-asked; q.Path != "live/cam" || q.Protocol != "rtmp" || q.Session == "" || !q.Remote.IsValid() {
		t.Errorf("%+v", q)
	}
	got := make(chan answerOrError, 1)
	go func() { a, err := p.answer(); got <- answerOrError{a, err} }()
	select {
	case a := <-got:
		t.Fatalf("%+v before admission", a)
	default:
	}
	if r.live("live/cam") {
		t.Error("live before admission")
	}
	answer <- nil
	if a := <-got; a.err != nil || a.code != rtmp.CodePublishStart || a.streamID != 1 {
		t.Fatalf("%+v", a)
	}
}

type answerOrError struct {
	answer
	err error
}

// TestPublishStages covers what comes before, in and after the wrong stage of a publisher, on
// the whole server: what it serves goes on.
func TestPublishStages(t *testing.T) {
	r := start(t, nil)
	bystander := r.mustPublish("live/bystander")
	publishSome(bystander, 0, 5)
	watcher := r.mustPlay("live/bystander")
	next(t, watcher, rtmp.TypeVideo)

	t.Run("C-124 publish without type, with null, with nonsense", func(t *testing.T) {
		for i, args := range [][]amf.Value{{}, {nil}, {"bogus"}, {"record"}, {"append"}} {
			p, name := r.raw().connect("live"), fmt.Sprint("kind", i)
			p.command(1, append([]amf.Value{"publish", 3.0, nil, name}, args...)...)
			p.status(rtmp.CodePublishStart)
			p.send(blockVSH, blockVK)
			r.until("live/"+name+" is live", func() bool { return r.live("live/" + name) })
		}
	})
	t.Run("C-125 publish before createStream", func(t *testing.T) {
		for i, id := range []uint32{0, 1} {
			name := fmt.Sprint("early", i)
			p := r.raw().send(blockCN)
			p.command(id, "publish", 3.0, nil, name, "live")
			p.status(rtmp.CodePublishStart)
			p.send(blockVSH, blockVK)
			r.until("live/"+name+" is live", func() bool { return r.live("live/" + name) })
		}
	})
	t.Run("C-126 publish without connect", func(t *testing.T) {
		p := r.raw().send(blockCS, blockPUB)
		if codes := p.wantEnd(); slices.Contains(codes, rtmp.CodePublishStart) {
			t.Error(codes)
		}
	})
	t.Run("C-127 media before publish", func(t *testing.T) {
		for name, before := range map[string][]string{
			"after the handshake": nil, "after connect": {blockCN}, "after createStream": {blockCN, blockCS},
		} {
			p := r.raw().send(before...)
			var err error
			for range 2000 {
				if err = p.try(rtmp.TypeVideo, 1, 0, videoFrame(true, 1, 100)); err != nil {
					break
				}
			}
			p.wantEnd()
			if r.live("live/cam") {
				t.Error(name, "is live")
			}
		}
	})
	t.Run("C-128 media behind publish in one segment", func(t *testing.T) {
		p := r.raw().connect("live")
		p.command(1, "releaseStream", 3.0, nil, "cam")
		p.send(blockPUB, blockVSH, blockVK, blockVP, blockVP)
		p.status(rtmp.CodePublishStart)
		r.arrived("live/cam", 3)
		read := players["http-flv"](r, "live/cam")
		got := collect(t, read, 3)
		for i, want := range []string{"1701000000000000026588", "270100000000000002419a", "270100000000000002419a"} {
			if !bytes.Equal(got.video[i], unhex(want)) {
				t.Errorf("frame %d is %x", i, got.video[i])
			}
		}
	})
	t.Run("C-152 type record without recording", func(t *testing.T) {
		p := r.raw().connect("live")
		p.command(1, "publish", 3.0, nil, "rec", "record")
		p.status(rtmp.CodePublishStart)
	})
	publishSome(bystander, 5, 1)
	for {
		if m := next(t, watcher, rtmp.TypeVideo); m.Payload[1] == 1 {
			if n, _ := numberOf(m.Payload); n == 5 {
				break
			}
		}
	}
}

func TestC129_SecondPublisherIsRefused(t *testing.T) {
	r := start(t, streams(func(s *server.StreamConfig) { s.Publish.OnConflict = "reject" }))
	first := r.mustPublish("live/cam")
	publishSome(first, 0, 10)
	read := players["rtmp"](r, "live/cam")
	collect(t, read, 1)
	second := r.raw().connect("live").send(blockPUB)
	if codes := second.wantEnd(); len(codes) != 1 || codes[0] != rtmp.CodePublishBadName {
		t.Error(codes)
	}
	publishSome(first, 10, 10)
	collect(t, read, 15)
	r.wantMetric(`weir_rejected_total{reason="conflict"}`, "1")
	r.wantMetric(`weir_session_closed_total{protocol="rtmp",reason="conflict",role="pending"}`, "1")
}

// TestC130_Takeover has a second encoder with another picture take over a stream that
// players of every protocol watch.
func TestC130_Takeover(t *testing.T) {
	for name, open := range players {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			old := r.mustPublish("live/a")
			want := publishSome(old, 0, 10)
			read := open(r, "live/a")
			isRun(t, "the old publisher's video", collect(t, read, 10).video, want.video)

			p := r.raw().connect("live")
			p.command(1, "publish", 3.0, nil, "a", "live")
			p.status(rtmp.CodePublishStart)
			header := bytes.Clone(videoHeader)
			header[len(header)-1]++ // another picture parameter set
			p.message(rtmp.TypeVideo, 1, 0, header)
			p.message(rtmp.TypeVideo, 1, 0, videoFrame(false, 100, 100)) // not yet
			key := videoFrame(true, 101, 100)
			p.message(rtmp.TypeVideo, 1, 40, key)

			typ, body, err := read()
			for err == nil && !bytes.Equal(body, header) {
				if typ == 9 && body[1] == 1 && body[0] != want.video[9][0] {
					t.Fatalf("%x before the new header", body)
				}
				typ, body, err = read()
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := collect(t, read, 1); !bytes.Equal(s.video[0], key) {
				t.Errorf("%x after the new header", s.video[0])
			}
			<-old.Done()
			var st *rtmp.StatusError
			if err := old.Err(); !errors.As(err, &st) || st.Code != rtmp.CodePublishFailed {
				t.Error(err)
			}
			r.wantMetric(`weir_session_closed_total{protocol="rtmp",reason="takeover",role="publish"}`, "1")
		})
	}
}

// TestC131_ManyPublishersRaceForOneName has all of them refused but one, again and again.
func TestC131_ManyPublishersRaceForOneName(t *testing.T) {
	var started, ended atomic.Int64
	r := start(t, streams(func(s *server.StreamConfig) {
		s.Publish.OnConflict, s.Publish.Grace = "reject", 0
	}), func(o *server.Options) {
		o.Notify = func(e stream.Event) {
			switch e.Kind {
			case stream.Started:
				if started.Add(1)-ended.Load() > 1 {
					t.Error("started twice")
				}
			case stream.Ended:
				ended.Add(1)
			}
		}
	})
	const racers, rounds = 20, 10
	for range rounds {
		var won atomic.Int64
		var wg, all sync.WaitGroup
		all.Add(racers)
		for range racers {
			wg.Go(func() {
				p, err := r.publish(t.Context(), "live/race")
				if err == nil {
					won.Add(1)
					err = errors.Join(p.video(0, videoHeader), p.video(0, videoFrame(true, 1, 50)))
				}
				all.Done()
				var st *rtmp.StatusError
				if err != nil && (!errors.As(err, &st) || st.Code != rtmp.CodePublishBadName) {
					t.Error(err)
				}
				if p != nil {
					all.Wait()
					p.client.Close()
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of %d are let in", won.Load(), racers)
		}
		r.until("the stream ends", func() bool { return r.hub.Get("live/race") == nil })
	}
	if started.Load() != rounds {
		t.Errorf("started %d times in %d rounds", started.Load(), rounds)
	}
	r.until("each start has an end", func() bool { return ended.Load() == started.Load() })
}
