package flv

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"weir/amf"
	"weir/av"
)

// File is what FinishFile needs of a file; an *os.File is one.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Truncate changes the file's length.
	Truncate(size int64) error
}

// Errors of FinishFile; they are wrapped.
var (
	// ErrNoRoom says that a file does not begin with metadata of BuildFileMetadata.
	ErrNoRoom = errors.New("flv: the metadata has no room for an index")
	// ErrNoTags says that a file has no whole tag behind its metadata.
	ErrNoTags = errors.New("flv: nothing has been recorded in it")
)

const (
	// maxIndexed bounds the key frames in an index: the metadata stays shorter than MaxMetadata.
	maxIndexed = 3000
	maxNote    = 4 << 10
	entrySize  = 2 * 9 // a position and a time
)

// noteKey is the property that holds the note of a file.
const noteKey = "weirNote"

// BuildFileMetadata returns the payload of an onMetaData script for a file: what BuildMetadata says of the tracks,
// and room for what FinishFile will know: length, size, and an index of so many key frames, at most 3,000. note is a text that the
// file's owner wants to find in it again, of at most 4 KiB; a longer one is left out.
func BuildFileMetadata(tracks []av.Track, keyFrames int, note string) []byte {
	var extra amf.Object
	if note != "" && len(note) <= maxNote {
		extra = amf.Object{{Key: noteKey, Value: note}}
	}
	b := BuildMetadata(tracks, extra)
	count := 3 + len(onMetaData) + 1
	binary.BigEndian.PutUint32(b[count:], binary.BigEndian.Uint32(b[count:])+fileFields)
	b = b[:len(b)-3] // the end of the array
	at := len(b)
	room := entrySize * min(max(keyFrames, 1), maxIndexed)
	b = appendFileFacts(b, &fileFacts{}, 0)
	return appendFileFacts(b[:at], &fileFacts{}, len(b)-at+room)
}

// fileFacts are what is known of a whole file. Times are in milliseconds.
type fileFacts struct {
	duration, last, lastKey uint32
	size                    int64
	keys                    []keyFrame
}

// keyFrame is where a key frame's tag is.
type keyFrame struct {
	position int64
	time     uint32
}

// maxFiller is how long a text may be at which ffmpeg does not complain.
const maxFiller = 1000

// fileFields is how many properties appendFileFacts writes.
const fileFields = 8

// firstFact is how the properties of appendFileFacts begin.
const firstFact = "\x00\x08duration\x00"

// appendFileFacts appends properties that take so many bytes with the end of the array: the last one is a text that fills up what is left. With
// 0 it is empty.
func appendFileFacts(b []byte, f *fileFacts, size int) []byte {
	from := len(b)
	number := func(key string, v float64) {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(key))), key...)
		b = binary.BigEndian.AppendUint64(append(b, 0), math.Float64bits(v))
	}
	flag := func(key string, v bool) {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(key))), key...)
		if b = append(b, 1, 0); v {
			b[len(b)-1] = 1
		}
	}
	array := func(key string, value func(k *keyFrame) float64) {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(key))), key...)
		b = binary.BigEndian.AppendUint32(append(b, 10), uint32(len(f.keys)))
		for i := range f.keys {
			b = binary.BigEndian.AppendUint64(append(b, 0), math.Float64bits(value(&f.keys[i])))
		}
	}
	number("duration", float64(f.duration)/1000)
	number("filesize", float64(f.size))
	number("lasttimestamp", float64(f.last)/1000)
	number("lastkeyframetimestamp", float64(f.lastKey)/1000)
	flag("hasKeyframes", len(f.keys) > 0)
	flag("canSeekToEnd", false)
	b = append(b, "\x00\x09keyframes\x03"...)
	array("filepositions", func(k *keyFrame) float64 { return float64(k.position) })
	array("times", func(k *keyFrame) float64 { return float64(k.time) / 1000 })
	b = append(b, 0, 0, 9)
	for {
		const own, end = 2 + 6 + 1 + 2, 3 // bytes of a text but for its letters, and of the array's end
		left := size - (len(b) - from) - end - own
		fill := max(left, 0)
		if left > maxFiller {
			fill = min(maxFiller, left-own) // another one comes
		}
		b = append(b, "\x00\x06filler\x02"...)
		b = binary.BigEndian.AppendUint16(b, uint16(fill))
		b = append(b, bytes.Repeat([]byte{' '}, fill)...)
		if left <= maxFiller {
			return append(b, 0, 0, 9)
		}
	}
}

// FinishFile writes what is known of a whole file of so many bytes into the metadata that BuildFileMetadata made room in: its length and
// size, and where its key frames are. If there is no room for all of them, every second one is left out, or more. A tag at the end that is not whole
// is cut off. It can be called again. It fails with ErrHeader, ErrNoRoom, ErrNoTags, or the file's error.
func FinishFile(f File, size int64) error {
	if err := finishFile(f, size); err != nil {
		return fmt.Errorf("flv: finishing a file: %w", err)
	}
	return nil
}

func finishFile(f File, size int64) error {
	meta, body, err := readFileMetadata(f, size)
	if err != nil {
		return err
	}
	at := bytes.Index(body, []byte(firstFact))
	if at < 0 {
		return ErrNoRoom
	}
	room := len(body) - at
	facts, end, err := index(f, meta.end, size, (room-len(appendFileFacts(nil, &fileFacts{}, 0)))/entrySize)
	if err != nil {
		return err
	}
	if end < size {
		if err := f.Truncate(end); err != nil {
			return err
		}
	}
	_, err = f.WriteAt(appendFileFacts(nil, facts, room), firstTag+tagHeaderSize+int64(at))
	return err
}

