// Package hook asks and tells the HTTP services of operators: which address a service has, the client
// that calls it, how calls are signed, and the formats in which they are written.
//
// A Format is the way one server has of asking whether a peer may publish or play, and of telling
// what has happened: our own JSON, and those of nginx-rtmp, SRS, MediaMTX and OvenMediaEngine, so
// that services written for these answer us unchanged. Calls are signed as Standard Webhooks
// (https://www.standardwebhooks.com) says.
//
// Questions hold what a peer showed to be let in. Nothing of it, and nothing of a service's address
// but scheme and host, is in an error of this package.
package hook
