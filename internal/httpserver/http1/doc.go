// Package http1 answers what players ask for again and again over plain HTTP/1.1 (RFC 9112)
// at a fraction of what net/http takes for it, and leaves everything else to net/http.
//
// A request is answered here if it came in one piece, alone, without a body, and in the form
// that every client sends: GET, HEAD or OPTIONS of a path. With the first one that is anything
// else, the connection becomes net/http's, which then reads that request from its
// beginning. So nothing is understood here that net/http would understand differently.
//
// What makes it cheap: the header fields of a connection's requests are nearly always the same,
// and are read once (by net/http); a small answer is one system call; nobody watches a
// connection whose handler does not wait for anything.
package http1
