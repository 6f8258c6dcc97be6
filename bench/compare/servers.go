package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// running is a server that is up.
type running struct {
	*child
	addrs map[string]string // by protocol: rtmp, rtmps, http, https
}

// url is where a scheme's players find stream %d.
func (r *running) url(scheme string) (string, error) {
	listener := map[string]string{"ws": "http", "wss": "https"}[scheme]
	if listener == "" {
		listener = scheme
	}
	addr, ok := r.addrs[listener]
	if !ok {
		return "", fmt.Errorf("%s has no listener for %s", r.name, scheme)
	}
	u := scheme + "://" + addr + "/live/s%d"
	if listener == "http" || listener == "https" {
		u += ".flv"
	}
	return u, nil
}

// bench is how this benchmark is run.
type bench struct {
	weir, loader, nginx []string // how the programs are called
	dir                 string   // for certificates and configurations
	files               string   // in memory, for nginx to serve
	serverCPU, loadCPU  string
	first               []string // before the publishers' command: nice, if that is allowed
}

// startServer starts a contender's server.
func (b *bench) startServer(ctx context.Context, c contender) (*running, error) {
	switch c.server {
	case floorServer:
		return b.startListening(ctx, append(b.loader, "floor", "--gather", c.gather.String()), 1)
	case nginxServer:
		module, err := nginxThere()
		if err != nil {
			return nil, err
		}
		return b.startNginx(ctx, "rtmp", fmt.Sprintf(nginxRTMPConf, module))
	case filesServer:
		if err := b.copyHLS(ctx); err != nil {
			return nil, err
		}
		return b.startNginx(ctx, "http", fmt.Sprintf(nginxFilesConf, b.files))
	}
	argv := append([]string{}, b.weir...)
	argv = append(argv, "serve")
	set := []string{
		"log.format=text", "rtmp.listen=127.0.0.1:0", "http.listen=127.0.0.1:0", "admin.listen=",
		"rtmp.tls.listen=127.0.0.1:0", "http.tls.listen=127.0.0.1:0",
	}
	want := 2
	if strings.HasSuffix(c.scheme, "s") && c.scheme != "ws" {
		cert, key := filepath.Join(b.dir, "cert.pem"), filepath.Join(b.dir, "key.pem")
		set = append(set, "rtmp.tls.cert="+cert, "rtmp.tls.key="+key, "http.tls.cert="+cert, "http.tls.key="+key)
		want = 4
	}
	for _, s := range append(set, c.set...) {
		argv = append(argv, "--set", s)
	}
	return b.startListening(ctx, argv, want)
}

// listening is the line in which a server says where it listens.
var listening = regexp.MustCompile(`listening.*\bproto=(\w+).*\baddr=([\w.:\[\]]+)`)

func (b *bench) startListening(ctx context.Context, argv []string, want int) (*running, error) {
	c, err := start(b.serverCPU, argv, listening.MatchString)
	if err != nil {
		return nil, err
	}
	lines, err := c.await(ctx, func(lines []string) bool { return len(lines) >= want })
	if err != nil {
		c.stop()
		return nil, err
	}
	r := &running{child: c, addrs: map[string]string{}}
	for _, l := range lines {
		m := listening.FindStringSubmatch(l)
		r.addrs[m[1]] = m[2]
	}
	return r, nil
}

// nginxConf begins the configuration of nginx: a single process, so that one process
// number tells all.
const nginxConf = `daemon off; master_process off; worker_processes 1;
worker_rlimit_nofile 20000;
error_log stderr error;
pid %s;
events { worker_connections 16384; }
`

// nginxRTMPConf is a plain nginx-rtmp: its chunk size is its default, as is everything else.
const nginxRTMPConf = `load_module %s;
rtmp { server { listen ADDR; chunk_size 4096; application live { live on; } } }
`

// nginxFilesConf serves files from memory, at the least cost.
const nginxFilesConf = `http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=100;
  types { application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }
  server { listen ADDR; root %s; }
}
`

// nginxModules are where Debian, and others, put the module.
var nginxModules = []string{"/usr/lib/nginx/modules/ngx_rtmp_module.so", "/usr/lib64/nginx/modules/ngx_rtmp_module.so"}

// nginxThere says why nginx-rtmp cannot be measured; nil if it can.
func nginxThere() (module string, err error) {
	for _, m := range nginxModules {
		if _, err = os.Stat(m); err == nil {
			return m, nil
		}
	}
	return "", err
}

// startNginx starts nginx on a free port, which stands as ADDR in the configuration: it
// cannot choose one itself.
func (b *bench) startNginx(ctx context.Context, proto, text string) (*running, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := free.Addr().String()
	if err := free.Close(); err != nil {
		return nil, err
	}
	conf := filepath.Join(b.dir, "nginx.conf")
	load, rest, ok := strings.Cut(text, "\n") // modules are loaded first
	if !strings.HasPrefix(load, "load_module") || !ok {
		load, rest = "", text
	}
	text = load + "\n" + fmt.Sprintf(nginxConf, filepath.Join(b.dir, "nginx.pid")) + strings.ReplaceAll(rest, "ADDR", addr)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	c, err := start(b.serverCPU, append(append([]string{}, b.nginx...), "-c", conf, "-p", b.dir), func(string) bool { return false })
	if err != nil {
		return nil, err
	}
	if err := awaitPort(ctx, c, addr); err != nil {
		c.stop()
		return nil, err
	}
	return &running{child: c, addrs: map[string]string{proto: addr}}, nil
}

// awaitPort waits until somebody listens on addr.
func awaitPort(ctx context.Context, c *child, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return nc.Close()
		}
		select {
		case <-c.ended:
			return c.failure(err)
		default:
		}
		if err := pause(ctx, pollPause); err != nil {
			return c.failure(err)
		}
	}
}
