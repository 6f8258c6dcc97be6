//go:build !unix

package fanout

func pollOut(int) bool { return true }
