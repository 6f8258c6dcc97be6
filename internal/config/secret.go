package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxSecretFile is the largest file that a secret is read from, in bytes.
const maxSecretFile = 64 << 10

// reference is what stands in the place of a secret that is kept elsewhere: {file: NAME} or {env: NAME}.
type reference struct {
	kind string // "file" or "env"
	name *yaml.Node
}

// secretReference returns the reference that n is. A group of several keys is none.
func secretReference(n *yaml.Node) (reference, bool) {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return reference{}, false
	}
	switch kind, _ := keyText(n.Content[0]); kind {
	case "file", "env":
		return reference{kind, n.Content[1]}, true
	}
	return reference{}, false
}

// takesReference reports whether a value of f may be kept elsewhere.
func (f *field) takesReference() bool {
	return f.kind == value && f.secret && f.typ.Kind() == reflect.String
}

// decodeReference sets v, the value of the secret f at path, to what r refers to.
func (l *loader) decodeReference(f *field, v reflect.Value, r reference, path string) {
	name, ok := l.resolve(r.name, path)
	if !ok {
		return
	}
	if kindOf(name) != text || name.Value == "" {
		l.problem(name, path, found(name, false)+" as the "+r.kind+" of a secret", "{file: NAME} or {env: NAME}")
		return
	}
	if l.needs != nil && !l.needs(path) {
		l.partial = true
		return
	}
	secret, err := l.lookUp(r.kind, name.Value)
	if err != nil {
		l.problem(name, path, err.Error(), "")
		return
	}
	next := reflect.New(f.typ).Elem()
	if err := f.setText(next, secret); err != nil {
		l.problem(name, path, "found a secret in "+r.kind+" "+show(name.Value, false)+" that is none", f.refuse(err))
		return
	}
	l.store(f, v, next, path, l.at(name), func() string { return "found ***" })
}

// lookUp returns the secret that is kept under a name.
func (l *loader) lookUp(kind, name string) (string, error) {
	if kind == "env" {
		for _, e := range l.environ {
			if n, text, ok := strings.Cut(e, "="); ok && n == name && text != "" {
				return text, nil
			}
		}
		return "", fmt.Errorf("the environment variable %s, which is to hold this secret, is not set", show(name, false))
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("the file that is to hold this secret cannot be read: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("the file that is to hold this secret cannot be read: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))), "\n"), "\r")
	switch {
	case len(b) > maxSecretFile:
		err = errors.New("has more than 64 KiB")
	case text == "":
		err = errors.New("is empty")
	case !utf8.ValidString(text):
		err = errors.New("is no text")
	}
	if err != nil {
		return "", fmt.Errorf("the file %s, which is to hold this secret, %w", show(name, false), err)
	}
	return text, nil
}
