package server

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"weir/internal/config"
)

const (
	// settleTime is how long nothing must have happened to the files before they are read: editors and deployments
	// write in several steps. settleMost bounds it where something always happens.
	settleTime = 200 * time.Millisecond
	settleMost = time.Second
	// pollEvery is how often the files are read where the system cannot tell of changes.
	pollEvery = time.Second
	// absentTime is how long a file that is missing or empty may be one that is just being written.
	absentTime = 2 * time.Second
)

// watch reads the configuration again whenever its files change, while the key reload says so, until ctx ends.
func (c *Configuration) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		if c.Config().Reload == "watch" {
			c.watchFiles(ctx)
			continue
		}
		select {
		case <-ctx.Done():
		case <-c.changed:
		}
	}
	return nil
}

// watchFiles is watch until the key reload says otherwise.
func (c *Configuration) watchFiles(ctx context.Context) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		c.server.log.Warn("changes of the configuration file are looked for each second: the system cannot tell of them", slog.Any("err", err))
		c.poll(ctx)
		return
	}
	defer func() { _ = w.Close() }()
	c.arm(w)
	c.server.log.Info("watching the configuration for changes", slog.String("file", c.source.File))
	tried := c.present()
	settled := time.After(settleTime) // for what has changed before it was watched
	var latest <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.changed:
			if c.Config().Reload != "watch" {
				return
			}
		case <-w.Errors: // some events are lost: as if there had been one
			settled = time.After(settleTime)
		case e := <-w.Events:
			if !c.concerns(e.Name) {
				continue
			}
			settled = time.After(settleTime)
			if latest == nil {
				latest = time.After(settleMost)
			}
			continue
		case <-settled:
			tried, settled = c.settle(w, tried)
			latest = nil
		case <-latest:
			tried, settled = c.settle(w, tried)
			latest = nil
		}
	}
}

// settle looks at the files once nothing happens to them any more. again is when to look once more, whatever happens: nil if
// there is no need.
func (c *Configuration) settle(w *fsnotify.Watcher, tried files) (now files, again <-chan time.Time) {
	c.arm(w)
	now = c.look(tried)
	c.changing.Lock()
	defer c.changing.Unlock()
	if !c.absent.IsZero() { // perhaps its folder is gone, too
		again = time.After(absentTime)
	}
	return now, again
}

// poll is watchFiles without the system's help.
func (c *Configuration) poll(ctx context.Context) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	tried := c.present()
	for c.Config().Reload == "watch" {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tried = c.look(tried)
		}
	}
}

// arm watches the folders of the files, in which others take their place, the folders behind symbolic links, and
// the main file itself, which may be mounted alone. What is watched already stays so, and what is not there is
// watched once it is.
func (c *Configuration) arm(w *fsnotify.Watcher) {
	paths := []string{c.overlay}
	if file := c.source.File; file != "" {
		paths = append(paths, filepath.Dir(file), file)
		if real, err := filepath.EvalSymlinks(file); err == nil {
			paths = append(paths, filepath.Dir(real))
		}
	}
	if c.overlay != "" {
		paths = append(paths, filepath.Dir(c.overlay))
	}
	for _, p := range paths {
		if p != "" {
			_ = w.Add(p)
		}
	}
}

// concerns reports whether what happens to a file may matter: in the folder of the state others write all the time.
func (c *Configuration) concerns(name string) bool {
	dir := filepath.Dir(name)
	return c.overlay == "" || name == c.overlay || dir != filepath.Dir(c.overlay) || dir == filepath.Dir(c.source.File)
}

// present returns what the files held when they were last good.
func (c *Configuration) present() files {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read
}

// look reads the files and applies them if they are others than tried. It returns what they hold now. A file that is
// empty or missing is one that is just being written, for a while.
func (c *Configuration) look(tried files) files {
	c.changing.Lock() // before they are read: what another change writes meanwhile would be taken back
	defer c.changing.Unlock()
	f, err := c.readFiles()
	if err == nil {
		err = c.complete(f)
	}
	missed := c.told
	if c.note(err, time.Now()); err != nil || f.equal(tried) && !missed {
		return tried
	}
	if !f.equal(c.present()) || c.wrong { // a mistake that was taken back is told, too
		_, _ = c.reload(f, "watch") // it has logged an error
	}
	return f
}

// complete reports which of the files is empty.
func (c *Configuration) complete(f files) error {
	name := c.source.File
	if name == "" || !isBlank(f.main) {
		i := slices.IndexFunc(f.layers, func(l config.Layer) bool { return isBlank(l.Data) })
		if i < 0 {
			return nil
		}
		name = f.layers[i].Name
	}
	return fmt.Errorf("%s: it is empty", name)
}

// note logs once that the files could not be read for a while, for the reason why. changing is held.
func (c *Configuration) note(why error, now time.Time) {
	switch {
	case why == nil:
		c.absent, c.told = time.Time{}, false
	case c.absent.IsZero():
		c.absent = now
	case !c.told && now.Sub(c.absent) >= absentTime:
		c.told, c.wrong = true, true
		c.server.metrics.Reloaded(false)
		c.server.log.Warn("the configuration cannot be read, and stays as it was read last", slog.Any("err", why))
	}
}

func isBlank(b []byte) bool { return len(bytes.TrimSpace(b)) == 0 }
