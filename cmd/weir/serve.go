package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/lmittmann/tint"

	"weir"
	"weir/internal/config"
	"weir/internal/version"
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
	log, level := startLog(conf, out)
	if !out.Terminal { // there SIGHUP says that the terminal is gone, and ends the program
		defer explainHangups(log)()
	}
	s, err := weir.New(*conf, weir.Logger(log), weir.Level(level))
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// explainHangups answers SIGHUP, which makes many servers read their configuration again, with what it does
// to this one. stop ends that.
func explainHangups(log *slog.Logger) (stop func()) {
	hangups, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-hangups:
				log.Warn("SIGHUP changes nothing: the configuration is read when the server starts; restart it to apply another")
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		close(done)
		wg.Wait()
	}
}

// startLog makes the log that the configuration asks for, and writes its first line.
func startLog(c *weir.Config, out *console) (log *slog.Logger, level *slog.LevelVar) {
	level = new(slog.LevelVar)
	level.Set(c.Log.SlogLevel())
	log = newLogger(c.Log.Format, level, out)
	v := version.Get()
	log.Info("weir starts", slog.String("version", v.Version), slog.String("commit", v.Commit), slog.String("go", v.Go))
	return log, level
}

// newLogger returns a log of a format of the configuration.
func newLogger(format string, level slog.Leveler, out *console) *slog.Logger {
	if format == "text" || format == "auto" && out.Terminal {
		return slog.New(tint.NewTextHandler(out.Err, &tint.Options{Level: level, TimeFormat: time.DateTime, NoColor: !out.Color}))
	}
	return slog.New(slog.NewJSONHandler(out.Err, &slog.HandlerOptions{Level: level}))
}
