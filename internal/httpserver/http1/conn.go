package http1

import (
	"bufio"
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxHead bounds a request that is answered here. net/http reads as much at once.
const maxHead = 4 << 10

// conn is a connection, with what it keeps between requests.
type conn struct {
	front  *Front
	tcp    *net.TCPConn
	remote net.Addr    // the client
	from   string      // its address
	busy   atomic.Bool // a request is being answered, or end has closed the connection
	guest  Guest

	raw syscall.RawConn
	try func(fd uintptr) bool // the method attempt, bound once

	buf *[maxHead]byte // lent by the front; nil while it would be empty
	n   int            // bytes in buf that nobody has looked at
	err error          // of the last read

	ahead  bool // bytes are read while a request is being answered
	reader sync.WaitGroup

	used bool // a request has been answered

	fields   []byte        // the last request's header fields as they came, with the empty line
	template *http.Request // the request that they made
	res      response

	readBy time.Time // the deadline that is set

	timed   sync.Mutex // guards below, and the answer's own
	writeBy time.Time  // the deadline that is set
}

// serve answers requests until the connection ends or is handed over.
func (c *conn) serve() {
	mine := true
	defer func() {
		if e := recover(); e != nil && e != http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this too
			c.front.conf.Log.Error("answering a request: panic", slog.Any("panic", e), slog.String("remote", c.from), slog.String("stack", string(debug.Stack())))
		}
		if mine && !c.res.hijacked {
			_ = c.tcp.Close()
		}
		c.reader.Wait()
		c.drop()
	}()
	for c.fill() {
		if !c.busy.CompareAndSwap(false, true) {
			return
		}
		c.guest.Busy()
		r := c.parse()
		if r == nil {
			mine = false
			c.leave()
			return
		}
		again := false
		if again, mine = c.answer(r); !again {
			return
		}
		c.used = true
		c.busy.Store(false)
		c.guest.Idle()
		if c.front.closing.Load() {
			return
		}
	}
}

// end closes the connection unless a request is being answered.
func (c *conn) end() {
	if c.busy.CompareAndSwap(false, true) {
		_ = c.tcp.Close()
	}
}

// fill waits for bytes.
func (c *conn) fill() bool {
	patience := c.front.conf.IdleTime
	if !c.used {
		patience = c.front.conf.FirstTime
	}
	by := time.Now().Add(patience)
	if due(c.readBy, by) {
		c.readBy = by.Add(late / 2)
		_ = c.tcp.SetReadDeadline(c.readBy)
	}
	if c.ahead {
		c.reader.Wait()
		if c.ahead = false; !errors.Is(c.err, os.ErrDeadlineExceeded) || time.Now().After(by) {
			return c.err == nil
		}
	}
	return c.receive() == nil
}

// past is a deadline that ends a read or write at once.
var past = time.Unix(1, 0)

// stop ends reading ahead, so that the connection can be handed over.
func (c *conn) stop() {
	if c.ahead {
		_ = c.tcp.SetReadDeadline(past)
		c.reader.Wait()
	}
}

// drop gives the empty buffer back to the front.
func (c *conn) drop() {
	if c.buf != nil {
		c.front.buffers.Put(c.buf)
		c.buf, c.n = nil, 0
	}
}

// late is how much later than asked for a deadline may be. Setting one for each request would cost
// as much as reading the request.
const late = 4 * time.Second

// due reports whether the deadline set must be moved to be at by, or up to late after it.
func due(set, by time.Time) bool { return set.Before(by) || set.Sub(by) > late }

// leave hands the connection to net/http, with the bytes already read.
func (c *conn) leave() {
	_ = c.tcp.SetDeadline(time.Time{})
	c.guest.Leave()
	c.front.leave(accepted{conn: &left{TCPConn: c.tcp, remote: c.remote, read: bytes.Clone(c.buf[:c.n])}})
}

// left is a connection of which bytes have already been read. net/http gets them with its first
// Read.
type left struct {
	*net.TCPConn
	remote net.Addr
	read   []byte
}

// RemoteAddr implements net.Conn.
func (l *left) RemoteAddr() net.Addr { return l.remote }

