package mux_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/stream"
)

// TestWhoJoinsWithoutAPublisherIsNotShownTheLastPicture: the log of a stream whose publisher has
// gone goes on for those who read it, and is begun by nobody until there is another.
func TestWhoJoinsWithoutAPublisherIsNotShownTheLastPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, engine: fanout.New(fanout.Options{}), hub: stream.New(stream.Options{})}
		w.set = mux.NewSet(w.engine, func(string) fanout.SlowPolicy { return fanout.SlowPolicy{} })
		picture := func() *stream.Publisher {
			pub, err := w.hub.Publish("live/sim", stream.Info{})
			if err != nil {
				t.Fatal(err)
			}
			if err := pub.Write(&av.Frame{Kind: av.Video, Codec: av.VP9, Flags: av.Key, Payload: []byte{0x82, 0x49, 0x83, 0x42}}); err != nil {
				t.Fatal(err)
			}
			return pub
		}
		sent := func() (list []bool) {
			synctest.Wait()
			for _, p := range w.players {
				list = append(list, len(p.sink.take()) > 0)
			}
			return list
		}
		pub := picture()
		w.join()
		if got := sent(); !got[0] {
			t.Error("a player is not shown the picture of a live stream")
		}
		pub.Close(nil)
		w.join()
		time.Sleep(time.Second)
		if got := sent(); got[0] || got[1] {
			t.Error("players without and with the picture are sent something without a publisher:", got)
		}
		picture()
		if got := sent(); !got[0] || !got[1] {
			t.Error("players are not shown the new publisher's picture:", got)
		}
		w.hub.Close(errors.New("the test is over"))
		time.Sleep(time.Minute)
		synctest.Wait()
		w.engine.Close()
	})
}
