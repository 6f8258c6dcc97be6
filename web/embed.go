// Package web is the pages that the server shows in browsers, as "make build" makes them
// of the sources beside this file.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns the pages: watch.html, index.html, and what they load, below assets. A build
// without Node has none.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant
	}
	return files
}
