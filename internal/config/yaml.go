package config

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxNesting bounds how deep the values of a document may be nested.
const maxNesting = 64

// maxNodes bounds what aliases can multiply a document to.
const maxNodes = 100_000

// syntaxError is a document that is no YAML, at a place counted from 1 (or 0, 0).
type syntaxError struct {
	line, column int
	message      string
}

func (e *syntaxError) Error() string { return e.message }

// parse returns the one document in data, nil if it is empty.
func parse(data []byte) (*yaml.Node, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(data) > MaxFileSize {
		return nil, &syntaxError{message: fmt.Sprintf("found %d bytes, allowed: at most %d", len(data), MaxFileSize)}
	}
	if line, column, ok := validText(data); !ok {
		return nil, &syntaxError{line, column, "found a byte that is not UTF-8 or a NUL"}
	}
	var documents []yaml.Node
	if err := yaml.Load(data, &documents, yaml.WithAllDocuments()); err != nil {
		return nil, newSyntaxError(data, err)
	}
	var body *yaml.Node
	for i, d := range documents {
		if len(d.Content) == 0 || kindOf(d.Content[0]) == nothing && d.Content[0].Value == "" {
			continue
		}
		if i > 0 {
			return nil, &syntaxError{d.Content[0].Line, d.Content[0].Column, "found a second document, allowed: one"}
		}
		body = d.Content[0]
	}
	if n := tooDeep(body, 0); n != nil {
		return nil, &syntaxError{n.Line, n.Column, fmt.Sprintf("nested more than %d deep", maxNesting)}
	}
	return body, nil
}

// tooDeep returns a value below n, itself at a depth, that is nested too deep; nil if there is none.
func tooDeep(n *yaml.Node, depth int) *yaml.Node {
	if n == nil || depth > maxNesting {
		return n
	}
	for _, c := range n.Content {
		if deep := tooDeep(c, depth+1); deep != nil {
			return deep
		}
	}
	return nil
}

// newSyntaxError says where data is no YAML: where that begins which has no end, or where something was found that
// cannot be there. It has no text of the source, which may be a secret.
func newSyntaxError(data []byte, err error) error {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		return &syntaxError{message: "not YAML"}
	}
	at, message := le.Mark, "not YAML: "+le.Message
	if le.ContextMsg != "" {
		message += ", " + le.ContextMsg
		if le.ContextMark.Line > 0 && !strings.Contains(le.ContextMsg, "a block") {
			at = le.ContextMark
		}
	}
	switch {
	case strings.Contains(le.Message, "anchor"), strings.Contains(le.ContextMsg, "alias"):
		message = `not YAML: found an alias without its anchor (a value that begins with * is written in quotes: "**")`
	case strings.Contains(le.ContextMsg, "quoted scalar") && strings.Contains(le.Message, "end of stream"):
		message = "not YAML: found a quote without the one that ends its text"
	case strings.HasPrefix(lineOf(data, at.Line), "\t"):
		message = "not YAML: found a tab at the beginning of a line, allowed: spaces"
	}
	return &syntaxError{at.Line, at.Column, message}
}

// lineOf returns a line of data, counted from 1, and what follows it.
func lineOf(data []byte, line int) string {
	for range line - 1 {
		_, data, _ = bytes.Cut(data, []byte("\n"))
	}
	return string(data)
}

func validText(data []byte) (line, column int, ok bool) {
	line, column = 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == 0 || r == utf8.RuneError && n == 1:
			return line, column, false
		case r == '\n':
			line, column = line+1, 1
		default:
			column++
		}
		data = data[n:]
	}
	return 0, 0, true
}

// nodeKind is what a value is, as it stands in a document.
type nodeKind uint8

const (
	nothing nodeKind = iota
	text
	integer
	number
	boolean
	sequence
	mapping
)

// kindOf returns what n is, which is no alias. What looks like a date is text, as is what is in quotes.
func kindOf(n *yaml.Node) nodeKind {
	switch n.Kind {
	case yaml.SequenceNode:
		return sequence
	case yaml.MappingNode:
		return mapping
	}
	switch n.Tag {
	case "!!null":
		return nothing
	case "!!int":
		return integer
	case "!!float":
		return number
	case "!!bool":
		return boolean
	}
	return text
}

// isScalar reports whether n is a text, number or bool.
func isScalar(n *yaml.Node) bool {
	switch kindOf(n) {
	case text, integer, number, boolean:
		return n.Kind == yaml.ScalarNode
	}
	return false
}

// pairs yields the keys and values of a mapping.
func pairs(n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// keyText returns a key that is text, and not the "<<" that merges.
func keyText(k *yaml.Node) (string, bool) {
	if k.Kind != yaml.ScalarNode || k.Style&yaml.TaggedStyle != 0 || kindOf(k) != text || isMerge(k) {
		return "", false
	}
	return k.Value, true
}

func isMerge(k *yaml.Node) bool { return k.Kind == yaml.ScalarNode && k.Tag == "!!merge" }

// found describes n in the words of a message. The text of a secret stays out.
func found(n *yaml.Node, secret bool) string {
	switch kindOf(n) {
	case nothing:
		return "found nothing"
	case sequence:
		return "found a list"
	case mapping:
		return "found a group of keys"
	case integer, number:
		return "found the number " + bare(n.Value, secret)
	case boolean:
		return "found " + n.Value
	}
	return "found text " + show(n.Value, secret)
}

// show quotes text for a message, at most 64 characters of it.
func show(text string, secret bool) string {
	if secret {
		return "***"
	}
	cut := []rune(text)
	if len(cut) > 64 {
		return fmt.Sprintf("%q…", string(cut[:64]))
	}
	return fmt.Sprintf("%q", text)
}

func bare(text string, secret bool) string {
	if secret || len(text) > 64 {
		return "***"
	}
	return text
}
