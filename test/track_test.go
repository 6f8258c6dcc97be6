package test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"weir/av"
	"weir/codec"
	"weir/codec/h264"
	"weir/codec/h265"
	"weir/codec/nal"
	"weir/format/flv"
)

// A unit is one media frame as it is compared.
type unit struct {
	sum [sha256.Size]byte // of the codec and the payload
	// essence is sum without what containers add and drop: access unit delimiters and
	// parameter sets.
	essence [sha256.Size]byte
	config  [sha256.Size]byte // of the configuration in force
	dts     time.Duration
	cts     time.Duration // PTS - DTS
	key     bool
	// lead says that it came before the first key frame of the video, so that no player
	// can begin with it.
	lead bool
}

// A trackKey names an elementary stream of a file.
type trackKey struct {
	kind av.Kind
	id   uint8
}

// String returns the track's name in messages.
func (k trackKey) String() string { return fmt.Sprintf("%s %d", k.kind, k.id) }

// tracks are the elementary streams of a file.
type tracks map[trackKey][]unit

// readTracks reads the elementary streams of an FLV file. With io.ErrUnexpectedEOF it also
// returns those of a file that is cut off.
func readTracks(name string) (tracks, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := newTrackReader(f)
	for {
		if _, err := r.next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return r.tracks, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	if !r.key { // without video no frame is ahead of it
		for _, u := range r.tracks {
			for i := range u {
				u[i].lead = false
			}
		}
	}
	if n := r.flv.Skipped(); n > 0 {
		return nil, fmt.Errorf("%s: %d bytes are no FLV tags", name, n)
	}
	if n := r.flv.Dropped(); n > 0 {
		return nil, fmt.Errorf("%s: %d tags are no frames", name, n)
	}
	return r.tracks, nil
}

// A trackReader reads elementary streams frame by frame.
type trackReader struct {
	flv     *flv.FrameReader
	tracks  tracks
	configs map[trackKey][]byte
	key     bool // a video key frame has come
}

func newTrackReader(r io.Reader) *trackReader {
	return &trackReader{flv: flv.NewFrameReader(r), tracks: tracks{}, configs: map[trackKey][]byte{}}
}

// next reads one frame into the tracks and returns it.
func (r *trackReader) next() (*av.Frame, error) {
	f, err := r.flv.ReadFrame()
	if err != nil {
		return nil, err
	}
	r.add(f)
	return f, nil
}

// add adds a frame to its track. What is not media only counts as configuration.
func (r *trackReader) add(f *av.Frame) {
	k := trackKey{f.Kind, f.Track}
	switch {
	case f.Kind == av.Data:
	case f.Type == av.Config:
		r.configs[k] = f.Payload
	case f.Type == av.Media:
		h := sha256.New()
		_, _ = io.WriteString(h, f.Codec.FourCC())
		_, _ = h.Write(f.Payload)
		r.key = r.key || f.Kind == av.Video && f.IsKey()
		u := unit{config: sha256.Sum256(r.configs[k]), dts: f.DTS, cts: f.PTS - f.DTS, key: f.IsKey(), lead: !r.key}
		h.Sum(u.sum[:0])
		u.essence = essence(f, r.configs[k], u.sum)
		r.tracks[k] = append(r.tracks[k], u)
	}
}

// A demand is what is expected of what a player received, beyond being one contiguous
// bit-exact run.
type demand struct {
	fromStart bool          // the player was there before the publisher
	toEnd     bool          // it stayed to the end
	atLeast   time.Duration // it has at least so much of each track
	anyConfig bool          // it writes codec configurations anew, in other words
	repacked  bool          // only the essence is the same
}

// maxSkew bounds how far the offset between the tracks may differ from the source's.
const maxSkew = 30 * time.Millisecond

// compare holds what was received against what was sent and returns every difference.
func compare(sent, got tracks, want demand) error {
	var errs []error
	for k := range got {
		if _, ok := sent[k]; !ok {
			errs = append(errs, fmt.Errorf("%v: received, but never sent", k))
		}
	}
	var first, last time.Duration // least and greatest shift of any frame
	known := false
	for k, s := range sent {
		g := got[k]
		if want.repacked {
			s, g = essential(s), essential(g)
		}
		at, err := findRun(s, g)
		if err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", k, err))
			continue
		}
		errs = append(errs, checkRun(k, s, g, at, want)...)
		for i := range g {
			shift := g[i].dts - s[at+i].dts
			if !known {
				first, last, known = shift, shift, true
			}
			first, last = min(first, shift), max(last, shift)
		}
	}
	if skew := last - first; skew > maxSkew {
		errs = append(errs, fmt.Errorf("frames were shifted against each other by %v (from %v to %v)", skew, first, last))
	}
	return errors.Join(errs...)
}

