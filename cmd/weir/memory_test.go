package main

import (
	"bytes"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
)

func TestGroupLimit(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64 // 0: none
	}{
		{"no system that has groups", nil, 0},
		{"version 2", map[string]string{"proc/self/cgroup": "0::/system.slice/weir.service\n", "sys/fs/cgroup/system.slice/weir.service/memory.max": "1073741824\n", "sys/fs/cgroup/system.slice/memory.max": "max\n"}, 1 << 30},
		{"version 2, the group above has less", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "1073741824\n", "sys/fs/cgroup/a/memory.max": "536870912\n"}, 1 << 29},
		{"version 2, a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "268435456\n"}, 1 << 28},
		{"version 2, no limit", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"version 1", map[string]string{"proc/self/cgroup": "12:pids:/p\n5:cpu,memory:/docker/abc\n0::/\n", "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1 << 30},
		{"version 1, a container", map[string]string{"proc/self/cgroup": "5:memory:/docker/abc\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n"}, 1 << 28},
		{"version 1, no limit", map[string]string{"proc/self/cgroup": "5:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"another controller", map[string]string{"proc/self/cgroup": "5:memory_not:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "1\n"}, 0},
		{"nonsense", map[string]string{"proc/self/cgroup": "0::/../..\nx\n", "sys/fs/cgroup/memory.max": "much\n"}, 0},
	} {
		root := fstest.MapFS{}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got, ok := groupLimit(root); ok != (c.want != 0) || ok && got != c.want {
			t.Errorf("%s: %d, %v, want %d", c.name, got, ok, c.want)
		}
	}
}

// GOMEMLIMIT goes before the group's limit, and limits.memory before both.
func TestLimitMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	group := fstest.MapFS{
		"proc/self/cgroup": {Data: []byte("0::/\n")}, "sys/fs/cgroup/memory.max": {Data: []byte("1000000000\n")},
	}
	for _, c := range []struct {
		name       string
		root       fstest.MapFS
		env        string
		configured int64
		want       int64
		says       string
	}{
		{"none", fstest.MapFS{}, "", 0, math.MaxInt64, ""},
		{"the group's", group, "", 0, 900_000_000, "bytes=900000000 from=\"90 % of the control group's\""},
		{"the environment's", group, "5GiB", 0, math.MaxInt64, "from=GOMEMLIMIT"},
		{"limits.memory", group, "", 12345, 900_000_000, "bytes=12345 from=limits.memory"},
	} {
		debug.SetMemoryLimit(math.MaxInt64)
		t.Setenv("GOMEMLIMIT", c.env)
		var log bytes.Buffer
		limitMemory(slog.New(slog.NewTextHandler(&log, nil)), c.root, c.configured)
		if got := debug.SetMemoryLimit(-1); got != c.want || !strings.Contains(log.String(), c.says) || c.says == "" && log.Len() > 0 {
			t.Errorf("%s: %d, %s", c.name, got, log.String())
		}
	}
}
