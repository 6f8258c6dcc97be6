package session

import (
	"strconv"
	"strings"
	"testing"
)

func TestForeignIDs(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []string{"", "a", "b", "live/a"} {
		n, err := strconv.ParseUint(Number(id), 10, 31)
		if err != nil || n == 0 || Number(id) != Number(id) || seen[Number(id)] {
			t.Error(id, n, err)
		}
		seen[Number(id)] = true
		if v := VID(id); v != "vid-"+Service(id) || strings.Trim(v[4:], "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
			t.Error(id, v)
		}
	}
}
