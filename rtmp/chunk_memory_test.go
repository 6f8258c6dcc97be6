package rtmp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/iotest"
)

// watcher is a source that checks before every read what its reader has reserved.
type watcher struct {
	t    testing.TB
	src  io.Reader
	r    *chunkReader
	fed  int
	peak int
}

// watch makes r read through a watcher.
func watch(t testing.TB, r *chunkReader) *watcher {
	w := &watcher{t: t, src: r.in.src, r: r}
	r.in.src = w
	return w
}

func (w *watcher) Read(p []byte) (int, error) {
	w.check()
	n, err := w.src.Read(p)
	w.fed += n
	return n, err
}

// check compares the buffers of unfinished messages with what has been received.
func (w *watcher) check() {
	sum := 0
	for _, cs := range w.r.streams {
		sum += cap(cs.buf)
		if (cs.buf != nil) != (cs.partial && cs.length > 0) {
			w.t.Errorf("chunk stream %d holds %d bytes without a message", cs.id, cap(cs.buf))
		}
	}
	if sum != w.r.reserved {
		w.t.Errorf("reserved %d, counted %d", sum, w.r.reserved)
	}
	if w.peak = max(w.peak, sum); sum > w.r.lim.partialTotal {
		w.t.Errorf("reserved %d of %d", sum, w.r.lim.partialTotal)
	}
	if !w.r.publishing && sum > 2*w.fed {
		w.t.Errorf("reserved %d bytes for %d received", sum, w.fed)
	}
}

// lies begins messages that declare length on n chunk streams, with send bytes of each.
func lies(n, length, send int) []byte {
	var c chunks
	for i := range n {
		c.fmt0(uint32(3+i), 0, length, TypeVideo, 1).raw(pattern(send))
	}
	return c.b
}

// A half-sent message of a peer that is not admitted may reserve twice what was received
// and 4 KiB. All of them together do with twice what was received, at every byte.
func TestC059_ReservesByWhatArrives(t *testing.T) {
	half := AppendMessage(nil, &Message{Type: TypeVideo, Payload: pattern(8 << 20)}, 128)
	many := lies(64, 8<<20, 128)
	for range 20 { // and on: each gets more
		for csid := byte(3); csid < 64; csid++ {
			many = append(append(many, 0xc0|csid), pattern(128)...)
		}
	}
	for name, in := range map[string][]byte{
		"one message, one byte":       lies(1, 8<<20, 1),
		"one message, half of it":     half[:4<<20],
		"one message of 64 KiB, most": AppendMessage(nil, &Message{Type: TypeCommand, Payload: pattern(64 << 10)}, 128)[:60_000],
		"64 chunk streams, one byte":  append(appendSetChunkSize(nil, 1), lies(63, 8<<20, 1)...),
		"64 chunk streams, one chunk": lies(64, 8<<20, 128),
		"64 chunk streams, 20 chunks": many,
		"one message, no payload":     lies(1, 8<<20, 0),
	} {
		t.Run(name, func(t *testing.T) {
			for _, way := range ways {
				if len(in) > 1<<20 && way.name != "whole" {
					continue
				}
				r := reading(way.deliver(bytes.NewReader(in)), way.size, readLimits{})
				w := watch(t, r)
				if _, err := drain(r); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s: %v", way.name, err)
				}
				w.check()
			}
		})
	}
}

// A publisher's messages get their buffer at once, up to 1 MiB each and 16 MiB in all.
func TestC059_PublisherIsBounded(t *testing.T) {
	r := reading(iotest.OneByteReader(bytes.NewReader(lies(61, 8<<20, 128))), 16384, readLimits{})
	r.setPublishing(true)
	w := watch(t, r)
	if _, err := drain(r); !errors.Is(err, ErrChunkStreams) {
		t.Errorf("error %v", err)
	}
	if w.peak != 16<<20 {
		t.Errorf("reserved up to %d bytes", w.peak)
	}
	// Three that really are long: two pass the bound together, the third does not fit.
	var c chunks
	c.chunkSize(1 << 20)
	for csid := uint32(3); csid < 6; csid++ {
		c.fmt0(csid, 0, 8<<20, TypeVideo, 1).raw(make([]byte, 1<<20))
	}
	for range 6 {
		for csid := uint32(3); csid < 6; csid++ {
			c.fmt3(csid).raw(make([]byte, 1<<20))
		}
	}
	r = reading(bytes.NewReader(c.b), 16384, readLimits{})
	r.setPublishing(true)
	w = watch(t, r)
	if _, err := drain(r); !errors.Is(err, ErrChunkStreams) {
		t.Errorf("error %v", err)
	}
	w.check()
}

