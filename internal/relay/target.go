package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"weir/av"
	"weir/format/flv"
	"weir/internal/fetch"
	"weir/internal/session"
	"weir/rtmp"
)

// Target is where frames go.
type Target interface {
	sink
	// Name returns the URL or file, without keys.
	Name() string
}

// sink is a Target without its name.
type sink interface {
	// WriteFrame writes a frame. A frame that the target cannot take is left out with errLeftOut.
	WriteFrame(f *av.Frame) error
	// LeftOut says which tracks were left out, and why.
	LeftOut() []string
	// Close completes what was written.
	Close() error
}

// errLeftOut says of a frame that the target does not take it; it takes others.
var errLeftOut = errors.New("left out")

// TargetOptions say how a target is made.
type TargetOptions struct {
	fetch.Access
	// Overwrite replaces a file that exists; without it that is an error.
	Overwrite bool
	// Multitrack sends all tracks to a server that has not announced that it takes several of a kind.
	Multitrack bool
}

// Create opens a target: an rtmp:// or rtmps:// URL to publish to, a file whose name ends in
// .flv, or nowhere for "".
func Create(ctx context.Context, name string, o TargetOptions) (Target, error) {
	t, err := create(ctx, name, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", session.Redact(name), err)
	}
	return &namedTarget{t, session.Redact(name)}, nil
}

// namedTarget is a target whose errors begin with its name.
type namedTarget struct {
	sink
	name string
}

// Name implements Target.
func (t *namedTarget) Name() string { return t.name }

// WriteFrame implements Target.
func (t *namedTarget) WriteFrame(f *av.Frame) error { return t.named(t.sink.WriteFrame(f)) }

// Close implements Target.
func (t *namedTarget) Close() error { return t.named(t.sink.Close()) }

func (t *namedTarget) named(err error) error {
	if err == nil || errors.Is(err, errLeftOut) {
		return err
	}
	return fmt.Errorf("%s: %w", t.name, err)
}

func create(ctx context.Context, name string, o TargetOptions) (sink, error) {
	if name == "" {
		return nowhere{}, nil
	}
	if u, err := url.Parse(name); err == nil && u.Host != "" {
		if u.Scheme == "rtmp" || u.Scheme == "rtmps" {
			return createRTMP(ctx, name, o)
		}
		return nil, fmt.Errorf("publishing to %s:// is not supported: use rtmp or rtmps", u.Scheme)
	}
	if strings.EqualFold(filepath.Ext(name), ".flv") {
		return createFile(name, o.Overwrite)
	}
	return nil, errors.New("the file type is told by the name, and only .flv can be written")
}

// nowhere discards all frames.
type nowhere struct{}

func (nowhere) WriteFrame(*av.Frame) error { return nil }
func (nowhere) LeftOut() []string          { return nil }
func (nowhere) Close() error               { return nil }

// omissions are the tracks that a target leaves out.
type omissions struct {
	seen map[omission]bool
	said []string
}

// maxLeftOut bounds the tracks that are named.
const maxLeftOut = 16

type omission struct {
	kind  av.Kind
	track uint8
	codec av.Codec
}

// add notes that f's track is left out, and returns errLeftOut.
func (o *omissions) add(f *av.Frame, why string) error {
	k := omission{f.Kind, f.Track, f.Codec}
	if f.Type != av.Media || o.seen[k] || len(o.said) >= maxLeftOut {
		return errLeftOut
	}
	if o.seen == nil {
		o.seen = map[omission]bool{}
	}
	o.seen[k] = true
	o.said = append(o.said, fmt.Sprintf("%v track %d (%v) is left out: %s", f.Kind, f.Track, f.Codec, why))
	return errLeftOut
}

// LeftOut implements Target.
func (o *omissions) LeftOut() []string { return o.said }

// fileTarget writes an FLV file.
type fileTarget struct {
	omissions
	file   *os.File
	buf    *bufio.Writer
	w      *flv.Writer
	frames int
}

