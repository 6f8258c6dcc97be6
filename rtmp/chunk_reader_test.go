package rtmp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// chunkCase is one input of the chunk reader and what it must make of it.
type chunkCase struct {
	name  string
	in    []byte
	want  []Message
	err   error  // io.EOF if the input is good to its end
	text  string // part of the error
	notes noteSet
}

// audio and video are messages of stream 1.
func audio(csid, ts uint32, p []byte) Message {
	return Message{Type: TypeAudio, StreamID: 1, ChunkStreamID: csid, Timestamp: ts, Payload: p}
}

func video(csid, ts uint32, p []byte) Message {
	return Message{Type: TypeVideo, StreamID: 1, ChunkStreamID: csid, Timestamp: ts, Payload: p}
}

// ctl is a protocol control message as it is read.
func ctl(t MessageType, body ...byte) Message {
	return Message{Type: t, ChunkStreamID: 2, Payload: body}
}

func at(csid uint32) Message {
	return Message{Type: TypeAudio, StreamID: 1, ChunkStreamID: csid, Timestamp: 7, Payload: []byte{1, 2, 3}}
}

// chunkCases covers area B of the catalogue, but for timestamps and memory.
func chunkCases() []chunkCase {
	p8, p300 := pattern(8), pattern(300)
	long := slices.Concat(unhexString(blockCN[24:]), pattern(200))
	connect := Message{Type: TypeCommand, ChunkStreamID: 3, Payload: long}
	build := func() *chunks { return new(chunks) }
	cases := []chunkCase{
		{
			name: "C-025 command over two chunks", in: build().fmt0(3, 0, len(long), TypeCommand, 0).raw(long[:128]).fmt3(3).raw(long[128:256]).fmt3(3).raw(long[256:]).b,
			want: []Message{connect},
		},
		{
			name: "C-026 chunk size 1", in: build().chunkSize(1).message(connect, 1).b,
			want: []Message{ctl(TypeSetChunkSize, 0, 0, 0, 1), connect},
		},
		{name: "C-027 chunk size 0", in: build().chunkSize(0).b, err: ErrChunkSize, text: "0x0"},
		{name: "C-028 chunk size with the top bit", in: build().chunkSize(1 << 31).b, err: ErrChunkSize, text: "0x80000000"},
		{name: "C-028 chunk size of all ones", in: build().chunkSize(1<<32 - 1).b, err: ErrChunkSize},
		{
			name: "C-029 largest chunk size", in: build().chunkSize(1<<31-1).message(video(6, 40, p300), 1<<31-1).b,
			want: []Message{ctl(TypeSetChunkSize, 0x7f, 0xff, 0xff, 0xff), video(6, 40, p300)},
		},
		{
			name: "C-030 chunk size over the longest message", in: build().chunkSize(1<<24).message(video(6, 40, p300), 1<<24).b,
			want: []Message{ctl(TypeSetChunkSize, 1, 0, 0, 0), video(6, 40, p300)},
		},
		{
			name: "C-031 chunk size 100", in: build().chunkSize(100).message(video(6, 40, p300), 100).b,
			want: []Message{ctl(TypeSetChunkSize, 0, 0, 0, 100), video(6, 40, p300)},
		},
		{
			name: "C-032 short chunk size", in: build().fmt0(2, 0, 2, TypeSetChunkSize, 0).raw([]byte{0, 1}).message(video(6, 40, p300), 128).b,
			want: []Message{ctl(TypeSetChunkSize, 0, 1), video(6, 40, p300)},
		},
		{
			name: "C-032 long chunk size", in: build().fmt0(2, 0, 8, TypeSetChunkSize, 0).raw([]byte{0, 0, 0, 100, 9, 9, 9, 9}).message(video(6, 40, p300), 100).b,
			want: []Message{ctl(TypeSetChunkSize, 0, 0, 0, 100, 9, 9, 9, 9), video(6, 40, p300)},
		},
		{
			name: "C-033 chunk size within a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).chunkSize(150).fmt3(6).raw(p300[128:278]).fmt3(6).raw(p300[278:]).b,
			want: []Message{ctl(TypeSetChunkSize, 0, 0, 0, 150), video(6, 40, p300)},
		},
		{
			name: "C-037 csid 64 in both its forms", in: build().raw([]byte{0, 0}).raw([]byte{0, 0, 5, 0, 0, 3, 8, 1, 0, 0, 0, 1, 2, 3}).raw([]byte{0xc1, 0, 0, 4, 5, 6}).b,
			want: []Message{audio(64, 5, []byte{1, 2, 3}), audio(64, 10, []byte{4, 5, 6})},
		},
		{
			name: "C-039 fmt 1 first", in: unhexString("42000000000006040006" + "00000d0f"),
			want: []Message{{Type: TypeUserControl, ChunkStreamID: 2, Payload: []byte{0, 6, 0, 0, 0x0d, 0x0f}}},
		},
		{name: "C-040 fmt 2 first", in: unhexString("89000000"), err: ErrChunkHeader, text: "chunk stream 9 at byte 0: the first chunk is fmt 2"},
		{name: "C-041 fmt 3 first", in: unhexString("c9"), err: ErrChunkHeader, text: "chunk stream 9 at byte 0: the first chunk is fmt 3"},
		{
			name: "C-053 fmt 0 within a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).fmt0(6, 80, 8, TypeVideo, 1).raw(p8).b,
			want: []Message{video(6, 80, p8)}, notes: noteRestarted,
		},
		{
			name: "C-053 an empty message within a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).fmt0(6, 80, 0, TypeVideo, 1).b,
			want: []Message{video(6, 80, nil)}, notes: noteRestarted,
		},
		{
			name: "C-054 fmt 1 without delta within a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).fmt1(6, 0, 300, TypeVideo).raw(p300[128:256]).fmt3(6).raw(p300[256:]).b,
			want: []Message{video(6, 40, p300)}, notes: noteContinued,
		},
		{
			name: "C-054 fmt 2 without delta within a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).fmt2(6, 0).raw(p300[128:256]).fmt3(6).raw(p300[256:]).b,
			want: []Message{video(6, 40, p300)}, notes: noteContinued,
		},
		{
			name: "C-054 fmt 1 after an extended timestamp", in: build().fmt0(6, extendedMark, 300, TypeVideo, 1).u32(1<<24).raw(p300[:128]).fmt1(6, 0, 300, TypeVideo).raw(p300[128:256]).fmt3(6).raw(p300[256:]).b,
			want: []Message{video(6, 1<<24, p300)}, notes: noteContinued,
		},
		{
			name: "C-055 another length within a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).fmt1(6, 0, 301, TypeVideo).b,
			err: ErrChunkHeader, text: "fmt 1 within a message",
		},
		{name: "C-055 another type within a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).fmt1(6, 0, 300, TypeAudio).b, err: ErrChunkHeader},
		{
			name: "C-055 a delta within a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).fmt2(6, 40).b,
			err: ErrChunkHeader, text: "fmt 2 within a message",
		},
		{
			name: "C-056 abort", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).raw(appendAbort(nil, 6)).fmt0(6, 80, 8, TypeVideo, 1).raw(p8).b,
			want: []Message{ctl(TypeAbort, 0, 0, 0, 6), video(6, 80, p8)},
		},
		{
			name: "C-056 abort, then fmt 3 begins a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).raw(appendAbort(nil, 6)).fmt3(6).raw(p300[:128]).fmt3(6).raw(p300[128:256]).fmt3(6).raw(p300[256:]).b,
			want: []Message{ctl(TypeAbort, 0, 0, 0, 6), video(6, 80, p300)},
		},
		{
			name: "C-057 abort of an unknown chunk stream", in: build().raw(appendAbort(nil, 7777)).fmt0(6, 80, 8, TypeVideo, 1).raw(p8).b,
			want: []Message{ctl(TypeAbort, 0, 0, 0x1e, 0x61), video(6, 80, p8)},
		},
		{
			name: "C-058 short abort", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).fmt0(2, 0, 1, TypeAbort, 0).raw([]byte{6}).fmt3(6).raw(p300[128:256]).fmt3(6).raw(p300[256:]).b,
			want: []Message{ctl(TypeAbort, 6), video(6, 40, p300)},
		},
		{name: "C-061 long command", in: build().fmt0(3, 0, 1<<24-1, TypeCommand, 0).b, err: ErrMessageTooLong},
		{name: "C-062 long video", in: build().fmt0(6, 0, 8<<20+1, TypeVideo, 1).b, err: ErrMessageTooLong, text: "message too large"},
		{
			name: "C-062 long by fmt 3", in: build().fmt0(6, 0, 0, TypeVideo, 1).fmt1(6, 0, 8<<20+1, TypeVideo).b,
			want: []Message{video(6, 0, nil)}, err: ErrMessageTooLong,
		},
		{name: "C-061 long data", in: build().fmt0(5, 0, 1<<20+1, TypeData, 1).b, err: ErrMessageTooLong},
		{
			name: "C-065 interleaved", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).fmt0(4, 41, 8, TypeAudio, 1).raw(p8).fmt3(6).raw(p300[128:256]).fmt1(4, 1, 7, TypeAudio).raw(p8[:7]).fmt3(6).raw(p300[256:]).b,
			want: []Message{audio(4, 41, p8), audio(4, 42, p8[:7]), video(6, 40, p300)},
		},
		{
			name: "C-066 acknowledgement within a message", in: build().fmt0(6, 40, 300, TypeVideo, 1).raw(p300[:128]).raw(appendAck(nil, 9)).fmt3(6).raw(p300[128:256]).raw(appendAck(nil, 10)).fmt3(6).raw(p300[256:]).b,
			want: []Message{ctl(TypeAck, 0, 0, 0, 9), ctl(TypeAck, 0, 0, 0, 10), video(6, 40, p300)},
		},
		{
			name: "C-070 message stream id is little-endian", in: unhexString("04000007000003080000000" + "1010203"),
			want: []Message{{Type: TypeAudio, StreamID: 1 << 24, ChunkStreamID: 4, Timestamp: 7, Payload: []byte{1, 2, 3}}},
		},
		{
			name: "C-259 libavformat after its echo of our chunk size", in: build().chunkSize(65536).message(video(6, 40, pattern(200_000)), 65536).b,
			want: []Message{ctl(TypeSetChunkSize, 0, 1, 0, 0), video(6, 40, pattern(200_000))},
		},
		{
			name: "C-267 tracks alternating on one chunk stream", in: build().fmt0(4, 0, 8, TypeVideo, 1).raw(p8).fmt1(4, 0, 3, TypeAudio).raw(p8[:3]).fmt1(4, 0, 8, TypeVideo).raw(p8).fmt1(4, 23, 3, TypeAudio).raw(p8[:3]).fmt2(4, 0).raw(p8[:3]).b,
			want: []Message{video(4, 0, p8), audio(4, 0, p8[:3]), video(4, 0, p8), audio(4, 23, p8[:3]), audio(4, 23, p8[:3])},
		},
		{
			name: "C-029 chunk size across message lengths", in: build().chunkSize(4096).message(video(6, 1, pattern(4096)), 4096).message(video(6, 2, pattern(4097)), 4096).message(video(6, 3, pattern(12288)), 4096).b,
			want: []Message{ctl(TypeSetChunkSize, 0, 0, 16, 0), video(6, 1, pattern(4096)), video(6, 2, pattern(4097)), video(6, 3, pattern(12288))},
		},
	}
	for _, csid := range []uint32{2, 3, 63} {
		cases = append(cases, chunkCase{name: fmt.Sprintf("C-035 csid %d", csid), in: build().message(at(csid), 128).b, want: []Message{at(csid)}})
	}
	for csid, hex := range map[uint32]string{64: "0000", 319: "00ff"} {
		cases = append(cases, chunkCase{name: fmt.Sprintf("C-036 csid %d", csid), in: slices.Concat(unhexString(hex), build().message(at(3), 128).b[1:]), want: []Message{at(csid)}})
	}
	for csid, hex := range map[uint32]string{64: "010000", 320: "010001", 65599: "01ffff"} {
		cases = append(cases, chunkCase{name: fmt.Sprintf("C-037 csid %d in three bytes", csid), in: slices.Concat(unhexString(hex), build().message(at(3), 128).b[1:]), want: []Message{at(csid)}})
	}
	for _, csid := range []uint32{33, 100, 4000} {
		cases = append(cases, chunkCase{
			name: fmt.Sprintf("C-038 media on csid %d", csid),
			in:   build().message(video(csid, 0, p300), 128).fmt3(csid).raw(p300[:128]).fmt3(csid).raw(p300[128:256]).fmt3(csid).raw(p300[256:]).b, want: []Message{video(csid, 0, p300), video(csid, 0, p300)},
		})
	}
	var empty chunkCase
	empty.name = "C-064 empty messages of each type"
	for typ := MessageType(1); typ <= 22; typ++ {
		m := Message{Type: typ, StreamID: 1, ChunkStreamID: 5, Timestamp: uint32(typ)}
		empty.in, empty.want = AppendMessage(empty.in, &m, 128), append(empty.want, m)
	}
	unknown := chunkCase{name: "C-067 unknown types"}
	for _, typ := range []MessageType{0, 7, 21, 255} {
		m := Message{Type: typ, StreamID: 1, ChunkStreamID: 5, Payload: p300}
		unknown.in, unknown.want = AppendMessage(unknown.in, &m, 128), append(unknown.want, m)
	}
	return append(cases, empty, unknown)
}

