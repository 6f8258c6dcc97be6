package push

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// kept is what the API has changed, as the file holds it.
type kept struct {
	// Added are the targets that the API made, in their order.
	Added []added `json:"added"`
	// Switched are those of others that it has turned on or off.
	Switched []switched `json:"switched"`
}

// added is a target of one stream.
type added struct {
	Stream string `json:"stream"`
	Config
}

// switched is whether a target is on.
type switched struct {
	Stream string `json:"stream"`
	Name   string `json:"name"`
	On     bool   `json:"on"`
}

func (k *kept) clone() kept { return kept{slices.Clone(k.Added), slices.Clone(k.Switched)} }

// override returns the index in Switched of a target, -1 if it is as it was made.
func (k *kept) override(path, name string) int {
	return slices.IndexFunc(k.Switched, func(s switched) bool { return s.Stream == path && s.Name == name })
}

// store is the file in which it is kept. Only its user may read it: it holds keys.
type store struct{ name string }

// storeIn returns the file in a folder; without a folder nothing is kept.
func storeIn(folder string) store {
	if folder == "" {
		return store{}
	}
	return store{filepath.Join(folder, "pushes.json")}
}

// maxStore bounds the file, in bytes.
const maxStore = 16 << 20

// read returns what is kept.
func (s store) read() (k kept, err error) {
	if s.name == "" {
		return kept{}, nil
	}
	f, err := os.Open(s.name)
	if errors.Is(err, fs.ErrNotExist) {
		return kept{}, nil
	}
	if err != nil {
		return kept{}, fmt.Errorf("push: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxStore+1))
	switch {
	case err != nil:
		return kept{}, fmt.Errorf("push: reading %s: %w", s.name, err)
	case len(b) > maxStore:
		return kept{}, fmt.Errorf("push: %s has more than %d bytes", s.name, maxStore)
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return kept{}, fmt.Errorf("push: %s, in which the targets made by the API are kept, is damaged: mend it, or remove it to begin without them", s.name)
	}
	return k, nil
}

// write replaces the file in one step: after a crash there is the old or the new one.
func (s store) write(k kept) (err error) {
	if s.name == "" {
		return nil
	}
	b, err := json.MarshalIndent(&k, "", "  ")
	if err != nil {
		return err
	}
	folder := filepath.Dir(s.name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(folder, ".pushes.*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), s.name); err != nil {
		return err
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
