// Package s3 uploads files to storage that speaks S3, part by part, also while they grow.
//
// The first part is sent last: a recording's beginning changes when it becomes whole. What was sent is told to the
// caller after each part, who keeps it, so that an upload goes on after a crash. An object is never
// overwritten, and an upload is done only once the storage itself says how large the object is and what its checksum is.
package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/encrypt"
)

// Bucket is where objects are.
type Bucket struct {
	conf  Config
	core  *minio.Core
	limit *limiter
	conns *http.Transport
	// unconditional says that the storage does not know the condition that nothing may be there.
	unconditional atomic.Bool
	origin        atomic.Pointer[string] // of addresses of objects, once it is known
}

// Open makes a bucket of its configuration, and asks nobody.
func Open(conf Config) (*Bucket, error) {
	u, err := url.Parse(conf.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("s3 %s: %w", conf.Name, err)
	}
	t := &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTime}).DialContext, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: headTime,
		MaxIdleConnsPerHost: 8, IdleConnTimeout: headTime, ExpectContinueTimeout: time.Second, WriteBufferSize: 64 << 10,
		Proxy: http.ProxyFromEnvironment, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
	}
	if conf.CA != "" {
		pem, err := os.ReadFile(conf.CA)
		if err != nil {
			return nil, fmt.Errorf("s3 %s: %w", conf.Name, err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("s3 %s: there is no certificate in %s", conf.Name, conf.CA)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	o := &minio.Options{
		Creds:  credentials.NewStaticV4(conf.AccessKey, conf.SecretKey, conf.SessionToken),
		Secure: u.Scheme == "https", Region: conf.Region, Transport: answers{t}, MaxRetries: 1, // we try again ourselves, and say so
	}
	if conf.PathStyle {
		o.BucketLookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(u.Host, o)
	if err != nil {
		return nil, fmt.Errorf("s3 %s: %w", conf.Name, err)
	}
	return &Bucket{conf: conf, core: core, limit: newLimiter(conf.Bitrate), conns: t}, nil
}

// Config returns what the bucket was made of.
func (b *Bucket) Config() Config { return b.conf }

// Close closes idle connections.
func (b *Bucket) Close() { b.conns.CloseIdleConnections() }

// URL returns an address at which an object can be got for a time without a key. disposition is the header field Content-Disposition
// with which it is sent; it may be empty.
func (b *Bucket) URL(ctx context.Context, key string, valid time.Duration, disposition string) (string, error) {
	q := url.Values{}
	if disposition != "" {
		q.Set("response-content-disposition", disposition)
	}
	u, err := b.core.PresignedGetObject(ctx, b.conf.Bucket, key, valid, q)
	if err != nil {
		return "", b.plain(err)
	}
	return u.String(), nil
}

// originTime bounds the question for the bucket's region, without which Amazon's address is not known.
const originTime = 2 * time.Second

// Origin returns the scheme and host of the addresses that URL returns.
func (b *Bucket) Origin(ctx context.Context) (string, error) {
	if o := b.origin.Load(); o != nil {
		return *o, nil
	}
	ctx, cancel := context.WithTimeout(ctx, originTime)
	defer cancel()
	u, err := b.core.PresignedGetObject(ctx, b.conf.Bucket, "origin", time.Minute, nil)
	if err != nil {
		return "", b.plain(err)
	}
	o := u.Scheme + "://" + u.Host
	b.origin.Store(&o)
	return o, nil
}

// Remove removes an object; it is no error if there is none.
func (b *Bucket) Remove(ctx context.Context, key string) error {
	return b.plain(b.core.RemoveObject(ctx, b.conf.Bucket, key, minio.RemoveObjectOptions{}))
}

// encryption is what the storage is asked for.
func (b *Bucket) encryption() encrypt.ServerSide {
	if b.conf.Encryption == "aes256" {
		return encrypt.NewSSE()
	}
	return nil
}

// reasons are the storage's errors in words of people who can mend them.
var reasons = map[string]string{
	"RequestTimeTooSkewed":               "the clocks of this machine and of the storage differ by too much: set this machine's clock",
	"AuthorizationHeaderMalformed":       "the bucket is in another region: set region",
	"PermanentRedirect":                  "the bucket is in another region: set region and endpoint",
	"MovedPermanently":                   "the bucket is in another region: set region and endpoint",
	"IllegalLocationConstraintException": "the bucket is in another region: set region",
	"NoSuchBucket":                       "there is no such bucket",
	"InvalidAccessKeyId":                 "the storage does not know the access key",
	"SignatureDoesNotMatch":              "the secret of the access key is wrong",
	"AccessDenied":                       "the access key may not do this, or the clocks of this machine and of the storage differ by too much",
	"SlowDown":                           "the storage asks for less at a time",
	"ServiceUnavailable":                 "the storage is not available",
	"BadDigest":                          "a part was damaged on its way",
}

// Answered reports whether an error is what the storage has answered, and not that it has not.
func Answered(err error) bool {
	_, ok := errors.AsType[minio.ErrorResponse](err)
	return ok
}

// plain says what an error of the storage means.
func (b *Bucket) plain(err error) error {
	if err == nil {
		return nil
	}
	var e minio.ErrorResponse
	if errors.As(err, &e) {
		why, known := reasons[e.Code]
		if !known && e.StatusCode == http.StatusMovedPermanently {
			why, known = reasons["MovedPermanently"], true
		}
		if !known && e.StatusCode == http.StatusServiceUnavailable { // the answer to HEAD has no more than that
			why, known = reasons["ServiceUnavailable"], true
		}
		if known {
			return fmt.Errorf("s3 %s: %s (%s): %w", b.conf.Name, why, e.Code, err)
		}
	}
	if moved, ok := errors.AsType[*movedError](err); ok {
		return fmt.Errorf("s3 %s: %w", b.conf.Name, moved)
	}
	for _, bound := range []error{errLongAnswer, errSlowAnswer} {
		if errors.Is(err, bound) {
			return fmt.Errorf("s3 %s: %w", b.conf.Name, bound)
		}
	}
	if isOdd(err) {
		return fmt.Errorf("s3 %s: the answer is not one of S3: does endpoint name the storage, and nothing else? (%w)", b.conf.Name, err)
	}
	var u *url.Error // its text has the address, whose query is signed
	if errors.As(err, &u) {
		return fmt.Errorf("s3 %s: the storage cannot be reached: %w", b.conf.Name, u.Err)
	}
	return fmt.Errorf("s3 %s: %w", b.conf.Name, err)
}

// isOdd reports whether an error is of an answer that cannot be read, which is no word of the storage's.
func isOdd(err error) bool {
	if e, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return e.StatusCode == 0 && e.Code == minio.InternalError
	}
	if _, ok := errors.AsType[xml.UnmarshalError](err); ok {
		return true
	}
	_, ok := errors.AsType[*xml.SyntaxError](err)
	return ok
}

// hasCode reports whether an error of the storage has one of the codes.
func hasCode(err error, codes ...string) bool {
	var e minio.ErrorResponse
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c {
			return true
		}
	}
	return false
}
