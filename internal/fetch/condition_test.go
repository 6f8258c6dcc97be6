package fetch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/av"
	"weir/format/flv"
	"weir/internal/session"
)

// TestDamage: how often something is wrong is said in the right number.
func TestDamage(t *testing.T) {
	var c Condition
	for n := range int64(4) {
		c.damage(n, "tag", "cannot be read")
	}
	if want := []string{"1 tag cannot be read", "2 tags cannot be read", "3 tags cannot be read"}; !slices.Equal(c.Damage, want) {
		t.Errorf("%q", c.Damage)
	}
}

// TestFLVWithDamage: tags that cannot be read are counted, tracks of codecs that are not known are named, and the others are read.
func TestFLVWithDamage(t *testing.T) {
	b := film()
	b = flv.AppendTag(b, flv.TagVideo, 300, nil, []byte{0x27, 1}) // H.264 without a time
	b = flv.AppendTag(b, flv.TagVideo, 300, nil, append([]byte{0x91}, "abcd and more"...))
	b = flv.AppendTag(b, flv.TagVideo, 340, nil, append([]byte{0x91}, "abcd and more"...))
	b = flv.AppendTag(b, flv.TagVideo, 300, nil, []byte{0x27})
	name := filepath.Join(t.TempDir(), "a.flv")
	for cut, truncated := range map[int]bool{0: false, 7: true} {
		if err := os.WriteFile(name, b[:len(b)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		src, err := Open(t.Context(), name, Access{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := frames(src)
		if c := src.Condition(); n != 10 || err != nil || len(c.LeftOut) != 1 || !strings.HasSuffix(c.LeftOut[0], " video") || c.Truncated != truncated {
			t.Errorf("%d bytes less: %d frames, %v, %+v", cut, n, err, c)
		} else if want := map[bool]string{false: "2 tags cannot be read", true: "1 tag cannot be read"}[truncated]; len(c.Damage) != 1 || c.Damage[0] != want {
			t.Errorf("%d bytes less: %q", cut, c.Damage)
		}
	}
}

// TestCutOff: an MP4 file is cut off if its last box ends behind it.
func TestCutOff(t *testing.T) {
	box := func(size uint32, large uint64, body int) []byte {
		b := append(binary.BigEndian.AppendUint32(nil, size), "mdat"...)
		if size == 1 {
			b = binary.BigEndian.AppendUint64(b, large)
		}
		return append(b, make([]byte, body)...)
	}
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"nothing": {nil, false}, "a box": {box(20, 0, 12), false}, "two": {slices.Concat(box(20, 0, 12), box(8, 0, 0)), false}, "a byte less": {box(20, 0, 11), true}, "half a head": {box(20, 0, 12)[:7], true},
		"up to the end": {box(0, 0, 5), false}, "large": {box(1, 20, 4), false}, "large, a byte less": {box(1, 20, 3), true}, "a head and a half": {append(box(20, 0, 12), 0, 0, 0, 8), true}, "too small": {box(7, 0, 0), true},
	} {
		if got := cutOff(bytes.NewReader(c.b), int64(len(c.b))); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// failing is a source that fails, and a reader.
type failing struct {
	Source
	err error
}

// ReadFrame implements Source.
func (f failing) ReadFrame() (*av.Frame, error) { return nil, f.err }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestLostTransportStream: a transport stream whose connection breaks within what was announced is lost, and a file that ends so is not.
func TestLostTransportStream(t *testing.T) {
	for _, live := range []bool{true, false} {
		for _, end := range []error{io.ErrUnexpectedEOF, io.EOF} {
			s := &tsSource{in: failing{err: end}, live: live, buf: make([]byte, 188)}
			_, err := s.ReadFrame()
			if lost := live && end == io.ErrUnexpectedEOF; !errors.Is(err, io.EOF) || errors.Is(err, ErrLost) != lost {
				t.Errorf("live %v, %v: %v", live, end, err)
			}
		}
	}
}

// TestWhileReading: what a server says while its stream is read is shown behind the source's name, without secrets; the end is the end.
func TestWhileReading(t *testing.T) {
	const name = "rtmp://h.example/live/x?key=hunter2"
	_, err := (&named{failing{err: fmt.Errorf("the server says: bye, %w", session.Because(session.Kicked, errors.New("hunter2")))}, name, Access{}}).ReadFrame()
	if err == nil || err.Error() != "rtmp://h.example/live/x?key=***: the server says: bye, ***" || session.ReasonOf(err) != session.Kicked {
		t.Error(err)
	}
	if _, err := (&named{failing{err: io.EOF}, name, Access{}}).ReadFrame(); err != io.EOF { //nolint:errorlint // it is not wrapped
		t.Error(err)
	}
}

// TestPlain: errors of the system become words without addresses.
func TestPlain(t *testing.T) {
	if err := Plain(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)}); err.Error() != "permission denied" {
		t.Error(err)
	}
	if err := Plain(&fs.PathError{Op: "open", Path: "/secret", Err: os.ErrNotExist}); err.Error() != "file does not exist" {
		t.Error(err)
	}
}

// TestWebSocketThatHangs: a server of WebSockets that does not answer has failed after the timeout.
func TestWebSocketThatHangs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	begin := time.Now()
	_, err = Open(t.Context(), "ws://"+ln.Addr().String()+"/x.flv", Access{Timeout: 200 * time.Millisecond})
	if took := time.Since(begin); session.ReasonOf(err) != session.Timeout || took < 200*time.Millisecond || took > 1500*time.Millisecond {
		t.Errorf("%v after %v", err, took)
	}
}

// TestTransportStreamThatIsCutOff: a file that ends within a packet is said to.
func TestTransportStreamThatIsCutOff(t *testing.T) {
	list, err := tapes()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "a.ts")
	for less, truncated := range map[int]bool{0: false, 50: true, 188: false} {
		if err := os.WriteFile(name, []byte(list[0][0][:len(list[0][0])-less]), 0o600); err != nil {
			t.Fatal(err)
		}
		src, err := Open(t.Context(), name, Access{})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := frames(src); n < 4 || err != nil || src.Condition().Truncated != truncated {
			t.Errorf("%d bytes less: %d pictures, %v, %+v", less, n, err, src.Condition())
		}
	}
}
