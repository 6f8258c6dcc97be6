package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"weir/av"
	"weir/format/flv"
	"weir/internal/session"
	"weir/rtmp"
)

// Target is where frames go.
type Target interface {
	WriteFrame(f *av.Frame) error
	// Close completes what was written.
	Close() error
}

// Create opens a target: an rtmp:// or rtmps:// URL to publish to, a file whose name ends in
// .flv, or nowhere for "".
func Create(ctx context.Context, name string) (Target, error) {
	t, err := create(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", session.Redact(name), err)
	}
	return t, nil
}

func create(ctx context.Context, name string) (Target, error) {
	if name == "" {
		return nowhere{}, nil
	}
	if u, err := url.Parse(name); err == nil && u.Host != "" {
		if u.Scheme == "rtmp" || u.Scheme == "rtmps" {
			return createRTMP(ctx, name)
		}
		return nil, fmt.Errorf("publishing to %s:// is not supported: use rtmp or rtmps", u.Scheme)
	}
	if strings.EqualFold(filepath.Ext(name), ".flv") {
		return createFile(name)
	}
	return nil, errors.New("the file type is told by the name, and only .flv can be written")
}

// nowhere takes everything.
type nowhere struct{}

func (nowhere) WriteFrame(*av.Frame) error { return nil }
func (nowhere) Close() error               { return nil }

// fileTarget writes an FLV file.
type fileTarget struct {
	file *os.File
	buf  *bufio.Writer
	w    *flv.Writer
}

func createFile(name string) (Target, error) {
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	b := bufio.NewWriterSize(f, 256<<10)
	return &fileTarget{f, b, flv.NewWriter(b, flv.Form{Enhanced: flv.AsReceived}, true, true)}, nil
}

// WriteFrame implements Target.
func (t *fileTarget) WriteFrame(f *av.Frame) error {
	err := t.w.WriteFrame(f)
	if errors.Is(err, flv.ErrForm) {
		return nil // what FLV cannot express is left out
	}
	return err
}

// Close implements Target.
func (t *fileTarget) Close() error {
	return errors.Join(t.w.Flush(), t.buf.Flush(), t.file.Close())
}

// rtmpTarget publishes.
type rtmpTarget struct {
	client *rtmp.Client
	pub    *rtmp.PublishStream
	body   []byte
}

func createRTMP(ctx context.Context, name string) (Target, error) {
	c, err := rtmp.Dial(ctx, name, rtmp.DialOptions{Caps: rtmp.AnyCodec(), ChunkSize: 65536})
	if err != nil {
		return nil, err
	}
	p, err := c.Publish(ctx)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &rtmpTarget{client: c, pub: p}, nil
}

// WriteFrame implements Target.
func (t *rtmpTarget) WriteFrame(f *av.Frame) error {
	header, ok := flv.AppendHeader(t.body[:0], f, flv.Form{Enhanced: flv.AsReceived})
	if !ok {
		return nil
	}
	t.body = append(header, f.Payload...)
	return t.pub.WriteMessage(&rtmp.Message{
		Type: rtmp.MessageType(flv.TagTypeOf(f)), Timestamp: av.Milliseconds(f.DTS), Payload: t.body,
	})
}

// Close implements Target.
func (t *rtmpTarget) Close() error { return t.pub.Close() }
