package server

import (
	"context"
	"errors"

	"weir/internal/admin"
	"weir/internal/config"
)

// configurationAPI shows and changes the configuration through the API.
type configurationAPI struct{ c *Configuration }

// Show implements admin.Configuration.
func (a configurationAPI) Show() ([]admin.Value, string) {
	values, tag, err := a.c.Show()
	if err != nil {
		return nil, tag // a value that is no JSON: config.Load takes none
	}
	list := make([]admin.Value, len(values))
	for i, v := range values {
		list[i] = admin.Value{Key: v.Key, Value: v.Value, Origin: v.Origin.String()}
	}
	return list, tag
}

// Patch implements admin.Configuration.
func (a configurationAPI) Patch(ctx context.Context, mergePatch []byte, ifMatch string) (admin.Report, string, error) {
	r, tag, err := a.c.Patch(ctx, mergePatch, ifMatch)
	return reportAPI(r), tag, errorAPI(err)
}

// Reload implements admin.Configuration.
func (a configurationAPI) Reload(ctx context.Context) (admin.Report, error) {
	r, err := a.c.Reload(ctx, "api")
	return reportAPI(r), errorAPI(err)
}

func reportAPI(r Report) admin.Report {
	report := admin.Report{Waiting: r.Waiting}
	for _, c := range r.Changed {
		report.Changed = append(report.Changed, admin.Change{Key: c.Path, When: c.When.String()})
	}
	return report
}

// errorAPI makes an error one that package admin knows.
func errorAPI(err error) error {
	var all config.Errors
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoState):
		return admin.ErrNoState
	case errors.Is(err, ErrConfigChanged):
		return admin.ErrConfigChanged
	case errors.As(err, &all):
		wrong := &admin.ConfigError{}
		for _, p := range all {
			wrong.Faults = append(wrong.Faults, admin.Fault{Where: p.Place(), What: p.What()})
		}
		return wrong
	}
	return &admin.ConfigError{Faults: []admin.Fault{{What: err.Error()}}}
}
