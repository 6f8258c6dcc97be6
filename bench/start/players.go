//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// shot is what a player showed at a moment.
type shot struct {
	at     time.Time
	number int           // of the picture; -1: its time is known instead
	time   time.Duration // in the stream
}

// visit is what a player is given to play once.
type visit struct {
	url, dir string     // dir is for its files
	seen     func(shot) // called for what is shown
	ready    func()     // called by a player that is held
}

// player is a program that plays.
type player struct {
	name string
	over []string
	// run plays until ctx ends. It returns what the program complained of.
	run func(ctx context.Context, v visit) (complaints []string, err error)
	// held is true for a program that takes long to start: what it asks for waits until it is ready and the time to
	// join has come.
	held bool
	// missing, if not nil, says why the program cannot be measured here; "" means that it can.
	missing func() string
}

var native = []string{"rtmp", "flv", "ts"}

var players = []player{
	{name: "ffplay", over: native, run: ffplay},
	{name: "mpv", over: native, run: mpv(false)},
	{name: "mpv low-latency", over: native, run: mpv(true)},
	{name: "vlc", over: native, run: vlc},
	{name: "gstreamer", over: native, run: gstreamer},
	{name: "watch page", over: []string{"flv", "ws"}, run: browser},
	{name: "obs", over: native, run: obs, held: true, missing: obsMissing},
}

// program runs a command until ctx ends. out and said, if not nil, get its output.
func program(ctx context.Context, args []string, out, said func(io.Reader)) error {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Env = append(os.Environ(), "SDL_VIDEODRIVER=dummy", "SDL_AUDIODRIVER=dummy", "LC_ALL=C.UTF-8", "AV_LOG_FORCE_NOCOLOR=1")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	var readers sync.WaitGroup
	pipe := func(open func() (io.ReadCloser, error), read func(io.Reader)) error {
		if read == nil {
			return nil
		}
		r, err := open()
		if err == nil {
			readers.Go(func() { read(r) })
		}
		return err
	}
	if err := pipe(c.StdoutPipe, out); err != nil {
		return err
	}
	if err := pipe(c.StderrPipe, said); err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	readers.Wait()
	if err := c.Wait(); ctx.Err() == nil {
		return fmt.Errorf("%s ended: %w", args[0], err)
	}
	return nil
}

// scan calls line for each line, which ends at \n or \r.
func scan(line func(at time.Time, s string)) func(io.Reader) {
	return func(r io.Reader) {
		lines := bufio.NewScanner(r)
		lines.Split(func(data []byte, eof bool) (int, []byte, error) {
			if i := bytes.IndexAny(data, "\r\n"); i >= 0 {
				return i + 1, data[:i], nil
			}
			if eof && len(data) > 0 {
				return len(data), data, nil
			}
			return 0, nil, nil
		})
		for lines.Scan() {
			if s := strings.TrimSpace(lines.Text()); s != "" {
				line(time.Now(), s)
			}
		}
	}
}

func seconds(s string) (time.Duration, bool) {
	f, err := strconv.ParseFloat(s, 64)
	return time.Duration(f * float64(time.Second)), err == nil
}

// complaint is what players' lines hold that tell of damage.
var complaint = regexp.MustCompile(`(?i)error|invalid|non.monoton|corrupt|missing|backward|discontinu|concealing|late|timestamp`)

// ffplay says where its clock is; showinfo says when the first picture was decoded, which it shows at once.
func ffplay(ctx context.Context, v visit) (complaints []string, err error) {
	clock := regexp.MustCompile(`^(-?[0-9.]+) [AMV-]{3}:`)
	info := regexp.MustCompile(`showinfo.* n: *0 .*pts_time:([0-9.]+)`)
	begun := false
	said := scan(func(at time.Time, s string) {
		if m := info.FindStringSubmatch(s); m != nil && !begun {
			if t, ok := seconds(m[1]); ok {
				begun = true
				v.seen(shot{at, -1, t})
			}
		} else if m := clock.FindStringSubmatch(s); m != nil {
			if t, ok := seconds(m[1]); ok && begun {
				v.seen(shot{at, -1, t})
			}
		} else if complaint.MatchString(s) && !strings.Contains(s, "showinfo") {
			complaints = append(complaints, s)
		}
	})
	err = program(ctx, []string{"ffplay", "-hide_banner", "-loglevel", "info", "-stats", "-vf", "showinfo=checksum=0", v.url}, nil, said)
	return complaints, err
}

