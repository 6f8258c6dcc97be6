package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"

	"weir"
	"weir/internal/config"
)

// source is the flags that say what the configuration is.
type source struct {
	File string   `short:"c" name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML). Without one the defaults serve."`
	Set  []string `name:"set" sep:"none" placeholder:"KEY=VALUE" help:"Override one key, as in --set rtmp.listen=:1940. May be repeated."`
}

// load reads the configuration.
func (s *source) load() (*weir.Config, *config.Loaded, error) {
	c := weir.DefaultConfig()
	src := config.Source{File: s.File, Environ: os.Environ(), Sets: s.Set}
	if s.File != "" {
		b, err := os.ReadFile(s.File)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, usageError{fmt.Errorf("%s: there is no such file; `weir config defaults > %s` writes one", s.File, s.File)}
		}
		if err != nil {
			return nil, nil, usageError{err}
		}
		src.Data = b
	}
	loaded, err := config.Load(&c, src)
	if err != nil {
		return nil, nil, usageError{err}
	}
	return &c, loaded, nil
}

// serveCmd is "weir serve".
type serveCmd struct {
	source
}

// Help is the text below the flags.
func (serveCmd) Help() string {
	return "Example: weir serve -c weir.yml --set log.level=debug\n\nEvery key can also be given as an environment variable: WEIR_RTMP_LISTEN=:1940."
}

// Run implements the command.
func (c *serveCmd) Run(ctx context.Context, out *console) error {
	conf, _, err := c.load()
	if err != nil {
		return err
	}
	s, err := newServer(conf, out)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// newServer makes the server that the configuration asks for, with its log.
func newServer(c *weir.Config, out *console) (*weir.Server, error) {
	level := new(slog.LevelVar)
	return weir.New(*c, weir.Logger(newLogger(c.Log.Format, level, out)), weir.Level(level))
}

// newLogger returns a log of a format of the configuration.
func newLogger(format string, level slog.Leveler, out *console) *slog.Logger {
	if format == "text" || format == "auto" && out.Terminal {
		return slog.New(tint.NewTextHandler(out.Err, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !out.Color}))
	}
	return slog.New(slog.NewJSONHandler(out.Err, &slog.HandlerOptions{Level: level}))
}