// Refused lengths, large chunk sizes and many chunk streams cost nothing.
func TestChunkReader_HostileInputAllocatesLittle(t *testing.T) {
	var csids chunks
	for csid := uint32(2); csid <= maxCSID; csid++ {
		csids.fmt0(csid, 0, 1, TypeAudio, 1).raw([]byte{1})
	}
	for name, c := range map[string]struct {
		in  []byte
		max uint64
	}{
		"C-028 chunk size":      {appendSetChunkSize(nil, 1<<31), 16 << 10},
		"C-029 chunk size":      {append(appendSetChunkSize(nil, 1<<31-1), lies(1, 8<<20, 0)...), 16 << 10},
		"C-060 chunk streams":   {csids.b, 32 << 10},
		"C-061 command":         {new(chunks).fmt0(3, 0, 1<<24-1, TypeCommand, 0).b, 16 << 10},
		"C-062 video":           {lies(1, 8<<20+1, 0), 16 << 10},
		"C-059 64 that stall":   {lies(64, 8<<20, 128), 64 << 10},
		"aborted over and over": {bytes.Repeat(append(lies(1, 8<<20, 1), appendAbort(nil, 3)...), 100)[:17*100], 32 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := reading(bytes.NewReader(c.in), 4096, readLimits{})
			_, err := drain(r)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("no error")
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > c.max {
				t.Errorf("allocated %d bytes, allowed are %d", got, c.max)
			}
		})
	}
}

// C-063: a long message in small chunks costs time and memory in proportion.
func TestC063_LongMessageInSmallChunks(t *testing.T) {
	m := video(6, 40, pattern(7<<20))
	in := AppendMessage(nil, &m, 128)
	for _, publishing := range []bool{false, true} {
		r := reading(bytes.NewReader(in), 16384, readLimits{})
		r.setPublishing(publishing)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := r.readMessage()
		runtime.ReadMemStats(&after)
		if err != nil || !bytes.Equal(got.Payload, m.Payload) {
			t.Fatalf("publishing %v: another payload, %v", publishing, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 3*7<<20 {
			t.Errorf("publishing %v: allocated %d bytes", publishing, n)
		}
		if cap(got.Payload) > len(got.Payload)+len(got.Payload)/8 {
			t.Errorf("publishing %v: the payload holds %d bytes", publishing, cap(got.Payload))
		}
	}
}

// stalling is a connection whose peer sends no more than in.
type stalling struct {
	in      *bytes.Reader
	stalled func()
	end     chan struct{}
	once    sync.Once
}

func (s *stalling) Read(p []byte) (int, error) {
	if s.in.Len() > 0 {
		return s.in.Read(p)
	}
	s.once.Do(s.stalled)
	<-s.end
	return 0, io.EOF
}

// Write is that of a peer that does not read.
func (s *stalling) Write([]byte) (int, error) {
	s.once.Do(s.stalled)
	<-s.end
	return 0, io.ErrClosedPipe
}

// A connection that has not published or played costs at most 16 KiB, its goroutine and
// stack included, wherever it stalls. Stacks are counted as 8 KiB, which is more than this
// code needs: how large they start depends on what else the program does.
func TestMemoryOfConnections(t *testing.T) {
	if raceEnabled {
		return // its stacks are larger; make test runs this without it too
	}
	const conns, bound, stackSize = 500, 16 << 10, 8 << 10
	hello := append([]byte{3}, make([]byte, handshakeSize)...)
	signed := bytes.Clone(hello)
	signed[5] = 9
	sign(signed[1:], digestBase1, clientKey[:clientLen])
	shaken := append(bytes.Clone(hello), make([]byte, handshakeSize)...)
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	many := join(shaken, appendSetChunkSize(nil, 1), lies(63, 8<<20, 1))
	for _, c := range []struct {
		name   string
		in     []byte
		size   int  // of the read buffer
		frugal bool // from the first command on
		stuck  bool // the peer does not read
		bound  int
	}{
		{name: "before C0", size: commandBuffer, bound: bound},
		{name: "within C1", in: hello[:1500], size: commandBuffer, bound: bound},
		{name: "C-020 not reading S1", in: hello, size: commandBuffer, stuck: true, bound: bound},
		{name: "before C2", in: hello, size: commandBuffer, bound: bound},
		{name: "before C2, with digests", in: signed, size: commandBuffer, bound: bound},
		{name: "connected", in: join(shaken, unhexString(blockCN), unhexString(blockCS)), size: commandBuffer, bound: bound},
		{name: "connected, frugal", in: join(shaken, unhexString(blockCN), unhexString(blockCS)), bound: bound},
		{name: "within a command", in: join(shaken, unhexString(blockCN)[:40]), size: commandBuffer, bound: bound},
		{name: "within a long command", in: join(shaken, AppendMessage(nil, &Message{Type: TypeCommand, Payload: pattern(60_000)}, 128)[:1800]), size: commandBuffer, bound: bound},
		{name: "C-059 within 64 messages", in: many, size: commandBuffer, bound: bound},
		{name: "C-059 within 64 messages, frugal", in: many, bound: bound},
		{name: "a frugal player", in: join(shaken, unhexString(blockCN), unhexString(blockPING)), size: commandBuffer, frugal: true, bound: 10 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			var stalled, ended sync.WaitGroup
			end := make(chan struct{})
			stalled.Add(conns)
			heap, stack := inUse()
			for range conns {
				ended.Go(func() {
					peer := &stalling{in: bytes.NewReader(c.in), stalled: stalled.Done, end: end}
					var w io.Writer = io.Discard
					if c.stuck {
						w = peer
					}
					b := new(readBuffer)
					b.init(peer, c.size)
					converse(b, w, c.frugal)
				})
			}
			stalled.Wait()
			heapAfter, stackAfter := inUse()
			close(end)
			ended.Wait()
			heap, stack = (heapAfter-heap)/conns, (stackAfter-stack)/conns
			t.Logf("%d bytes a connection, and %d of stack", heap, stack)
			if stack > stackSize+256 {
				t.Errorf("%d bytes of stack", stack)
			}
			if used := heap + stackSize; used > c.bound {
				t.Errorf("%d bytes a connection, allowed are %d", used, c.bound)
			}
		})
	}
}

// inUse returns the bytes of heap and stacks in use once pools are empty and the stacks
// of ended goroutines free.
func inUse() (heap, stack int) {
	var m runtime.MemStats
	for range 4 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc), int(m.StackInuse)
}

