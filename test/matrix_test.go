package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A row is one publication and who plays it. A player whose name ends in "@late" comes when
// the stream is a little old, the others before the publisher.
type row struct {
	publisher, media string
	players          string
}

// rows are the matrix: each publisher with what it can send, each player with what it can
// receive. What none of the clients can send, our own does.
func rows() []row {
	const (
		classic = "ffmpeg-rtmp ffmpeg-http gstreamer rtmpdump curl weir-rtmp weir-http"
		late    = " ffmpeg-rtmp@late ffmpeg-http@late rtmpdump@late curl@late gstreamer@late"
		raw     = "weir-rtmp weir-http rtmpdump gstreamer curl vlc-http weir-rtmp@late weir-http@late rtmpdump@late curl@late" // they keep what they do not know
		watch   = " mpv-rtmp mpv-http vlc-rtmp vlc-http"
		other   = " ffmpeg-ts ffmpeg-hls ffmpeg-ts@late ffmpeg-hls@late"
	)
	return []row{
		{"ffmpeg", "h264-aac48", classic + watch + late + other},
		{"ffmpeg", "h264-bframes-aac44", classic + watch + late + other},
		{"ffmpeg", "audio-only", classic + watch + late + other},
		{"ffmpeg", "video-only", classic + watch + late + other},
		{"ffmpeg", "h264-mp3", classic + late + other},
		{"ffmpeg", "variable-rate", classic + late},
		{"ffmpeg", "4k", "ffmpeg-rtmp rtmpdump curl curl@late"},
		{"ffmpeg", "resize", classic + late},
		{"gstreamer", "h264-aac48", classic + late},
		{"gstreamer", "h264-bframes-aac44", classic + late},
		{"gstreamer", "audio-only", classic + late},
		{"gstreamer", "video-only", classic + late},
		{"gstreamer", "h264-mp3", classic + late},
		{"gstreamer", "resize", classic},
		{"weir", "h264-bframes-aac44", classic + late},
		{"weir", "resize", classic},
		{"weir", "hevc-aac", raw},
		{"weir", "av1-opus", raw},
		{"weir", "vp9-aac", raw},
		{"weir", "flac", raw},
		{"weir", "ac3", raw},
	}
}

// TestClients sends each media with each publisher to all its players at once.
func TestClients(t *testing.T) {
	runRows(t, rows())
}

// TestTrixie does the same with the clients of Debian 13, and what only they can do. They
// are a gigabyte: without WEIR_TEST_TRIXIE there is nothing to do.
func TestTrixie(t *testing.T) {
	if !withTrixie() {
		return
	}
	t.Run("clients", func(t *testing.T) { runRows(t, trixieRows()) })
	t.Run("obs", testOBS)
}

// trixieRows are for the clients of Debian 13, whose ffmpeg knows the video codecs of
// Enhanced RTMP.
func trixieRows() []row {
	const (
		all = "ffmpeg7-rtmp ffmpeg7-http gstreamer1.26 rtmpdump curl ffmpeg7-rtmp@late ffmpeg7-http@late gstreamer1.26@late"
		raw = "rtmpdump gstreamer1.26 curl rtmpdump@late gstreamer1.26@late curl@late"
	)
	return []row{
		{"ffmpeg7", "h264-aac48", all + " ffmpeg-rtmp"},
		{"ffmpeg7", "h264-bframes-aac44", all + " ffmpeg-http"},
		{"ffmpeg7", "hevc-aac", all + " ffmpeg7-ts ffmpeg7-hls"},
		{"ffmpeg7", "vp9-aac", all + " ffmpeg7-hls"},
		{"ffmpeg7", "audio-only", all},
		{"ffmpeg7", "resize", all},
		{"gstreamer1.26", "h264-aac48", all},
		{"gstreamer1.26", "h264-bframes-aac44", all},
		{"gstreamer1.26", "h264-mp3", all},
		{"weir", "hevc-aac", all},
		{"weir", "vp9-aac", all},
		{"weir", "av1-opus", raw},
		{"weir", "flac", raw},
		{"weir", "ac3", raw},
	}
}

