// Package http1 answers the small requests that players repeat over plain HTTP/1.1 (RFC 9112) at a
// fraction of net/http's cost, and leaves all others to net/http.
//
// A request is answered here if it came in one piece, alone, without a body, and in the form
// that every client sends: GET, HEAD or OPTIONS of a path. With the first other request the
// connection is handed to net/http, which reads that request from its beginning. So no request can
// mean one thing here and another to net/http.
//
// What makes it cheap: the header fields of a connection's requests are nearly always the same,
// and are read once (by net/http); a small answer is one system call; a connection is not watched
// while its handler does not wait.
package http1
