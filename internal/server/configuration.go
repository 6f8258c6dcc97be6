package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/config"
)

// Source says where a configuration is read.
type Source struct {
	File    string   // the main file; empty: none
	Environ []string // NAME=value, as from os.Environ
	Sets    []string // path=value, as given to --set
	// Needs is as config.Source has it; nil where all of the configuration is needed.
	Needs func(path string) bool
}

// Configuration is a configuration with the files that it was read from: the main file and, over it in the order of
// their names, STATE/config.d/*.yml. It can be read again and changed while a server runs with it.
type Configuration struct {
	source  Source
	overlay string      // the folder of the overlays; empty: none
	server  *Server     // nil until a server runs with it
	changed chan string // says that the key reload may be another; of one

	changing sync.Mutex // held over a change; guards wrong, absent and told
	wrong    bool       // the files were wrong when they were read last
	absent   time.Time  // since when a watched file cannot be read or is empty; zero: it can, and is not
	told     bool       // that was logged

	mu     sync.Mutex // guards below
	read   files      // what the files held when they were last good
	conf   Config
	loaded *config.Loaded
	tag    string // stands for conf
}

// ReadConfiguration reads a configuration. It reports every mistake, as config.Errors.
func ReadConfiguration(src Source) (*Configuration, error) {
	c := &Configuration{source: src, changed: make(chan string, 1)}
	main, err := c.readMain()
	if err != nil {
		return nil, err
	}
	scratch := Default()
	state, err := config.Lookup(&scratch, c.sourceOf(files{main: main}), "state")
	if err != nil {
		return nil, err
	}
	if state != "" {
		c.overlay = filepath.Join(state, "config.d")
	}
	f, err := c.readFiles()
	if err != nil {
		return nil, err
	}
	conf, loaded, err := c.load(f)
	if err != nil {
		return nil, err
	}
	c.keep(f, conf, loaded)
	return c, nil
}

// Config returns the configuration as it was last read.
func (c *Configuration) Config() Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conf
}

// Loaded returns it with the origins of its values.
func (c *Configuration) Loaded() *config.Loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loaded
}

// serve makes s the server that changes apply to.
func (c *Configuration) serve(s *Server) { c.server = s }

// Reload reads all files again and applies what has changed, if all of it is good. The cause, such as "signal", is for
// the log.
func (c *Configuration) Reload(_ context.Context, cause string) (Report, error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	f, err := c.readFiles()
	if err != nil {
		return Report{}, c.failed(cause, err)
	}
	return c.reload(f, cause)
}

// reload applies what files say. changing is held.
func (c *Configuration) reload(f files, cause string) (Report, error) {
	conf, loaded, err := c.load(f)
	if err != nil {
		return Report{}, c.failed(cause, err)
	}
	report, err := c.server.reloadAfter(conf, func() error { return nil })
	if err != nil {
		return Report{}, c.failed(cause, err)
	}
	same := c.keep(f, conf, loaded)
	c.applied(report, cause, same && len(report.Changed) == 0) // a file that it refers to may have changed alone
	return report, nil
}

// applied logs a change, and passes on that there was one.
func (c *Configuration) applied(r Report, cause string, same bool) {
	c.wrong = false
	c.server.metrics.Reloaded(true)
	if !same {
		for _, w := range c.Loaded().Warnings() {
			c.server.log.Warn("the configuration has what may not be meant", slog.Any("what", w))
		}
	}
	about := []any{slog.String("cause", cause), slog.Any("changed", keysOf(r)), slog.Any("waiting", append([]string{}, r.Waiting[:min(len(r.Waiting), maxKeys)]...))}
	switch {
	case same && c.source.File != "" && cause == "signal":
		c.server.log.Info("configuration unchanged: is the file mounted alone? "+
			"A file that is mounted into a container by itself stays the old one when another takes its place outside: mount its folder",
			append(about, slog.String("file", c.source.File))...)
	case same && c.source.File == "":
		c.server.log.Info("configuration unchanged: there is no file", about...)
	case same:
		c.server.log.Info("configuration unchanged", about...)
	case len(r.Changed) == 0:
		c.server.log.Info("configuration was read, and nothing that is in force has changed: what is new in it is overridden, or means the same", about...)
	default:
		c.server.log.Info("configuration changed", about...)
	}
	select {
	case c.changed <- "":
	default: // somebody is told already
	}
}

