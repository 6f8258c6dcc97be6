// Package protocoltest is the suite that every protocol passes, and the server that its tests run
// on: real streams, muxers, delivery, sessions and listeners on loopback, without internal/server,
// so that a protocol's tests need nothing outside its folder but this package.
package protocoltest
