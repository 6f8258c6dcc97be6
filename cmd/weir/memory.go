package main

import (
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// limitMemory bounds the Go heap to 90 % of what the control group of the program may use, so that the collector
// works harder before the kernel ends the program. GOMEMLIMIT and limits.memory go before. root is the file system.
func limitMemory(log *slog.Logger, root fs.FS, configured int64) {
	from := "GOMEMLIMIT"
	if os.Getenv("GOMEMLIMIT") == "" {
		limit, ok := groupLimit(root)
		if !ok && configured == 0 {
			return
		}
		if ok {
			debug.SetMemoryLimit(limit - limit/10)
		}
		from = "90 % of the control group's"
	}
	limit := debug.SetMemoryLimit(-1)
	if configured > 0 { // the server sets it, and this one again where it is taken away
		limit, from = configured, "limits.memory"
	}
	log.Info("memory limit of the Go heap", slog.Int64("bytes", limit), slog.String("from", from))
}

// groupLimit returns the least memory limit of the control groups that the program is in, of version 2 or 1; false if
// there is none.
func groupLimit(root fs.FS) (int64, bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	least := int64(math.MaxInt64)
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(parts) != 3 {
			continue
		}
		mount, name := "", ""
		switch {
		case parts[1] == "":
			mount, name = "sys/fs/cgroup", "memory.max"
		case strings.Contains(","+parts[1]+",", ",memory,"):
			mount, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// The groups above hold too. In a container the path may be the one outside: the root is its own then.
		for at := path.Clean("/" + parts[2]); ; at = path.Dir(at) {
			b, err := fs.ReadFile(root, path.Join(mount, at, name))
			if n, bad := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && bad == nil && n > 0 {
				least = min(least, n)
			}
			if at == "/" {
				break
			}
		}
	}
	return least, least < noLimit
}

// noLimit is about what version 1 has for none: the largest number of whole pages.
const noLimit = math.MaxInt64 - 1<<20
