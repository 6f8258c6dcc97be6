package mux_test

import (
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/av"
	"weir/internal/fanout"
	"weir/internal/mux"
	"weir/internal/stream"
)

// gop is a stream of one long group of pictures, with sound, in a synctest bubble.
type gop struct {
	t      *testing.T
	hub    *stream.Hub
	engine *fanout.Engine
	set    *mux.Set
	pub    *stream.Publisher
	number uint32
	size   int
	sounds int // with each picture
}

func newGOP(t *testing.T, size int) *gop {
	g := &gop{t: t, engine: fanout.New(fanout.Options{}), hub: stream.New(stream.Options{}), size: size, sounds: 1}
	g.set = mux.NewSet(g.engine, func(string) fanout.SlowPolicy {
		return fanout.SlowPolicy{MaxLag: 8 * time.Second, MaxStall: time.Minute}
	})
	var err error
	if g.pub, err = g.hub.Publish("live/a", stream.Info{}); err != nil {
		t.Fatal(err)
	}
	g.write(av.Frame{Type: av.Config, Codec: av.H264, Payload: []byte{1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce}})
	g.write(av.Frame{Kind: av.Audio, Type: av.Config, Codec: av.AAC, Payload: []byte{0x12, 0x10}})
	return g
}

func (g *gop) write(f av.Frame) {
	if err := g.pub.Write(&f); err != nil {
		g.t.Fatal(err)
	}
}

// go on with n pictures 40 ms apart, B-frames apart in showing as x264's are.
func (g *gop) run(n int) {
	for range n {
		g.number++
		b := make([]byte, max(g.size, 13))
		binary.BigEndian.PutUint32(b, uint32(len(b)-4))
		b[4] = 0x41
		f := av.Frame{Codec: av.H264, DTS: time.Duration(g.number) * 40 * time.Millisecond, Payload: b}
		if g.number == 1 {
			f.Flags, b[4] = av.Key, 0x65
		}
		binary.BigEndian.PutUint32(b[5:], g.number)
		f.PTS = f.DTS + []time.Duration{80, 160, 0, 0}[g.number%4]*time.Millisecond/2
		g.write(f)
		for range g.sounds {
			g.write(av.Frame{Kind: av.Audio, Codec: av.AAC, DTS: f.DTS + 5*time.Millisecond, PTS: f.DTS + 5*time.Millisecond, Payload: []byte{0x21}})
		}
		<-time.After(40 * time.Millisecond)
		synctest.Wait()
	}
}

// close ends everything. The muxers are idle by then.
func (g *gop) close() {
	g.pub.Close(stream.ErrClosed)
	<-time.After(time.Minute)
	g.engine.Close()
}

// tag is an FLV tag that a player was sent.
type tag struct {
	typ    byte
	at     uint32 // ms
	cts    int32
	config bool
	number uint32
	key    bool
}

// tags reads what a player was sent.
func tags(b []byte) (list []tag) {
	for len(b) > 0 {
		n := int(b[1])<<16 + int(b[2])<<8 + int(b[3])
		x := tag{typ: b[0], at: uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])}
		if body := b[11 : 11+n]; x.typ == 9 {
			x.config = body[1] == 0
			x.cts = int32(body[2])<<16 | int32(body[3])<<8 | int32(body[4])
			if !x.config {
				x.number, x.key = binary.BigEndian.Uint32(body[10:]), body[0]>>4 == 1
			}
		}
		list = append(list, x)
		b = b[11+n+4:]
	}
	return list
}

// join has a player begin at live.
func (g *gop) join() (m *mux.Muxer, sink *simSink, leave func()) {
	s, err := g.hub.Play("live/a")
	if err != nil {
		g.t.Fatal(err)
	}
	if m, err = g.set.Open(s, simVariant{}); err != nil {
		g.t.Fatal(err)
	}
	sink = &simSink{room: -1, wg: new(sync.WaitGroup)}
	p := g.engine.Add(sink, nil, m.Log(), fanout.Counters{})
	p.Join(m.Log(), fanout.Start{Lead: m.Lead()})
	synctest.Wait()
	return m, sink, func() {
		p.Close(nil)
		synctest.Wait()
		m.Release()
		s.Leave()
		sink.wg.Wait()
	}
}

// TestLead: a player that joins late in a long group of pictures is sent all of its pictures at
// once, squeezed to the present and without sound, and goes on with what comes as every other does.
func TestLead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGOP(t, 100)
		g.run(200)
		_, sink, leave := g.join()
		lead := tags(sink.take())
		g.run(10)
		rest := tags(sink.take())
		leave()
		g.close()

		var pictures []tag
		configs, sound := 0, 0
		for _, x := range lead {
			switch {
			case x.config:
				configs++
			case x.typ == 9:
				pictures = append(pictures, x)
			case x.typ == 8:
				sound++
			}
		}
		if len(pictures) != 200 || !pictures[0].key || configs != 1 || sound != 1 { // its configuration
			t.Fatalf("%d pictures, %d configurations of video, %d tags of sound", len(pictures), configs, sound)
		}
		head := pictures[199].at
		for i, x := range pictures {
			if x.number != uint32(i+1) {
				t.Errorf("picture %d is number %d", i, x.number)
			}
			if i > 0 && x.at <= pictures[i-1].at {
				t.Errorf("picture %d at %d ms, the one before at %d ms", i, x.at, pictures[i-1].at)
			}
		}
		if first := pictures[0].at; head-first != 199 || head != 199*40 {
			t.Errorf("the lead is from %d to %d ms", first, head)
		}
		last := head
		number := uint32(200)
		for _, x := range rest {
			if x.typ != 9 {
				continue
			}
			if number++; x.number != number || x.at != last+40 {
				t.Errorf("number %d at %d ms after number %d at %d ms", x.number, x.at, number-1, last)
			}
			last = x.at
		}
		if number != 210 {
			t.Errorf("it goes on to number %d", number)
		}
	})
}

