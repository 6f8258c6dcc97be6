package deliver

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir/internal/event"
	"weir/internal/freeport"
)

// block returns the code block of a language in docs/hooks.md that has a text.
func block(t *testing.T, language, text string) string {
	t.Helper()
	b, err := os.ReadFile("../../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	for part := range strings.SplitSeq(string(b), "\n```"+language+"\n") {
		if code, _, ok := strings.Cut(part, "\n```"); ok && strings.Contains(code, text) && !strings.HasPrefix(part, "#") {
			return code + "\n"
		}
	}
	t.Fatalf("no block of %s with %q", language, text)
	return ""
}

// TestDocumentedReceivers runs the receivers that the documentation prints: they take what is
// signed with their secret, also beside an older one, and nothing else.
func TestDocumentedReceivers(t *testing.T) {
	for _, c := range []struct{ program, language, text, file string }{
		{"python3", "python", "def genuine", "receiver.py"},
		{"node", "js", "function genuine", "receiver.mjs"},
	} {
		t.Run(c.language, func(t *testing.T) {
			program, err := exec.LookPath(c.program)
			if err != nil {
				t.Fatalf("%s is missing: scripts/install test installs Python, and Node comes from elsewhere", c.program)
			}
			file := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(file, []byte(block(t, c.language, c.text)), 0o600); err != nil {
				t.Fatal(err)
			}
			addr := freeport.Addr(t)
			_, port, _ := net.SplitHostPort(addr)
			cmd := exec.CommandContext(t.Context(), program, file) //nolint:gosec // ours
			cmd.Env = append(os.Environ(), "SECRET="+testSecret, "PORT="+port)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			for up := false; !up; {
				if conn, err := net.Dial("tcp", addr); err == nil {
					up = conn.Close() == nil
				}
			}
			conf := post("http://" + addr)
			conf.Secret, conf.OldSecret = oldSecret, testSecret
			other := conf
			other.Secret, other.OldSecret = oldSecret, ""
			f := newFixture(t, []Config{other}, nil)
			f.bus.Publish(publishEvent(event.PublishStart, "live/forged", "s1"))
			f.Close()
			if d := f.metrics; d.fails != 1 {
				t.Errorf("signed with another secret: %+v", d)
			}
			f = newFixture(t, []Config{conf}, nil)
			f.bus.Publish(publishEvent(event.PublishStart, "live/a", "s1"))
			f.Close()
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil || line != fmt.Sprintln("publish.start live/a {}") {
				t.Errorf("%q %v", line, err)
			}
		})
	}
}
