package deliver

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"weir/internal/event"
)

// template matches what is replaced in a command's arguments.
var template = regexp.MustCompile(`\{([a-z_]+)\}`)

// fields are what arguments and the environment of commands may hold of an event, by name.
var fields = []string{"event", "id", "time", "stream", "app", "name", "session", "protocol", "remote", "user", "key_id", "reason", "server"}

// valuesOf returns the values of fields for an event; those that it has not are empty.
func valuesOf(v *envelope) map[string]string {
	m := map[string]string{"event": v.Type, "id": v.ID, "time": v.Time.UTC().Format("2006-01-02T15:04:05.000Z"), "server": v.Server.Name}
	if s := v.Stream; s != nil {
		m["stream"] = s.Path
		m["app"], m["name"], _ = strings.Cut(s.Path, "/")
	}
	if s := v.Session; s != nil {
		m["session"], m["protocol"], m["remote"], m["user"], m["key_id"] = s.ID, s.Protocol, s.Remote, s.User, s.KeyID
	}
	if r, ok := v.Data["reason"].(string); ok {
		m["reason"] = r
	}
	for k, s := range m { // neither arguments nor the environment can hold it
		m[k] = strings.ReplaceAll(s, "\x00", "")
	}
	return m
}

// fill replaces the fields in arguments.
func fill(args []string, values map[string]string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = template.ReplaceAllStringFunc(a, func(t string) string { return values[strings.Trim(t, "{}")] })
	}
	return out
}

// shells read one of their arguments as a program.
var shells = []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "fish"}

// checkTemplate refuses an argument with a field that there is not, and one that a peer could
// make a shell run.
func checkTemplate(args []string, i int) error {
	for _, t := range template.FindAllStringSubmatch(args[i], -1) {
		if !slices.Contains(fields, t[1]) {
			return fmt.Errorf("there is no {%s}; there are {%s}", t[1], strings.Join(fields, "}, {"))
		}
		if i == 0 {
			return fmt.Errorf("{%s} cannot choose the program: a peer could", t[1])
		}
		if program(args[:i]) {
			return fmt.Errorf("{%s} in a program for a shell would let a peer run commands: write \"$WEIR_%s\" instead", t[1], strings.ToUpper(t[1]))
		}
	}
	return nil
}

// program reports whether the argument after these may be a program for a shell: sh -c, env bash -lc or sh -c -e. What
// follows that program is its arguments, which no shell reads.
func program(before []string) bool {
	shell := slices.IndexFunc(before, func(a string) bool { return slices.Contains(shells, filepath.Base(a)) })
	if shell < 0 {
		return false
	}
	reads, valued := false, false
	for _, a := range before[shell+1:] {
		switch {
		case valued: // of the option before: -o errexit
			valued = false
		case strings.HasPrefix(a, "--"):
			valued = a == "--rcfile" || a == "--init-file"
		case strings.HasPrefix(a, "-"), strings.HasPrefix(a, "+"):
			reads = reads || strings.Contains(a, "c")
			valued = strings.ContainsAny(a, "oO")
		default:
			return false // that is the program, or a script
		}
	}
	return reads
}

// environment returns the environment of a command: ours without the configuration's variables, which
// may hold secrets, and the event's fields.
func environment(ours []string, values map[string]string) []string {
	env := slices.DeleteFunc(slices.Clone(ours), func(s string) bool { return strings.HasPrefix(s, "WEIR_") })
	for _, f := range fields {
		env = append(env, "WEIR_"+strings.ToUpper(f)+"="+values[f])
	}
	return env
}

// subjectOf returns the key of the pair of events that v belongs to, by the type of its start.
func subjectOf(v *envelope) (key string, starts bool) {
	e := v.event()
	if event.StopOf(v.Type) != "" {
		return v.Type + " " + e.Subject(), true
	}
	return event.StartOf(v.Type) + " " + e.Subject(), false
}
