package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"
)

// ErrStalled is returned for an object of which nothing comes any more.
var ErrStalled = errors.New("the storage has stopped sending")

// Object reads an object. What is read in order is one request, and each jump another. It is not safe for concurrent use.
type Object struct {
	b    *Bucket
	ctx  context.Context
	key  string
	size int64

	tag  string // of the first answer: what has taken the object's place since is not read
	body io.ReadCloser
	stop context.CancelFunc
	at   int64 // what comes next from body
}

// Object returns an object of so many bytes, which is read until ctx ends. Close it.
func (b *Bucket) Object(ctx context.Context, key string, size int64) *Object {
	return &Object{b: b, ctx: ctx, key: key, size: size}
}

// ReadAt implements io.ReaderAt.
func (o *Object) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at >= o.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), o.size-at)]
	if o.body == nil || o.at != at {
		if err := o.open(at); err != nil {
			return 0, err
		}
	}
	patience := time.AfterFunc(transferTime(int64(len(want))), o.stop)
	n, err := io.ReadFull(o.body, want)
	o.at += int64(n)
	if !patience.Stop() && err != nil && o.ctx.Err() == nil {
		err = fmt.Errorf("s3 %s: %w", o.b.conf.Name, ErrStalled)
	} else {
		err = o.b.plain(err)
	}
	if err != nil {
		_ = o.Close()
		return n, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// open asks for the object from a place on.
func (o *Object) open(at int64) error {
	_ = o.Close()
	var opt minio.GetObjectOptions
	if err := opt.SetRange(at, o.size-1); err != nil {
		return err
	}
	if o.tag != "" {
		if err := opt.SetMatchETag(o.tag); err != nil {
			return err
		}
	}
	ctx, stop := context.WithCancel(o.ctx)
	body, info, _, err := o.b.core.GetObject(ctx, o.b.conf.Bucket, o.key, opt)
	if err != nil {
		stop()
		return o.b.plain(err)
	}
	o.body, o.stop, o.at, o.tag = body, stop, at, info.ETag
	return nil
}

// Close ends the request under way.
func (o *Object) Close() error {
	if o.body == nil {
		return nil
	}
	o.stop()
	err := o.body.Close()
	o.body = nil
	return err
}