// FileMetadata is what a file that BuildFileMetadata began says of itself.
type FileMetadata struct {
	// Duration is as FinishFile wrote it; 0 before.
	Duration time.Duration
	Note     string
}

// ReadFileMetadata reads the metadata of a file of so many bytes. It fails with ErrNoRoom if it does not begin with metadata, or the file's error.
func ReadFileMetadata(f io.ReaderAt, size int64) (m FileMetadata, err error) {
	_, body, err := readFileMetadata(f, size)
	if err != nil {
		return m, fmt.Errorf("flv: reading a file's metadata: %w", err)
	}
	_, props, err := ParseMetadata(body)
	if err != nil {
		return m, err
	}
	if seconds, ok := props.GetNumber("duration"); ok && seconds > 0 && seconds < math.MaxUint32 {
		m.Duration = time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
	}
	m.Note, _ = props.GetString(noteKey)
	return m, nil
}

// readFileMetadata reads the tag with the metadata that a file begins with.
func readFileMetadata(f io.ReaderAt, size int64) (meta tagHead, body []byte, err error) {
	meta, err = readTagHead(f, firstTag, size)
	if err != nil {
		return meta, nil, err
	}
	if meta.typ != TagScript || meta.end > size || meta.size > MaxMetadata {
		return meta, nil, ErrNoRoom
	}
	body = make([]byte, meta.size)
	if n, err := f.ReadAt(body, firstTag+tagHeaderSize); n < len(body) {
		return meta, nil, err
	}
	return meta, body, nil
}

// firstTag is where the first tag of a file is.
const firstTag = fileHeaderSize + backPointer

// tagHead is the head of a tag, and the beginning of its body.
type tagHead struct {
	typ  TagType
	size int
	time uint32
	end  int64 // behind the back pointer
	body []byte
}

// readTagHead reads the head of the tag at a place. It fails with io.EOF where there is none.
func readTagHead(f io.ReaderAt, at, size int64) (h tagHead, err error) {
	var b [tagHeaderSize + 2]byte
	n, err := f.ReadAt(b[:min(int64(len(b)), max(size-at, 0))], at)
	if n < tagHeaderSize {
		if err == nil {
			err = io.EOF
		}
		return h, err
	}
	h = tagHead{typ: TagType(b[0]), size: uint24(b[1:]), time: uint32(uint24(b[4:])) | uint32(b[7])<<24}
	h.end = at + tagHeaderSize + int64(h.size) + backPointer
	h.body = append(h.body, b[tagHeaderSize:max(min(n, tagHeaderSize+h.size), tagHeaderSize)]...)
	return h, nil
}

// index reads the heads of the tags from a place on, up to the last whole one. It keeps at most so many key frames.
func index(f io.ReaderAt, at, size int64, most int) (facts *fileFacts, end int64, err error) {
	facts = &fileFacts{}
	step, seen := 1, 0 // of the key frames every step-th is kept
	picture, usual, pictures := uint32(0), uint32(0), 0
	for {
		h, err := readTagHead(f, at, size)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		if err != nil || h.end > size || !backs(f, &h) {
			break
		}
		key, config := keyOf(&h)
		switch {
		case config && len(facts.keys) == 0: // by custom the sequence header comes first
			facts.keys = append(facts.keys, keyFrame{at, h.time})
		case key:
			if len(facts.keys) >= max(most, 2) {
				facts.keys = thin(facts.keys)
				step *= 2
			}
			if facts.lastKey = h.time; seen%step == 0 {
				facts.keys = append(facts.keys, keyFrame{at, h.time})
			}
			seen++
		}
		if h.typ == TagVideo && !config {
			if h.time > picture && pictures > 0 {
				usual = h.time - picture
			}
			picture = h.time
			pictures++
		}
		facts.last = max(facts.last, h.time)
		at = h.end
		end = at
	}
	if end == 0 {
		return nil, 0, ErrNoTags
	}
	const longest, lone = 1000, 40 // how long the last picture may last, and how long one does that has no other to tell
	facts.size, facts.duration = end, facts.last
	if pictures > 0 && picture == facts.last {
		facts.duration += min(cmp.Or(usual, lone), longest)
	}
	return facts, end, nil
}

// thin leaves out every second key frame behind the first entry.
func thin(keys []keyFrame) []keyFrame {
	kept := keys[:1]
	for i := 1; i < len(keys); i += 2 {
		kept = append(kept, keys[i])
	}
	return kept
}

// backs reports whether the back pointer behind a tag says what its head does.
func backs(f io.ReaderAt, h *tagHead) bool {
	var b [backPointer]byte
	n, _ := f.ReadAt(b[:], h.end-backPointer)
	return n == len(b) && int(binary.BigEndian.Uint32(b[:])) == tagHeaderSize+h.size
}

// keyOf reports whether a tag is a key frame, or the configuration, of the first video track.
func keyOf(h *tagHead) (key, config bool) {
	if h.typ != TagVideo || len(h.body) < 2 {
		return false, false
	}
	const enhancedBit, codedFrames, codedFramesX = 0x80, 1, 3
	first, second := h.body[0], h.body[1]
	isKey := first>>4&7 == frameKey
	if first&enhancedBit != 0 {
		packet := first & 15
		return isKey && (packet == codedFrames || packet == codedFramesX), packet == 0
	}
	if hasPacketType(first & 15) {
		return isKey && second == legacyMedia, second == legacyConfig
	}
	return isKey, false
}
