package server_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/admit"
	"weir/internal/archive/s3"
	"weir/internal/record"
	"weir/internal/server"
	"weir/rtmp"
)

// TestPages asks for the pages and what is beside them.
func TestPages(t *testing.T) {
	r := start(t, nil)
	for _, q := range []struct {
		method, path string
		status       int
		location     string
	}{
		{"GET", "live/a/", 200, ""},
		{"HEAD", "live/a/", 200, ""},
		{"POST", "live/a/", 405, ""},
		{"GET", "", 200, ""},
		{"GET", "live/a?key=x", 302, "./a/?key=x"},
		{"GET", "live/a.mp4", 404, ""},
		{"GET", "live/", 404, ""},
		{"GET", "live", 404, ""},
		{"GET", "live//", 404, ""},
		{"GET", "_weir/", 404, ""},
		{"GET", "_weir/watch.html", 404, ""},
		{"GET", "_weir/assets/../watch.html", 404, ""},
		{"GET", "_weir/assets/none.js", 404, ""},
		{"GET", "streams.json", 404, ""},
	} {
		res, b := r.request(q.method, q.path)
		if res.StatusCode != q.status || res.Header.Get("Location") != q.location {
			t.Errorf("%s %s: %s, %v, %.100q", q.method, q.path, res.Status, res.Header, b)
		}
		if res.StatusCode == http.StatusOK && !strings.Contains(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", q.path, res.Header)
		}
	}
	res, page := r.get("live/a/")
	if again, b := r.get("live/a/", "If-None-Match", res.Header.Get("ETag")); again.StatusCode != http.StatusNotModified || len(b) > 0 {
		t.Error(again.Status)
	}
	for _, path := range []string{"live/a/", "live/deep/er/a/"} {
		_, page := r.get(path)
		for part := range strings.SplitSeq(string(page), `="../../`) {
			if file, _, ok := strings.Cut(part, `"`); ok && strings.HasPrefix(file, "_weir/") && path == "live/a/" {
				if res, b := r.get(file); res.StatusCode != 200 || len(b) == 0 || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") {
					t.Errorf("%s: %s", file, res.Status)
				}
			}
		}
	}
	if strings.Contains(string(page), "./assets/") && !strings.Contains(string(page), "../../_weir/assets/") {
		t.Errorf("%s", page)
	}
	if _, err := r.publish(t.Context(), "_weir/a"); err == nil {
		t.Error("somebody may publish where the pages' files are")
	}
}

// TestPageLoadsFromTheStorage: the page of a stream may load what was recorded from where its links lead, and the list of streams may not.
func TestPageLoadsFromTheStorage(t *testing.T) {
	r := start(t, func(c *server.Config) {
		bucket := s3.Config{Bucket: "films", AccessKey: "a", SecretKey: "b"}
		for i, endpoint := range []string{"http://127.0.0.1:9", "https://store.example:9000", "https://s3.eu-central-1.amazonaws.com"} {
			bucket.SetDefaults()
			bucket.Name, bucket.Endpoint, bucket.Bucket, bucket.AccessKey, bucket.SecretKey = fmt.Sprint("s", i), endpoint, "films", "a", "b"
			bucket.Region, bucket.PathStyle = []string{"us-east-1", "here", ""}[i], i == 0
			c.S3 = append(c.S3, bucket)
		}
	})
	for path, want := range map[string]string{
		"":        "; media-src 'self' blob:; connect-src 'self'; ",
		"live/a/": "; media-src 'self' blob: ORIGINS; connect-src 'self' ORIGINS; ",
	} {
		want = strings.ReplaceAll(want, "ORIGINS", "http://127.0.0.1:9 https://store.example:9000 https://films.s3.dualstack.eu-central-1.amazonaws.com")
		res, _ := r.get(path)
		if got := res.Header.Get("Content-Security-Policy"); !strings.Contains(got, want) {
			t.Errorf("%q: %s", path, got)
		}
	}
}

