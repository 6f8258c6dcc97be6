package test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// obsFiles are a configuration of OBS Studio 30 that streams a file in a loop, in software,
// to a custom server, and asks nothing. SERVER and FILE are put in.
var obsFiles = map[string]string{
	"global.ini": `[General]
FirstRun=true
LastVersion=503447555
InfoIncrement=1
EnableAutoUpdates=false
[Basic]
Profile=weir
ProfileDir=weir
SceneCollection=weir
SceneCollectionFile=weir
ConfigOnNewProfile=false
[BasicWindow]
WarnBeforeStartingStream=false
WarnBeforeStoppingStream=false
SysTrayEnabled=false
`,
	"basic/profiles/weir/basic.ini": `[General]
Name=weir
[Output]
Mode=Simple
Reconnect=true
RetryDelay=1
MaxRetries=100
[SimpleOutput]
VBitrate=1000
ABitrate=128
StreamEncoder=x264
StreamAudioEncoder=aac
UseAdvanced=true
Preset=ultrafast
x264Settings=keyint=60
[Video]
BaseCX=640
BaseCY=360
OutputCX=640
OutputCY=360
FPSType=0
FPSCommon=30
[Audio]
SampleRate=48000
ChannelSetup=Stereo
`,
	"basic/profiles/weir/service.json": `{"type": "rtmp_custom", "settings": {"server": "SERVER", "key": "obs", "use_auth": false, "bwtest": false}}
`,
	"basic/scenes/weir.json": `{"name": "weir", "current_scene": "Scene", "current_program_scene": "Scene", "scene_order": [{"name": "Scene"}], "sources": [
{"id": "ffmpeg_source", "versioned_id": "ffmpeg_source", "name": "clip", "enabled": true, "volume": 1.0, "mixers": 255, "settings": {
"local_file": "FILE", "is_local_file": true, "looping": true, "restart_on_activate": false, "hw_decode": false, "clear_on_media_end": false}},
{"id": "scene", "versioned_id": "scene", "name": "Scene", "enabled": true, "settings": {"custom_size": false, "id_counter": 1, "items": [
{"name": "clip", "id": 1, "visible": true, "locked": false, "pos": {"x": 0, "y": 0}, "scale": {"x": 1, "y": 1}, "align": 5, "bounds_type": 0, "rot": 0.0}]}}]}
`,
}

// startOBS starts OBS Studio under Xvfb; it begins to stream by itself.
func startOBS(ctx context.Context, t *testing.T, server, file string) *process {
	t.Helper()
	home := openDir(t)
	for name, text := range obsFiles {
		name = filepath.Join(home, ".config", "obs-studio", name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		text = strings.NewReplacer("SERVER", server, "FILE", file).Replace(text)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := start(ctx, command{sys: debian13(), args: []string{
		"env", "HOME=" + home, "XDG_RUNTIME_DIR=" + home, "LIBGL_ALWAYS_SOFTWARE=1", "QT_QPA_PLATFORM=xcb",
		"xvfb-run", "-a", "-s", "-screen 0 1280x720x24",
		"obs", "--startstreaming", "--multi", "--minimize-to-tray", "--disable-shutdown-check",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(syscall.SIGTERM) })
	return p
}

// testOBS: OBS Studio streams for 20 s, loses the server by a crash, and comes back by
// itself when there is one again. What players received from either server is what OBS
// sent.
func testOBS(t *testing.T) {
	const path = "live/obs"
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	weir := mustBuild(t)
	media := newMediaFiles().get(t, "h264-aac48")
	through := startTap(t)
	first := runServer(t, "serve", "-c", configFile(t))
	t.Cleanup(first.kill)
	through.to(first.rtmp)
	obs := startOBS(ctx, t, "rtmp://"+through.ln.Addr().String()+"/live", media.flv)

	fail := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatalf("%v\nOBS said: %s", err, tail(obs.said()))
		}
	}
	watch := func(s *server) *exchange {
		x := &exchange{server: s, path: path, dir: openDir(t), media: media}
		for _, name := range []string{"rtmpdump", "curl", "ffmpeg7-rtmp", "gstreamer"} {
			x.captures = append(x.captures, &capture{player: players(weir)[name], late: true})
		}
		return x
	}
	before := watch(first)
	before.cut = true
	fail(first.waitLive(ctx, path, time.Second))
	before.start(ctx, t, true)
	fail(first.waitLive(ctx, path, 20*time.Second))

	through.to("")
	first.kill()
	second := startServer(t)
	connected := through.count()
	through.to(second.rtmp)
	fail(second.waitLive(ctx, path, 2*time.Second))
	after := watch(second)
	after.start(ctx, t, true)
	fail(second.waitLive(ctx, path, 10*time.Second))
	obs.end(syscall.SIGTERM)

	for _, x := range []struct {
		name string
		*exchange
		conn int
	}{{"before the crash", before, connected - 1}, {"after it", after, connected}} {
		var err error
		x.sent, err = through.tracks(x.conn)
		fail(err)
		for _, c := range x.captures {
			t.Run(x.name+"/"+c.name(), func(t *testing.T) { x.judge(ctx, t, c) })
		}
	}
}
