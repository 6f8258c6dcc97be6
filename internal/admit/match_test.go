package admit

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var matchCases = []struct {
	pattern string
	fits    string // paths, separated by spaces
	not     string
}{
	{"live/a", "live/a", "live/b live/a/b live live/aa"},
	{"live/*", "live/a live/cam-1", "live live/a/b x/a liveX/a"},
	{"*/a", "live/a x/a", "live/b a x/y/a"},
	{"live/cam-*", "live/cam-1 live/cam-", "live/cam live/xcam-1 live/cam-1/x"},
	{"live/*-hd", "live/a-hd live/-hd live/a-hd-hd", "live/a-hd-x live/hd"},
	{"live/*a*b*", "live/ab live/xaxbx live/aab", "live/ba live/a"},
	{"**", "a/b a/b/c live/x", ""},
	{"live/**", "live/a live/a/b live", "livex/a x/live/a"},
	{"**/cam", "live/cam a/b/cam cam", "live/cam/x live/xcam"},
	{"a/**/z", "a/z a/b/z a/b/c/z a/z/z", "a/b b/a/z a/z/b"},
	{"**/a/**/b/**", "a/b x/a/y/b/z a/a/b/b", "b/a a/x x/y"},
	{"**/a/*/**", "a/b x/a/b a/a", "a x/a b/c"},
	{"**/**", "a/b", ""},
	{"**/a*/b", "ax/b ab/ab/b", "ab/bb a/c"},
	{"日/*", "日/本", "日本/x"},
}

func TestMatch(t *testing.T) {
	for _, c := range matchCases {
		m, err := NewMatcher([]string{c.pattern})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range strings.Fields(c.fits) {
			if m.Match(p) != 0 {
				t.Errorf("%s does not fit %s", c.pattern, p)
			}
		}
		for _, p := range strings.Fields(c.not) {
			if m.Match(p) != -1 {
				t.Errorf("%s fits %s", c.pattern, p)
			}
		}
	}
}

func TestFirstMatchWins(t *testing.T) {
	m, err := NewMatcher([]string{"live/a", "live/a*", "live/b", "live/*", "live/c", "live/a", "**/x"})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"live/a": 0, "live/ab": 1, "live/b": 2, "live/c": 3, "y/x": 6, "live/x": 3, "other/y": -1, "": -1} {
		if got := m.Match(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for _, p := range []string{"", "/a", "a/", "a//b", "a**", "**b/c", "***", "../a", "a/.", strings.Repeat("a", 256)} {
		_, err := NewMatcher([]string{"**", p})
		var pe *PatternError
		if !errors.As(err, &pe) || pe.Index != 1 || pe.Pattern != p || errors.Unwrap(err) == nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	if _, err := NewMatcher(make([]string, 10_001)); err == nil {
		t.Error("any number of patterns")
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		earlier, later string
		want           bool
	}{
		{"**", "live/*", true},
		{"**", "**", true},
		{"live/*", "live/cam", true},
		{"live/*", "live/cam-*", true},
		{"live/cam-*", "live/*", false},
		{"live/*", "live/**", false},
		{"live/**", "live/*", true},
		{"live/**", "live/a/**", true},
		{"*/*/**", "**", true}, // no path has fewer than two segments
		{"*/**", "**/a", true},
		{"**/*/a", "**/a", true},
		{"**/*/*/a", "**/a", false},
		{"**/a", "**/*/a", true},
		{"live/*b*", "live/*a*b*", true},
		{"live/*a*b*", "live/*b*", false},
		{"live/a", "live/a", true},
		{"live/a", "live/b", false},
	} {
		if got := Covers(c.earlier, c.later); got != c.want {
			t.Errorf("%s covers %s: %v, want %v", c.earlier, c.later, got, c.want)
		}
	}
}

// TestCoversAgreesWithMatch compares all pairs of small patterns on all small paths.
func TestCoversAgreesWithMatch(t *testing.T) {
	combine := func(segments []string, most int) (all []string) {
		last := []string{""}
		for range most {
			var next []string
			for _, p := range last {
				for _, s := range segments {
					next = append(next, strings.TrimPrefix(p+"/"+s, "/"))
				}
			}
			all, last = append(all, next...), next
		}
		return all
	}
	patterns := combine([]string{"a", "*", "a*", "*a", "**"}, 3)
	paths := slices.DeleteFunc(combine([]string{"a", "z", "az", "za"}, 6), func(p string) bool { return !strings.Contains(p, "/") })
	fits := make([][]bool, len(patterns))
	for i, p := range patterns {
		segments := strings.Split(p, "/")
		fits[i] = make([]bool, len(paths))
		for j, path := range paths {
			fits[i][j] = matchSegments(segments, path)
		}
	}
	for i, earlier := range patterns {
		for k, later := range patterns {
			want := true
			for j := range paths {
				if fits[k][j] && !fits[i][j] {
					want = false
					break
				}
			}
			if got := Covers(earlier, later); got != want {
				t.Errorf("%s covers %s: %v, want %v", earlier, later, got, want)
			}
		}
	}
}

// The matcher agrees with a regular expression of the same meaning.
func FuzzMatch(f *testing.F) {
	for _, c := range matchCases {
		for _, p := range strings.Fields(c.fits + " " + c.not) {
			f.Add(c.pattern, p)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if len(path) > 255 || path == "" || strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.Contains(path, "//") {
			return
		}
		m, err := NewMatcher([]string{pattern})
		if err != nil {
			return
		}
		var b strings.Builder
		for s := range strings.SplitSeq(pattern, "/") {
			if s == "**" {
				b.WriteString("(?:/[^/]+)*")
				continue
			}
			q := strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, "[^/]*")
			b.WriteString("/" + q)
		}
		re, err := regexp.Compile("(?s)^" + b.String() + "$")
		if err != nil {
			return
		}
		if want := re.MatchString("/" + path); (m.Match(path) == 0) != want {
			t.Fatalf("%q %q: want %v", pattern, path, want)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	few, _ := NewMatcher([]string{"live/cam-*", "studio/**", "live/*", "**"})
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf("live/%d", i))
	}
	many, _ := NewMatcher(append(names, "**"))
	hard, _ := NewMatcher([]string{"**/a*b*c/**/a*b*c/**/x", "**"})
	for _, c := range []struct {
		name, path string
		m          *Matcher
	}{{"few", "live/some-stream", few}, {"many", "live/4999", many}, {"hard", strings.Repeat("ab/", 80) + "x", hard}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c.m.Match(c.path) < 0 {
					b.Fatal("no match")
				}
			}
		})
	}
}
