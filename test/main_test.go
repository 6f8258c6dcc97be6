package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	_ "weir" // so that go test's cache knows that the verdict depends on it
)

// root is where the repository begins, seen from the tests.
const root = ".."

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(binDir())
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// binDir is where the program under test is built. Every user may run it.
var binDir = sync.OnceValue(func() string {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("weir-test-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		panic(err)
	}
	return dir
})

// weirBinary builds the program under test as it is shipped, once, and says where it is.
// It is built anew so that the tests never judge an old one.
var weirBinary = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(binDir(), "weir")
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "./cmd/weir")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building weir: %w\n%s", err, out)
	}
	return bin, nil
})

// mustBuild returns the program under test.
func mustBuild(t *testing.T) string {
	t.Helper()
	bin, err := weirBinary()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// cacheDir is where media are kept between runs.
func cacheDir() (string, error) {
	dir := os.Getenv("WEIR_TEST_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(base, "weir")
	}
	return dir, nil
}

// must ends the test with an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
