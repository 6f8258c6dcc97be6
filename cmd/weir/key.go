package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"weir/internal/admit"
)

// keyCmd is "weir key".
type keyCmd struct {
	New    keyNewCmd    `cmd:"" help:"Make a key for one publisher or player, and print it: it is kept as a hash alone."`
	List   keyListCmd   `cmd:"" help:"List the keys, without the keys themselves."`
	Revoke keyRevokeCmd `cmd:"" help:"Make a key invalid; a running server ends the sessions that it admitted."`
	Hash   keyHashCmd   `cmd:"" help:"Read a key from standard input and print its hash, for streams[].publish.keys[].hash."`
}

// Help is the text below the commands.
func (keyCmd) Help() string {
	return "Example: weir key new live/alice --set state=/var/lib/weir\n\n" +
		"The keys are in the folder that the configuration calls state. A running server knows of a change within a second. Run this as the user that the server runs as, or as root: what root writes belongs to whom the folder belongs. The streams that a key is for ask for a key from then on, also when all their keys are revoked."
}

// keys is the flags of the commands that work on the file of keys.
type keys struct{ source }

// file returns the file of keys, and the keys of the configuration.
func (k *keys) file() (admit.KeyFile, []listedKey, error) {
	c, err := k.part("")
	if err != nil {
		return admit.KeyFile{}, nil, err
	}
	state := c.Config().State
	if state == "" {
		return admit.KeyFile{}, configuredKeys(c), usageError{errors.New("keys are kept in the folder that the configuration calls state, and it names none: add \"state: /var/lib/weir\" to the file given with -c, or --set state=/var/lib/weir")}
	}
	return admit.KeyFileIn(state), configuredKeys(c), nil
}

type keyNewCmd struct {
	Match   string `arg:"" help:"The streams that the key is for: a path such as live/alice, or a pattern such as live/*."`
	Role    string `enum:"publish,play" default:"publish" help:"What the key admits to: publish or play."`
	Path    string `placeholder:"APP/NAME" help:"The stream that the key leads to, whatever name was asked for. The key may then stand in the place of the name."`
	ID      string `name:"id" placeholder:"ID" help:"Name of the key in log, API and events; one is made up otherwise."`
	Label   string `placeholder:"TEXT" help:"What the key is for, in your words."`
	For     span   `xor:"end" placeholder:"DURATION" help:"How long the key is valid, such as 30d or 12h. Without it or --expires: until it is revoked."`
	Expires string `xor:"end" placeholder:"TIME" help:"When the key ends, such as 2027-01-31 or 2027-01-31T18:00:00Z."`
	keys
}

// Help is the text below the flags.
func (keyNewCmd) Help() string {
	return "Example: weir key new live/alice --label Alice --set state=/var/lib/weir\n\n" +
		"The key is printed on standard output, and what it is for on standard error. To make a key that is the stream's name for its publisher, and not for anybody else:\n\n" +
		"  weir key new 'live/*' --path live/alice -c weir.yml\n\n" +
		"To replace a key without a break: make the new one, give it to the publisher, revoke the old one."
}

// Run implements the command.
func (c *keyNewCmd) Run(out *console) error {
	file, configured, err := c.file()
	if err != nil {
		return err
	}
	for _, k := range configured {
		if c.ID != "" && k.ID == c.ID {
			return usageError{fmt.Errorf("the configuration has a key %s already (%s): choose another --id", k.ID, k.Where)}
		}
	}
	k := admit.StoredKey{ID: c.ID, Role: c.Role, Match: c.Match, Path: c.Path, Label: c.Label}
	if k.Expires, err = endOf(time.Duration(c.For), c.Expires, time.Now()); err != nil {
		return err
	}
	secret, k, err := file.Add(k)
	if err != nil {
		return err
	}
	what := c.Match
	if c.Path != "" {
		what += ", which leads to " + c.Path
	}
	fmt.Fprintf(out.Err, "Key %s to %s %s. It is shown this once:\n", k.ID, k.Role, what)
	_, err = fmt.Fprintln(out.Out, secret)
	return err
}

// endOf returns the end that a duration or a text names; zero if neither does.
func endOf(d time.Duration, text string, now time.Time) (time.Time, error) {
	switch {
	case d < 0:
		return time.Time{}, usageError{fmt.Errorf("a duration of %v is over already", d)}
	case d > 0:
		return now.Add(d).UTC().Truncate(time.Second), nil
	case text == "":
		return time.Time{}, nil
	}
	t, err := parseTime(text)
	if err == nil && !t.After(now) {
		err = usageError{fmt.Errorf("%s is over already", text)}
	}
	return t, err
}

// parseTime reads a time that a flag was given.
func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("%q is no time: write 2027-01-31 or 2027-01-31T18:00:00Z", text)}
}

type keyListCmd struct {
	JSON bool `name:"json" help:"Print JSON."`
	keys
}

