package fmp4

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// BenchmarkReader reads a fragmented file.
func BenchmarkReader(b *testing.B) {
	file := smallFile(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		r, err := NewReader(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := r.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkSamplePayload passes on an access unit with nothing to repair.
func BenchmarkSamplePayload(b *testing.B) {
	tr, f := payloadOfVideo(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := SamplePayload(tr, f); !ok {
			b.Fatal("no sample")
		}
	}
}
