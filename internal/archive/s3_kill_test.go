package archive

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"weir/internal/archive/s3"
	"weir/internal/record"
)

// uploaderConf is the variable with which this program uploads a file until it is killed.
const uploaderConf = "WEIR_TEST_UPLOADER"

// uploader is what such a program is told.
type uploader struct {
	Dir, State, File string
	Storage          s3.Config
}

// uploadUntilKilled runs an archive, and says when the file is in the storage.
func uploadUntilKilled() {
	var conf uploader
	if err := json.Unmarshal([]byte(os.Getenv(uploaderConf)), &conf); err != nil {
		panic(err)
	}
	a, err := New(Options{
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), State: conf.State, Storage: func() []s3.Config { return []s3.Config{conf.Storage} },
		Places: func() []Place {
			return []Place{{conf.Dir, func(string) (string, record.Keep, string) { return "main", record.Keep{}, "main" }}}
		},
	})
	if err != nil {
		panic(err)
	}
	go func() { panic(a.Run(context.Background())) }()
	for {
		if row, err := a.File(context.Background(), conf.File); err == nil && row.Object != "" {
			fmt.Println("uploaded", row.Object)
			select {}
		}
		time.Sleep(2 * time.Millisecond) // this is the program that is tested, not a test
	}
}

// TestP25C428Killed: a process that is killed when an upload begins, in a part, before the storage has its last request, and before it has the answer to it, leaves
// to the next one what it needs to go on: there is one object, which is the file, no open upload, and nobody else's object was overwritten. What was
// sent is not sent again.
func TestP25C428Killed(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	other := "somebody else's"
	_, err := s.client.PutObject(t.Context(), "weir", "rec/a.mp4", strings.NewReader(other), int64(len(other)), "", "", minio.PutObjectOptions{})
	must(t, err)
	r := newRig(t, nil)
	f, b := r.big("a.mp4", 17<<20) // four parts
	must(t, os.WriteFile(filepath.Join(r.dir, f.Name), b, 0o600))
	r.add(f)
	r.close()
	text, err := json.Marshal(&uploader{r.dir, r.conf.State, f.ID, s.conf})
	must(t, err)
	// run runs the program until it says that the file is uploaded, or is killed where a request is one that the test looks for; passed has the storage get that.
	parts := make(chan string, 100)
	run := func(killed func(r *http.Request) bool, passed bool) string {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), uploaderConf+"="+string(text))
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		must(t, err)
		s.fail(func(_ http.ResponseWriter, q *http.Request) bool {
			if !killed(q) {
				if n := q.URL.Query().Get("partNumber"); n != "" && q.Method == http.MethodPut {
					parts <- n
				}
				return false
			}
			if passed {
				s.pass.ServeHTTP(httptest.NewRecorder(), q)
			} else {
				_, _ = io.CopyN(io.Discard, q.Body, 1<<20) // it is in the middle of it
			}
			cancel()
			return true
		})
		must(t, cmd.Start())
		line, _ := bufio.NewReader(out).ReadString('\n')
		cancel()
		_ = cmd.Wait()
		s.fail(nil)
		return strings.TrimSpace(line)
	}
	begins := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") }
	part := func(n string) func(r *http.Request) bool {
		return func(r *http.Request) bool { return r.Method == http.MethodPut && r.URL.Query().Get("partNumber") == n }
	}
	completes := func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }
	for _, c := range []struct {
		what   string
		killed func(r *http.Request) bool
		passed bool
	}{
		{"before it begins", begins, false},
		{"when it has begun", begins, true},
		{"in the second part", part("2"), false},
		{"behind the third part", part("3"), true},
		{"in the first part", part("1"), false},
		{"before Complete", completes, false},
		{"behind Complete", completes, true},
	} {
		if line := run(c.killed, c.passed); line != "" {
			t.Fatalf("%s: it was not killed: %s", c.what, line)
		}
	}
	if line := run(func(*http.Request) bool { return false }, false); line != "uploaded rec/a.mp4-"+f.ID {
		t.Error(line)
	}
	if string(s.get("rec/a.mp4-"+f.ID)) != string(b) || string(s.get("rec/a.mp4")) != other {
		t.Error("the object is not the file, or the other one is")
	}
	if names, open := s.objects(); len(names) != 2 || open != 0 {
		t.Errorf("%v, %d open uploads", names, open)
	}
	var sent []string
	for len(parts) > 0 {
		sent = append(sent, <-parts)
	}
	if slices.Sort(sent); len(sent) > 6 { // the four, and those whose answer never came
		t.Errorf("the parts %v were sent", sent)
	}
}
