package mp4

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"weir/av"
	"weir/format/fmp4"
)

// Coding returns a text of 16 letters that tells how the tracks of an initialization segment are coded, beyond their codecs' names: media of two
// files can follow one another in one only if it is the same. Names and time scales of tracks make no difference. It fails with ErrForeign for what is no
// initialization segment.
func Coding(init []byte) (string, error) {
	sum := sha256.New()
	r := bytes.NewReader(init)
	tracks := 0
	err := within(r, 0, int64(len(init)), []string{"moov", "trak"}, func(trak fmp4.Box) error {
		tracks++
		sum.Write([]byte{0xff})
		return within(r, trak.Body, trak.End, []string{"mdia", "minf", "stbl", "stsd"}, func(stsd fmp4.Box) error {
			body := init[stsd.Body:stsd.End]
			sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(body))))
			sum.Write(body)
			return nil
		})
	})
	if err == nil && tracks == 0 {
		err = ErrForeign
	}
	if err != nil {
		return "", fmt.Errorf("mp4: the coding of tracks: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

// within calls each for the boxes at the end of a path of types, between two places.
func within(r io.ReaderAt, from, end int64, path []string, each func(fmp4.Box) error) error {
	for from < end {
		b, err := fmp4.ReadBox(r, from, end)
		if err != nil || b.End > end {
			return ErrForeign
		}
		if b.Type == path[0] {
			if len(path) > 1 {
				err = within(r, b.Body, b.End, path[1:], each)
			} else {
				err = each(b)
			}
			if err != nil {
				return err
			}
		}
		from = b.End
	}
	return nil
}

// Coding returns the Coding of the file's tracks, as it will be read from the file.
func (m *Muxer) Coding() (string, error) {
	tracks := make([]fmp4.Track, len(m.tracks))
	for i, t := range m.tracks {
		tracks[i] = t.Track
	}
	init, err := fmp4.AppendMovie(nil, tracks, time.Time{})
	if err != nil {
		return "", err
	}
	return Coding(init)
}

// Codecs returns the names of the codecs in an initialization segment, as fmp4.CodecNames has them; "" if it cannot be read.
func Codecs(init []byte) string {
	r, err := fmp4.NewReader(bytes.NewReader(init), int64(len(init)))
	if err != nil {
		return ""
	}
	var tracks []av.Track
	for _, t := range r.Tracks() {
		tracks = append(tracks, t.Track)
	}
	return fmp4.CodecNames(tracks)
}
