package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// commands are the words of each command and each group of commands.
func commands(t *testing.T) (paths []string) {
	t.Helper()
	parser, err := kong.New(&cli{}, kong.Name("weir"))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(prefix string, n *kong.Node)
	walk = func(prefix string, n *kong.Node) {
		for _, child := range n.Children {
			path := strings.TrimSpace(prefix + " " + child.Name)
			paths = append(paths, path)
			walk(path, child)
		}
	}
	walk("", parser.Model.Node)
	return paths
}

// doubled finds a word that stands twice in a row.
func doubled(text string) string {
	words := strings.Fields(text)
	for i := 1; i < len(words); i++ {
		if w := words[i]; w == words[i-1] && regexp.MustCompile(`^[A-Za-z]+$`).MatchString(w) {
			return w + " " + w
		}
	}
	return ""
}

// TestEveryHelpHasAnExample runs each command's example as far as its words and flags go.
func TestEveryHelpHasAnExample(t *testing.T) {
	all := commands(t)
	for _, must := range []string{"push", "config check", "bench storm"} {
		if !slices.Contains(all, must) {
			t.Fatalf("the commands are %q", all)
		}
	}
	for _, path := range all {
		status, out, errOut := command(t, append(strings.Fields(path), "--help")...)
		if status != 0 || errOut != "" {
			t.Errorf("weir %s --help: exit status %d: %s", path, status, errOut)
		}
		if w := doubled(out); w != "" {
			t.Errorf("weir %s --help says %q", path, w)
		}
		_, example, ok := strings.Cut(out, "Example: weir ")
		if !ok {
			t.Errorf("weir %s --help has no example:\n%s", path, out)
			continue
		}
		example, _, _ = strings.Cut(example, "\n\n") // it may be broken into lines
		example, _, _ = strings.Cut(example, " > ")
		example, _, _ = strings.Cut(example, ", then")
		args := strings.Fields(example)
		if !strings.HasPrefix(strings.Join(args, " "), path) {
			t.Errorf("the example of weir %s is of another command: %s", path, example)
		}
		parser, err := kong.New(&cli{}, kong.Name("weir"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err != nil {
			t.Errorf("the example of weir %s is wrong: %v", path, err)
		}
	}
}

// TestCommandsThatSpeakTLSMayBeInsecure looks at those that reach servers.
func TestCommandsThatSpeakTLSMayBeInsecure(t *testing.T) {
	for _, path := range []string{"push", "pull", "probe", "bench players", "bench publishers", "bench storm"} {
		if _, out, _ := command(t, append(strings.Fields(path), "--help")...); !strings.Contains(out, "--insecure") {
			t.Errorf("weir %s has no --insecure", path)
		}
	}
}

func TestPlural(t *testing.T) {
	for n, want := range map[int64]string{0: "0 frames", 1: "1 frame", 2: "2 frames"} {
		if got := plural(n, "frame"); got != want {
			t.Errorf("%d are %q", n, got)
		}
	}
}
