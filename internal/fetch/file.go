package fetch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"weir/av"
	"weir/format/flv"
	"weir/format/fmp4"
	"weir/format/mpegts"
	"weir/internal/session"
)

// openFile opens a file whose first bytes tell one of the known formats. Its errors do not contain the name.
func openFile(name string) (Source, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, Plain(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, Plain(err)
	}
	s, err := fileSource(f, info.Size())
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return s, nil
}

func fileSource(f *os.File, size int64) (Source, error) {
	head := make([]byte, sniffSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, Plain(err)
	}
	head = head[:n]
	switch {
	case n == 0:
		return nil, errors.New("the file is empty")
	case bytes.HasPrefix(head, []byte(playlistHead)):
		return nil, errors.New("a playlist is read over http:// or https:// only")
	case isMP4(head):
		r, err := fmp4.NewReader(f, size)
		if err != nil {
			if cutOff(f, size) {
				err = fmt.Errorf("%w: the file is cut off, or still being written", err)
			}
			return nil, err
		}
		return &mp4Source{reader: r, file: f, truncated: cutOff(f, size)}, nil
	}
	return sniff(f, false, 0, f.Close)
}

const (
	// sniffSize is how much of a source tells its format.
	sniffSize = 4 << 10
	// tagHead is more than what is before the frame in a tag of FLV, in bytes.
	tagHead = 64
	// playlistHead is how an HLS playlist begins.
	playlistHead = "#EXTM3U"
)

// peeker is a bufio.Reader.
type peeker interface {
	io.Reader
	Peek(n int) ([]byte, error)
}

// errUnknown is the error of sniff for what begins like no format that is read here.
var errUnknown = session.Because(session.Unsupported, errors.New("neither FLV, MP4, MPEG-TS nor an HLS playlist"))

// sniff finds out whether a file or connection has FLV or MPEG-TS, and returns its source. FLV may have frames of about a number of bytes, if that is
// more than 0.
func sniff(r io.Reader, live bool, most int, end func() error) (Source, error) {
	var head []byte
	var err error
	switch r := r.(type) {
	case peeker: // it reads as few bytes as possible: they may come slowly
		head, err = r.Peek(3)
		if err == nil && string(head) != "FLV" {
			if head, err = r.Peek(tsProof * (maxStride + 1)); err == nil && !isTS(head, false) {
				head, err = r.Peek(sniffSize)
			}
		}
	case io.ReaderAt:
		head = make([]byte, sniffSize)
		var n int
		n, err = r.ReadAt(head, 0)
		head = head[:n]
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("FLV")):
		tags := flv.NewReader(r)
		if most > 0 {
			tags.MaxBody = most + tagHead
		}
		if _, err := tags.Header(); err != nil {
			return nil, err
		}
		return &flvSource{tags: tags, close: end, live: live}, nil
	case isTS(head, errors.Is(err, io.EOF)):
		return &tsSource{in: r, close: end, live: live, buf: make([]byte, 64*mpegts.PacketSize)}, nil
	case len(head) == 0:
		return nil, session.Because(session.EOF, errors.New("it ended without sending a byte"))
	}
	return nil, errUnknown
}

const (
	// tsProof is how many packets in a row prove MPEG-TS, as in demuxing.
	tsProof = 5
	// maxStride is the size of the longest kind of packet.
	maxStride = 204
)

// isTS reports whether head contains tsProof packets of one of the known sizes in a row. Fewer are
// enough if head is the whole source and nothing else is in it.
func isTS(head []byte, all bool) bool {
	const sync = 0x47
	for at := range head {
		for _, stride := range []int{mpegts.PacketSize, 192, maxStride} {
			n := 0
			for i := at; i < len(head) && n < tsProof && head[i] == sync; i += stride {
				n++
			}
			if n == tsProof || all && n > 0 && at < stride && at+n*stride >= len(head) && len(head) >= mpegts.PacketSize {
				return true
			}
		}
	}
	return false
}

// isMP4 reports whether a file begins with a box that MP4 files begin with.
func isMP4(head []byte) bool {
	if len(head) < 8 {
		return false
	}
	switch string(head[4:8]) {
	case "ftyp", "styp", "moov", "mdat", "moof", "free", "skip", "wide":
		return true
	}
	return false
}

// cutOff reports whether the last top-level box of an MP4 file ends behind the end of the file.
func cutOff(r io.ReaderAt, size int64) bool {
	const maxBoxes = 1 << 20
	var head [16]byte
	at := int64(0)
	for range maxBoxes {
		if at == size {
			return false
		}
		n, _ := r.ReadAt(head[:], at)
		if n < 8 {
			return true
		}
		length := int64(binary.BigEndian.Uint32(head[:]))
		switch {
		case length == 0: // the box ends with the file
			return false
		case length == 1 && n == len(head):
			length = int64(binary.BigEndian.Uint64(head[8:]) & (1<<63 - 1))
		}
		if length < 8 || length > size-at {
			return true
		}
		at += length
	}
	return false
}

// mp4Source reads an MP4 file.
type mp4Source struct {
	reader    *fmp4.Reader
	file      *os.File
	truncated bool
}

// ReadFrame implements Source.
func (s *mp4Source) ReadFrame() (*av.Frame, error) { return s.reader.Next() }

// Live implements Source.
func (s *mp4Source) Live() bool { return false }

// Close implements Source.
func (s *mp4Source) Close() error { return s.file.Close() }

// Condition implements Source.
func (s *mp4Source) Condition() Condition {
	return Condition{LeftOut: s.reader.LeftOut(), Truncated: s.truncated}
}
