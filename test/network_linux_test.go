package test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/internal/listen/listentest"
	"weir/rtmp"
)

// site is one end of a network of two: a namespace with a server in it.
type site struct {
	t         *testing.T
	namespace string
	address   string
	*server   // nil while it is down
	file      string
	*http.Client
}

// sites makes a network of two servers with a cable between them, which are at 10.0.0.1 and 10.0.0.2.
func sites(t *testing.T, first, second string) (a, b *site) {
	t.Helper()
	both := [2]*site{}
	for i, conf := range []string{first, second} {
		s := &site{t: t, namespace: fmt.Sprintf("weir-%d-%s-%d", os.Getpid(), strings.ToLower(t.Name()), i+1), address: fmt.Sprint("10.0.0.", i+1)}
		s.Client = &http.Client{Transport: &http.Transport{DialContext: s.dial, DisableKeepAlives: true}, Timeout: 5 * time.Second}
		s.file = filepath.Join(t.TempDir(), "weir.yml")
		if err := os.WriteFile(s.file, []byte("log: {format: json}\nhttp: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:8088\"}\n"+conf), 0o600); err != nil {
			t.Fatal(err)
		}
		ip(t, "netns", "add", s.namespace)
		t.Cleanup(func() { ip(t, "netns", "delete", s.namespace) })
		both[i] = s
	}
	ip(t, "link", "add", "eth0", "netns", both[0].namespace, "type", "veth", "peer", "name", "eth0", "netns", both[1].namespace)
	for _, s := range both {
		ip(t, "-n", s.namespace, "address", "add", s.address+"/24", "dev", "eth0")
		ip(t, "-n", s.namespace, "link", "set", "lo", "up")
		ip(t, "-n", s.namespace, "link", "set", "eth0", "up")
	}
	for _, s := range both {
		s.up()
		t.Cleanup(func() {
			if s.server != nil {
				s.stop(t)
			}
		})
	}
	return both[0], both[1]
}

// ip runs iproute2's command.
func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s(this test makes networks, and needs iproute2 and to be root)", strings.Join(args, " "), err, out)
	}
}

// up starts the server.
func (s *site) up() {
	s.t.Helper()
	s.server = runCommand(s.t, exec.Command("ip", "netns", "exec", s.namespace, mustBuild(s.t), "serve", "-c", s.file))
}

// crash ends the server as a crash does.
func (s *site) crash() {
	s.kill()
	s.server = nil
}

// cut pulls the cable out until something is so.
func (s *site) cut(so func()) {
	s.t.Helper()
	ip(s.t, "-n", s.namespace, "link", "set", "eth0", "down")
	so()
	ip(s.t, "-n", s.namespace, "link", "set", "eth0", "up")
}

// dial connects from within the namespace.
func (s *site) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var nc net.Conn
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine, and nothing else runs in the namespace
		var f *os.File
		if f, err = os.Open("/run/netns/" + s.namespace); err != nil {
			return
		}
		defer f.Close()
		if err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err == nil {
			nc, err = new(net.Dialer).DialContext(ctx, network, address)
		}
	}()
	<-done
	return nc, err
}

// publish publishes pictures at 25 a second with numbers, a key frame each second, until the test ends; when the connection breaks it
// opens another, and goes on with a later key frame. size is that of a picture.
func (s *site) publish(path string, size int) {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		begun := time.Now()
		for ctx.Err() == nil {
			c, err := rtmp.Dial(ctx, "rtmp://127.0.0.1/"+path, rtmp.DialOptions{Dial: s.dial})
			if err != nil {
				<-tick.C
				continue
			}
			p, err := c.Publish(ctx)
			first := uint32(time.Since(begun)/time.Second+1) * 25
			for n := first; err == nil && ctx.Err() == nil; n++ {
				if n == first {
					err = p.WriteMessage(&rtmp.Message{Type: rtmp.TypeVideo, Timestamp: n * 40, Payload: []byte{0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x0a, 1, 0, 2, 0x68, 0xce}})
				}
				body := make([]byte, size)
				body[0], body[1], body[9] = 0x27, 1, 0x41
				if n%25 == 0 {
					body[0], body[9] = 0x17, 0x65
				}
				binary.BigEndian.PutUint32(body[5:], uint32(size-9))
				binary.BigEndian.PutUint32(body[10:], n)
				if err == nil {
					err = p.WriteMessage(&rtmp.Message{Type: rtmp.TypeVideo, Timestamp: n * 40, Payload: body})
				}
				<-tick.C
			}
			_ = c.Close()
		}
	})
	s.t.Cleanup(func() { stop(); wg.Wait() })
}