// runRows runs rows against one server.
func runRows(t *testing.T, table []row) {
	s := startServer(t)
	files := newMediaFiles()
	weir := mustBuild(t)
	// A media is made before the clocks run.
	for _, r := range table {
		if m := files.get(t, r.media); r.publisher == "ffmpeg" {
			endsRead(t, m)
		}
	}
	for i, r := range table {
		t.Run(r.publisher+"/"+r.media, func(t *testing.T) {
			t.Parallel()
			x := &exchange{
				server: s, path: fmt.Sprintf("live/%d-%s", i, r.media), dir: openDir(t),
				publisher: publishers(weir)[r.publisher], media: files.get(t, r.media),
			}
			for name := range strings.FieldsSeq(r.players) {
				name, late := strings.CutSuffix(name, "@late")
				p, ok := players(weir)[name]
				if !ok {
					t.Fatalf("there is no player %q", name)
				}
				if p.over != "" && s.http == "" {
					continue
				}
				x.captures = append(x.captures, &capture{player: p, late: late})
			}
			x.run(t)
		})
	}
}

// acknowledgedEvery is how many bytes the server receives between two Acknowledgements.
const acknowledgedEvery = 1_250_000

// endsRead fails if an Acknowledgement comes so near to the end of what ffmpeg sends that it may close the connection
// with it unread: its kernel would throw away the last frames, which the server then was never given.
func endsRead(t *testing.T, m *mediaFile) {
	t.Helper()
	info, err := os.Stat(m.flv)
	if err != nil {
		t.Fatal(err)
	}
	since := info.Size() % acknowledgedEvery
	if info.Size() > acknowledgedEvery && (since < 250_000 || since > acknowledgedEvery-50_000) {
		t.Fatalf("%s has %d bytes, which is too near to a multiple of %d: give it another bit rate", m.name, info.Size(), acknowledgedEvery)
	}
}

// An exchange is one publication with its players.
type exchange struct {
	server    *server
	path      string
	dir       string
	publisher publisher
	media     *mediaFile
	captures  []*capture
	sent      tracks
	source    string // the file of what was sent, "" if there is none
	cut       bool   // the stream did not end, it broke off
}

// A capture is what one player received.
type capture struct {
	player player
	late   bool
	file   string
	proc   *process
}

// name names the capture in tests.
func (c *capture) name() string {
	if c.late {
		return c.player.name + "@late"
	}
	return c.player.name
}

// joinAfter is how old the stream is when late players come. The media have key frames
// every second.
const joinAfter = 1500 * time.Millisecond

// minCapture is how much of a track a player has to have. How soon a late one comes is the
// machine's affair; that the run goes to the end of the stream is checked exactly.
const minCapture = 300 * time.Millisecond

// run does it all: players, publisher, late players, verdicts.
func (x *exchange) run(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), x.media.dur+100*time.Second)
	defer cancel()
	early := x.start(ctx, t, false)
	if err := x.server.waitPlayers(ctx, x.path, early); err != nil {
		t.Fatal(err)
	}
	tap := filepath.Join(x.dir, "sent.flv")
	pub, err := start(ctx, command{sys: x.publisher.sys, args: x.publisher.args(x.media.flv, x.server.rtmpURL(x.path), tap)})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.server.waitLive(ctx, x.path, joinAfter); err != nil {
		t.Errorf("%v; the publisher said: %s", err, tail(pub.said()))
	}
	x.start(ctx, t, true)
	if err := pub.wait(); err != nil {
		t.Errorf("publisher: %v", err)
	}
	x.sent, x.source = x.media.frames, x.media.flv
	if x.publisher.taps {
		x.source = tap
		if x.sent, err = readTracks(tap); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range x.captures {
		t.Run(c.name(), func(t *testing.T) { x.judge(ctx, t, c) })
	}
	if err := x.server.serves(ctx); err != nil {
		t.Errorf("the server does not serve any more: %v", err)
	}
}

// openDir makes a folder for the test in which any user may write.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-clients-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start starts the players that come early or late and returns how many.
func (x *exchange) start(ctx context.Context, t *testing.T, late bool) int {
	n := 0
	for _, c := range x.captures {
		if c.late != late {
			continue
		}
		c.file = filepath.Join(x.dir, c.name()+".flv")
		url := x.server.url(x.path, c.player.over)
		p, err := start(ctx, command{sys: c.player.sys, args: c.player.args(url, c.file), nobody: c.player.nobody})
		if err != nil {
			t.Fatal(err)
		}
		c.proc = p
		n++
	}
	return n
}

