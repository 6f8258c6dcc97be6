package listen

import (
	"log/slog"
	"net"
	"strings"
	"testing"
)

// TestLineBound: a header of version 1 has 107 bytes at most, its end counted in.
func TestLineBound(t *testing.T) {
	const begin, end = "PROXY UNKNOWN ", "\r\n"
	for n, want := range map[int]string{107: "", 108: "its line is longer than 107 bytes"} {
		in := strings.NewReader(begin + strings.Repeat("x", n-len(begin)-len(end)) + end)
		_, err := readHeader(in)
		if (err == nil) != (want == "") || err != nil && err.Error() != want || in.Len() > 1 {
			t.Errorf("%d bytes: %v, want %q; %d bytes are left", n, err, want, in.Len())
		}
	}
}

// TestBinaryBound: what follows the fixed part of a header of version 2 has 4,096 bytes at most.
func TestBinaryBound(t *testing.T) {
	for n, want := range map[int]string{4096: "", 4097: "it has 4097 bytes, allowed: at most 4096"} {
		in := binaryHeader(1, 0x11, addresses("192.0.2.7:4711", "127.0.0.1:1", n-12))
		from, err := readHeader(strings.NewReader(in))
		if want == "" && (err != nil || from.String() != "192.0.2.7:4711") || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%d bytes: %v, %v, want %q", n, from, err, want)
		}
	}
}

// TestWaitingBound: of 4,096 connections the header is awaited, and the next one is closed; one that has told frees a place.
func TestWaitingBound(t *testing.T) {
	l := New(slog.New(slog.DiscardHandler))
	for i := range 4096 {
		if !l.await(new(net.TCPConn)) {
			t.Fatalf("number %d is closed", i+1)
		}
	}
	if l.await(new(net.TCPConn)) {
		t.Error("number 4,097 is awaited")
	}
	for c := range l.waiting {
		delete(l.waiting, c)
		break
	}
	if !l.await(new(net.TCPConn)) {
		t.Error("the place of one that has told is not free")
	}
}
