package relay

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/format/fmp4"
	"weir/format/mpegts"
)

// openFile opens a file of one of the formats that are known, which its first bytes tell.
func openFile(name string) (Source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s, err := fileSource(f)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return s, nil
}

func fileSource(f *os.File) (Source, error) {
	head := make([]byte, mpegts.PacketSize+1)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head = head[:n]
	switch {
	case isMP4(head):
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		r, err := fmp4.NewReader(f, info.Size())
		if err != nil {
			return nil, err
		}
		return &mp4Source{r, f}, nil
	case len(head) > mpegts.PacketSize && head[0] == tsSync && head[mpegts.PacketSize] == tsSync:
		return &tsSource{file: f, buf: make([]byte, 64*mpegts.PacketSize)}, nil
	}
	s := &flvSource{FrameReader: flv.NewFrameReader(f), close: f.Close}
	if _, err := s.Header(); err != nil {
		return nil, fmt.Errorf("neither an FLV, an MP4 nor an MPEG-TS file: %w", err)
	}
	return s, nil
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

// mp4Source reads an MP4 file.
type mp4Source struct {
	reader *fmp4.Reader
	file   *os.File
}

func (s *mp4Source) ReadFrame() (*av.Frame, error) { return s.reader.Next() }
func (s *mp4Source) Live() bool                    { return false }
func (s *mp4Source) Close() error                  { return s.file.Close() }

const tsSync = 0x47

// tsSource reads an MPEG-TS file.
type tsSource struct {
	file   *os.File
	demux  mpegts.Demuxer
	buf    []byte
	frames []av.Frame
	ended  bool
	base   time.Duration // the first frame's time, which becomes 0
	based  bool
}

func (s *tsSource) Live() bool   { return false }
func (s *tsSource) Close() error { return s.file.Close() }

// ReadFrame reads packets until they hold a frame.
func (s *tsSource) ReadFrame() (*av.Frame, error) {
	for {
		for len(s.frames) > 0 {
			f := &s.frames[0]
			s.frames = s.frames[1:]
			if f.Kind == av.Data { // timed metadata is no message of FLV's
				continue
			}
			if !s.based {
				s.base, s.based = f.DTS, true
			}
			f.DTS -= s.base
			f.PTS -= s.base
			return f, nil
		}
		if s.ended {
			return nil, io.EOF
		}
		n, err := s.file.Read(s.buf)
		s.frames = s.demux.Demux(nil, s.buf[:n])
		switch {
		case errors.Is(err, io.EOF):
			s.ended = true
			s.frames = s.demux.Flush(s.frames)
		case err != nil:
			return nil, err
		}
	}
}
