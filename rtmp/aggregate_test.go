package rtmp

import (
	"bytes"
	"slices"
	"testing"
)

// tag is an FLV tag with its back pointer.
func tag(typ MessageType, ts uint32, p []byte) []byte {
	n := len(p)
	b := []byte{byte(typ), byte(n >> 16), byte(n >> 8), byte(n), byte(ts >> 16), byte(ts >> 8), byte(ts), byte(ts >> 24), 0, 0, 9}
	b = append(b, p...)
	n += tagHeader
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// aggregateCases are the inputs of the test and the seeds of the fuzz target.
func aggregateCases() []struct {
	name string
	in   []byte
	want []Message
	bad  bool
} {
	const base = 5000
	msg := func(typ MessageType, ts uint32, p []byte) Message {
		return Message{Type: typ, StreamID: 1, ChunkStreamID: 5, Timestamp: ts, Payload: p}
	}
	a, v, d := pattern(9), pattern(40), pattern(20)
	three := slices.Concat(tag(TypeAudio, 100, a), tag(TypeVideo, 123, v), tag(TypeData, 130, d))
	want := []Message{msg(TypeAudio, base, a), msg(TypeVideo, base+23, v), msg(TypeData, base+30, d)}
	odd := slices.Clone(three)
	odd[tagHeader+9] = 0xee // the first back pointer
	return []struct {
		name string
		in   []byte
		want []Message
		bad  bool
	}{
		{"empty", nil, nil, false},
		{"C-178 three messages", three, want, false},
		{"C-178 odd back pointer", odd, want, false},
		{"C-178 last back pointer missing", three[:len(three)-4], want, false},
		{"C-178 last back pointer cut", three[:len(three)-1], want, false},
		{"C-178 cut in the last payload", three[:len(three)-5], want[:2], true},
		{"C-178 cut in the last header", three[:len(three)-30], want[:2], true},
		{"C-178 size beyond the end", slices.Concat(three[:24], []byte{9, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1}), want[:1], true},
		{"C-178 nested", slices.Concat(three[:24], tag(TypeAggregate, 110, three)), want[:1], true},
		{"empty messages", slices.Concat(tag(TypeAudio, 1<<31, nil), tag(TypeAudio, 1<<31+5, nil)), []Message{msg(TypeAudio, base, nil), msg(TypeAudio, base+5, nil)}, false},
		{"times go back", slices.Concat(tag(TypeAudio, 100, a), tag(TypeVideo, 60, v)), []Message{msg(TypeAudio, base, a), msg(TypeVideo, base-40, v)}, false},
		{"others are left out, and the first still counts", slices.Concat(tag(TypeCommand, 90, a), tag(TypeSetChunkSize, 91, a), tag(TypeVideo, 100, v)), []Message{msg(TypeVideo, base+10, v)}, false},
	}
}

func TestSplitAggregate(t *testing.T) {
	for _, c := range aggregateCases() {
		t.Run(c.name, func(t *testing.T) {
			kept := bytes.Clone(c.in)
			m := Message{Type: TypeAggregate, StreamID: 1, ChunkStreamID: 5, Timestamp: 5000, Payload: c.in}
			got, err := splitAggregate(&m)
			if (err != nil) != c.bad {
				t.Errorf("error %v", err)
			}
			sameMessages(t, got, c.want)
			for i := range got {
				_ = append(got[i].Payload, 0xff) // must not reach into the next
			}
			if !bytes.Equal(kept, c.in) {
				t.Error("the payloads share more than they show")
			}
			for n := range c.in {
				m.Payload = c.in[:n]
				if part, _ := splitAggregate(&m); len(part) > len(c.want) {
					t.Errorf("%d messages in %d bytes", len(part), n)
				}
			}
		})
	}
}

// Many empty messages must not become many times their size.
func TestSplitAggregate_CountIsBounded(t *testing.T) {
	for _, typ := range []MessageType{TypeAudio, TypeCommand} {
		m := Message{Type: TypeAggregate, Payload: bytes.Repeat(tag(typ, 0, nil), 500_000)}
		if got, err := splitAggregate(&m); err == nil || len(got) > 4096 {
			t.Errorf("type %d: %d messages, %v", typ, len(got), err)
		}
	}
}

func FuzzSplitAggregate(f *testing.F) {
	for _, c := range aggregateCases() {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m := Message{Type: TypeAggregate, StreamID: 1, Timestamp: 5000, Payload: in}
		ms, _ := splitAggregate(&m)
		total := 0
		for i := range ms {
			total += tagHeader + len(ms[i].Payload)
			if ms[i].StreamID != 1 {
				t.Errorf("message %d is on stream %d", i, ms[i].StreamID)
			}
		}
		if total > len(in) || len(ms) > 4096 {
			t.Errorf("%d messages of %d bytes in %d", len(ms), total, len(in))
		}
	})
}

func BenchmarkSplitAggregate(b *testing.B) {
	m := Message{Type: TypeAggregate, Payload: bytes.Repeat(tag(TypeAudio, 0, pattern(300)), 50)}
	b.SetBytes(int64(len(m.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := splitAggregate(&m); err != nil {
			b.Fatal(err)
		}
	}
}
