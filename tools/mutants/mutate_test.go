package main

import (
	"go/format"
	"strings"
	"testing"
)

// TestMutate: every mistake that is made in a small file, and none beside.
func TestMutate(t *testing.T) {
	src := `package p

import "errors"

const most, word = 10 << 1, "x"

const (
	zero = iota + 1
)

func f(a, b int) (int, error) {
	if a < b && b != 3 {
		g()
		a += 2
		return 0, errors.New("x")
	}
	if a == 0 {
		b++
	}
	for a = 1; ; {
		return a + b, nil
	}
}

func g() *int {
	x := 1
	return &x
}
`
	var got []string
	ms, err := mutate("dir/p.go", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		got = append(got, m.place()+" "+m.what)
		b := m.apply([]byte(src))
		if _, err := format.Source(b); err != nil || string(b) == src {
			t.Errorf("%s: %v", m.what, err)
		}
	}
	want := []string{
		"5 `most, word = 10 << 1, \"x\"` plus 1",
		"5 `most, word = 10 << 1, \"x\"` doubled",
		"8 `iota + 1` with `-`",
		"12 `if a < b && b != 3` negated",
		"12 `a < b && b != 3` with `||`",
		"12 `a < b` with `<=`",
		"12 `b != 3` with `==`",
		"13 `g()` removed",
		"14 `a += 2` removed",
		"15 `return 0, errors.New(\"x\")` returns nil",
		"17 `a == 0` with `!=`",
		"18 `b++` removed",
		"21 `a + b` with `-`",
	}
	for i, w := range want {
		want[i] = "dir/p.go:" + w
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got:\n%s\nwant:\n%s", g, w)
	}
	if s := string(ms[5].apply([]byte(src))); !strings.Contains(s, "if a <= b && b != 3 {") {
		t.Errorf("the mutant is\n%s", s)
	}
}
