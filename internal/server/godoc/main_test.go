package main

import (
	"bytes"
	"os"
	"testing"
)

func TestConfigTypesAreCurrent(t *testing.T) {
	file, err := os.ReadFile("../../../config.go")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	if b.String() != string(file) {
		t.Fatal("config.go is out of date: make generate")
	}
}
