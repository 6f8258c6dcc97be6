package admit

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir/internal/session"
	"weir/internal/statefile"
)

// The bounds of a file of keys.
const (
	maxKeyFile    = 16 << 20 // bytes
	maxStoredKeys = 10_000
)

// keyFileVersion is the version of the file that this program reads and writes.
const keyFileVersion = 1

// StoredKey is a key that "weir key new" has made. The file has its hash alone.
type StoredKey struct {
	ID    string `json:"id"`
	Hash  string `json:"hash"`
	Role  string `json:"role"`  // "publish" or "play"
	Match string `json:"match"` // the streams that it is for
	// Path is the stream that it leads to; empty: the one that was asked for.
	Path    string    `json:"path,omitempty"`
	Label   string    `json:"label,omitempty"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
	// Keep says that sessions that it had admitted when it was revoked may go on.
	Keep bool `json:"keep,omitempty"`
}

// Key returns what stands for the key in the grants of sessions that it has admitted.
func (k *StoredKey) Key() uint64 {
	d, _ := parseDigest(k.Hash)
	return d.id()
}

// Validate says what is wrong with a key.
func (k *StoredKey) Validate() error {
	if err := checkID(k.ID); err != nil {
		return err
	}
	if k.Role != session.Publish.String() && k.Role != session.Play.String() {
		return fmt.Errorf("key %s: the role %q is neither publish nor play", k.ID, k.Role)
	}
	if err := CheckPattern(k.Match); err != nil {
		return fmt.Errorf("key %s: the pattern %q %w", k.ID, k.Match, err)
	}
	if k.Path != "" {
		if err := checkPublicPath(k.Path); err != nil {
			return fmt.Errorf("key %s: %w", k.ID, err)
		}
	}
	if err := checkLabel(k.Label); err != nil {
		return fmt.Errorf("key %s: %w", k.ID, err)
	}
	if _, err := parseDigest(k.Hash); err != nil {
		return fmt.Errorf("key %s: %w", k.ID, err)
	}
	return nil
}

// keyFile is the content of the file.
type keyFile struct {
	Version int         `json:"version"`
	Keys    []StoredKey `json:"keys"`
}

// KeyFile is the file in which "weir key" keeps keys. Its methods read and write it anew each time; several
// programs may change it.
type KeyFile struct{ Name string }

// KeyFileIn returns the file of keys in the folder of the server's state.
func KeyFileIn(state string) KeyFile { return KeyFile{filepath.Join(state, "keys.json")} }

// List returns the keys, in the order in which they were made. A file that is missing has none.
func (f KeyFile) List() ([]StoredKey, error) {
	b, err := statefile.Read(f.Name, maxKeyFile)
	if err == nil && b == nil {
		return nil, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("keys: %w: the file and its folder must belong to the user that the server runs as", err)
	}
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	var content keyFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&content); err != nil {
		return nil, fmt.Errorf("keys: %s: %w", f.Name, err)
	}
	if content.Version != keyFileVersion {
		return nil, fmt.Errorf("keys: %s has version %d; this program reads version %d", f.Name, content.Version, keyFileVersion)
	}
	if len(content.Keys) > maxStoredKeys {
		return nil, fmt.Errorf("keys: %s has more than %d keys", f.Name, maxStoredKeys)
	}
	ids := make(map[string]bool, len(content.Keys))
	for i := range content.Keys {
		k := &content.Keys[i]
		if err := k.Validate(); err != nil {
			return nil, fmt.Errorf("keys: %s: %w", f.Name, err)
		}
		if ids[k.ID] {
			return nil, fmt.Errorf("keys: %s: two keys with the id %q", f.Name, k.ID)
		}
		ids[k.ID] = true
	}
	return content.Keys, nil
}

// ErrNoSuchKey says that no key of the file has an id.
var ErrNoSuchKey = errors.New("there is no such key")

// KeyError says why a key cannot be made.
type KeyError struct {
	Code string // "id_taken", "too_many" or "invalid"
	Err  error
}

// Error returns the sentence.
func (e *KeyError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *KeyError) Unwrap() error { return e.Err }

// Add makes a new key as k describes it, gives it an id if it has none, and returns its secret, which
// is kept nowhere. It fails with a *KeyError if k cannot be.
func (f KeyFile) Add(k StoredKey) (secret string, added StoredKey, err error) {
	secret = newSecret()
	k.Hash, k.Created = HashKey(secret), time.Now().UTC().Truncate(time.Second)
	err = f.change(func(keys []StoredKey) ([]StoredKey, error) {
		taken := func(id string) bool {
			return slices.ContainsFunc(keys, func(o StoredKey) bool { return o.ID == id })
		}
		if k.ID == "" {
			for k.ID = newID(); taken(k.ID); k.ID = newID() {
			}
		}
		switch {
		case taken(k.ID):
			return nil, &KeyError{"id_taken", fmt.Errorf("there is a key %s already; revoked ones keep their ids", k.ID)}
		case len(keys) >= maxStoredKeys:
			return nil, &KeyError{"too_many", fmt.Errorf("there are %d keys already, as many as there may be", maxStoredKeys)}
		}
		if err := k.Validate(); err != nil {
			return nil, &KeyError{"invalid", err}
		}
		if !strings.Contains(k.Match, "/") && k.Match != "**" {
			return nil, &KeyError{"invalid", fmt.Errorf("no stream can be called %q: a stream's path is app/name, such as live/%s", k.Match, k.Match)}
		}
		if !k.Expires.IsZero() && !k.Expires.After(k.Created) {
			return nil, &KeyError{"invalid", fmt.Errorf("key %s: its end, %s, is over already", k.ID, k.Expires.Format(time.RFC3339))}
		}
		return append(keys, k), nil
	})
	return secret, k, err
}

// idLength is the number of letters and digits of ids that are made up.
const idLength = 8

func newID() string { return strings.ToLower(rand.Text()[:idLength]) }

// newSecret returns 130 random bits as 26 letters and digits.
func newSecret() string { return strings.ToLower(rand.Text()) }

// Revoke makes a key invalid. Sessions that it admitted end, unless keep is set. It fails with ErrNoSuchKey.
func (f KeyFile) Revoke(id string, keep bool) (StoredKey, error) {
	var revoked StoredKey
	err := f.change(func(keys []StoredKey) ([]StoredKey, error) {
		for i := range keys {
			k := &keys[i]
			if k.ID != id {
				continue
			}
			if k.Revoked.IsZero() {
				k.Revoked = time.Now().UTC().Truncate(time.Second)
			}
			k.Keep = keep
			revoked = *k
			return keys, nil
		}
		return nil, fmt.Errorf("key %q: %w", id, ErrNoSuchKey)
	})
	return revoked, err
}

// change reads the file, lets edit change what it holds, and puts it back in one step.
func (f KeyFile) change(edit func([]StoredKey) ([]StoredKey, error)) error {
	if err := statefile.MakeFolder(filepath.Dir(f.Name)); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	unlock, err := statefile.Lock(f.Name + ".lock")
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	defer unlock()
	keys, err := f.List()
	if err != nil {
		return err
	}
	if keys, err = edit(keys); err != nil {
		return err
	}
	b, err := json.MarshalIndent(keyFile{keyFileVersion, keys}, "", "  ")
	if err == nil {
		err = statefile.Write(f.Name, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	return nil
}

// LastUsed returns when each key was used last, as far as a server has noted it: up to a minute late.
func (f KeyFile) LastUsed() (map[string]time.Time, error) {
	b, err := statefile.Read(f.usedName(), maxKeyFile)
	if err == nil && b == nil {
		return nil, nil
	}
	var used map[string]time.Time
	if err == nil {
		err = json.Unmarshal(b, &used)
	}
	if err != nil {
		return nil, fmt.Errorf("keys: %s: %w", f.usedName(), err)
	}
	return used, nil
}

// usedName is the file in which a server notes when keys were used.
func (f KeyFile) usedName() string { return strings.TrimSuffix(f.Name, ".json") + ".used.json" }
