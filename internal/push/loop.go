package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
	"weak"

	"weir/av"
	"weir/codec"
	"weir/codec/aac"
	"weir/codec/h264"
	"weir/internal/fetch"
)

const (
	// maxLoop bounds the file of a slate, in bytes, and maxLoopTime its length: it is kept in memory.
	maxLoop     = 64 << 20
	maxLoopTime = 10 * time.Minute
	maxLoopName = 1024 // bytes
)

// loopFormats are how the names of slates end that are files.
var loopFormats = []string{".flv", ".mp4", ".ts"}

// isLoop reports whether a slate is the name of a file.
func isLoop(slate string) bool {
	return slices.Contains(loopFormats, strings.ToLower(filepath.Ext(slate))) && len(slate) <= maxLoopName && !strings.Contains(slate, "://")
}

// loop is what a file holds that is played again and again as a slate. It does not change.
type loop struct {
	name   string
	file   os.FileInfo // when it was read
	tracks [2]av.Track // the first of each kind; without codec if there is none
	// frames are those of each kind, on a clock that begins at 0 with a key frame.
	frames [2][]av.Frame
	long   time.Duration // of a round
	step   time.Duration // between two frames of sound
}

// CheckSlate says what is wrong with the file that is a slate; nil of one that is none.
func CheckSlate(slate string) error {
	if !isLoop(slate) {
		return nil
	}
	_, err := readLoop(context.Background(), slate)
	return err
}

// readLoop reads a file.
func readLoop(ctx context.Context, name string) (*loop, error) {
	wrong := func(err error) (*loop, error) { return nil, fmt.Errorf("the slate %s cannot be used: %w", name, err) }
	info, err := os.Stat(name)
	if err != nil {
		return wrong(fetch.Plain(err))
	}
	if info.Size() > maxLoop {
		return wrong(fmt.Errorf("it has more than %d MiB: some seconds are enough", maxLoop>>20))
	}
	src, err := fetch.Open(ctx, name, fetch.Access{})
	if err != nil {
		return nil, fmt.Errorf("the slate cannot be used: %w", err)
	}
	defer func() { _ = src.Close() }()
	r := loopReader{loop: &loop{name: name, file: info}}
	for {
		f, err := src.ReadFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the slate cannot be used: %w", err)
		}
		if err := r.add(f); err != nil {
			return wrong(err)
		}
	}
	if err := r.finish(); err != nil {
		return wrong(err)
	}
	return r.loop, nil
}

// loopReader makes a loop of frames.
type loopReader struct {
	*loop
	derive  [2]codec.Deriver
	configs [2][]byte
	known   [2]bool // there was a frame
	record  [2]bool // there was a configuration record: what is in band says the same
}

// add takes the next frame of the file. What is not of the first track of its kind is left out.
func (r *loopReader) add(f *av.Frame) error {
	if f.Kind > av.Audio {
		return nil
	}
	t := &r.tracks[f.Kind]
	if !r.known[f.Kind] {
		r.known[f.Kind] = true
		t.Kind, t.Codec, t.ID = f.Kind, f.Codec, f.Track
	}
	switch {
	case f.Track != t.ID:
		return nil
	case f.Codec != t.Codec:
		return fmt.Errorf("its %v is %v and then %v", f.Kind, t.Codec, f.Codec)
	}
	var config []byte
	switch f.Type {
	case av.Config:
		config, _ = r.derive[f.Kind].Record(f.Codec, f.Kind, f.Payload) // what cannot be read may be in band
		r.record[f.Kind] = r.record[f.Kind] || config != nil
	case av.Media:
		if codec.NeedsConfig(f.Codec) && !r.record[f.Kind] {
			config = r.derive[f.Kind].Frame(f.Codec, f.Payload)
		}
	}
	if config != nil {
		if had := r.configs[f.Kind]; had != nil && !sameParameters(f.Codec, had, config) {
			return fmt.Errorf("the parameters of its %v change within it", f.Codec)
		}
		r.configs[f.Kind] = config
	}
	if f.Type != av.Media || f.Kind == av.Video && len(r.frames[av.Video]) == 0 && !f.IsKey() {
		return nil
	}
	r.frames[f.Kind] = append(r.frames[f.Kind], *f)
	return nil
}

