package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnswersWithoutEnd: of no answer more is read than its bound, whatever was asked for.
func TestAnswersWithoutEnd(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	endless := func(element string) {
		s.fault = func(w http.ResponseWriter, _ *http.Request) bool {
			part := []byte(strings.Repeat("<Part><PartNumber>1</PartNumber></Part>", 1000))
			_, err := io.WriteString(w, element)
			for n := 0; err == nil; n += len(part) {
				if n > 64<<20 {
					t.Errorf("%s: more than 64 MiB are read", element)
					return true
				}
				_, err = w.Write(part)
			}
			return true
		}
	}
	for element, call := range map[string]func() error{
		"<ListPartsResult>":            func() error { return b.Resume(t.Context(), &Upload{Key: "rec/a.mp4", ID: "1"}) },
		"<ListMultipartUploadsResult>": func() error { return b.Abort(t.Context(), &Upload{Key: "rec/a.mp4", Asked: true}) },
	} {
		endless(element)
		if err := call(); err == nil || err.Error() != "s3 main: the storage's answer has more than 1048576 bytes" {
			t.Errorf("%s: %v", element, err)
		}
	}
}

// TestPagesWithoutEnd: a list of parts has a hundred pages at most, and what is not ours is not kept.
func TestPagesWithoutEnd(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	s.most = 1
	up := &multipart{key: "rec/a.mp4", parts: map[int][]byte{}}
	s.uploads["1"] = up
	for n := range 100 {
		up.parts[n+1] = []byte("x")
	}
	u := &Upload{Key: "rec/a.mp4", ID: "1", Parts: map[int]Part{100: {ETag: `"9dd4e461268c8034f5c8564e155c67a6"`}, 101: {ETag: "y"}}}
	if err := b.Resume(t.Context(), u); err != nil || len(u.Parts) != 1 || u.Parts[100].ETag == "" {
		t.Error(err, u.Parts)
	}
	if n := len(s.did()); n != 100 {
		t.Errorf("%d pages", n)
	}
	up.parts[101] = []byte("x")
	if err := b.Resume(t.Context(), u); err == nil || !strings.Contains(err.Error(), "on more than 100 pages") || len(s.did()) != 100 {
		t.Error(err)
	}
}

// tripper is an http.RoundTripper.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// dripping is a body that gives a byte a second until its request ends.
type dripping struct{ ctx context.Context }

func (d dripping) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, context.Cause(d.ctx)
	}
}
func (dripping) Close() error { return nil }

// TestAnswersThatDrip: an answer ends after half a minute, or with its call's own deadline. An object is its reader's.
func TestAnswersThatDrip(t *testing.T) {
	for _, c := range []struct {
		span   string
		status int
		own    time.Duration
		want   time.Duration
		err    error
	}{
		{"", 200, 0, 30 * time.Second, errSlowAnswer},
		{"bytes=0-9", 403, 0, 30 * time.Second, errSlowAnswer},
		{"", 200, time.Minute, time.Minute, context.DeadlineExceeded},
		{"bytes=0-9", 206, 5 * time.Minute, 5 * time.Minute, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if c.own > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.own)
				defer cancel()
			}
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://storage/weir", http.NoBody)
			r.Header.Set("Range", c.span)
			begun := time.Now()
			res, err := answers{tripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: c.status, Body: dripping{r.Context()}}, nil
			})}.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
			if took := time.Since(begun); !errors.Is(err, c.err) || took != c.want {
				t.Errorf("%+v: %v after %v", c, err, took)
			}
		})
	}
}

// TestStorageThatIsAnother: what sends us elsewhere, or is no storage, is told as that.
func TestStorageThatIsAnother(t *testing.T) {
	s := newStorage(t)
	b := s.bucket(nil)
	for want, fault := range map[string]func(w http.ResponseWriter){
		`s3 main: the storage sends requests on to "other:9000": set endpoint, and region, to what it wants`: func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://user:secret@other:9000/stolen?secret")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"s3 main: the answer is not one of S3: does endpoint name the storage, and nothing else?": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "<html>")
		},
	} {
		s.fault = func(w http.ResponseWriter, _ *http.Request) bool { fault(w); return true }
		err := b.Send(t.Context(), &Upload{}, task("x", true))
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
		if err = b.Resume(t.Context(), &Upload{ID: "1"}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Error(err)
		}
	}
}