// allChunkCases is what the table tests and the fuzz target's seeds run over.
func allChunkCases() []chunkCase { return slices.Concat(chunkCases(), timeCases()) }

func TestChunkReader(t *testing.T) {
	for _, c := range allChunkCases() {
		for _, w := range ways {
			t.Run(c.name+"/"+w.name, func(t *testing.T) {
				r, got, err := w.read(c.in)
				want := c.err
				if want == nil {
					want = io.EOF
				}
				if !errors.Is(err, want) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("error %v, want %v with %q", err, want, c.text)
				}
				if c.err != nil && c.err != io.ErrUnexpectedEOF && !errors.Is(err, ErrProtocol) {
					t.Errorf("error %v is none of the protocol", err)
				}
				sameMessages(t, got, c.want)
				if r.notes != c.notes {
					t.Errorf("notes %q, want %q", r.notes.details(), c.notes.details())
				}
				if err == io.EOF && r.reserved != 0 {
					t.Errorf("%d bytes are still reserved", r.reserved)
				}
			})
		}
	}
}

// A connection that is cut anywhere is an error, and no message is made of a part.
func TestC068_CutAtEveryPlace(t *testing.T) {
	for _, c := range allChunkCases() {
		t.Run(c.name, func(t *testing.T) {
			step := 1 // every place, but for the few long inputs
			if len(c.in) > 4000 {
				step = len(c.in)/61 + 1
			} else if testing.Short() {
				step = 7
			}
			for n := 0; n < len(c.in); n += step {
				for _, w := range ways[:3] {
					_, got, err := w.read(c.in[:n])
					if err == nil || len(got) > len(c.want) {
						t.Fatalf("%s, cut at %d: %d messages, error %v", w.name, n, len(got), err)
					}
					for i := range got {
						if got[i].Type != c.want[i].Type || !bytes.Equal(got[i].Payload, c.want[i].Payload) {
							t.Fatalf("%s, cut at %d: message %d is another", w.name, n, i)
						}
					}
					if errors.Is(err, io.EOF) && !whole(c.in[:n], c.in) {
						t.Fatalf("%s, cut at %d: an ordinary end within a message", w.name, n)
					}
				}
			}
		})
	}
}

