package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// storage is what a bucket has, which speaks as much of S3 as uploads need.
type storage struct {
	t   *testing.T
	web *httptest.Server
	// fault, if not nil, answers in the place of the storage, and reports whether it did.
	fault func(w http.ResponseWriter, r *http.Request) bool
	most  int // entries of a list; 0: all

	mu      sync.Mutex // guards below
	objects map[string]*object
	uploads map[string]*multipart // by id
	asked   []string              // method, what of which key, in order
	heads   []http.Header         // likewise
}

type object struct {
	b    []byte
	meta http.Header
	crc  string
	tag  string
}

type multipart struct {
	key   string
	meta  http.Header
	parts map[int][]byte
}

func newStorage(t *testing.T) *storage {
	t.Helper()
	s := &storage{t: t, objects: map[string]*object{}, uploads: map[string]*multipart{}}
	s.web = httptest.NewTLSServer(s)
	t.Cleanup(s.web.Close)
	return s
}

// bucket is what the storage is for us. change may be nil.
func (s *storage) bucket(change func(*Config)) *Bucket {
	s.t.Helper()
	ca := filepath.Join(s.t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.web.Certificate().Raw}), 0o600); err != nil {
		s.t.Fatal(err)
	}
	var c Config
	c.SetDefaults()
	c.Name, c.Endpoint, c.Bucket, c.Region, c.Prefix, c.AccessKey, c.SecretKey, c.PathStyle, c.CA, c.PartSize = "main", s.web.URL, "weir", "us-east-1", "rec/", "key", "hunter2", true, ca, 10
	if change != nil {
		change(&c)
	}
	b, err := Open(c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(b.Close)
	return b
}

// did returns what was asked for since the last call.
func (s *storage) did() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.asked
	s.asked, s.heads = nil, nil
	return list
}

func fails(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}

// ServeHTTP implements http.Handler.
func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	key := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/weir"), "/")
	id, part := q.Get("uploadId"), q.Get("partNumber")
	what := map[bool]string{true: "object", false: "part " + part}[part == ""]
	switch {
	case q.Has("uploads") && r.Method == http.MethodPost:
		what = "begin"
	case q.Has("uploads"):
		what = "uploads"
	case id != "" && part == "":
		what = map[string]string{http.MethodPost: "complete", http.MethodDelete: "abort", http.MethodGet: "parts"}[r.Method]
	}
	s.asked, s.heads = append(s.asked, r.Method+" "+what+" "+key), append(s.heads, r.Header.Clone())
	r.Body = io.NopCloser(bytes.NewReader(b))
	if s.fault != nil && s.fault(w, r) {
		return
	}
	up := s.uploads[id]
	if id != "" && up == nil {
		fails(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	switch what {
	case "begin":
		id := fmt.Sprint("upload-", len(s.asked))
		s.uploads[id] = &multipart{key, r.Header.Clone(), map[int][]byte{}}
		_, _ = fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case "uploads":
		_, _ = io.WriteString(w, "<ListMultipartUploadsResult>")
		for id, up := range s.uploads {
			if strings.HasPrefix(up.key, q.Get("prefix")) {
				_, _ = fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>", up.key, id)
			}
		}
		_, _ = io.WriteString(w, "</ListMultipartUploadsResult>")
	case "abort":
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case "parts":
		s.list(w, up, q.Get("part-number-marker"))
	case "complete":
		s.complete(w, r, id, up)
	case "object":
		s.object(w, r, key)
	default:
		sum := md5.Sum(b)
		if tag := r.Header.Get("Content-Md5"); tag != "" && tag != base64.StdEncoding.EncodeToString(sum[:]) {
			fails(w, http.StatusBadRequest, "BadDigest")
			return
		}
		if crc := r.Header.Get("X-Amz-Checksum-Crc32c"); crc != "" && crc != base64CRC(crc32.Checksum(b, castagnoli)) {
			fails(w, http.StatusBadRequest, "BadDigest")
			return
		}
		n, _ := strconv.Atoi(part)
		up.parts[n] = b
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	}
}

// list answers with the parts of an upload behind a number.
func (s *storage) list(w http.ResponseWriter, up *multipart, after string) {
	marker, _ := strconv.Atoi(after)
	_, _ = io.WriteString(w, "<ListPartsResult>")
	shown, last, more := 0, 0, false
	for n := marker + 1; n <= 20000; n++ {
		b, ok := up.parts[n]
		if !ok {
			continue
		}
		if s.most > 0 && shown == s.most {
			more = true
			break
		}
		shown, last = shown+1, n
		_, _ = fmt.Fprintf(w, "<Part><PartNumber>%d</PartNumber><ETag>%x</ETag><Size>%d</Size></Part>", n, md5.Sum(b), len(b))
	}
	_, _ = fmt.Fprintf(w, "<IsTruncated>%v</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker></ListPartsResult>", more, last)
}

// complete makes an object of the parts.
func (s *storage) complete(w http.ResponseWriter, r *http.Request, id string, up *multipart) {
	if r.Header.Get("If-None-Match") == "*" && s.objects[up.key] != nil {
		fails(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	var list struct {
		Part []struct{ PartNumber int }
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || xml.Unmarshal(text, &list) != nil || len(list.Part) == 0 {
		fails(w, http.StatusBadRequest, "MalformedXML")
		return
	}
	u := Upload{Parts: map[int]Part{}}
	var b []byte
	for _, p := range list.Part {
		b = append(b, up.parts[p.PartNumber]...)
		u.Parts[p.PartNumber] = Part{CRC: crc32.Checksum(up.parts[p.PartNumber], castagnoli)}
	}
	s.objects[up.key] = &object{b: b, meta: up.meta, crc: u.composite(), tag: fmt.Sprintf("%x-%d", md5.Sum(b), len(up.parts))}
	delete(s.uploads, id)
	_, _ = io.WriteString(w, "<CompleteMultipartUploadResult><Bucket>weir</Bucket><ETag>x</ETag></CompleteMultipartUploadResult>")
}

// object answers with an object or what is known of it.
func (s *storage) object(w http.ResponseWriter, r *http.Request, key string) {
	o := s.objects[key]
	switch {
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
		return
	case o == nil:
		fails(w, http.StatusNotFound, "NoSuchKey")
		return
	case r.Header.Get("If-Match") != "" && strings.Trim(r.Header.Get("If-Match"), `"`) != o.tag:
		fails(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	}
	h := w.Header()
	h.Set("ETag", `"`+o.tag+`"`)
	h.Set("X-Amz-Meta-Weir-Id", o.meta.Get("X-Amz-Meta-Weir-Id"))
	if o.crc != "" && r.Header.Get("X-Amz-Checksum-Mode") != "" {
		h.Set("X-Amz-Checksum-Crc32c", o.crc)
	}
	http.ServeContent(w, r, "", time.Unix(1000, 0), bytes.NewReader(o.b))
}

// put makes an object without us.
func (s *storage) put(key, text, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = &object{b: []byte(text), meta: http.Header{"X-Amz-Meta-Weir-Id": {id}}, tag: fmt.Sprintf("%x", md5.Sum([]byte(text)))}
}

// text returns an object; "" if there is none.
func (s *storage) text(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[key]; o != nil {
		return string(o.b)
	}
	return ""
}

// keys returns the names of all objects, in order, and how many uploads are open.
func (s *storage) keys() (list []string, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range s.objects {
		list = append(list, k)
	}
	slices.Sort(list)
	return list, len(s.uploads)
}
