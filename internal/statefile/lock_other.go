//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package statefile

// Lock does nothing: on this system two programs must not change a file at the same moment.
func Lock(string) (unlock func(), err error) { return func() {}, nil }
