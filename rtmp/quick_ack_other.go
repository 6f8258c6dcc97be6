//go:build !linux

package rtmp

import "net"

// quickAck is for Linux, whose kernel delays acknowledgements by 40 ms and lets programs say when not to.
type quickAck struct{}

func newQuickAck(net.Conn) quickAck { return quickAck{} }

func (quickAck) again() {}
