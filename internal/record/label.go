package record

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"weir/format/flv"
	"weir/format/mp4"
	"weir/format/mpegts"
	"weir/internal/config"
)

// label is what a file says of itself, as JSON where its format has room for a text, so that an index that is lost can be made anew with
// what was promised when the file was made. MP4 has some of it in places of its own.
type label struct {
	ID        string     `json:"id"`
	Take      string     `json:"take"`
	Recording string     `json:"recording"`
	Keep      Keep       `json:"keep"`
	Upload    string     `json:"upload,omitempty"`
	Missing   string     `json:"missing,omitempty"`
	Start     *time.Time `json:"start"`
	Stream    string     `json:"stream,omitempty"`
	Epoch     uint64     `json:"epoch,omitempty"`
	Codecs    string     `json:"codecs,omitempty"`
	Coding    string     `json:"coding,omitempty"`
}

// labelOf returns the label of a file, as its format needs it.
func labelOf(f *File) []byte {
	l := label{ID: f.ID, Take: f.Take, Recording: f.Recording, Keep: f.Keep, Upload: f.Upload, Missing: f.Missing, Start: &f.Start}
	if f.Format != "mp4" {
		l.Stream, l.Epoch, l.Codecs, l.Coding = f.Stream, f.Epoch, f.Codecs, f.Coding
	}
	b, err := json.Marshal(&l)
	if err != nil { // of texts, numbers and a time of this century
		return nil
	}
	return b
}

// fill adds what a label says to what is known of a file. A label that is not one of ours says nothing.
func (f *File) fill(text []byte) {
	var l label
	if json.Unmarshal(text, &l) != nil || !validID(l.ID) || !validID(l.Take) || config.CheckName(l.Recording) != nil {
		return
	}
	if _, err := ParseSpace(l.Keep.Free); err != nil || l.Start == nil {
		return
	}
	f.ID, f.Take, f.Recording, f.Keep, f.Upload, f.Start = l.ID, l.Take, l.Recording, l.Keep, l.Upload, l.Start.UTC()
	if l.Missing == MissingSlow || l.Missing == MissingFailed {
		f.Missing = l.Missing
	}
	if f.Format != "mp4" {
		f.Stream, f.Epoch, f.Codecs, f.Coding = l.Stream, l.Epoch, l.Codecs, l.Coding
	}
}

// validID reports whether a text is a ULID.
func validID(s string) bool {
	return len(s) == 26 && strings.Trim(s, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
}

// Read returns what a whole file of so many bytes says of itself; name tells its format. ID, Take, Recording, Keep and Upload are empty for a file
// that is older than the labels which say them. It fails with ErrUnknown if it is no recording, or one that does not say which stream it is of, or with the file's error.
func Read(r io.ReaderAt, size int64, name string) (f File, err error) {
	f = File{Format: strings.TrimPrefix(path.Ext(name), "."), Bytes: size}
	switch f.Format {
	case "mp4":
		var x *mp4.Index
		if x, err = mp4.ReadIndex(r, size); err == nil {
			f.describe(x)
		}
	case "flv":
		var m flv.FileMetadata
		if m, err = flv.ReadFileMetadata(r, size); err == nil {
			f.Duration = m.Duration
			f.fill([]byte(m.Note))
		}
	case "ts":
		var note []byte
		if note, err = mpegts.ReadNote(r); err == nil {
			f.fill(note)
			f.Duration, err = mpegts.Length(r, size)
		}
	default:
		err = ErrUnknown
	}
	switch {
	case errors.Is(err, mp4.ErrForeign), errors.Is(err, mp4.ErrNoIndex), errors.Is(err, flv.ErrNoRoom), err == nil && f.Stream == "":
		return f, fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	return f, err
}

// describe adds what the index of an MP4 file says.
func (f *File) describe(x *mp4.Index) {
	f.Stream, f.Epoch, f.Start = x.Path, x.Epoch, x.Start
	if n := len(x.Fragments); n > 0 {
		f.Duration = x.Fragments[n-1].Time + x.Fragments[n-1].Duration
	}
	f.Codecs = mp4.Codecs(x.Init)
	f.Coding, _ = mp4.Coding(x.Init) // without it the file stands alone
	f.fill(x.Note)
}

// codingOf tells how tracks are coded, in a format that is not cut and joined.
func codingOf(tracks []selected) string {
	sum := sha256.New()
	for i := range tracks {
		t := &tracks[i]
		fmt.Fprintln(sum, t.Kind, t.ID, t.Codec, t.SampleRate, t.Channels, t.Size, hex.EncodeToString(t.Config))
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}