// whole reports whether in can be cut behind head: what follows reads on as the rest of
// the messages, none of which began before.
func whole(head, in []byte) bool {
	r, _, _ := ways[0].read(head)
	for _, cs := range r.streams {
		if cs.partial {
			return false
		}
	}
	return r.in.consumed == uint64(len(head)) && len(head) < len(in)
}

// The parts at which a connection can be cut, and what the reader says.
func TestC068_CutInside(t *testing.T) {
	full := new(chunks).fmt0(6, extendedMark, 300, TypeVideo, 1).u32(1 << 24).raw(pattern(128)).fmt3(6).u32(1 << 24).raw(pattern(128)).b
	for _, c := range []struct {
		where string
		n     int
		want  error
	}{
		{"before anything", 0, io.EOF},
		{"basic header", 1, io.ErrUnexpectedEOF},
		{"message header", 7, io.ErrUnexpectedEOF},
		{"extended timestamp", 14, io.ErrUnexpectedEOF},
		{"payload", 50, io.ErrUnexpectedEOF},
		{"between chunks of a message", 16 + 128, io.ErrUnexpectedEOF},
		{"repeated extended timestamp", 16 + 128 + 3, io.ErrUnexpectedEOF},
		{"payload of the second chunk", 16 + 128 + 9, io.ErrUnexpectedEOF},
	} {
		for _, w := range ways {
			if _, ms, err := w.read(full[:c.n]); err != c.want || len(ms) != 0 {
				t.Errorf("%s, %s: %d messages and %v, want %v", w.name, c.where, len(ms), err, c.want)
			}
		}
	}
	if _, _, err := ways[2].read([]byte{1, 0}); err != io.ErrUnexpectedEOF {
		t.Errorf("within a basic header of three bytes: %v", err)
	}
}

