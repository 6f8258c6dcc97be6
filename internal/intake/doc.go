// Package intake reads connections at a low cost: of publishers, and of players.
//
// A read through the runtime's sockets tells the scheduler of a call that may block,
// which wakes the runtime's monitor whenever the process was idle; here the call cannot
// block and nobody is told. And when many publish, each message of each wakes the process
// by itself: then a Pacer lets the bytes gather in the kernel, and all publishers are read at
// the same beats.
//
// Those who play say next to nothing: a Poller waits for all of them, where a goroutine each would
// cost more memory than all else.
//
// All of it is for TCP on Linux. Elsewhere connections are read as they always are.
package intake
