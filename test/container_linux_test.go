package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weir/rtmp"
)

// inNamespace gives a process namespaces of its own, as a container has them.
func inNamespace(kinds uintptr) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: kinds}
	if os.Getuid() != 0 { // others need a namespace of users, too
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// ofStream lists the processes whose environment names a stream, with their states.
func ofStream(stream string) (states []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range all {
		b, err := os.ReadFile(file)
		if err == nil && bytes.Contains(b, []byte("WEIR_STREAM="+stream+"\x00")) {
			states = append(states, filepath.Base(filepath.Dir(file)))
		}
	}
	return states
}

// zombies counts the ended children that a process has not asked about.
func zombies(parent int) (n int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range all {
		b, err := os.ReadFile(file)
		_, rest, ok := bytes.Cut(b, []byte(") "))
		if err == nil && ok && bytes.HasPrefix(rest, fmt.Appendf(nil, "Z %d ", parent)) {
			n++
		}
	}
	return n
}

// TestO25_NothingIsLeft: of a command that starts others in the background, and is ended, nothing is left, neither a process nor a
// zombie. It is the same where the server is the first process of a container, which is given all orphans.
func TestO25_NothingIsLeft(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"a process among others": false, "the first process": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream := fmt.Sprintf("live/o25-%d-%v", os.Getpid(), first)
			file := filepath.Join(t.TempDir(), "weir.yml")
			conf := listeners + `
hooks:
  - {run: [sh, -c, "sleep 500 | sleep 600 & sleep 1000"], events: [publish.start], while: true}
  - {run: [sh, -c, "(sleep 0.1; sleep 0.1) & exit 0"], events: [publish.start]}
`
			if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(mustBuild(t), "serve", "-c", file)
			if first { // with a /proc of its own, as containers have it
				cmd = exec.Command("sh", "-c", `mount --make-rprivate / && mount -t proc proc /proc && exec "$0" "$@"`, cmd.Path, "serve", "-c", file)
				cmd.SysProcAttr = inNamespace(syscall.CLONE_NEWPID | syscall.CLONE_NEWNS)
			}
			s := runCommand(t, cmd)
			defer s.stop(t)
			v, err := speak(t.Context(), s.rtmpURL(stream), rtmp.DialOptions{})
			if err != nil {
				t.Fatal(err)
			}
			until := func(what string, ok func() bool) {
				t.Helper()
				if err := every(t.Context(), 11*time.Second, func() error {
					if !ok() {
						return fmt.Errorf("%s: processes %v, %d zombies", what, ofStream(stream), zombies(s.cmd.Process.Pid))
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
			until("the commands run", func() bool { return len(ofStream(stream)) >= 4 })
			_ = v.stop()
			until("nothing is left", func() bool { return len(ofStream(stream)) == 0 && zombies(s.cmd.Process.Pid) == 0 })
		})
	}
}

// TestO21_MountedAlone: a configuration that is mounted by itself into a container stays the old one there when another file takes
// its place outside; told to read it again, the server says what the matter is.
func TestO21_MountedAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside, inside, fresh := filepath.Join(dir, "outside.yml"), filepath.Join(dir, "inside.yml"), filepath.Join(dir, "new.yml")
	for name, text := range map[string]string{outside: listeners + "reload: watch\n", inside: "", fresh: listeners + "reload: watch\nlimits: {streams: 7}\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-c", `mount --make-rprivate / && mount --bind "$1" "$2" && exec "$3" serve -c "$2"`, "sh", outside, inside, mustBuild(t))
	cmd.SysProcAttr = inNamespace(syscall.CLONE_NEWNS)
	s := runCommand(t, cmd)
	defer s.stop(t)
	if err := os.Rename(fresh, outside); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := every(t.Context(), 10*time.Second, func() error {
		if !strings.Contains(s.whole(), "is the file mounted alone?") {
			return fmt.Errorf("it does not say so: %s", s.said())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
