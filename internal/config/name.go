package config

import (
	"errors"
	"fmt"
	"strings"
)

// MaxName is how long the name of an entry may be.
const MaxName = 40

// CheckName says what is wrong with the name of an entry; nil if it is one.
func CheckName(s string) error {
	if s == "" || len(s) > MaxName || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		return fmt.Errorf("%.60q is no name: it has up to %d lower-case letters, digits, - and _", s, MaxName)
	}
	return nil
}

// errBrace is returned by Expand.
var errBrace = errors.New("a { has no }")

// Expand replaces the words in braces in a text by what value returns for them. It fails for a { without a }, and with what value fails with.
func Expand(text string, value func(word string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		word, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", errBrace
		}
		v, err := value(word)
		if err != nil {
			return "", err
		}
		b.WriteString(v)
		text = after
	}
}
