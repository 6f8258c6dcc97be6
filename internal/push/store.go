package push

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"weir/internal/statefile"
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

// addedAt returns the index in Added of a target, -1 if the API has not made it.
func (k *kept) addedAt(path, name string) int {
	return slices.IndexFunc(k.Added, func(a added) bool { return a.Stream == path && a.Name == name })
}

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
	b, err := statefile.Read(s.name, maxStore)
	if err != nil {
		return kept{}, fmt.Errorf("push: %w", err)
	}
	if b == nil {
		return kept{}, nil
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return kept{}, fmt.Errorf("push: %s, in which the targets made by the API are kept, is damaged: mend it, or remove it to begin without them", s.name)
	}
	return k, nil
}

// write replaces the file.
func (s store) write(k kept) error {
	if s.name == "" {
		return nil
	}
	b, err := json.MarshalIndent(&k, "", "  ")
	if err != nil {
		return err
	}
	return statefile.Write(s.name, b)
}
