// Package deliver tells the hooks of the configuration of events: by HTTP, signed as Standard
// Webhooks says, or by running a command.
//
// Each hook has a queue of its own and senders of its own, so that one that hangs holds up no other. Only the number of
// commands that run at once is bounded for all hooks together.
// Events of one stream go one after the other, in their order, and one that fails is tried again
// before the next; different streams go side by side. With a directory the queue is also written to a
// journal: what was not acknowledged is sent after the next start, and what had begun when the server
// crashed is said to have ended.
package deliver
