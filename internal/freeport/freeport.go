// Package freeport finds addresses for programs that tests start and that take no listener.
package freeport

import (
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// Ports are taken from below those that Linux gives to connections and to listeners of port 0: such a port may be
// taken again before the program has it.
const (
	lowest = 12000
	count  = 20000
	each   = 64 // the ports of one process, so that packages tested side by side try others
)

var next = struct { // a port is given once in a process
	sync.Mutex
	n int
}{n: os.Getpid() % (count / each) * each}

// Addr returns an address of 127.0.0.1 whose port nobody listens on.
func Addr(t testing.TB) string {
	t.Helper()
	next.Lock()
	defer next.Unlock()
	for range count {
		port := lowest + next.n
		next.n = (next.n + 1) % count
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = ln.Close()
		return ln.Addr().String()
	}
	t.Fatal("there is no free port from " + strconv.Itoa(lowest) + " on")
	return ""
}

// Port returns the port of an Addr.
func Port(t testing.TB) int {
	t.Helper()
	_, text, _ := net.SplitHostPort(Addr(t))
	port, _ := strconv.Atoi(text)
	return port
}