// essence is the sum of a frame of H.264 or H.265 without what containers add and drop;
// of any other codec it is sum.
func essence(f *av.Frame, config []byte, sum [sha256.Size]byte) (e [sha256.Size]byte) {
	size := codec.NALLengthSize(f.Codec, config)
	if size == 0 {
		return sum
	}
	h := sha256.New()
	for u := range nal.Units(f.Payload, size) {
		drop := false
		if f.Codec == av.H264 {
			t := h264.Type(u)
			drop = t >= 7 && t <= 9
		} else {
			t := h265.Type(u)
			drop = t >= 32 && t <= 35
		}
		if !drop {
			_, _ = h.Write(u)
		}
	}
	h.Sum(e[:0])
	return e
}

// essential returns units whose sum is their essence.
func essential(list []unit) []unit {
	list = slices.Clone(list)
	for i := range list {
		list[i].sum = list[i].essence
	}
	return list
}

// checkRun checks the frames got, which are those sent from sent[at] on.
func checkRun(k trackKey, sent, got []unit, at int, want demand) (errs []error) {
	if k.kind == av.Video && !got[0].key {
		errs = append(errs, fmt.Errorf("%v: begins with a frame that is no key frame", k))
	}
	if want.fromStart && at > 0 && !sent[at-1].lead {
		errs = append(errs, fmt.Errorf("%v: lacks the first %d of %d frames", k, at, len(sent)))
	}
	if missing := len(sent) - at - len(got); want.toEnd && missing > 0 {
		errs = append(errs, fmt.Errorf("%v: lacks the last %d of %d frames", k, missing, len(sent)))
	}
	if d := got[len(got)-1].dts - got[0].dts; d < want.atLeast {
		errs = append(errs, fmt.Errorf("%v: lasts only %v", k, d))
	}
	for i := range got {
		if i > 0 && got[i].dts < got[i-1].dts {
			errs = append(errs, fmt.Errorf("%v: DTS falls from %v to %v at frame %d", k, got[i-1].dts, got[i].dts, i))
		}
		if got[i].config != sent[at+i].config && !want.anyConfig {
			errs = append(errs, fmt.Errorf("%v: frame %d has another codec configuration than it was sent with", k, i))
			break
		}
		if got[i].cts != sent[at+i].cts {
			errs = append(errs, fmt.Errorf("%v: frame %d has PTS-DTS %v, sent with %v", k, i, got[i].cts, sent[at+i].cts))
			break
		}
		if got[i].key != sent[at+i].key {
			errs = append(errs, fmt.Errorf("%v: frame %d was sent with key=%v", k, i, sent[at+i].key))
			break
		}
	}
	return errs
}

// findRun returns where in sent the run got begins, or says how far the best try came
// and what is wrong after that.
func findRun(sent, got []unit) (int, error) {
	if len(got) == 0 {
		return 0, errors.New("nothing was received")
	}
	best, bestAt := -1, 0
	for at := range sent {
		n := 0
		for n < len(got) && at+n < len(sent) && got[n].sum == sent[at+n].sum {
			n++
		}
		if n == len(got) {
			return at, nil
		}
		if n > best {
			best, bestAt = n, at
		}
	}
	if best == 0 {
		return 0, fmt.Errorf("the first of %d frames received was never sent", len(got))
	}
	what := "altered, or never sent"
	for i := range sent {
		if got[best].sum == sent[i].sum {
			what = fmt.Sprintf("number %d of those sent", i)
		}
	}
	return 0, fmt.Errorf("%d frames are as sent from number %d on; then comes, instead of number %d, one that is %s", best, bestAt, bestAt+best, what)
}

// payloadHashes lists the SHA-256 of each payload of a kind, for comparison with
// what another program finds in the same file.
func payloadHashes(name string, kind av.Kind) ([]string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := flv.NewFrameReader(bytes.NewReader(b))
	var sums []string
	for {
		f, err := r.ReadFrame()
		if errors.Is(err, io.EOF) {
			return sums, nil
		}
		if err != nil {
			return nil, err
		}
		if f.Kind == kind && f.Type == av.Media {
			sum := sha256.Sum256(f.Payload)
			sums = append(sums, hex.EncodeToString(sum[:]))
		}
	}
}
