package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"

	"weir"
	"weir/internal/version"
)

// versionCmd is "weir version".
type versionCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is the text below the flags.
func (versionCmd) Help() string {
	return "Example: weir version --json"
}

// Run implements the command.
func (c *versionCmd) Run(out *console) error {
	v := version.Get()
	protocols := weir.Protocols()
	if c.JSON {
		return json.NewEncoder(out.Out).Encode(map[string]any{
			"version": v.Version, "commit": v.Commit, "go": v.Go, "os": runtime.GOOS, "arch": runtime.GOARCH, "protocols": protocols,
		})
	}
	_, err := fmt.Fprintf(out.Out, "weir %s\ncommit %s\n%s %s/%s\nprotocols %s\n", v.Version, v.Commit, v.Go, runtime.GOOS, runtime.GOARCH, strings.Join(protocols, " "))
	return err
}
