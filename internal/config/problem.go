package config

import (
	"fmt"
	"strconv"
	"strings"
)

// MaxProblems is how many mistakes Load reports at once.
const MaxProblems = 20

// OriginKind says what a value came from.
type OriginKind uint8

// What a value can come from.
const (
	FromDefault OriginKind = iota
	FromFile
	FromEnv
	FromSet
	FromProgram // written by a program, see Validate
)

// Origin is the place that a value came from.
type Origin struct {
	Kind         OriginKind
	Name         string // the file, the variable, or the path given to --set; empty for a default
	Line, Column int    // in the file, counted from 1; 0 elsewhere
}

// String returns "default", "weir.yml:3", "env WEIR_RTMP_LISTEN" or "--set".
func (o Origin) String() string {
	switch o.Kind {
	case FromFile:
		return o.Name + ":" + strconv.Itoa(o.Line)
	case FromEnv:
		return "env " + o.Name
	case FromSet:
		return "--set"
	case FromProgram:
		return "configuration"
	}
	return "default"
}

// place is String with all that is known: the column, the path of a --set.
func (o Origin) place() string {
	switch {
	case o.Kind == FromFile && o.Line > 0:
		return fmt.Sprintf("%s:%d:%d", o.Name, o.Line, o.Column)
	case o.Kind == FromFile:
		return o.Name
	case o.Kind == FromSet:
		return "--set " + o.Name
	}
	return o.String()
}

// Problem is one mistake in a configuration.
type Problem struct {
	Origin  Origin
	Path    string // the key, such as "rtmp.listen"; empty where the file itself is bad
	Found   string // what was found; never the value of a secret
	Allowed string // what is allowed there; may be empty
	Nearest string // the valid key or variable nearest to an unknown one; may be empty
	Err     error  // the error of a Validate; nil otherwise
}

// Error returns "weir.yml:3:5: rtmp.lisen: unknown key, did you mean "listen"? allowed: …".
func (p *Problem) Error() string { return p.Place() + ": " + p.What() }

// Place returns where the mistake is: "weir.yml:3:5: rtmp.lisen".
func (p *Problem) Place() string {
	if p.Path != "" && (p.Origin.Kind != FromSet || p.Path != p.Origin.Name) {
		return p.Origin.place() + ": " + p.Path
	}
	return p.Origin.place()
}

// What returns what is wrong and what is allowed: "unknown key, did you mean "listen"? allowed: …".
func (p *Problem) What() string {
	var b strings.Builder
	b.WriteString(p.Found)
	if p.Nearest != "" {
		b.WriteString(", did you mean " + p.Nearest + "?")
	}
	if p.Allowed != "" {
		if p.Nearest == "" {
			b.WriteString(",")
		}
		b.WriteString(" allowed: " + p.Allowed)
	}
	return b.String()
}

// Unwrap returns the error of a Validate.
func (p *Problem) Unwrap() error { return p.Err }

// Errors is every mistake that Load found, at most MaxProblems, in the order of
// file, environment, --set and Validate.
type Errors []*Problem

// Error returns one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the mistakes one by one.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, p := range e {
		errs[i] = p
	}
	return errs
}

// problems collects mistakes, each once.
type problems struct {
	list Errors
	seen map[string]bool
}

func (ps *problems) add(p *Problem) {
	text := p.Error()
	if ps.seen[text] || len(ps.list) >= MaxProblems {
		return
	}
	if ps.seen == nil {
		ps.seen = map[string]bool{}
	}
	ps.seen[text] = true
	ps.list = append(ps.list, p)
}

// reporter adds what rules find, at the places that origins has.
func (ps *problems) reporter(origins map[string]Origin, file string) reporter {
	return reporter{
		problem: func(path string, err error) { ps.add(problemAt(origins, file, path, err)) },
		where:   func(path string) string { return problemAt(origins, file, path, nil).Origin.place() },
	}
}

func (ps *problems) full() bool { return len(ps.list) >= MaxProblems }

func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	return ps.list
}

// under reports whether a mistake was found at path or below it.
func (ps *problems) under(path string) bool {
	for _, p := range ps.list {
		if p.Path == path || path == "" || strings.HasPrefix(p.Path, path+".") {
			return true
		}
	}
	return false
}

// problemAt places err at path, or at the nearest group around it that is known.
func problemAt(origins map[string]Origin, file, path string, err error) *Problem {
	p := &Problem{Path: path, Err: err}
	if err != nil {
		p.Found = err.Error()
	}
	for at := path; ; {
		if o, ok := origins[at]; ok {
			p.Origin = o
			return p
		}
		i := strings.LastIndexByte(at, '.')
		if i < 0 {
			break
		}
		at = at[:i]
	}
	if file != "" {
		p.Origin = Origin{Kind: FromFile, Name: file}
	}
	return p
}

// nearest returns the candidate with the smallest edit distance to word, and that
// distance. Words longer than 128 bytes are near nothing.
func nearest(word string, candidates []string) (string, int) {
	best, least := "", 1<<30
	if len(word) > 128 {
		return best, least
	}
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	return best, least
}

// likely returns the nearest candidate, quoted, if it is near enough to be meant: of a short word one
// letter may be wrong, of a longer one a third.
func likely(word string, candidates []string) string {
	c, d := nearest(word, candidates)
	if c == "" || d > max(1, len(word)/3) {
		return ""
	}
	return strconv.Quote(c)
}

// distance is the number of insertions, deletions, substitutions and swaps of
// neighbours that turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