// TestLeadOrderOfShowing: pictures are shown in the order in which they were meant to be.
func TestLeadOrderOfShowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGOP(t, 100)
		g.run(101)
		_, sink, leave := g.join()
		var was, is []int64
		for _, x := range tags(sink.take()) {
			if x.typ == 9 && !x.config {
				is = append(is, int64(x.at)+int64(x.cts))
				was = append(was, int64(x.number)*40+[]int64{40, 80, 0, 0}[x.number%4])
			}
		}
		leave()
		g.close()
		for i := range is {
			for j := range i {
				if (was[i] < was[j]) && is[i] > is[j] || was[i] > was[j] && is[i] < is[j] {
					t.Fatalf("pictures %d and %d were shown at %d and %d, and are at %d and %d", i, j, was[i], was[j], is[i], is[j])
				}
			}
		}
	})
}

// TestLeadIsShared: players that come within 100 ms share a lead; later ones get another.
func TestLeadIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGOP(t, 100)
		g.run(20)
		m, _, leave := g.join()
		a := m.Lead()
		b := m.Lead()
		<-time.After(101 * time.Millisecond)
		c := m.Lead()
		if a == nil || a != b || c == nil || c == a {
			t.Errorf("%p %p %p", a, b, c)
		}
		for _, l := range []*fanout.Lead{a, b, c} {
			l.Release()
		}
		leave()
		g.close()
	})
}

// TestLeadBounds: of a group of pictures that is too long there is no lead, and players begin as if
// they had not asked for one; of one just short enough there is.
func TestLeadBounds(t *testing.T) {
	for _, c := range []struct {
		name                   string
		size, sounds, pictures int
		want                   bool
	}{
		{"pictures", 13, 2, 600, true},
		{"too many pictures", 13, 2, 601, false},
		{"frames", 13, 15, 128, true},
		{"too many frames", 13, 15, 129, false},
		{"bytes", 1 << 20, 1, 7, true},
		{"too many bytes", 1 << 20, 1, 8, false}, // the sound is too much
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGOP(t, c.size)
			g.sounds = c.sounds
			g.run(c.pictures)
			s, err := g.hub.Play("live/a")
			if err != nil {
				t.Fatal(err)
			}
			m, err := g.set.Open(s, simVariant{})
			if err != nil {
				t.Fatal(err)
			}
			l := m.Lead()
			if (l != nil) != c.want {
				t.Errorf("%s: %v", c.name, l != nil)
			}
			if l != nil {
				l.Release()
			}
			m.Release()
			s.Leave()
			g.close()
		})
	}
}

// TestLeadBudget: leads that players do not take hold no more memory than all may, and what is
// given back can be had again.
func TestLeadBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGOP(t, 1<<20)
		g.run(7)
		m, _, leave := g.join()
		<-time.After(101 * time.Millisecond)
		var held []*fanout.Lead
		for {
			l := m.Lead()
			if l == nil {
				break
			}
			held = append(held, l)
			<-time.After(101 * time.Millisecond)
		}
		if want := (128 << 20) / len(held[0].Bytes); len(held) != want {
			t.Errorf("%d leads of %d bytes are held, want %d", len(held), len(held[0].Bytes), want)
		}
		held[0].Release()
		if held[0] = m.Lead(); held[0] == nil {
			t.Error("there is none although one was given back")
		} else {
			held[0].Release()
		}
		for _, l := range held[1:] {
			l.Release()
		}
		leave()
		g.close()
	})
}

// TestLeadIsGivenBack: a player holds its lead until it was sent it, or is gone.
func TestLeadIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGOP(t, 1000)
		g.run(50)
		m, _, leave := g.join()
		released := 0
		join := func(room int) (*simSink, *fanout.Player) {
			l := &fanout.Lead{Bytes: []byte("0123456789"), To: m.Log().Head(), Released: func() { released++ }}
			l.Hold()
			s := &simSink{room: room, wg: new(sync.WaitGroup)}
			p := g.engine.Add(s, nil, m.Log(), fanout.Counters{})
			p.Join(m.Log(), fanout.Start{Lead: l})
			synctest.Wait()
			return s, p
		}
		s, p := join(4)
		if released != 0 {
			t.Error("given back while it is being sent")
		}
		s.open(6)
		synctest.Wait()
		if released != 1 || string(s.take()) != "0123456789" {
			t.Errorf("given back %d times", released)
		}
		q, gone := join(4)
		gone.Close(nil)
		synctest.Wait()
		if released != 2 {
			t.Errorf("of a player that is gone it was given back %d times", released-1)
		}
		late := &fanout.Lead{Bytes: []byte("x"), To: m.Log().Head(), Released: func() { released++ }}
		late.Hold()
		gone.Join(m.Log(), fanout.Start{Lead: late})
		synctest.Wait()
		if released != 3 {
			t.Error("a player that was gone before it joined keeps its lead")
		}
		p.Close(nil)
		synctest.Wait()
		s.wg.Wait()
		q.wg.Wait()
		leave()
		g.close()
	})
}