// mpv tells over its socket where it is.
func mpv(low bool) func(context.Context, visit) ([]string, error) {
	return func(ctx context.Context, v visit) (complaints []string, err error) {
		socket := filepath.Join(v.dir, "mpv.sock")
		_ = os.Remove(socket)
		args := []string{"mpv", "--no-config", "--idle", "--vo=null", "--ao=null", "--rebase-start-time=no", "--msg-level=all=warn", "--input-ipc-server=" + socket}
		if low {
			args = append(args, "--profile=low-latency")
		}
		said := scan(func(_ time.Time, s string) {
			if complaint.MatchString(s) {
				complaints = append(complaints, s)
			}
		})
		var reads sync.WaitGroup
		reads.Go(func() {
			var c net.Conn
			for ctx.Err() == nil {
				var err error
				if c, err = net.Dial("unix", socket); err == nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if c == nil {
				return
			}
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			fmt.Fprintf(c, "{\"command\":[\"observe_property\",1,\"time-pos\"]}\n{\"command\":[\"loadfile\",%q]}\n", v.url)
			lines := bufio.NewScanner(c)
			for lines.Scan() {
				var e struct {
					Event, Name string
					Data        *float64
				}
				if json.Unmarshal(lines.Bytes(), &e) == nil && e.Name == "time-pos" && e.Data != nil {
					v.seen(shot{time.Now(), -1, time.Duration(*e.Data * float64(time.Second))})
				}
			}
		})
		err = program(ctx, args, said, said)
		reads.Wait()
		return complaints, err
	}
}

// vlc writes each picture to a pipe when it shows it.
func vlc(ctx context.Context, v visit) (complaints []string, err error) {
	fifo := filepath.Join(v.dir, "vlc.yuv")
	_ = os.Remove(fifo)
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return nil, err
	}
	pictures, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = pictures.Close() })()
	var reads sync.WaitGroup
	reads.Go(func() {
		// A line about the film, then one before each picture.
		r, b := bufio.NewReader(pictures), make([]byte, width*height*3/2)
		if _, err := r.ReadSlice('\n'); err != nil {
			return
		}
		for {
			if _, err := r.ReadSlice('\n'); err != nil {
				return
			}
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			v.seen(shot{time.Now(), numberIn(b, width), 0})
		}
	})
	said := scan(func(_ time.Time, s string) {
		if complaint.MatchString(s) && !strings.Contains(s, "dbus") && !strings.Contains(s, "interface") {
			complaints = append(complaints, s)
		}
	})
	args := []string{"cvlc", "--no-video-title-show", "--no-osd", "--aout=dummy", "-V", "yuv", "--yuv-file=" + fifo, "--yuv-chroma=I420", v.url}
	if os.Getuid() == 0 { // vlc refuses to run for root; this is its own check
		args = append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "env", "HOME=" + v.dir}, args...)
		_, _ = os.Chmod(fifo, 0o666), os.Chmod(v.dir, 0o777)
	}
	err = program(ctx, args, nil, said)
	_ = pictures.Close()
	reads.Wait()
	return complaints, err
}

// gstreamer's sink says which picture it shows.
func gstreamer(ctx context.Context, v visit) (complaints []string, err error) {
	// The sink prints when a picture is due. The first is shown as soon as it is there, which is
	// what the element before the sink prints.
	message := regexp.MustCompile(`Gst(FakeSink:v|Identity:first): last-message = chain .*pts: (\d+):(\d+):([0-9.]+)`)
	begun := false
	out := scan(func(at time.Time, s string) {
		if m := message.FindStringSubmatch(s); m != nil {
			if m = m[1:]; m[0] != "FakeSink:v" && begun {
				return
			}
			begun = true
			if t, ok := seconds(m[3]); ok {
				h, _ := strconv.Atoi(m[1])
				min, _ := strconv.Atoi(m[2])
				v.seen(shot{at, -1, t + time.Duration(h)*time.Hour + time.Duration(min)*time.Minute})
			}
		} else if strings.Contains(s, "WARNING") || strings.Contains(s, "ERROR") {
			complaints = append(complaints, s)
		}
	})
	err = program(ctx, []string{
		"gst-launch-1.0", "-v", "playbin", "uri=" + v.url,
		"video-filter=identity name=first silent=false", "video-sink=fakesink name=v sync=true silent=false", "audio-sink=fakesink sync=true",
	}, out, out)
	return complaints, err
}

// browser opens the watch page in Chromium; see browser.mjs.
func browser(ctx context.Context, v visit) (complaints []string, err error) {
	out := scan(func(at time.Time, s string) {
		var e struct {
			Number    int
			Complaint string
			At        float64
		}
		if json.Unmarshal([]byte(s), &e) != nil {
			return
		}
		if e.Complaint != "" {
			complaints = append(complaints, e.Complaint)
			return
		}
		v.seen(shot{time.UnixMicro(int64(e.At * 1000)), e.Number, 0})
	})
	err = program(ctx, []string{"node", "bench/start/browser.mjs", v.url}, out, out)
	return complaints, err
}
