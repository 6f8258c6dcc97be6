package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxNesting bounds brackets within brackets and dashes on one line: the parser
// takes quadratic time and stack for them.
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
func parse(data []byte) (ast.Node, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(data) > MaxFileSize {
		return nil, &syntaxError{message: fmt.Sprintf("found %d bytes, allowed: at most %d", len(data), MaxFileSize)}
	}
	if line, column, ok := validText(data); !ok {
		return nil, &syntaxError{line, column, "found a byte that is not UTF-8 or a NUL"}
	}
	tokens := lexer.Tokenize(string(data))
	if err := checkNesting(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, newSyntaxError(err)
	}
	var body ast.Node
	for i, d := range file.Docs {
		if i > 0 && d.Body != nil {
			p := d.Body.GetToken().Position
			return nil, &syntaxError{p.Line, p.Column, "found a second document, allowed: one"}
		}
		body = d.Body
	}
	return body, nil
}

// newSyntaxError keeps the place and the reason of err, and leaves out the excerpt of
// the source that the parser adds: it may hold a secret.
func newSyntaxError(err error) error {
	var se *yaml.SyntaxError
	if !errors.As(err, &se) || se.Token == nil {
		return &syntaxError{message: "not YAML"}
	}
	reason := strings.NewReplacer("\t", `\t`, "\n", `\n`).Replace(se.Message)
	e := &syntaxError{se.Token.Position.Line, se.Token.Position.Column, "not YAML: " + reason}
	if strings.HasPrefix(se.Token.Value, "*") || strings.Contains(se.Message, "alias") || strings.HasPrefix(se.Message, "unexpected scalar") {
		e.message += ` (a value that begins with * is written in quotes: "**")`
	}
	return e
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

func checkNesting(tokens token.Tokens) error {
	open, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			open++
		case token.SequenceEndType, token.MappingEndType:
			open--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			dashes++
		}
		if open > maxNesting || dashes > maxNesting {
			return &syntaxError{t.Position.Line, t.Position.Column, fmt.Sprintf("nested more than %d deep", maxNesting)}
		}
	}
	return nil
}

// anchors collects the anchors below n by name. A name set twice means the last.
func anchors(n ast.Node) map[string]ast.Node {
	found := anchorFinder{}
	if n != nil {
		ast.Walk(found, n)
	}
	return found
}

type anchorFinder map[string]ast.Node

// Visit implements ast.Visitor.
func (f anchorFinder) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil {
		f[a.Name.GetToken().Value] = a.Value
	}
	return f
}

// pairs returns the keys and values of a mapping; ok is false if n is none.
func pairs(n ast.Node) (values []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// found describes n in the words of a message. The text of a secret stays out.
func found(n ast.Node, secret bool) string {
	switch n := n.(type) {
	case *ast.NullNode:
		return "found nothing"
	case *ast.SequenceNode:
		return "found a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "found a group of keys"
	case *ast.StringNode:
		return "found text " + show(n.Value, secret)
	case *ast.LiteralNode:
		return "found text " + show(n.Value.Value, secret)
	case *ast.IntegerNode:
		return "found the number " + bare(n.Token.Value, secret)
	case *ast.FloatNode:
		return "found the number " + bare(n.Token.Value, secret)
	case *ast.BoolNode:
		return "found " + n.Token.Value
	}
	return "found " + strings.ToLower(n.Type().String())
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
