package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weir/internal/config"
	"weir/internal/statefile"
)

var (
	// ErrNoState says that changes of the configuration cannot be kept.
	ErrNoState = errors.New("the configuration cannot be changed here: set state to a folder in which changes are kept")
	// ErrConfigChanged says that the configuration is another than the one that was to be changed.
	ErrConfigChanged = errors.New("the configuration has changed meanwhile")
)

// overlayName is the overlay in which Patch keeps its changes, and overlayHead how it begins.
const (
	overlayName = "50-api.yml"
	overlayHead = "# Changes made through the API. They lie over the configuration file.\n"
)

// Show returns every key with its value as it was last read, secrets as ***, and a tag that stands for them.
func (c *Configuration) Show() (values []config.Value, tag string, err error) {
	c.mu.Lock()
	loaded, tag := c.loaded, c.tag
	c.mu.Unlock()
	values, err = loaded.Values()
	return values, tag, err
}

// Patch changes the configuration by a JSON merge patch (RFC 7396). All of it is checked first. The change is on disk,
// in STATE/config.d/50-api.yml, before it is applied and Patch returns. ifMatch, if not empty, is the tag of the
// configuration that is to be changed.
func (c *Configuration) Patch(_ context.Context, patch []byte, ifMatch string) (r Report, tag string, err error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.mu.Lock()
	f, tag := c.read, c.tag
	c.mu.Unlock()
	switch {
	case c.overlay == "":
		return Report{}, tag, ErrNoState
	case ifMatch != "" && ifMatch != tag:
		return Report{}, tag, ErrConfigChanged
	}
	name := filepath.Join(c.overlay, overlayName)
	if f, err = c.amend(f, name, patch); err != nil {
		return Report{}, tag, err
	}
	conf, loaded, err := c.load(f)
	if err != nil {
		return Report{}, tag, err
	}
	if path, by, found := loaded.Overridden(patch); found {
		return Report{}, tag, config.Errors{{Origin: by, Path: path, Found: "is set here, before the changes of the API: take it away first"}}
	}
	if r, err = c.server.reloadAfter(conf, func() error { return statefile.Write(name, f.layer(name)) }); err != nil {
		return Report{}, tag, err
	}
	c.applied(r, "api", c.keep(f, conf, loaded))
	c.mu.Lock()
	defer c.mu.Unlock()
	return r, c.tag, nil
}

// amend returns files with a patch added to the overlay of a name.
func (c *Configuration) amend(f files, name string, patch []byte) (files, error) {
	old := f.layer(name)
	now, err := readFile(name)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil || !bytes.Equal(now, old) {
		return f, fmt.Errorf("%w: %s is not what was read of it; read the configuration again first", ErrConfigChanged, name)
	}
	scratch := Default()
	data, err := config.Amend(&scratch, old, patch)
	if err != nil {
		return f, config.Errors{{Origin: config.Origin{Kind: config.FromFile, Name: name}, Found: err.Error()}}
	}
	layers := slices.DeleteFunc(slices.Clone(f.layers), func(l config.Layer) bool { return l.Name == name })
	layers = append(layers, config.Layer{Name: name, Data: append([]byte(overlayHead), data...)})
	slices.SortFunc(layers, func(a, b config.Layer) int { return strings.Compare(a.Name, b.Name) })
	return files{f.main, layers}, nil
}

// layer returns the content of the overlay of a name.
func (f files) layer(name string) []byte {
	for _, l := range f.layers {
		if l.Name == name {
			return l.Data
		}
	}
	return nil
}
