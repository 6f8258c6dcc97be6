package rtmp

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// fuzzLimits are the bounds of the fuzz target: the defaults, but small enough for an
// input to reach them.
var fuzzLimits = readLimits{maxMedia: 1 << 20, maxCommand: 8 << 10, maxData: 64 << 10, partialTotal: 2 << 20, csids: 16}

// FuzzChunkReader reads any bytes, with and without a publisher's rights, whole and byte
// by byte: no panic, bounded memory, and the same messages. What was read is written by
// AppendMessage, in chunks of any size, and must be read back.
func FuzzChunkReader(f *testing.F) {
	for i, c := range allChunkCases() {
		if len(c.in) < 4096 {
			f.Add(c.in, i%2 == 0, uint32(1+i*37))
		}
	}
	f.Add(lies(10, 8<<20, 100), false, uint32(128))
	f.Fuzz(func(t *testing.T, in []byte, publishing bool, chunkSize uint32) {
		read := func(src io.Reader, size int) ([]Message, noteSet, error) {
			r := reading(src, size, fuzzLimits)
			r.setPublishing(publishing)
			w := watch(t, r)
			ms, err := drain(r)
			w.check()
			return ms, r.notes, err
		}
		ms, notes, err := read(bytes.NewReader(in), 4096)
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, ErrProtocol) {
			t.Errorf("ended with %v", err)
		}
		total := 0
		for i := range ms {
			if total += 1 + len(ms[i].Payload); total > len(in) {
				t.Fatalf("%d messages of %d bytes in %d", len(ms), total, len(in))
			}
		}
		for _, size := range []int{0, 64} {
			again, notesAgain, errAgain := read(iotest.OneByteReader(bytes.NewReader(in)), size)
			sameMessages(t, again, ms)
			if notesAgain != notes || errAgain.Error() != err.Error() {
				t.Errorf("byte by byte: %q and %v, before %q and %v", notesAgain.details(), errAgain, notes.details(), err)
			}
		}
		roundTrip(t, ms, int(min(max(chunkSize, 1), MaxMessageSize)))
	})
}

// roundTrip writes messages one after the other and reads them back.
func roundTrip(t *testing.T, ms []Message, chunkSize int) {
	out := appendSetChunkSize(nil, uint32(chunkSize))
	want := []Message{{Type: TypeSetChunkSize, ChunkStreamID: 2, Payload: out[12:16:16]}}
	for i := range ms {
		before := len(out)
		out = AppendMessage(out, &ms[i], chunkSize)
		if n := EncodedSize(len(ms[i].Payload), ms[i].Timestamp, ms[i].ChunkStreamID, chunkSize); len(out)-before != n {
			t.Errorf("message %d is %d bytes, EncodedSize says %d", i, len(out)-before, n)
		}
		want = append(want, ms[i])
		if n, ok := parseSetChunkSize(ms[i].Payload); ok && ms[i].Type == TypeSetChunkSize {
			chunkSize = int(min(n, MaxMessageSize))
		}
	}
	r := reading(bytes.NewReader(out), 4096, fuzzLimits)
	got, err := drain(r)
	if err != io.EOF || r.notes != 0 {
		t.Errorf("reading back: %v, %q", err, r.notes.details())
	}
	sameMessages(t, got, want)
}
