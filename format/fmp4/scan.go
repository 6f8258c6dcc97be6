package fmp4

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

// Fragment is where a fragment of a file is, and what is in it.
type Fragment struct {
	// Begin is where its moof box begins, and End where its mdat box ends.
	Begin, End int64
	// Runs are in the order of the file's tracks; tracks without samples are left out.
	Runs []SampleRun
}

// SampleRun is the samples of one track in a fragment.
type SampleRun struct {
	Track *Track
	// TimeAt is where in the file the first sample's decoding time is, in 64 bits; 0 if it is not there in this form.
	TimeAt  int64
	Samples []SampleAt
}

// SampleAt is where a sample is, and when, in ticks of its track's timescale.
type SampleAt struct {
	Offset   int64
	Size     int
	DTS      int64
	Duration uint32
	CTS      int32
	Key      bool
}

// NextFragment describes the next fragment without reading its media. It fails with io.EOF behind the last one that
// is whole: at the end of the file, at a fragment that is cut off or damaged, and at anything else that does not belong between
// fragments, such as a second moov box. It fails with the file's error where that cannot be read. What it returns is
// valid until the next call. A Reader is for either NextFragment or Next.
func (r *Reader) NextFragment() (f Fragment, err error) {
	for {
		b, err := ReadBox(r.in, r.at, r.size)
		switch {
		case errors.Is(err, ErrBox):
			return f, io.EOF
		case err != nil:
			return f, err
		case b.End > r.size:
			return f, io.EOF
		case b.Type == "moof":
			return r.whole(b)
		case !slices.Contains([]string{"free", "skip", "uuid", "styp", "sidx", "emsg"}, b.Type):
			return f, io.EOF
		}
		r.at = b.End
	}
}

// NewFragmentReader returns a Reader for FragmentAt alone, of a file of so many bytes whose initialization segment is known: the moov box of a finished recording
// says nothing of its fragments. It fails as NewReader does.
func NewFragmentReader(init []byte, r io.ReaderAt, size int64) (*Reader, error) {
	x, err := NewReader(bytes.NewReader(init), int64(len(init)))
	if err != nil {
		return nil, err
	}
	x.in, x.size = r, size
	return x, nil
}

// FragmentAt describes the fragment that takes so many bytes at a place of the file. It fails with ErrBox if there is none, or with the file's error.
// What it returns is valid until the next call.
func (r *Reader) FragmentAt(at, size int64) (Fragment, error) {
	b, err := ReadBox(r.in, at, min(r.size, at+size))
	if errors.Is(err, io.EOF) || err == nil && (b.Type != "moof" || b.End > at+size) {
		err = ErrBox
	}
	if err != nil {
		return Fragment{}, err
	}
	r.seen = 0
	f, err := r.whole(b)
	if errors.Is(err, io.EOF) || err == nil && f.End > at+size {
		err = ErrBox
	}
	return f, err
}

// whole reads the fragment that begins with the box moof.
func (r *Reader) whole(moof Box) (f Fragment, err error) {
	if moof.End-moof.Body > maxMoof {
		return f, io.EOF
	}
	body, err := r.body(moof, maxMoof)
	if err != nil {
		return f, err
	}
	mdat, err := ReadBox(r.in, moof.End, r.size)
	switch {
	case errors.Is(err, ErrBox), err == nil && (mdat.Type != "mdat" || mdat.End > r.size):
		return f, io.EOF
	case err != nil:
		return f, err
	}
	for _, t := range r.tracks {
		t.queue, t.timeAt = t.queue[:0], 0
	}
	r.moofEnd = moof.Body + int64(cap(body))
	r.queued = 0
	data := moof.End
	if err := inner(body, func(typ string, traf []byte) (err error) {
		if typ == "traf" {
			data, err = r.traf(traf, moof.Begin, data)
		}
		return err
	}); err != nil {
		return f, io.EOF
	}
	f.Begin, f.End = moof.Begin, mdat.End
	for _, t := range r.tracks {
		if len(t.queue) == 0 {
			continue
		}
		run := SampleRun{Track: &t.Track, TimeAt: t.timeAt, Samples: make([]SampleAt, len(t.queue))}
		for i := range t.queue {
			s := &t.queue[i]
			if s.offset < mdat.Body || s.offset+int64(s.size) > mdat.End {
				return Fragment{}, io.EOF
			}
			run.Samples[i] = SampleAt{s.offset, s.size, s.dts, s.duration, int32(s.cts), s.key}
		}
		f.Runs = append(f.Runs, run)
	}
	r.at = f.End
	return f, nil
}

// Samples describes the samples of a plain file without reading its media: each is called with those of one track after those of
// another, until it returns false. Their times are those of the tables, before any edit list. A Reader is for either Samples or Next.
func (r *Reader) Samples(each func(t *Track, s SampleAt) bool) {
	for _, t := range r.tracks {
		for t.table != nil {
			s, ok := t.table.next(r.size)
			if !ok {
				t.table = nil
				break
			}
			if !each(&t.Track, SampleAt{s.offset, s.size, s.dts, s.duration, int32(s.cts), s.key}) {
				return
			}
		}
	}
}
