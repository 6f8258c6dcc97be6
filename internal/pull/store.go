package pull

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir/internal/peer"
	"weir/internal/reach"
	"weir/internal/statefile"
)

// keptPull is a pull that the API has made, as the file holds it.
type keptPull struct {
	Stream   string   `json:"stream"`
	Sources  []string `json:"sources"`
	OnDemand bool     `json:"on_demand"`
	Linger   string   `json:"linger"`
	Silence  string   `json:"silence"`
	Prefer   string   `json:"prefer"`
	Insecure bool     `json:"insecure,omitempty"`
	Pin      string   `json:"pin,omitempty"`
}

// store is the file in which the pulls are kept that the API has made. Only its user may read it: there are keys in the sources.
type store struct{ name string }

// storeIn returns the file in a folder; without a folder nothing is kept.
func storeIn(folder string) store {
	if folder == "" {
		return store{}
	}
	return store{filepath.Join(folder, "pulls.json")}
}

// maxStore bounds the file, in bytes: more than maxAdded pulls take whose sources are all as long as may be.
const maxStore = 128 << 20

// read returns the plans that are kept, by the paths of their streams.
func (s store) read() (map[string]Plan, error) {
	plans := map[string]Plan{}
	if s.name == "" {
		return plans, nil
	}
	b, err := statefile.Read(s.name, maxStore)
	if err != nil {
		return nil, fmt.Errorf("pull: %w", err)
	}
	if b == nil {
		return plans, nil
	}
	var list []keptPull
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, s.damaged(errors.New("it is no JSON of the form that is written to it")) // what json says may show a key
	}
	if len(list) > maxAdded {
		return nil, s.damaged(fmt.Errorf("it has more than %d streams", maxAdded))
	}
	for i := range list {
		plan, err := list[i].plan()
		if _, twice := plans[list[i].Stream]; twice && err == nil {
			err = errors.New("the stream is in it twice")
		}
		if err != nil {
			return nil, s.damaged(fmt.Errorf("entry %d: %w", i+1, err))
		}
		plans[list[i].Stream] = plan
	}
	return plans, nil
}

// damaged says what to do about a file that cannot be read.
func (s store) damaged(err error) error {
	return fmt.Errorf("pull: %s, in which the streams are kept that the API has fetched, is damaged (%w): mend it, or remove it to begin without them", s.name, err)
}

// plan checks what the file holds. Its errors show no secret.
func (k *keptPull) plan() (Plan, error) {
	if err := peer.CheckPath(k.Stream); err != nil {
		return Plan{}, err
	}
	if len(k.Sources) == 0 || len(k.Sources) > maxSources {
		return Plan{}, fmt.Errorf("it has %d sources, not one to %d", len(k.Sources), maxSources)
	}
	for _, source := range k.Sources {
		if err := CheckSource(source); err != nil {
			return Plan{}, err
		}
	}
	p := Plan{Sources: k.Sources, OnDemand: k.OnDemand, By: ByAPI, Tuning: defaultTuning()}
	if _, err := reach.ParseFingerprint(k.Pin); err != nil {
		return Plan{}, fmt.Errorf("pin: %w", err)
	}
	p.Insecure, p.Pin = k.Insecure, k.Pin
	if p.Prefer = k.Prefer; p.Prefer != preferSticky && p.Prefer != preferFirst {
		return Plan{}, fmt.Errorf("prefer is %.20q, not %s or %s", k.Prefer, preferSticky, preferFirst)
	}
	for _, d := range []struct {
		key, text string
		to        *time.Duration
	}{{"linger", k.Linger, &p.Linger}, {"silence", k.Silence, &p.Silence}} {
		v, err := time.ParseDuration(d.text)
		if err != nil || v <= 0 {
			return Plan{}, fmt.Errorf("%s is %.20q, not a duration such as 30s", d.key, d.text)
		}
		*d.to = v
	}
	return p, nil
}

// write replaces the file.
func (s store) write(plans map[string]Plan) error {
	if s.name == "" {
		return nil
	}
	list := []keptPull{}
	for path, p := range plans {
		list = append(list, keptPull{path, p.Sources, p.OnDemand, p.Linger.String(), p.Silence.String(), p.Prefer, p.Insecure, p.Pin})
	}
	slices.SortFunc(list, func(a, b keptPull) int { return strings.Compare(a.Stream, b.Stream) })
	b, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	return statefile.Write(s.name, b)
}
