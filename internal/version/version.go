// Package version says which program this is.
package version

import (
	"runtime"
	"runtime/debug"
)

// release and commit are set when the program is linked.
var release, commit string

// Info is what a program was built from.
type Info struct {
	Version string // of a release, or what git or the module says
	Commit  string
	Go      string
}

// Get returns what this program was built from.
func Get() Info {
	i := Info{release, commit, runtime.Version()}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return i
	}
	if i.Version == "" {
		i.Version = build.Main.Version
	}
	for _, s := range build.Settings {
		if s.Key == "vcs.revision" && i.Commit == "" {
			i.Commit = s.Value
		}
	}
	return i
}
