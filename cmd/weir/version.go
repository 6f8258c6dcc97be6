package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"weir"
)

// version and commit are set when the program is linked.
var version, commit string

// versionCmd is "weir version".
type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is the text below the flags.
func (versionCmd) Help() string {
	return "Example: weir version --json"
}

// build returns what this program was built from.
func build() (v, rev string) {
	v, rev = version, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && rev == "" {
				rev = s.Value
			}
		}
	}
	return v, rev
}

// Run implements the command.
func (c *versionCmd) Run(out *console) error {
	v, rev := build()
	protocols := weir.Protocols()
	if c.JSON {
		return json.NewEncoder(out.Out).Encode(map[string]any{
			"version": v, "commit": rev, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH, "protocols": protocols,
		})
	}
	_, err := fmt.Fprintf(out.Out, "weir %s\ncommit %s\n%s %s/%s\nprotocols %s\n", v, rev, runtime.Version(), runtime.GOOS, runtime.GOARCH, strings.Join(protocols, " "))
	return err
}
