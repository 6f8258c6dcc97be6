package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"weir/internal/session"
)

const (
	// maxCommands is how many commands of all hooks run at once, those with while apart: of these maxLong run.
	maxCommands = 32
	maxLong     = 256
	// killAfter is the patience with commands that are to end.
	killAfter = 10 * time.Second
	// A command that is started again waits for as long as restartFirst, then twice as long, up to
	// restartLast, and from the beginning once it has run for longer than that.
	restartFirst = time.Second
	restartLast  = time.Minute
)

// commander runs a command for each event or, with while, from each start to its stop.
type commander struct {
	conf  Config
	log   *slog.Logger
	host  *host
	slots chan struct{} // of all hooks with while, or of all without; holds one value for each command that runs
	// patience is how long a command has to end after SIGTERM, with all that it started.
	patience time.Duration

	mu   sync.Mutex          // guards below; a leaf
	runs map[string]*longRun // by the subject of their events
}

// longRun is a command that runs until its stop.
type longRun struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newCommander(c *Config, log *slog.Logger, h *host, slots chan struct{}) *commander {
	return &commander{conf: *c, log: log, host: h, slots: slots, patience: killAfter, runs: map[string]*longRun{}}
}

// close ends the commands that run, and waits for them.
func (c *commander) close() {
	c.mu.Lock()
	runs := c.runs
	c.runs = nil
	c.mu.Unlock()
	for _, r := range runs {
		r.cancel()
	}
	for _, r := range runs {
		r.wg.Wait()
	}
}

func (c *commander) send(ctx context.Context, items []*item, _ int) result {
	var v envelope
	if err := json.Unmarshal(items[0].body, &v); err != nil {
		return result{err: err, final: true}
	}
	if c.conf.While {
		return c.follow(ctx, &v, items[0].body)
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return result{err: ctx.Err()}
	}
	defer func() { <-c.slots }()
	ctx, cancel := context.WithTimeout(ctx, c.conf.timeout())
	defer cancel()
	status, err := c.run(ctx, &v, items[0].body)
	return result{status: status, err: err, final: true}
}

// errBusy is tried again.
var errBusy = fmt.Errorf("the limit of %d commands with while at once is reached", maxLong)

// follow starts a command at a start, and ends it at its stop.
func (c *commander) follow(ctx context.Context, v *envelope, body []byte) result {
	key, starts := subjectOf(v)
	if !starts {
		c.mu.Lock()
		r := c.runs[key]
		delete(c.runs, key)
		c.mu.Unlock()
		if r != nil {
			r.cancel()
			r.wg.Wait()
		}
		return result{}
	}
	select {
	case c.slots <- struct{}{}:
	default:
		return result{err: errBusy}
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &longRun{cancel: cancel}
	c.mu.Lock()
	if c.runs == nil || c.runs[key] != nil {
		c.mu.Unlock()
		cancel()
		<-c.slots
		return result{}
	}
	r.wg.Go(func() {
		defer func() { <-c.slots }()
		defer cancel()
		c.keep(running, v, body)
	})
	c.runs[key] = r
	c.mu.Unlock()
	return result{}
}

// keep runs a command until ctx ends, again and again if it is to be restarted.
func (c *commander) keep(ctx context.Context, v *envelope, body []byte) {
	for wait := restartFirst; ; {
		began := time.Now()
		_, err := c.run(ctx, v, body)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > restartLast {
			wait = restartFirst
		}
		attrs := []any{slog.String("event", v.Type), slog.String("stream", valuesOf(v)["stream"]), slog.Any("err", err)}
		if !c.conf.Restart {
			if err != nil {
				c.log.Warn("command of a hook failed", attrs...)
			}
			return
		}
		c.log.Warn("command of a hook ended, and is started again", append(attrs, slog.Duration("in", wait))...)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		wait = min(2*wait, restartLast)
	}
}

// run runs the command once, and ends all that is left of it. It returns its exit status, and an error
// unless that is 0.
func (c *commander) run(ctx context.Context, v *envelope, body []byte) (status int, err error) {
	values := valuesOf(v)
	args := fill(c.conf.Run, values)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = environment(os.Environ(), values)
	in, out, err := pipes(cmd)
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { out.copy(c.log.With(slog.String("stream", values["stream"]))) })
	defer out.close()
	err = c.host.start(cmd)
	out.started()
	if err != nil {
		_ = in.Close()
		return 0, err
	}
	wg.Go(func() { // a command need not read it
		_, _ = in.Write(body)
		_ = in.Close()
	})
	defer func() { _ = in.Close() }()
	err = group(ctx, cmd, c.patience)
	status = cmd.ProcessState.ExitCode()
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return status, fmt.Errorf("the command was ended because it ran for longer than %v: %w", c.conf.timeout(), context.DeadlineExceeded)
	case err != nil:
		return status, fmt.Errorf("the command ended: %w", err)
	}
	return status, nil
}

// pipes connects the command's standard input and its output.
func pipes(cmd *exec.Cmd) (in *os.File, out *output, err error) {
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(err, inRead.Close(), inWrite.Close())
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, outWrite
	return inWrite, &output{read: outRead, ours: []*os.File{inRead, outWrite}}, nil
}

const (
	// maxOutput bounds a line of a command's output in the log, in bytes.
	maxOutput = 512
	// outputLines of a command are logged in each outputEvery.
	outputLines = 20
	outputEvery = 10 * time.Second
)

// output is what a command writes.
type output struct {
	read *os.File
	ours []*os.File // the command's ends, which we have until it is started
}

// started gives up the command's ends, which it has now.
func (o *output) started() {
	for _, f := range o.ours {
		_ = f.Close()
	}
	o.ours = nil
}

// close ends copy, also while something that the command left behind keeps its output open.
func (o *output) close() { _ = o.read.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) }

// copy logs what is written, line by line, until its end.
func (o *output) copy(log *slog.Logger) {
	defer func() { _ = o.read.Close() }()
	lines := &lineWriter{log: log}
	buf := make([]byte, 4096)
	for {
		n, err := o.read.Read(buf)
		lines.write(buf[:n])
		if err != nil {
			lines.flush()
			return
		}
	}
}

// lineWriter logs lines, within a rate.
type lineWriter struct {
	log    *slog.Logger
	line   []byte
	since  time.Time
	lines  int
	missed int
}

func (w *lineWriter) write(b []byte) {
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if room := maxOutput - len(w.line); room > 0 {
			w.line = append(w.line, line[:min(len(line), room)]...)
		}
		if whole {
			w.end()
		}
		b = rest
	}
}

// end logs the present line.
func (w *lineWriter) end() {
	line := string(bytes.TrimRight(w.line, "\r"))
	w.line = w.line[:0]
	if line == "" {
		return
	}
	now := time.Now()
	if now.Sub(w.since) >= outputEvery {
		w.since, w.lines = now, 0
	}
	if w.lines++; w.lines > outputLines {
		w.missed++
		return
	}
	attrs := []any{slog.String("text", session.Printable(line, maxOutput))}
	if w.missed > 0 {
		attrs = append(attrs, slog.Int("left_out", w.missed))
		w.missed = 0
	}
	w.log.Info("output of a hook's command", attrs...)
}

// flush logs what has no end of line, and what was left out.
func (w *lineWriter) flush() {
	w.end()
	if w.missed > 0 {
		w.log.Info("lines of output of a hook's command were left out", slog.Int("left_out", w.missed))
	}
}