// collector plays a stream until the test ends, and plays it again when it has ended.
type collector struct {
	t *testing.T

	mu    sync.Mutex // guards below
	plays [][]uint32 // the numbers of the pictures that came, in each session
	times [][]uint32
}

// collect makes one.
func (s *site) collect(path string) *collector {
	c := &collector{t: s.t}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; ctx.Err() == nil; <-time.After(20 * time.Millisecond) {
			client, err := rtmp.Dial(ctx, "rtmp://127.0.0.1/"+path, rtmp.DialOptions{Dial: s.dial, Plays: true, Timeout: 30 * time.Second})
			if err != nil {
				continue
			}
			end := context.AfterFunc(ctx, func() { _ = client.Close() })
			if p, err := client.Play(ctx); err == nil {
				c.read(p)
			}
			end()
			_ = client.Close()
		}
	})
	s.t.Cleanup(func() { stop(); wg.Wait() })
	return c
}

// read notes one session.
func (c *collector) read(p *rtmp.PlayStream) {
	c.mu.Lock()
	c.plays, c.times = append(c.plays, nil), append(c.times, nil)
	at := len(c.plays) - 1
	c.mu.Unlock()
	for {
		m, err := p.ReadMessage()
		if err != nil {
			return
		}
		if m.Type != rtmp.TypeVideo || m.Payload[1] != 1 {
			continue
		}
		c.mu.Lock()
		c.plays[at], c.times[at] = append(c.plays[at], binary.BigEndian.Uint32(m.Payload[10:])), append(c.times[at], m.Timestamp)
		c.mu.Unlock()
	}
}

// newest is the number of the picture that came last, 0 before the first.
func (c *collector) newest() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, list := range slices.Backward(c.plays) {
		if len(list) > 0 {
			return list[len(list)-1]
		}
	}
	return 0
}

// sessions is how many there were that got pictures.
func (c *collector) sessions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(c.plays), func(l []uint32) bool { return len(l) == 0 }))
}

// goesOn waits until pictures have come for two seconds.
func (c *collector) goesOn() {
	c.t.Helper()
	from := c.newest()
	until(c.t, "pictures come", func() bool { return c.newest() > from+50 })
}

// holes checks that in each session pictures came in order, none twice, with holes only before key frames, and that times rise. It
// returns the pictures behind holes. whole says that the same holds of all sessions together.
func (c *collector) holes(whole bool) (behind []uint32) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	last := uint32(0)
	for s, list := range c.plays {
		if !slices.IsSorted(c.times[s]) {
			c.t.Errorf("times of session %d fall", s+1)
		}
		for i, n := range list {
			if (i > 0 || whole) && n <= last {
				c.t.Errorf("picture %d of session %d comes behind %d", n, s+1, last)
			}
			if n%25 != 0 && (i == 0 || n != last+1) {
				c.t.Errorf("picture %d of session %d, which is no key frame, comes behind %d", n, s+1, last)
			}
			if i > 0 && n != last+1 {
				behind = append(behind, n)
			}
			last = n
		}
	}
	return behind
}

// until waits for half a minute at most.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			t.Fatal("waited in vain: ", what)
		}
	}
}