// TestAssetsAreShared: what the pages load is compressed for those who take it, is not sent again to
// those who have it, and is not copied for an answer.
func TestAssetsAreShared(t *testing.T) {
	r := start(t, nil)
	_, page := r.get("live/a/")
	_, rest, ok := strings.Cut(string(page), `src="../../_weir/`)
	if !ok {
		t.Fatalf("the pages are not built (make pages): %s", page)
	}
	script, _, _ := strings.Cut(rest, `"`)
	script = "_weir/" + script
	plain, whole := r.get(script, "Accept-Encoding", "gzip;q=0, br")
	if plain.StatusCode != http.StatusOK || plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Vary") != "Accept-Encoding" || plain.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%s %v", plain.Status, plain.Header)
	}
	packed, small := r.get(script, "Accept-Encoding", "br, gzip")
	if packed.Header.Get("Content-Encoding") != "gzip" || len(small) >= len(whole) || packed.Header.Get("ETag") == plain.Header.Get("ETag") {
		t.Errorf("%d of %d bytes, %v", len(small), len(whole), packed.Header)
	}
	z, err := gzip.NewReader(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if unpacked, err := io.ReadAll(z); err != nil || !bytes.Equal(unpacked, whole) {
		t.Errorf("what was compressed is another file: %v", err)
	}
	for _, tag := range []string{plain.Header.Get("ETag"), "W/" + plain.Header.Get("ETag"), `"x", ` + plain.Header.Get("ETag")} {
		if res, b := r.get(script, "If-None-Match", tag, "Accept-Encoding", "identity"); res.StatusCode != http.StatusNotModified || len(b) > 0 {
			t.Errorf("%s: %s", tag, res.Status)
		}
	}
	if res, _ := r.get(script, "If-None-Match", `"x"`, "Accept-Encoding", "identity"); res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
}

// TestStreamList: the list of streams is for everybody only where that is configured, and has none
// that needs a key, about which somebody would have to be asked, or which is not for the visitor's address.
func TestStreamList(t *testing.T) {
	r := start(t, func(c *server.Config) {
		c.HTTP.Index = true
		locked, elsewhere, asked := server.DefaultStream(), server.DefaultStream(), server.DefaultStream()
		c.Auth.Hook.URL = "http://127.0.0.1:9/" // nobody is there, and nobody is asked
		c.Auth.Hook.OnError = "allow"
		asked.Match, asked.Play.Auth = "live/asked", []string{admit.ByHook}
		locked.Match, locked.Play.Keys = "live/locked", []admit.Key{{Key: secret}}
		elsewhere.Match, elsewhere.Play.Allow = "live/elsewhere", nil
		c.Streams = []server.StreamConfig{locked, elsewhere, asked}
	})
	for _, path := range []string{"live/a", "live/locked", "live/elsewhere", "live/asked"} {
		publishSome(r.mustPublish(path), 0, 10)
		r.arrived(path, 5)
	}
	res, b := r.get("streams.json?key=" + secret)
	var list []struct{ Path, Video, Audio string }
	if err := json.Unmarshal(b, &list); err != nil || res.StatusCode != http.StatusOK || len(list) != 1 || list[0].Path != "live/a" || !strings.Contains(list[0].Video, "H.264") {
		t.Errorf("%s %s %v", res.Status, b, err)
	}
}