// An error of the source comes through as it is, after the messages before it.
func TestChunkReader_SourceError(t *testing.T) {
	cause := errors.New("deadline")
	m := at(4)
	src := io.MultiReader(bytes.NewReader(encode(&m)), errorReader{cause})
	for _, size := range []int{0, 4096} {
		ms, err := drain(reading(src, size, readLimits{}))
		if err != cause {
			t.Errorf("error %v", err)
		}
		sameMessages(t, ms, []Message{m})
		src = io.MultiReader(bytes.NewReader(encode(&m)), errorReader{cause})
	}
	if _, err := drain(reading(idleReader{}, 4096, readLimits{})); err != io.ErrNoProgress {
		t.Errorf("a source without progress: %v", err)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

func TestC060_ChunkStreamsAreBounded(t *testing.T) {
	var in chunks
	for csid := uint32(2); csid < 70_000 && csid <= maxCSID; csid++ {
		in.message(at(csid), 128)
	}
	for _, w := range ways[:3] {
		r, ms, err := w.read(in.b)
		if !errors.Is(err, ErrChunkStreams) || len(ms) != 64 || len(r.streams) != 64 {
			t.Errorf("%s: %d messages, %d chunk streams, %v", w.name, len(ms), len(r.streams), err)
		}
	}
}

func TestNoteSet_Details(t *testing.T) {
	if d := noteSet(0).details(); d != nil {
		t.Errorf("no notes: %q", d)
	}
	all := noteSet(1<<len(noteTexts) - 1)
	if d := all.details(); len(d) != len(noteTexts) || slices.Contains(d, "") {
		t.Errorf("all notes: %q", d)
	}
	if d := noteSmallExt.details(); len(d) != 1 || d[0] != noteTexts[1] {
		t.Errorf("one note: %q", d)
	}
}
