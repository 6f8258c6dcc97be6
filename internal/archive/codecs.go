package archive

import (
	"bytes"

	"weir/format/fmp4"
)

// codecsOf returns the codecs of an initialization segment, as RFC 6381 names them.
func codecsOf(init []byte) []string {
	r, err := fmp4.NewReader(bytes.NewReader(init), int64(len(init)))
	if err != nil {
		return nil
	}
	var list []string
	for _, t := range r.Tracks() {
		if name, err := fmp4.CodecString(t.Track); err == nil {
			list = append(list, name)
		}
	}
	return list
}
