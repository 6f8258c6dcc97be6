package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
)

// mutant is one mistake: the bytes of file from begin to end are replaced.
type mutant struct {
	file       string // relative to the module's root
	line       int
	begin, end int
	by         string
	what       string // the change, for the reader
}

func (m *mutant) place() string { return fmt.Sprintf("%s:%d", m.file, m.line) }

// apply returns the source with the mistake in it.
func (m *mutant) apply(src []byte) []byte {
	return []byte(string(src[:m.begin]) + m.by + string(src[m.end:]))
}

// swaps are the operators that are mistaken for each other.
var swaps = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD,
}

// mutator collects the mutants of one file.
type mutator struct {
	name  string
	src   []byte
	fset  *token.FileSet
	found []mutant
}

// mutate returns the mutants of a file, in the order of its text.
func mutate(name string, src []byte) ([]mutant, error) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	m := &mutator{name: name, src: src, fset: fset}
	var parents []ast.Node
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil {
			parents = parents[:len(parents)-1]
			return true
		}
		m.node(n, parents)
		parents = append(parents, n)
		return true
	})
	return m.found, nil
}

// text is the source of a node.
func (m *mutator) text(n ast.Node) string {
	return string(m.src[m.fset.Position(n.Pos()).Offset:m.fset.Position(n.End()).Offset])
}

// add notes that the source from begin to end is replaced.
func (m *mutator) add(begin, end token.Pos, by, format string, args ...any) {
	b := m.fset.Position(begin)
	m.found = append(m.found, mutant{m.name, b.Line, b.Offset, m.fset.Position(end).Offset, by, fmt.Sprintf(format, args...)})
}

func (m *mutator) node(n ast.Node, parents []ast.Node) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		if op, ok := swaps[n.Op]; ok {
			m.add(n.OpPos, n.OpPos+token.Pos(len(n.Op.String())), op.String(), "`%s` with `%s`", short(m.text(n)), op)
		}
	case *ast.IfStmt:
		if b, ok := n.Cond.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) {
			return // the operator's mutant is the same
		}
		m.add(n.Cond.Pos(), n.Cond.End(), "!("+m.text(n.Cond)+")", "`if %s` negated", short(m.text(n.Cond)))
	case *ast.GenDecl:
		if n.Tok == token.CONST {
			m.consts(n)
		}
	case *ast.ReturnStmt:
		m.returns(n, parents)
	case *ast.ExprStmt:
		if _, ok := n.X.(*ast.CallExpr); ok {
			m.remove(n, parents)
		}
	case *ast.IncDecStmt:
		m.remove(n, parents)
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			m.remove(n, parents)
		}
	}
}

// consts makes bounds one and twice as large.
func (m *mutator) consts(d *ast.GenDecl) {
	for _, s := range d.Specs {
		for _, v := range s.(*ast.ValueSpec).Values {
			numeric, enum := false, false
			ast.Inspect(v, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					numeric = numeric || n.Kind == token.INT
				case *ast.Ident:
					enum = enum || n.Name == "iota"
				}
				return true
			})
			if numeric && !enum {
				m.add(v.Pos(), v.End(), "("+m.text(v)+")+1", "`%s` plus 1", short(m.text(s)))
				m.add(v.Pos(), v.End(), "("+m.text(v)+")*2", "`%s` doubled", short(m.text(s)))
			}
		}
	}
}

// returns makes nil of an error that is returned.
func (m *mutator) returns(r *ast.ReturnStmt, parents []ast.Node) {
	var results *ast.FieldList
	for _, p := range parents { // the innermost function is the last
		switch p := p.(type) {
		case *ast.FuncDecl:
			results = p.Type.Results
		case *ast.FuncLit:
			results = p.Type.Results
		}
	}
	if len(r.Results) == 0 || results.NumFields() != len(r.Results) {
		return
	}
	last := r.Results[len(r.Results)-1]
	if t, ok := results.List[len(results.List)-1].Type.(*ast.Ident); ok && t.Name == "error" && m.text(last) != "nil" {
		m.add(last.Pos(), last.End(), "nil", "`%s` returns nil", short(m.text(r)))
	}
}

// remove deletes a statement of a block.
func (m *mutator) remove(s ast.Stmt, parents []ast.Node) {
	switch parents[len(parents)-1].(type) {
	case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause:
		m.add(s.Pos(), s.End(), "", "`%s` removed", short(m.text(s)))
	}
}

// short is the first line of a text, and not much of it.
func short(s string) string {
	const most = 70
	for i, r := range s {
		if r == '\n' || i > most {
			return s[:i] + "…"
		}
	}
	return s
}