// is waits until the API says of all pushes, or of all pulls, that they are in a state.
func (s *site) is(kind, state string) {
	s.t.Helper()
	said := ""
	defer func() {
		if s.t.Failed() {
			s.t.Log(said)
		}
	}()
	type place struct{ State, Status string }
	until(s.t, "all "+kind+" are "+state, func() bool {
		res, err := s.Get("http://127.0.0.1:8088/api/v1/" + kind)
		if err != nil {
			said = err.Error()
			return false
		}
		defer res.Body.Close()
		var a struct {
			Pushes, Pulls []place
		}
		err = json.NewDecoder(res.Body).Decode(&a)
		said = fmt.Sprint(a, err)
		list := append(a.Pushes, a.Pulls...)
		return len(list) > 0 && !slices.ContainsFunc(list, func(p place) bool { return p.State+p.Status != state })
	})
}

// TestPushThroughACutNetwork: pushes by RTMP and by RTMPS outlive a network that is cut for some seconds, without losing a picture; after a longer cut, and
// when either side is killed, they begin again at a key frame. No picture comes twice, and all come in order.
func TestPushThroughACutNetwork(t *testing.T) {
	t.Parallel()
	cert, key := listentest.Cert(t, t.TempDir(), 1)
	b, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	targets := fmt.Sprintf("[{name: far, url: \"rtmp://10.0.0.2/in\", key: \"{name}\"}, {name: safe, url: \"rtmps://10.0.0.2/safe\", key: \"{name}\", pin: %x}]", sha256.Sum256(block.Bytes))
	near, far := sites(t, "streams:\n  - {match: live/*, push: "+targets+"}\n", fmt.Sprintf("rtmp: {tls: {listen: \":443\", cert: %q, key: %q}}\n", cert, key))
	near.publish("live/x", 20000)
	near.is("pushes", "live")
	players := map[string]*collector{"RTMP": far.collect("in/x"), "RTMPS": far.collect("safe/x")}
	goOn := func() {
		t.Helper()
		for _, c := range players {
			c.goesOn()
		}
	}
	// had checks how often pictures are missing, and in how many sessions of the player.
	had := func(when string, holes, sessions int) {
		t.Helper()
		for by, c := range players {
			if behind := c.holes(true); len(behind) != holes || c.sessions() != sessions {
				t.Errorf("by %s, %s: pictures are missing before %v, in %d sessions of the player", by, when, behind, c.sessions())
			}
		}
	}
	goOn()

	far.cut(func() { <-time.After(3 * time.Second) })
	near.is("pushes", "live")
	goOn()
	had("after 3 s without a network", 0, 1)

	far.cut(func() { near.is("pushes", "retrying") }) // when the far server has taken nothing for 15 s
	near.is("pushes", "live")
	goOn()
	had("after a longer cut", 1, 1)

	far.crash()
	near.is("pushes", "retrying")
	far.up()
	near.is("pushes", "live")
	for _, c := range players {
		until(t, "the player is back", func() bool { return c.sessions() == 2 })
	}
	goOn()

	near.crash()
	<-time.After(time.Second)
	near.up()
	near.is("pushes", "live")
	goOn()
	had("after both were killed", 2, 2)
}

// TestPullThroughACutNetwork: a pull notices that the network is cut, says so, and goes on when it is there again, as it does when
// either side is killed. Players stay for as long as their own server does, and get no picture twice, and all in order.
func TestPullThroughACutNetwork(t *testing.T) {
	t.Parallel()
	far, near := sites(t, "", "streams:\n  - {match: live/x, pull: {url: \"rtmp://10.0.0.1/live/x\", on_demand: false, silence: 2s}}\n")
	far.publish("live/x", 2000)
	near.is("pulls", "live")
	c := near.collect("live/x")
	c.goesOn()

	far.cut(func() { near.is("pulls", "retrying") })
	near.is("pulls", "live")
	c.goesOn()

	far.crash()
	near.is("pulls", "retrying")
	far.up()
	near.is("pulls", "live")
	c.goesOn()
	if behind := c.holes(true); len(behind) != 2 || c.sessions() != 1 {
		t.Errorf("pictures are missing before %v, in %d sessions of the player", behind, c.sessions())
	}

	near.crash()
	near.up()
	near.is("pulls", "live")
	until(t, "the player is back", func() bool { return c.sessions() == 2 })
	c.goesOn()
	c.holes(false)
}