// finish sets the clock of the frames.
func (r *loopReader) finish() error {
	lead := av.Video // the kind whose frames make a round
	if len(r.frames[lead]) == 0 {
		if lead = av.Audio; len(r.frames[lead]) == 0 {
			return errors.New("there is no key frame of video in it, and no sound")
		}
	}
	for k := range r.tracks {
		t := &r.tracks[k]
		if len(r.frames[k]) == 0 {
			*t = av.Track{}
			continue
		}
		if r.configs[k] == nil && codec.NeedsConfig(t.Codec) {
			return fmt.Errorf("the parameters of its %v are missing", t.Codec)
		}
		if d, err := codec.Describe(t.Codec, t.Kind, r.configs[k]); err == nil {
			d.ID = t.ID
			*t = d
		}
		t.Config = r.configs[k]
	}
	begin := r.frames[lead][0].DTS
	for k, list := range r.frames {
		list = slices.DeleteFunc(list, func(f av.Frame) bool { return f.DTS < begin })
		last := time.Duration(0)
		for i := range list {
			f := &list[i]
			shown := f.PTS - f.DTS
			f.DTS = max(f.DTS-begin, last)
			f.PTS, last = f.DTS+shown, f.DTS
		}
		r.frames[k] = list
	}
	r.long = roundOf(r.frames[lead])
	if r.long > maxLoopTime {
		return fmt.Errorf("it is longer than %v: some seconds are enough", maxLoopTime)
	}
	if sound := r.frames[av.Audio]; len(sound) > 0 {
		t := &r.tracks[av.Audio]
		if r.step = codec.FrameDuration(t.Codec, t.Config, sound[0].Payload); r.step <= 0 {
			r.step = roundOf(sound) / time.Duration(len(sound))
		}
	}
	return nil
}

// roundOf is how long frames last that begin at 0: as long as they are, and one more. One alone lasts a second.
func roundOf(list []av.Frame) time.Duration {
	n := time.Duration(len(list) - 1)
	if last := list[n].DTS; last > 0 {
		return last + last/n
	}
	return time.Second
}

// sameParameters reports whether a decoder that has one configuration record of a codec goes on with media of the other. Programs
// write the same parameters of H.264 and AAC into different records.
func sameParameters(c av.Codec, a, b []byte) bool {
	switch {
	case codec.SameCoding(c, a, b):
		return true
	case c == av.H264:
		x, err := h264.ParseConfig(a)
		if err != nil {
			return false
		}
		y, err := h264.ParseConfig(b)
		return err == nil && x.LengthSize == y.LengthSize && slices.EqualFunc(x.SPS, y.SPS, bytes.Equal) && slices.EqualFunc(x.PPS, y.PPS, bytes.Equal)
	case c == av.AAC:
		x, err := aac.ParseConfig(a)
		if err != nil {
			return false
		}
		y, err := aac.ParseConfig(b)
		return err == nil && x.Program == nil && y.Program == nil && x.ObjectType == y.ObjectType && x.SampleRate == y.SampleRate &&
			x.ChannelConfig == y.ChannelConfig && x.FrameLength == y.FrameLength && x.SBR == y.SBR && x.PS == y.PS
	}
	return false
}

// fits says why the loop cannot stand in for what a sender sends; nil if it can. The sound may be missing.
func (l *loop) fits(s *sender) error {
	if err := l.differs(s); err != nil {
		return fmt.Errorf("the slate %s does not fit the stream: %w", l.name, err)
	}
	return nil
}

// differs says what of the loop is not as it is in what a sender sends.
func (l *loop) differs(s *sender) error {
	for k, is := range l.tracks {
		has := &s.tracks[k]
		switch {
		case s.codecs[k] == 0, is.Codec == 0 && k == int(av.Audio):
		case is.Codec == 0:
			return errors.New("it has no video, and the stream has")
		case is.Codec != s.codecs[k]:
			return fmt.Errorf("its %v is %v, and the stream's is %v", is.Kind, is.Codec, s.codecs[k])
		case sameParameters(is.Codec, is.Config, has.Config):
		case is.Size != has.Size:
			return fmt.Errorf("its picture has %dx%d pixels, and the stream's has %dx%d", is.Size.Width, is.Size.Height, has.Size.Width, has.Size.Height)
		case is.SampleRate != has.SampleRate || is.Channels != has.Channels:
			return fmt.Errorf("its sound has %d Hz and %d channels, and the stream's has %d Hz and %d", is.SampleRate, is.Channels, has.SampleRate, has.Channels)
		default:
			return fmt.Errorf("the parameters of its %v are not the stream's: make it with the same encoder and the same settings", is.Codec)
		}
	}
	return nil
}

// soundAt returns the frame of sound that is nearest to a time within a round.
func (l *loop) soundAt(at time.Duration) int {
	list := l.frames[av.Audio]
	i := sort.Search(len(list), func(i int) bool { return list[i].DTS+l.step/2 >= at })
	return min(i, len(list)-1)
}

// loops are the slates that are files, each of which is in memory once for all targets, and as long as one of them has it.
type loops struct {
	mu     sync.Mutex // guards below
	byName map[string]weak.Pointer[loop]
}

// get returns what a file holds now.
func (l *loops) get(ctx context.Context, name string) (*loop, error) {
	if info, err := os.Stat(name); err == nil {
		if had := l.known(name); had != nil && os.SameFile(had.file, info) && had.file.Size() == info.Size() && had.file.ModTime().Equal(info.ModTime()) {
			return had, nil
		}
	}
	read, err := readLoop(ctx, name)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for other, p := range l.byName {
		if p.Value() == nil {
			delete(l.byName, other)
		}
	}
	l.byName[name] = weak.Make(read)
	return read, nil
}

// known returns what is in memory of a file; nil if nothing is.
func (l *loops) known(name string) *loop {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.byName[name]
	if !ok {
		return nil
	}
	return p.Value()
}
