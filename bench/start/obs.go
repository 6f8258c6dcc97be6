//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// obsPrograms are what the measurement of OBS needs beside ffmpeg.
var obsPrograms = []string{"obs", "Xvfb", "xdotool"}

// obsMissing says why OBS cannot be measured here; "" means that it can.
func obsMissing() string {
	for _, p := range obsPrograms {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Sprintf("%s is not installed; install the packages obs-studio, xvfb and xdotool to measure OBS", p)
		}
	}
	return ""
}

// obs shows the stream as the one media source of its scene, with that source's defaults. Its picture fills
// a virtual screen, of which the squares are read 100 times a second.
func obs(ctx context.Context, v visit) (complaints []string, err error) {
	if err := obsSettings(v); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	errs := make(chan error, 3)
	start := func(args []string, out, said func(io.Reader)) {
		running.Go(func() {
			if err := program(ctx, args, out, said); err != nil {
				errs <- err
				stop()
			}
		})
	}
	// The server writes the number of a free display to its output once it can be used.
	display := make(chan string, 1)
	start([]string{"Xvfb", "-displayfd", "1", "-screen", "0", fmt.Sprintf("%dx%dx24", width, height), "-nolisten", "tcp"},
		scan(func(_ time.Time, s string) {
			select {
			case display <- ":" + s:
			default:
			}
		}), nil)
	fail := func() ([]string, error) {
		stop()
		running.Wait()
		select {
		case err := <-errs:
			return complaints, err
		default:
			return complaints, nil
		}
	}
	var screen string
	select {
	case screen = <-display:
	case <-ctx.Done():
		return fail()
	}
	said := scan(func(_ time.Time, s string) {
		if strings.Contains(s, "MP:") || strings.Contains(s, "Media Source") && complaint.MatchString(s) {
			complaints = append(complaints, s)
		}
	})
	start([]string{
		"env", "-u", "XDG_CONFIG_HOME", "HOME=" + v.dir, "DISPLAY=" + screen, "LIBGL_ALWAYS_SOFTWARE=1", "QT_QPA_PLATFORM=xcb",
		"obs", "--multi", "--disable-missing-files-check",
	}, said, said)
	// There is no window manager that would put the projector above the main window.
	raise := exec.CommandContext(ctx, "xdotool", "search", "--sync", "--name", "Fullscreen Projector", "windowraise")
	raise.Env = append(os.Environ(), "DISPLAY="+screen)
	if err := raise.Run(); err != nil {
		if ctx.Err() == nil {
			errs <- fmt.Errorf("showing OBS's picture: %w", err)
		}
		return fail()
	}
	// The first grab's time is the clock's: any other -vsync fills the time since 1970 with copies of it.
	start([]string{
		"ffmpeg", "-nostdin", "-v", "error", "-probesize", "32", "-f", "x11grab", "-draw_mouse", "0", "-framerate", "100",
		"-video_size", fmt.Sprintf("%dx%d", digits*square, square), "-i", screen + ".0+0,0",
		"-vsync", "passthrough", "-pix_fmt", "gray", "-flush_packets", "1", "-f", "rawvideo", "-",
	}, grabbed(v), nil)
	<-ctx.Done()
	return fail()
}

// grabbed reads the upper edge of the screen, and calls seen for each new picture.
func grabbed(v visit) func(io.Reader) {
	return func(r io.Reader) {
		b := make([]byte, digits*square*square)
		last := 0
		for first := true; ; first = false {
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			if first {
				v.ready()
			}
			// The scene is black, which reads as 0, until the source has a picture.
			if n := numberIn(b, digits*square); n != last && n != 0 {
				last = n
				v.seen(shot{time.Now(), n, 0})
			}
		}
	}
}

// obsSettings writes what makes OBS begin with one media source and its picture on the whole screen, and without
// questions.
func obsSettings(v visit) error {
	type object = map[string]any
	scenes, err := json.Marshal(object{
		"name": "start", "current_scene": "scene", "current_program_scene": "scene",
		"scene_order":      []object{{"name": "scene"}},
		"saved_projectors": []object{{"monitor": 0, "type": 2}}, // the preview
		"sources": []object{
			{"id": "scene", "versioned_id": "scene", "name": "scene", "settings": object{"id_counter": 1, "items": []object{
				{"name": "film", "id": 1, "visible": true, "pos": object{"x": 0, "y": 0}, "scale": object{"x": 1, "y": 1}},
			}}},
			{"id": "ffmpeg_source", "versioned_id": "ffmpeg_source", "name": "film", "settings": object{"is_local_file": false, "input": v.url}},
		},
	})
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"global.ini": "[General]\nFirstRun=true\nLastVersion=4278190080\nEnableAutoUpdates=false\n" +
			"[Basic]\nProfile=start\nProfileDir=start\nSceneCollection=start\nSceneCollectionFile=start\n" +
			"[BasicWindow]\nSaveProjectors=true\nSysTrayEnabled=false\n",
		"basic/profiles/start/basic.ini": fmt.Sprintf("[General]\nName=start\n[Video]\nBaseCX=%d\nBaseCY=%d\nOutputCX=%d\nOutputCY=%d\nFPSType=0\nFPSCommon=60\n",
			width, height, width, height),
		"basic/scenes/start.json": string(scenes),
	} {
		file := filepath.Join(v.dir, ".config/obs-studio", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
