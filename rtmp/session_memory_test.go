package rtmp

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// footprint returns the heap and stack bytes in use.
func footprint() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// perSession measures what a session costs in a state, with its connection.
func perSession(t *testing.T, h Handler, blocks string, until string) int {
	t.Helper()
	const n = 500
	ln := listen(t)
	serveListener(t, ln, &Server{Handler: h})
	conns := make([]net.Conn, n)
	buf := make([]byte, 8192)
	connect := func() net.Conn {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(append(append([]byte{}, wholeHello...), unhexString(blocks)...)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, buf[:3073]); err != nil {
			t.Fatal(err)
		}
		for got := []byte(nil); until != "" && !strings.Contains(string(got), until); {
			k, err := nc.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buf[:k]...)
		}
		return nc
	}
	warm := connect()
	before := footprint()
	for i := range conns {
		conns[i] = connect()
	}
	after := footprint()
	for _, nc := range append(conns, warm) {
		_ = nc.Close()
	}
	return int(after-before) / n
}

func TestMemoryOfASession(t *testing.T) {
	if raceEnabled {
		return
	}
	h := &quiet{}
	for _, tt := range []struct {
		name, blocks, until string
		limit               int
	}{
		{"after the handshake", "", "", 16 << 10},
		{"connected", blockCN, CodeConnectSuccess, 16 << 10},
		{"detached player", blockCN + blockCS + blockPLAY, CodePlayStart, 6 << 10},
		// What players send last is control, which no handler sees.
		{"detached player that said its buffer's length", blockCN + blockCS + blockPLAY + blockBufferLength, CodePlayStart, 6 << 10},
	} {
		got := perSession(t, h, tt.blocks, tt.until)
		t.Logf("%s: %d bytes", tt.name, got)
		if got > tt.limit {
			t.Errorf("%s: %d bytes, want %d at most", tt.name, got, tt.limit)
		}
	}
}