func createFile(name string, overwrite bool) (sink, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if !overwrite {
		flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(name, flags, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, errors.New("the file exists; --force overwrites it")
	}
	if err != nil {
		return nil, fetch.Plain(err)
	}
	b := bufio.NewWriterSize(f, 256<<10)
	return &fileTarget{file: f, buf: b, w: flv.NewWriter(b, flv.Form{Enhanced: flv.AsReceived}, true, true)}, nil
}

// WriteFrame implements Target.
func (t *fileTarget) WriteFrame(f *av.Frame) error {
	err := t.w.WriteFrame(f)
	if errors.Is(err, flv.ErrForm) {
		return t.add(f, "FLV has no place for it")
	}
	t.frames++
	return err
}

// Close implements Target. A file in which there is nothing is removed.
func (t *fileTarget) Close() error {
	if t.frames == 0 {
		return errors.Join(t.file.Close(), os.Remove(t.file.Name()))
	}
	return errors.Join(t.w.Flush(), t.buf.Flush(), t.file.Close())
}

// rtmpTarget publishes.
type rtmpTarget struct {
	omissions
	client *rtmp.Client
	pub    *rtmp.PublishStream
	caps   *rtmp.Caps
	form   flv.Form
	body   []byte
}

func createRTMP(ctx context.Context, name string, o TargetOptions) (sink, error) {
	c, err := rtmp.Dial(ctx, name, rtmp.DialOptions{Caps: rtmp.AnyCodec(), ChunkSize: 65536, TLSConfig: o.TLS(), Timeout: o.Patience()})
	if err != nil {
		return nil, o.Explain(name, err)
	}
	p, err := c.Publish(ctx)
	if err != nil {
		_ = c.Close()
		return nil, o.Explain(name, err)
	}
	return &rtmpTarget{client: c, pub: p, caps: c.Caps(), form: formFor(c.Caps(), o.Multitrack)}, nil
}

// formFor returns the form of messages for a server. One that announced nothing gets legacy RTMP
// wherever that is possible.
func formFor(caps *rtmp.Caps, multitrack bool) flv.Form {
	form := flv.Form{
		Enhanced: flv.AsReceived, NoModEx: caps.CapsEx&rtmp.CapModEx == 0,
		SingleTrack: !multitrack && caps.CapsEx&rtmp.CapMultitrack == 0,
	}
	if !caps.Enhanced() {
		form.Enhanced = flv.WhenNeeded
	}
	return form
}

// WriteFrame implements Target.
func (t *rtmpTarget) WriteFrame(f *av.Frame) error {
	if f.Track != 0 && t.form.SingleTrack && f.Kind != av.Data {
		return t.add(f, "the server has not announced that it takes several tracks of a kind; --multitrack sends it nevertheless")
	}
	header, ok := flv.AppendHeader(t.body[:0], f, t.form)
	if ok && !t.takes(f, header) {
		legacy := t.form
		legacy.Enhanced = flv.WhenNeeded
		if header, ok = flv.AppendHeader(header[:0], f, legacy); ok && !t.takes(f, header) {
			return t.add(f, "the server has announced which codecs it takes, and this is not one of them")
		}
	}
	if !ok {
		return t.add(f, "RTMP has no place for it")
	}
	t.body = append(header, f.Payload...)
	return t.pub.WriteMessage(&rtmp.Message{
		Type: rtmp.MessageType(flv.TagTypeOf(f)), Timestamp: av.Milliseconds(f.DTS), Payload: t.body,
	})
}

// takes reports whether the server may be sent a message with this header.
func (t *rtmpTarget) takes(f *av.Frame, header []byte) bool {
	c, enhanced := flv.FourCC(flv.TagTypeOf(f), header)
	return !enhanced || t.caps.CanReceive(c.FourCC())
}

// Close implements Target.
func (t *rtmpTarget) Close() error { return t.pub.Close() }
