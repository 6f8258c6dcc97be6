// Package intake reads the connections of publishers and players at a low cost.
//
// An ordinary read tells the scheduler that the call may block, which wakes the runtime's monitor
// if the process was idle. The reads here cannot block and do without. When many publishers send,
// each message would wake the process: a Pacer then lets bytes gather in the kernel, and all
// publishers are read at the same beats.
//
// Players send next to nothing: a Poller waits for all of them, where a goroutine for each would
// cost more memory than anything else about it.
//
// All this is for TCP on Linux. Elsewhere connections are read in the ordinary way.
package intake