// Read implements net.Conn.
func (l *left) Read(b []byte) (int, error) {
	if len(l.read) > 0 {
		n := copy(b, l.read)
		l.read = l.read[n:]
		return n, nil
	}
	return l.TCPConn.Read(b)
}

// parse returns the request in the buffer, nil if net/http has to answer it.
func (c *conn) parse() *http.Request {
	head := c.buf[:c.n]
	line, fields, ok := bytes.Cut(head, crlf)
	if !ok || !bytes.HasSuffix(head, emptyLine) {
		return nil
	}
	method, rest, _ := bytes.Cut(line, space)
	to, version, _ := bytes.Cut(rest, space)
	if string(version) != "HTTP/1.1" || len(to) == 0 || to[0] != '/' {
		return nil
	}
	name := methodOf(method)
	if name == "" || !c.read(head, fields) {
		return nil
	}
	target := string(to)
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil
	}
	r := c.template.WithContext(&life{conn: c, base: c.template.Context()})
	r.Method, r.URL, r.RequestURI = name, u, target
	c.drop()
	return r
}

var (
	crlf      = []byte("\r\n")
	emptyLine = []byte("\r\n\r\n")
	space     = []byte(" ")
)

func methodOf(b []byte) string {
	switch string(b) {
	case http.MethodGet:
		return http.MethodGet
	case http.MethodHead:
		return http.MethodHead
	case http.MethodOptions:
		return http.MethodOptions
	}
	return ""
}

// read parses the header fields, unless they equal those of the last request. It reports whether a
// request with these fields is answered here.
func (c *conn) read(head, fields []byte) bool {
	if c.template != nil && bytes.Equal(fields, c.fields) {
		return true
	}
	if !plain(head) {
		return false
	}
	in := bytes.NewReader(head)
	buffered := bufio.NewReaderSize(in, maxHead)
	r, err := http.ReadRequest(buffered)
	if err != nil || in.Len()+buffered.Buffered() > 0 || r.Body != http.NoBody || r.ContentLength != 0 ||
		len(r.TransferEncoding) > 0 || r.Header["Content-Length"] != nil || r.Header["Expect"] != nil || r.Header["Trailer"] != nil {
		return false
	}
	r.RemoteAddr = c.from
	if prepare := c.front.conf.Prepare; prepare != nil {
		r = prepare(r)
	}
	c.template, c.fields = r, append(c.fields[:0], fields...)
	return true
}

// plain reports whether every HTTP parser reads a head alike: lines end in CR LF, there are no
// other control characters, names are plain, no line is folded, and there is one host.
func plain(head []byte) bool {
	hosts := 0
	for line := range bytes.Lines(head[bytes.IndexByte(head, '\n')+1:]) {
		text, ok := bytes.CutSuffix(line, crlf)
		if !ok || bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return false
		}
		if len(text) == 0 {
			continue // the empty line at the end
		}
		name, value, found := bytes.Cut(text, []byte(":"))
		if !found || len(name) == 0 || bytes.ContainsFunc(name, func(r rune) bool { return !isPlain(r) }) {
			return false
		}
		if bytes.EqualFold(name, []byte("Host")) {
			hosts++
			if !plainHost(bytes.TrimSpace(value)) {
				return false
			}
		}
	}
	return hosts == 1
}

// isPlain reports whether a character may be anywhere in a field name or a host.
func isPlain(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_'
}

// plainHost reports whether a host has only the characters of names, addresses and ports.
func plainHost(host []byte) bool {
	return len(host) > 0 && !bytes.ContainsFunc(host, func(r rune) bool {
		return !isPlain(r) && r != '.' && r != ':' && r != '[' && r != ']'
	})
}

// answer lets the handler answer a request. It reports whether another may follow, and whether the
// connection is still ours.
func (c *conn) answer(r *http.Request) (again, mine bool) {
	w, l := &c.res, r.Context().(*life)
	w.begin(c, r, l)
	defer l.end()
	c.front.conf.Handler.ServeHTTP(w, r)
	if w.hijacked {
		return false, false
	}
	return w.finish() == nil && !w.last, true
}
