package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lmittmann/tint"

	"weir"
	"weir/internal/session"
	"weir/internal/version"
)

// source is the flags that say what the configuration is.
type source struct {
	File string   `short:"c" name:"config" type:"path" placeholder:"FILE" help:"Configuration file (YAML). Without one the defaults serve."`
	Set  []string `name:"set" sep:"none" placeholder:"KEY=VALUE" help:"Override one key, as in --set rtmp.listen=:1940. May be repeated."`
}

// load reads the configuration.
func (s *source) load() (*weir.Configuration, error) {
	c, err := weir.ReadConfiguration(s.File, os.Environ(), s.Set)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// part reads the configuration for a command that needs no secret but those whose keys begin with a prefix: those that are
// kept elsewhere need not be there. "" is none.
func (s *source) part(prefix string) (*weir.Configuration, error) {
	c, err := weir.ReadPart(s.File, os.Environ(), s.Set, prefix)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// start reads the configuration, checks it and builds the server.
func (s *source) start(out *console) (*weir.Server, error) {
	c, err := s.load()
	if err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, usageError{err}
	}
	conf := c.Config()
	log, level := startLog(&conf, out)
	for _, w := range c.Warnings() {
		log.Warn("the configuration has what may not be meant", slog.Any("what", w))
	}
	limitMemory(log, os.DirFS("/"), conf.Limits.Memory)
	return weir.New(conf, weir.Logger(log), weir.Level(level), weir.Reloadable(c))
}

// serveCmd is "weir serve".
type serveCmd struct {
	source
}

// Help is the text below the flags.
func (serveCmd) Help() string {
	return "Example: weir serve -c weir.yml --set log.level=debug\n\nEvery key can also be given as an environment variable: WEIR_RTMP_LISTEN=:1940.\n\nSIGHUP reads the configuration again and applies it; sessions stay."
}

// Run implements the command.
func (c *serveCmd) Run(ctx context.Context, out *console) error {
	hangups := make(chan os.Signal, 1) // from the beginning: it would end the program
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	s, err := c.start(out)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop(nil)
	wg.Go(func() { reloadOnHangup(ctx, hangups, stop, s, out) })
	return s.Run(ctx)
}

// reloadOnHangup reads the configuration again at each SIGHUP until ctx ends. One that comes because the terminal is
// gone ends the server, as it ends other programs.
func reloadOnHangup(ctx context.Context, hangups <-chan os.Signal, end context.CancelCauseFunc, s *weir.Server, out *console) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		if out.Terminal && !out.isTerminal() {
			end(errors.New("SIGHUP was received, and the terminal is gone"))
			return
		}
		_, _ = s.Reload(ctx) // it has logged an error
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
		return slog.New(tint.NewTextHandler(out.Err, &tint.Options{Level: level, TimeFormat: time.DateTime, NoColor: !out.Color, ReplaceAttr: plainValue}))
	}
	return slog.New(slog.NewJSONHandler(out.Err, &slog.HandlerOptions{Level: level, ReplaceAttr: plainValue}))
}

// plainValue writes durations as "10.8s", which JSON would have as numbers of nanoseconds, and errors that were joined in one line.
func plainValue(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value; v.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(v.Duration().String())
	case slog.KindAny:
		if err, ok := v.Any().(error); ok && strings.Contains(err.Error(), "\n") {
			a.Value = slog.StringValue(session.OneLine(err))
		}
	}
	return a
}
