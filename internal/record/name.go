package record

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"weir/internal/config"
)

// tokens are what a template may have between braces.
var tokens = []string{"path", "app", "name", "start", "date", "time", "year", "month", "day", "hour", "minute", "second", "unix", "recording", "id"}

const (
	maxTemplate = 255
	// maxSegment is the longest part of a path, in bytes: file systems take 255, and -2 and extensions are added.
	maxSegment = 200
	// maxCopies is how many files of one name there may be.
	maxCopies = 10000
	// PartSuffix is what a file's name ends in until it is whole.
	PartSuffix = ".part"
)

// nameParts are the facts that a name is made of.
type nameParts struct {
	stream, recording, id string
	at                    time.Time
}

// checkTemplate refuses a template that does not name a file below its directory.
func checkTemplate(t string) error {
	if t == "" || len(t) > maxTemplate {
		return fmt.Errorf("the template has %d bytes: write 1 to %d, such as {path}/{start}", len(t), maxTemplate)
	}
	if strings.HasPrefix(t, "/") || strings.Contains(t, `\`) {
		return errors.New("the template begins with / or has a backslash: it is a path below dir, such as {path}/{start}")
	}
	if _, err := config.Expand(t, func(token string) (string, error) {
		if !slices.Contains(tokens, token) {
			return "", fmt.Errorf("{%s} is not known", token)
		}
		return "", nil
	}); err != nil {
		return fmt.Errorf("%w: there are {%s}", err, strings.Join(tokens, "}, {"))
	}
	for s := range strings.SplitSeq(t, "/") {
		if s == "" || s == "." || s == ".." {
			return fmt.Errorf("the template has the part %q: it is a path below dir, such as {path}/{start}", s)
		}
	}
	return nil
}

// expand returns the path of a file below its directory, without extension. Whatever the stream is called, it is one.
func expand(template string, n *nameParts) string {
	app, name, _ := strings.Cut(n.stream, "/")
	at := n.at
	zone := at.Format("-0700")
	if _, off := at.Zone(); off == 0 {
		zone = "Z"
	}
	values := map[string]string{
		"path": n.stream, "app": app, "name": name, "recording": n.recording, "id": n.id,
		"start": at.Format("2006-01-02T15-04-05") + zone, "date": at.Format("2006-01-02"), "time": at.Format("15-04-05") + zone,
		"year": at.Format("2006"), "month": at.Format("01"), "day": at.Format("02"),
		"hour": at.Format("15"), "minute": at.Format("04"), "second": at.Format("05"), "unix": strconv.FormatInt(at.Unix(), 10),
	}
	text, _ := config.Expand(template, func(token string) (string, error) { return values[token], nil }) // it was checked
	var parts []string
	for s := range strings.SplitSeq(text, "/") {
		parts = append(parts, sanitize(s))
	}
	return path.Join(parts...)
}

// reserved are names that Windows has for devices, with any extension.
var reserved = []string{"con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9"}

// sanitize makes any text one part of a path that every file system takes and that hides nothing.
func sanitize(s string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune(`<>:"/\|?*`, r) || unicode.Is(unicode.Cf, r) {
			return '_'
		}
		return r
	}, s)
	clean = strings.TrimRight(clean, ". ")
	if clean == "" || clean[0] == '.' || clean[0] == '-' || clean[0] == ' ' {
		clean = "_" + clean
	}
	stem, _, _ := strings.Cut(strings.ToLower(clean), ".")
	if slices.Contains(reserved, stem) {
		clean = "_" + clean
	}
	if strings.HasSuffix(clean, PartSuffix) { // it would be taken for a file that is being written
		clean += "_"
	}
	if len(clean) <= maxSegment {
		return clean
	}
	sum := sha256.Sum256([]byte(s))
	end := "~" + hex.EncodeToString(sum[:4])
	cut := maxSegment - len(end)
	for !utf8.RuneStart(clean[cut]) {
		cut--
	}
	return clean[:cut] + end
}

// numbered is a name for the n-th file that would have the same.
func numbered(name string, n int, ext string) string {
	if n > 1 {
		name += "-" + strconv.Itoa(n)
	}
	return name + ext
}