// maxKeys bounds the keys of a log line.
const maxKeys = 50

// keysOf returns the keys of a report that are in force.
func keysOf(r Report) []string {
	keys := []string{}
	for _, c := range r.Changed {
		if c.When != config.Restart && len(keys) < maxKeys {
			keys = append(keys, c.Path)
		}
	}
	return keys
}

// failed logs why nothing has been changed, and returns it.
func (c *Configuration) failed(cause string, err error) error {
	c.wrong = true
	c.server.metrics.Reloaded(false)
	var all config.Errors
	if !errors.As(err, &all) {
		c.server.log.Error("configuration is wrong: nothing has changed", slog.String("cause", cause), slog.Any("err", err))
		return err
	}
	for _, p := range all {
		c.server.log.Error("configuration is wrong: nothing has changed", slog.String("cause", cause), slog.Any("err", p))
	}
	return err
}

// keep makes a configuration the present one. It reports whether the files are the same as before.
func (c *Configuration) keep(f files, conf Config, loaded *config.Loaded) (same bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	same = c.loaded != nil && f.equal(c.read)
	if !same {
		c.tag = rand.Text()[:16]
	}
	c.read, c.conf, c.loaded = f, conf, loaded
	return same
}

// load makes a configuration of what files hold, and checks it.
func (c *Configuration) load(f files) (Config, *config.Loaded, error) {
	conf := Default()
	loaded, err := config.Load(&conf, c.sourceOf(f))
	if err != nil {
		return conf, nil, err
	}
	if o := loaded.Origin("state"); o.Kind == config.FromFile && o.Name != c.source.File {
		return conf, nil, config.Errors{{Origin: o, Path: "state", Found: "the folder in which this file is cannot be set in it", Allowed: "this key in the main file, the environment or --set"}}
	}
	if c.server != nil {
		err = loaded.Check()
	}
	return conf, loaded, err
}

func (c *Configuration) sourceOf(f files) config.Source {
	return config.Source{File: c.source.File, Data: f.main, Layers: f.layers, Environ: c.source.Environ, Sets: c.source.Sets, Needs: c.source.Needs}
}

// files is what the files of a configuration hold.
type files struct {
	main   []byte
	layers []config.Layer
}

func (f files) equal(o files) bool {
	return bytes.Equal(f.main, o.main) && slices.EqualFunc(f.layers, o.layers, func(a, b config.Layer) bool {
		return a.Name == b.Name && bytes.Equal(a.Data, b.Data)
	})
}

// maxOverlays bounds the files that lie over the main one.
const maxOverlays = 100

func (c *Configuration) readFiles() (f files, err error) {
	if f.main, err = c.readMain(); err != nil || c.overlay == "" {
		return f, err
	}
	entries, err := os.ReadDir(c.overlay) // in the order of their names
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("reading the changes that lie over the configuration: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || filepath.Ext(e.Name()) != ".yml" {
			continue
		}
		if len(f.layers) == maxOverlays {
			return f, fmt.Errorf("%s has more than %d files that lie over the configuration", c.overlay, maxOverlays)
		}
		name := filepath.Join(c.overlay, e.Name())
		data, err := readFile(name)
		if err != nil {
			return f, fmt.Errorf("reading the changes that lie over the configuration: %w", err)
		}
		f.layers = append(f.layers, config.Layer{Name: name, Data: data})
	}
	return f, nil
}

func (c *Configuration) readMain() ([]byte, error) {
	if c.source.File == "" {
		return nil, nil
	}
	b, err := readFile(c.source.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such file; `weir config defaults > %s` writes one: %w", c.source.File, c.source.File, fs.ErrNotExist)
	}
	return b, err
}

// readFile reads a file, at most one byte more than config.Load accepts.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, config.MaxFileSize+1))
}
