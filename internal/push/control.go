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
// host. It fails with ErrTaken, ErrTooMany, or an *InvalidError.
func (m *Manager) Add(path string, c Config) (Status, error) {
	if err := c.check(); err != nil {
		return Status{}, &InvalidError{err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	taken, own := map[string]bool{}, 0
	for _, w := range m.wanted(path) {
		taken[w.Name] = true
		if w.origin == FromAPI {
			own++
		}
	}
	if own >= MaxTargets || len(m.kept.Added) >= maxAdded {
		return Status{}, ErrTooMany
	}
	if c.Name == "" {
		c.Name = free(defaultName(&c), taken)
	}
	if taken[c.Name] {
		return Status{}, ErrTaken
	}
	next := m.kept.clone()
	next.Added = append(next.Added, added{path, c})
	return m.keep(next, path, c.Name)
}

// Change changes a target. Of one that the API did not make only Enabled may differ, else it fails with
// ErrConfigured. It fails with ErrNoTarget, or an *InvalidError.
func (m *Manager) Change(path, name string, change func(*Config)) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
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
	next := m.kept.clone()
	if w.origin == FromAPI {
		at := slices.IndexFunc(next.Added, func(k added) bool { return k.Stream == path && k.Name == name })
		next.Added[at].Config = c
		return m.keep(next, path, name)
	}
	only := w.Config
	only.Enabled = c.Enabled
	if only != c {
		return Status{}, ErrConfigured
	}
	if at := next.override(path, name); at >= 0 {
		next.Switched = slices.Delete(next.Switched, at, at+1)
	}
	if len(next.Switched) >= maxAdded {
		return Status{}, ErrTooMany
	}
	next.Switched = append(next.Switched, switched{path, name, c.Enabled})
	return m.keep(next, path, name)
}

// Remove removes a target that the API made. It fails with ErrNoTarget or ErrConfigured.
func (m *Manager) Remove(path, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	w, ok := m.find(path, name)
	switch {
	case !ok:
		return ErrNoTarget
	case w.origin != FromAPI:
		return ErrConfigured
	}
	next := m.kept.clone()
	next.Added = slices.DeleteFunc(next.Added, func(k added) bool { return k.Stream == path && k.Name == name })
	return m.replace(next, path)
}

// Retry makes a target that waits after a failure try again at once. It fails with ErrNoTarget.
func (m *Manager) Retry(path, name string) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.find(path, name); !ok {
		return Status{}, ErrNoTarget
	}
	if l := m.lines[path]; l != nil && l.targets[name] != nil {
		l.targets[name].retry()
	}
	return m.status(path, name), nil
}

// find returns a target that a stream is to have. mu is held.
func (m *Manager) find(path, name string) (wanted, bool) {
	list := m.wanted(path)
	at := slices.IndexFunc(list, func(w wanted) bool { return w.Name == name })
	if at < 0 {
		return wanted{}, false
	}
	return list[at], true
}

// keep is replace, and returns what a target has become. mu is held.
func (m *Manager) keep(next kept, path, name string) (Status, error) {
	if err := m.replace(next, path); err != nil {
		return Status{}, err
	}
	return m.status(path, name), nil
}

// replace writes down what is kept, and puts it into force for a stream. mu is held.
func (m *Manager) replace(next kept, path string) error {
	if err := m.store.write(next); err != nil {
		return fmt.Errorf("push: keeping the targets: %w", err)
	}
	m.kept = next
	if l := m.lines[path]; l != nil {
		m.sync(path, l)
	}
	return nil
}

// status returns that of a target that a stream is to have. mu is held.
func (m *Manager) status(path, name string) Status {
	if l := m.lines[path]; l != nil && l.targets[name] != nil {
		return l.targets[name].Status()
	}
	w, _ := m.find(path, name)
	return idleStatus(path, w)
}
