package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// A mutant may take timeFactor times as long as the tests take without one, and timeExtra more.
	timeFactor = 4
	timeExtra  = 10 * time.Second
	// maxMemory bounds a mutant's address space, in KiB: some never stop allocating.
	maxMemory = 8 << 20
)

// verdict is what became of a mutant.
type verdict int

const (
	noBuild verdict = iota // it counts as none
	survived
	killed
	timedOut
)

// target is a package whose sources are mutated, and the tests that should notice.
type target struct {
	root, tmp, name string
	files           []string // relative to root
	tests           []*suite
}

// suite is the tests of one package.
type suite struct {
	folder  string
	timeout time.Duration
}

// newTarget reads a target, and runs its tests once as they are.
func newTarget(ctx context.Context, root, tmp, arg string) (*target, error) {
	left, tests, _ := strings.Cut(arg, "=")
	folder, files, _ := strings.Cut(left, ":")
	t := &target{root: root, tmp: tmp, name: left}
	cmd := exec.CommandContext(ctx, "go", "list", "-f", `{{join .GoFiles "\n"}}`, "./"+folder)
	cmd.Dir = root
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for name := range strings.FieldsSeq(string(b)) {
		if files == "" || slices.Contains(strings.Split(files, ","), name) {
			t.files = append(t.files, path.Join(folder, name))
		}
	}
	if tests == "" {
		tests = folder
	}
	for f := range strings.SplitSeq(tests, ",") {
		s := &suite{folder: f, timeout: 10 * time.Minute}
		t.tests = append(t.tests, s)
		bin := filepath.Join(tmp, "unchanged.test")
		if err := t.build(ctx, s, bin, ""); err != nil {
			return nil, err
		}
		begin := time.Now()
		if v := t.test(ctx, s, bin); v != survived {
			return nil, fmt.Errorf("the tests of %s fail without a mutant", f)
		}
		s.timeout = timeFactor*time.Since(begin) + timeExtra
	}
	return t, nil
}

// mutants returns the target's mutants whose place matches.
func (t *target) mutants(where *regexp.Regexp) ([]mutant, error) {
	var all []mutant
	for _, f := range t.files {
		src, err := os.ReadFile(filepath.Join(t.root, f))
		if err != nil {
			return nil, err
		}
		ms, err := mutate(f, src)
		if err != nil {
			return nil, err
		}
		all = append(all, slices.DeleteFunc(ms, func(m mutant) bool { return !where.MatchString(m.place()) })...)
	}
	return all, nil
}

// judge tests mutants, several at a time, and returns a verdict for each. Those that the end of ctx leaves
// untested count as none.
func (t *target) judge(ctx context.Context, ms []mutant, parallel int) []verdict {
	verdicts := make([]verdict, len(ms))
	slots := make(chan struct{}, max(parallel, 1))
	var wg sync.WaitGroup
	for i := range ms {
		slots <- struct{}{}
		wg.Go(func() {
			verdicts[i] = t.one(ctx, &ms[i], filepath.Join(t.tmp, fmt.Sprint(i)))
			<-slots
		})
	}
	wg.Wait()
	return verdicts
}

// one tests a mutant, with the files it needs in dir.
func (t *target) one(ctx context.Context, m *mutant, dir string) verdict {
	defer os.RemoveAll(dir)
	file, overlay, bin := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutant.test")
	place := filepath.Join(t.root, m.file)
	src, err := os.ReadFile(place)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(file, m.apply(src), 0o600)
	}
	if err == nil {
		b, _ := json.Marshal(map[string]any{"Replace": map[string]string{place: file}})
		err = os.WriteFile(overlay, b, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return noBuild
	}
	for _, s := range t.tests {
		if t.build(ctx, s, bin, overlay) != nil { // as it is once ctx has ended
			return noBuild
		}
		if v := t.test(ctx, s, bin); v != survived {
			return v
		}
	}
	return survived
}

// build makes a test binary.
func (t *target) build(ctx context.Context, s *suite, bin, overlay string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-overlay="+overlay, "-o="+bin, "./"+s.folder)
	cmd.Dir = t.root
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go test -c: %w: %s", err, bytes.TrimSpace(b))
	}
	return nil
}

// test runs a test binary.
func (t *target) test(parent context.Context, s *suite, bin string) verdict {
	// Beyond its own timeout the binary hangs in what cannot be interrupted.
	ctx, cancel := context.WithTimeout(parent, s.timeout+timeExtra)
	defer cancel()
	begin := time.Now()
	cmd := exec.CommandContext(ctx, "sh", "-c", `ulimit -v "$1"; shift; exec "$@"`, "sh", fmt.Sprint(maxMemory),
		bin, "-test.failfast", "-test.timeout="+s.timeout.String())
	cmd.Dir = filepath.Join(t.root, s.folder)
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case parent.Err() != nil:
		return noBuild
	case err == nil:
		return survived
	case time.Since(begin) >= s.timeout:
		return timedOut
	}
	return killed
}
