package admin

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"weir/internal/version"
)

// Version is which program answers.
type Version struct {
	Version   string    `json:"version" doc:"Of the program."`
	Commit    string    `json:"commit" doc:"What it was built from; empty if unknown."`
	Go        string    `json:"go" doc:"What it was built with." example:"go1.26.0"`
	OS        string    `json:"os" example:"linux"`
	Arch      string    `json:"arch" example:"amd64"`
	Protocols []string  `json:"protocols" nullable:"false" doc:"What it speaks."`
	Started   time.Time `json:"started" doc:"Since when the server runs."`
	Uptime    float64   `json:"uptime" doc:"Seconds since then."`
}

// versionAnswer is the version.
type versionAnswer struct{ Body Version }

func (s *Server) routeVersion(api huma.API) {
	register(api, huma.Operation{
		OperationID: "getVersion", Method: http.MethodGet, Path: "/version", Tags: []string{"server"}, Summary: "Say which program this is",
	}, func(context.Context, *struct{}) (*versionAnswer, error) {
		v := version.Get()
		return &versionAnswer{Version{
			Version: v.Version, Commit: v.Commit, Go: v.Go, OS: runtime.GOOS, Arch: runtime.GOARCH,
			Protocols: append([]string{}, s.conf.Protocols...), Started: s.started, Uptime: time.Since(s.started).Seconds(),
		}}, nil
	})
}