// TestDescription: the page of a stream is told its state and its codecs, if the visitor may watch it.
func TestDescription(t *testing.T) {
	r := start(t, func(c *server.Config) {
		locked := server.DefaultStream()
		locked.Match, locked.Play.Keys = "live/locked", []admit.Key{{Key: secret}}
		c.Streams = []server.StreamConfig{locked, server.DefaultStream()}
	})
	expect := func(path string, status int, want string) {
		t.Helper()
		res, b := r.get(path)
		if res.StatusCode != status || want != "" && strings.TrimSpace(string(b)) != want || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s %v %s", path, res.Status, res.Header, b)
		}
	}
	expect("live/a/stream.json", http.StatusOK, `{"state":"offline"}`)
	expect("live/locked/stream.json", http.StatusForbidden, "")
	expect("live/locked/stream.json?key="+secret, http.StatusOK, `{"state":"offline"}`)
	tags, _, _ := readFLV(t, makeFLV(t, "320x180"))
	p := r.mustPublish("live/a")
	publishTags(p, tags, 0)
	r.arrived("live/a", 90)
	res, b := r.get("live/a/stream.json")
	var got struct {
		State        string
		Video, Audio struct{ Codec, ID string }
	}
	if err := json.Unmarshal(b, &got); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s %v", res.Status, b, err)
	}
	if got.State != "live" || got.Video.Codec != "H.264" || !strings.HasPrefix(got.Video.ID, "avc1.") || got.Audio.Codec != "AAC" || got.Audio.ID != "mp4a.40.2" {
		t.Errorf("%s", b)
	}
	describes := func(want, not string) {
		t.Helper()
		for begin := time.Now(); !strings.Contains(string(b), want) || strings.Contains(string(b), not); _, b = r.get("live/a/stream.json") {
			if time.Since(begin) > 10*time.Second {
				t.Fatalf("it does not say %s: %s", want, b)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	describes(`"stalled":true`, `"silent"`)
	publishTags(p, slices.DeleteFunc(tags, func(m rtmp.Message) bool { return m.Type != rtmp.TypeVideo }), 10_000)
	describes(`"silent":"audio"`, `"stalled"`)
}

// TestDescriptionOfThePast: who may watch a stream that is recorded is told how far it can go back, and nobody else.
func TestDescriptionOfThePast(t *testing.T) {
	r := start(t, func(c *server.Config) {
		var keeps record.Config
		keeps.SetDefaults()
		keeps.Dir, keeps.MinFree = t.TempDir(), ""
		recorded := server.DefaultStream()
		recorded.Match, recorded.Play.Keys, recorded.Record = "live/recorded", []admit.Key{{Key: secret}}, []record.Config{keeps}
		c.Streams = []server.StreamConfig{recorded, server.DefaultStream()}
	})
	tags, _, _ := readFLV(t, makeFLV(t, "320x180"))
	for _, path := range []string{"live/recorded", "live/other"} {
		publishTags(r.mustPublish(path), tags, 0)
		r.arrived(path, 90)
	}
	for begin := time.Now(); ; <-time.After(10 * time.Millisecond) {
		res, b := r.get("live/recorded/stream.json?key=" + secret)
		var got struct{ Past *int }
		if err := json.Unmarshal(b, &got); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s %v", res.Status, b, err)
		}
		if got.Past != nil {
			if *got.Past < 0 || *got.Past > 10 {
				t.Errorf("%s", b)
			}
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("it does not say how far one can go back: %s", b)
		}
	}
	if res, b := r.get("live/recorded/stream.json"); res.StatusCode != http.StatusForbidden || bytes.Contains(b, []byte("past")) {
		t.Errorf("%s %s", res.Status, b)
	}
	if _, b := r.get("live/other/stream.json"); bytes.Contains(b, []byte("past")) || !bytes.Contains(b, []byte("live")) {
		t.Errorf("it is not recorded: %s", b)
	}
}

// TestSnapshot takes the newest key frame as a film and as a still.
func TestSnapshot(t *testing.T) {
	tags, _, _ := readFLV(t, makeFLV(t, "320x180"))
	r := start(t, nil)
	if res, _ := r.get("live/a/snapshot.mp4"); res.StatusCode != http.StatusNotFound {
		t.Error(res.Status)
	}
	publishTags(r.mustPublish("live/a"), tags, 0)
	r.arrived("live/a", 90)
	for name, contentType := range map[string]string{"snapshot.mp4": "video/mp4", "snapshot.jpg": "image/jpeg"} {
		res, b := r.get("live/a/" + name)
		if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != contentType || len(b) < 500 {
			t.Fatalf("%s: %s, %d bytes", name, res.Status, len(b))
		}
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if n := len(frameSums(t, file, "0:v")); n != 1 {
			t.Errorf("%s has %d pictures", name, n)
		}
	}
	first, a := r.get("live/a/snapshot.jpg")
	second, b := r.get("live/a/snapshot.jpg")
	if first.StatusCode != 200 || second.StatusCode != 200 || string(a) != string(b) {
		t.Error("a still is made again at once")
	}
	res, whole := r.get("live/a/snapshot.mp4")
	tag := res.Header.Get("ETag")
	for _, c := range []struct {
		header  []string
		status  int
		content string // of Content-Range
		body    []byte
	}{
		{[]string{"Range", "bytes=4-7"}, http.StatusPartialContent, fmt.Sprintf("bytes 4-7/%d", len(whole)), whole[4:8]},
		{[]string{"Range", "bytes=-10"}, http.StatusPartialContent, fmt.Sprintf("bytes %d-%d/%d", len(whole)-10, len(whole)-1, len(whole)), whole[len(whole)-10:]},
		{[]string{"Range", "bytes=4-7", "If-Range", tag}, http.StatusPartialContent, fmt.Sprintf("bytes 4-7/%d", len(whole)), whole[4:8]},
		{[]string{"Range", "bytes=4-7", "If-Range", `"another"`}, http.StatusOK, "", whole},
		{[]string{"Range", fmt.Sprintf("bytes=%d-", len(whole))}, http.StatusRequestedRangeNotSatisfiable, fmt.Sprintf("bytes */%d", len(whole)), nil},
		{[]string{"If-None-Match", tag}, http.StatusNotModified, "", []byte{}},
	} {
		res, b := r.get("live/a/snapshot.mp4", c.header...)
		if res.StatusCode != c.status || res.Header.Get("Content-Range") != c.content || c.body != nil && !bytes.Equal(b, c.body) {
			t.Errorf("%q: %s %v, %d bytes", c.header, res.Status, res.Header, len(b))
		}
	}
}
