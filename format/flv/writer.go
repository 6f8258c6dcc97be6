package flv

import (
	"fmt"
	"io"

	"weir/av"
)

// A Writer writes an FLV file or stream, with one Write to its destination for each tag.
type Writer struct {
	dst    io.Writer
	form   Form
	buf    []byte
	header [maxTagHeader]byte
	err    error
}

// maxTagHeader is the length of the longest header that AppendHeader writes without
// ModEx blocks, and some more.
const maxTagHeader = 32

// NewWriter returns a Writer to w of frames in this form. The file header, whose flags
// are hasAudio and hasVideo, goes out with the first tag, or with Flush.
func NewWriter(w io.Writer, form Form, hasAudio, hasVideo bool) *Writer {
	return &Writer{dst: w, form: form, buf: AppendFileHeader(nil, hasAudio, hasVideo)}
}

// WriteFrame writes f in a tag of its own, at the time f.DTS modulo 2^32 milliseconds.
// It fails with ErrForm if the writer's form cannot express f, and with WriteTag's errors.
func (w *Writer) WriteFrame(f *av.Frame) error {
	header, ok := AppendHeader(w.header[:0], f, w.form)
	if !ok {
		return fmt.Errorf("flv: writing %s of %s: %w", f.Codec, f.Kind, ErrForm)
	}
	return w.write(TagTypeOf(f), av.Milliseconds(f.DTS), header, f.Payload)
}

// WriteTag writes a tag; ts is in milliseconds. It fails with ErrLimit if body is longer
// than MaxBody, which writes nothing, and with the error of the destination, after
// which every call fails so.
func (w *Writer) WriteTag(t TagType, ts uint32, body []byte) error {
	return w.write(t, ts, nil, body)
}

func (w *Writer) write(t TagType, ts uint32, header, payload []byte) error {
	if n := len(header) + len(payload); n > MaxBody {
		return fmt.Errorf("flv: writing a tag of %d bytes: %w", n, ErrLimit)
	}
	w.buf = AppendTag(w.buf, t, ts, header, payload)
	return w.Flush()
}

// Flush writes the file header if no tag has been written yet.
func (w *Writer) Flush() error {
	if w.err != nil {
		return w.err
	}
	if len(w.buf) == 0 {
		return nil
	}
	if _, err := w.dst.Write(w.buf); err != nil {
		w.err = fmt.Errorf("flv: writing: %w", err)
		w.buf = nil
		return w.err
	}
	w.buf = w.buf[:0]
	if cap(w.buf) > keepBuffer {
		w.buf = nil
	}
	return nil
}
