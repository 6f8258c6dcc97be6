package server_test

import (
	"encoding/binary"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"weir/internal/record"
	"weir/internal/server"
)

// TestTracksOfARecording: of a stream with three sounds an entry records the picture and two of them, each under the name that the entry gives it, and with
// the frames of that sound.
func TestTracksOfARecording(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, func(c *server.Config) {
		var rec record.Config
		rec.SetDefaults()
		rec.Dir, rec.File, rec.MinFree, rec.Tracks = dir, "{name}", "", []string{"video", "audio 0 Game", "audio 2 Commentary"}
		e := server.DefaultStream()
		e.Match, e.Record = "live/*", []record.Config{rec}
		c.Streams = append(c.Streams, e)
	})
	p := r.mustPublish("live/cam")
	p.must(p.video(0, videoHeader))
	// sound is a body of a track: its configuration (typ 0) or a frame.
	sound := func(track, typ byte, payload []byte) []byte {
		if track == 0 {
			return append([]byte{0xaf, typ}, payload...)
		}
		return append([]byte{0x95, typ, 'm', 'p', '4', 'a', track}, payload...)
	}
	// frame is the sound of a track at a picture: the length tells the track.
	frame := func(track byte, n uint32) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{0x21}, n), make([]byte, 10*int(track))...)
	}
	for track := range byte(3) {
		p.must(p.audio(0, sound(track, 0, []byte{0x12, 0x10})))
	}
	const pictures = 50
	for n := range uint32(pictures) {
		p.must(p.video(n*40, videoFrame(n%25 == 0, n, 1000)))
		for track := range byte(3) {
			p.must(p.audio(n*40, sound(track, 1, frame(track, n))))
		}
	}
	p.must(p.Close())
	file := filepath.Join(dir, "cam.mp4")
	eventually(t, "the file is whole", func() bool {
		found, err := filepath.Glob(file)
		return err == nil && len(found) == 1
	})
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "fatal", "-show_entries", "stream=codec_type:stream_tags=handler_name:packet=stream_index,size", "-of", "json", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Streams []struct {
			Type string            `json:"codec_type"`
			Tags map[string]string `json:"tags"`
		}
		Packets []struct {
			Stream int    `json:"stream_index"`
			Size   string `json:"size"`
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if s := got.Streams; len(s) != 3 || s[0].Type != "video" || s[1].Tags["handler_name"] != "Game" || s[2].Tags["handler_name"] != "Commentary" {
		t.Fatalf("%+v", s)
	}
	counted := map[[2]any]int{}
	for _, k := range got.Packets {
		counted[[2]any{k.Stream, k.Size}]++
	}
	// What is between frames that are 40 ms apart is silence, in packets of another size.
	if counted[[2]any{1, "5"}] != pictures || counted[[2]any{2, "25"}] != pictures || counted[[2]any{1, "15"}]+counted[[2]any{1, "25"}]+counted[[2]any{2, "5"}]+counted[[2]any{2, "15"}] != 0 {
		t.Errorf("packets by track and size: %v", counted)
	}
}