// judge waits for a player's end and holds what it received against what was sent.
func (x *exchange) judge(ctx context.Context, t *testing.T, c *capture) {
	ours := x.server.admin != ""
	err := x.ended(ctx, t, c)
	got, rerr := readTracks(c.file)
	torn := errors.Is(rerr, io.ErrUnexpectedEOF) && !ours // in the middle of a frame
	if rerr != nil && !torn {
		t.Fatalf("%v\nthe player said: %v\n%s", rerr, err, tail(c.proc.said()))
	}
	if err != nil && ours && !x.cut {
		t.Errorf("the player takes the end of the stream for a failure: %v", err)
	}
	// MP3 goes out by HLS in MPEG-TS, whatever the container is: no browser takes it in MP4.
	inTS := c.player.over == "hls" && strings.HasSuffix(x.media.name, "mp3")
	want := demand{
		// A viewer of HLS begins where the newest key frame is when there is a playlist.
		fromStart: ours && !c.late && c.player.over != "hls", toEnd: ours && !x.cut,
		atLeast:   minCapture,
		anyConfig: c.player.rewrites && (x.media.wrapped || c.player.repacks) || inTS,
		repacked:  c.player.repacks || inTS,
	}
	if err := compare(x.sent, got, want); err != nil {
		t.Errorf("%v\nthe player said: %s", err, tail(c.proc.said()))
		x.keep(t, c)
	}
	if !torn {
		x.decode(t, c)
	}
}

// decoding lets no more than two decoders run at once: more would starve the clients.
var decoding = make(chan struct{}, 2)

// decode has ffmpeg decode the capture and wants to hear no complaint, but for those that
// it also has of what was sent.
func (x *exchange) decode(t *testing.T, c *capture) {
	if x.media.undecodable {
		return
	}
	sys := debian12()
	if x.media.wrapped {
		if !withTrixie() {
			return
		}
		sys = debian13()
	}
	decoding <- struct{}{}
	defer func() { <-decoding }()
	said := complaints(t, sys, c.file)
	if len(said) > 0 && x.source != "" {
		known := complaints(t, sys, x.source)
		said = slices.DeleteFunc(said, func(s string) bool { return slices.Contains(known, s) })
	}
	if len(said) > 0 {
		t.Errorf("ffmpeg complains when it decodes what was received:\n%s", strings.Join(said, "\n"))
	}
}

// endWithin is how soon a player has to end once the stream has: the grace of 300 ms, and
// what mpv and ffplay still have to show.
const endWithin = 20 * time.Second

// ended waits for a player to end because the stream did, and returns its error. A server
// that is not ours may keep players for ever: there it is told to end.
func (x *exchange) ended(ctx context.Context, t *testing.T, c *capture) error {
	t.Helper()
	late := time.NewTimer(endWithin)
	defer late.Stop()
	if x.server.admin == "" {
		late.Reset(2 * time.Second)
	}
	select {
	case <-c.proc.done:
	case <-ctx.Done():
		t.Fatalf("the test took too long; the player said: %s", tail(c.proc.said()))
	case <-late.C:
		c.proc.end(syscall.SIGINT)
		if x.server.admin != "" {
			t.Fatalf("the player did not end when the stream did; it said: %s", tail(c.proc.said()))
		}
	}
	return c.proc.wait()
}

// numbers are what differs between two complaints of the same kind.
var numbers = regexp.MustCompile(`0x[0-9a-f]+|[0-9]+`)

// complaints returns what ffmpeg has to say when it decodes a file, without numbers.
func complaints(t *testing.T, sys system, file string) []string {
	t.Helper()
	said := output(t, sys, time.Minute, "ffmpeg", "-nostdin", "-v", "error", "-i", file, "-f", "null", "-")
	lines := strings.FieldsFunc(said, func(r rune) bool { return r == '\n' })
	for i := range lines {
		lines[i] = numbers.ReplaceAllString(lines[i], "N")
	}
	return lines
}

// keep copies what was received and sent to where WEIR_TEST_KEEP says, to be looked at.
func (x *exchange) keep(t *testing.T, c *capture) {
	dir := os.Getenv("WEIR_TEST_KEEP")
	if dir == "" {
		return
	}
	for name, from := range map[string]string{"received": c.file, "sent": x.media.flv} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fileName(t.Name())+"-"+name+".flv"), b, 0o644)
		}
		if err != nil {
			t.Error(err)
		}
	}
}