// converse is a server's reading side: it shakes hands and reads until the end.
func converse(b *readBuffer, w io.Writer, frugal bool) {
	r := newChunkReader(b, readLimits{})
	if acceptHandshake(b, w, func() {}) != nil {
		return
	}
	for {
		m, err := r.readMessage()
		if err != nil {
			return
		}
		if frugal && m.Type == TypeCommand {
			b.setSize(0)
		}
	}
}

// A message costs one allocation, its payload.
func TestChunkReader_AllocatesOnlyPayloads(t *testing.T) {
	for _, size := range []int{128, 4096, 65536} {
		r := endless(size, 20_000)
		if n := testing.AllocsPerRun(200, func() { _, _ = r.readMessage() }); n != 1 {
			t.Errorf("chunk size %d: %v allocations a message", size, n)
		}
	}
}

// loop is a source that repeats its bytes for ever.
type loop struct {
	b   []byte
	pos int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.b[l.pos:])
	if l.pos += n; l.pos == len(l.b) {
		l.pos = 0
	}
	return n, nil
}

// endless is a publisher that alternates video messages of n bytes with audio.
func endless(chunkSize, n int) *chunkReader {
	v, a := video(6, 40, pattern(n)), audio(4, 40, pattern(300))
	r := reading(&loop{b: AppendMessage(AppendMessage(nil, &v, chunkSize), &a, chunkSize)}, 16384, readLimits{})
	r.chunkSize = chunkSize
	r.setPublishing(true)
	return r
}

func BenchmarkChunkReader(b *testing.B) {
	for _, size := range []int{128, 4096, 65536} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			r := endless(size, 20_000)
			b.SetBytes(10_150)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.readMessage(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The time for a byte of a message of 7 MiB in chunks of 128 must be that of a short one.
func BenchmarkC063_LongMessage(b *testing.B) {
	for _, n := range []int{70 << 10, 700 << 10, 7 << 20} {
		for _, publishing := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKiB/publishing=%v", n>>10, publishing), func(b *testing.B) {
				v := video(6, 40, pattern(n))
				r := reading(&loop{b: AppendMessage(nil, &v, 128)}, 16384, readLimits{})
				r.setPublishing(publishing)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := r.readMessage(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