// Help is the text below the flags.
func (keyListCmd) Help() string {
	return "Example: weir key list --set state=/var/lib/weir\n\nLAST USED is when the key let somebody in, or when such a session was last there, up to a minute late; of keys of the configuration it is not known. WHERE says in which file a key is."
}

// listedKey is what is shown of a key.
type listedKey struct {
	ID       string    `json:"id"`
	Role     string    `json:"role"`
	Match    string    `json:"match"`
	Path     string    `json:"path,omitempty"`
	Label    string    `json:"label,omitempty"`
	State    string    `json:"state"` // "valid", "expired" or "revoked"
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`
	Revoked  time.Time `json:"revoked,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`
	Where    string    `json:"where"` // "keys.json", or the place in the configuration
}

// Run implements the command.
func (c *keyListCmd) Run(out *console) error {
	file, configured, err := c.file()
	if err != nil && len(configured) == 0 {
		return err
	}
	if file.Name == "" { // there is no folder of state
		return printKeys(out, c.JSON, configured)
	}
	stored, err := file.List()
	if err != nil {
		return err
	}
	used, err := file.LastUsed()
	if err != nil {
		return err
	}
	list := make([]listedKey, len(stored))
	for i, k := range stored {
		l := listedKey{k.ID, k.Role, k.Match, k.Path, k.Label, "valid", k.Created, k.Expires, k.Revoked, used[k.ID], filepath.Base(file.Name)}
		switch {
		case !k.Revoked.IsZero():
			l.State = "revoked"
		case !k.Expires.IsZero() && !time.Now().Before(k.Expires):
			l.State = "expired"
		}
		list[i] = l
	}
	if list = append(list, configured...); len(list) == 0 && !c.JSON {
		_, err := fmt.Fprintf(out.Err, "There are no keys in %s, and none in the configuration.\n", file.Name)
		return err
	}
	return printKeys(out, c.JSON, list)
}

// printKeys prints what is shown of keys.
func printKeys(out *console, asJSON bool, list []listedKey) error {
	if asJSON {
		return json.NewEncoder(out.Out).Encode(append([]listedKey{}, list...))
	}
	w := tabwriter.NewWriter(out.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tROLE\tMATCH\tPATH\tSTATE\tEXPIRES\tLAST USED\tWHERE\tLABEL")
	for _, l := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", dash(l.ID), l.Role, l.Match, dash(l.Path), l.State, when(l.Expires), when(l.LastUsed), l.Where, l.Label)
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04Z")
}

type keyRevokeCmd struct {
	ID   string `arg:"" help:"The key's id, as weir key list shows it."`
	Keep bool   `help:"Let sessions that the key admitted go on; it admits no more."`
	keys
}

// Help is the text below the flags.
func (keyRevokeCmd) Help() string {
	return "Example: weir key revoke k3j9x2ab --set state=/var/lib/weir"
}

// Run implements the command.
func (c *keyRevokeCmd) Run(out *console) error {
	file, configured, err := c.file()
	for _, k := range configured {
		if k.ID == c.ID {
			return usageError{fmt.Errorf("key %s is in the configuration (%s): take it out there, and have the server read it again", k.ID, k.Where)}
		}
	}
	if err != nil {
		return err
	}
	k, err := file.Revoke(c.ID, c.Keep)
	if errors.Is(err, admit.ErrNoSuchKey) {
		return usageError{fmt.Errorf("%w; `weir key list` shows those there are", err)}
	}
	if err != nil {
		return err
	}
	then := "a running server ends its sessions"
	if k.Keep {
		then = "its sessions may go on"
	}
	_, err = fmt.Fprintf(out.Err, "Key %s is revoked; %s.\n", k.ID, then)
	return err
}

type keyHashCmd struct {
	Password bool `help:"It is a password that somebody chose, for a key with a user: hash it so that guessing is slow."`
}

// Help is the text below the flags.
func (keyHashCmd) Help() string {
	return "Example: weir key hash, then the key and Enter; or weir key hash < FILE\n\nA hash does not hide a key that can be guessed: use it for keys of 16 random characters and more, such as weir token makes. With --password the hash of what can be guessed is slow to compute (argon2id); a key with it needs a user, too."
}

// Run implements the command.
func (c *keyHashCmd) Run(out *console) error {
	return hashKey(os.Stdin, out, c.Password)
}

// leastKey is the least length of a key whose plain hash does not give it away, in characters.
const leastKey = 16

// hashKey prints the hash of the key in the first line of r.
func hashKey(r io.Reader, out *console, password bool) error {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	key := strings.TrimRight(line, "\r\n")
	if key == "" {
		return usageError{errors.New("there is no key on standard input")}
	}
	hash := admit.HashKey
	if !password && len(key) < leastKey {
		fmt.Fprintf(out.Err, "A key of %d characters can be guessed from this hash: take one of %d and more (weir token makes one), or --password.\n", len(key), leastKey)
	}
	if password {
		hash = admit.HashPassword
	}
	_, err = fmt.Fprintln(out.Out, hash(key))
	return err
}
