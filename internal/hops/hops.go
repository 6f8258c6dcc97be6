// Package hops tells servers that send streams to each other, or fetch them, which servers a stream
// has come through, so that none goes in a circle. Each server adds an entry of its own for the
// stream, and refuses a stream in whose list that entry is already, or whose list is too long.
//
// An entry holds the stream's path as a hash: a server may send a stream to itself under another
// name. Servers that do not know the property drop it, so this is not the only guard.
package hops

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"weir/internal/session"
)

// Property is the name of the property of RTMP's connect that holds the list, as a text.
const Property = "weir.hops"

const (
	// Max is how many servers a stream may come through.
	Max = 8
	// maxEntry bounds one entry, in bytes.
	maxEntry = 64
)

// Entry is what a server adds for the stream at a path. server is an id of the server's own, without
// commas.
func Entry(server, path string) string {
	sum := sha256.Sum256([]byte(path))
	return server + "." + hex.EncodeToString(sum[:6])
}

// Join makes a text of a list.
func Join(list []string) string { return strings.Join(list, ",") }

// Parse reads a list that a peer sent. Of one that is too long it keeps as much as shows that.
func Parse(text string) []string {
	if text == "" {
		return nil
	}
	list := strings.SplitN(text, ",", Max+2)
	list = list[:min(len(list), Max+1)]
	for i, e := range list {
		list[i] = strings.Clone(e[:min(len(e), maxEntry)])
	}
	return list
}

// Check refuses a stream that has been here, with the reason session.Loop. list is where it came
// through, and own the entry that this server would add.
func Check(list []string, own string) error {
	var why error
	switch {
	case slices.Contains(list, own):
		why = fmt.Errorf("the stream came from this server and goes in a circle, through %s", chain(list))
	case len(list) > Max:
		why = fmt.Errorf("the stream came through more than %d servers: %s", Max, chain(list))
	default:
		return nil
	}
	return &session.Refusal{Reason: session.Loop, Err: why}
}

// chain shows a list in a log.
func chain(list []string) string { return session.Printable(strings.Join(list, " → "), 512) }
