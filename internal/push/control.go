package push

import (
	"errors"
	"fmt"
	"slices"
)

// Errors of the Manager's changes.
var (
	// ErrNoTarget: the stream has no such target.
	ErrNoTarget = errors.New("push: there is no such target")
	// ErrTaken: the stream has a target of the name.
	ErrTaken = errors.New("push: the stream has a target of this name already")
	// ErrSame: the stream is sent to the URL with the key already.
	ErrSame = errors.New("push: the stream has a target with this URL and key already")
	// ErrConfigured: the target is not the API's to change, but for turning it on and off.
	ErrConfigured = errors.New("push: the target comes from the configuration or the decision hook, or is the origin of this edge")
	// ErrTooMany: there are as many as may be.
	ErrTooMany = errors.New("push: too many targets")
)

// InvalidError says what is wrong with the values of a target. It shows no secret.
type InvalidError struct{ err error }

// Error implements error.
func (e *InvalidError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.err }

// check is Validate, and looks at the file that is the slate.
func (c *Config) check() error {
	if err := c.Validate(); err != nil {
		return err
	}
	return CheckSlate(c.Slate)
}

// maxAdded bounds the targets that the API made.
const maxAdded = 1000

// Add makes a target of a stream, live or not, and keeps it. An empty name becomes one of the service or
// host. It fails with ErrTaken, ErrSame, ErrTooMany, or an *InvalidError.
func (m *Manager) Add(path string, c Config) (Status, error) {
	if err := c.check(); err != nil {
		return Status{}, &InvalidError{err}
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	next, err := m.adding(path, &c)
	if err != nil {
		return Status{}, err
	}
	return m.keep(next, path, c.Name)
}

// adding returns what is kept with another target, which is given a name if it has none.
func (m *Manager) adding(path string, c *Config) (kept, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.goesTo(path, c) {
		return kept{}, ErrSame
	}
	taken, own := map[string]bool{}, 0
	for _, w := range m.wanted(path) {
		taken[w.Name] = true
	}
	for _, k := range m.kept.Added {
		if k.Stream == path {
			taken[k.Name] = true
			own++
		}
	}
	if own >= MaxTargets || len(m.kept.Added) >= maxAdded {
		return kept{}, ErrTooMany
	}
	if c.Name == "" {
		c.Name = free(defaultName(c), taken)
	}
	if taken[c.Name] {
		return kept{}, ErrTaken
	}
	next := m.kept.clone()
	next.Added = append(next.Added, added{path, *c})
	return next, nil
}

// goesTo reports whether a stream is to be sent where a target would send it, by one of another name. mu is held.
func (m *Manager) goesTo(path string, c *Config) bool {
	v := vars{path: path}
	return slices.ContainsFunc(m.wanted(path), func(w wanted) bool { return w.Name != c.Name && w.destination(v) == c.destination(v) })
}

// Change changes a target. Of one that the API did not make only Enabled may differ, else it fails with
// ErrConfigured. It fails with ErrNoTarget, ErrSame, ErrTooMany, or an *InvalidError.
func (m *Manager) Change(path, name string, change func(*Config)) (Status, error) {
	m.changing.Lock()
	defer m.changing.Unlock()
	w, ok := m.find(path, name)
	if !ok {
		return Status{}, ErrNoTarget
	}
	c := w.Config
	change(&c)
	c.Name = name
	if err := c.check(); err != nil {
		return Status{}, &InvalidError{err}
	}
	next, err := m.changed(path, &w, &c)
	if err != nil {
		return Status{}, err
	}
	return m.keep(next, path, name)
}

// changed returns what is kept once a target has become another one.
func (m *Manager) changed(path string, from *wanted, to *Config) (kept, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.kept.clone()
	if from.origin == FromAPI {
		if v := (vars{path: path}); from.destination(v) != to.destination(v) && m.goesTo(path, to) {
			return kept{}, ErrSame
		}
		at := next.addedAt(path, to.Name)
		next.Added[at].Config = *to
		return next, nil
	}
	only := from.Config
	only.Enabled = to.Enabled
	if only != *to {
		return kept{}, ErrConfigured
	}
	if at := next.override(path, to.Name); at >= 0 {
		next.Switched = slices.Delete(next.Switched, at, at+1)
	}
	if to.Enabled == from.made { // it is as it was made again
		return next, nil
	}
	if len(next.Switched) >= maxAdded {
		gone := slices.IndexFunc(next.Switched, func(s switched) bool { _, ok := m.findLocked(s.Stream, s.Name); return !ok })
		if gone < 0 {
			return kept{}, ErrTooMany
		}
		next.Switched = slices.Delete(next.Switched, gone, gone+1)
	}
	next.Switched = append(next.Switched, switched{path, to.Name, to.Enabled})
	return next, nil
}

// Remove removes a target that the API made. It fails with ErrNoTarget or ErrConfigured.
func (m *Manager) Remove(path, name string) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	m.mu.Lock()
	next := m.kept.clone()
	m.mu.Unlock()
	at := next.addedAt(path, name)
	if at < 0 {
		if _, ok := m.find(path, name); ok {
			return ErrConfigured
		}
		return ErrNoTarget
	}
	next.Added = slices.Delete(next.Added, at, at+1)
	return m.replace(next, path)
}

// Retry makes a target that waits after a failure try again at once. It fails with ErrNoTarget.
func (m *Manager) Retry(path, name string) (Status, error) {
	if _, ok := m.find(path, name); !ok {
		return Status{}, ErrNoTarget
	}
	if t := m.running(path, name); t != nil {
		t.retry()
	}
	return m.status(path, name), nil
}

// find returns a target that a stream is to have.
func (m *Manager) find(path, name string) (wanted, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.findLocked(path, name)
}

// findLocked is find with mu held.
func (m *Manager) findLocked(path, name string) (wanted, bool) {
	list := m.wanted(path)
	at := slices.IndexFunc(list, func(w wanted) bool { return w.Name == name })
	if at < 0 {
		return wanted{}, false
	}
	return list[at], true
}

// running returns a target of a live stream, nil if there is none.
func (m *Manager) running(path, name string) *target {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lines[path]; l != nil {
		return l.targets[name]
	}
	return nil
}

// keep is replace, and returns what a target has become. changing is held.
func (m *Manager) keep(next kept, path, name string) (Status, error) {
	if err := m.replace(next, path); err != nil {
		return Status{}, err
	}
	return m.status(path, name), nil
}

// replace writes down what is kept, and puts it into force for a stream. changing is held.
func (m *Manager) replace(next kept, path string) error {
	if err := m.write(next); err != nil {
		return fmt.Errorf("push: keeping the targets: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = next
	if l := m.lines[path]; l != nil {
		m.sync(path, l)
	}
	return nil
}

// status returns that of a target that a stream is to have.
func (m *Manager) status(path, name string) Status {
	if t := m.running(path, name); t != nil {
		return t.Status()
	}
	w, _ := m.find(path, name)
	return idleStatus(path, w)
}
