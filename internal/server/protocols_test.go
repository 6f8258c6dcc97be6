package server

import (
	"reflect"
	"slices"
	"testing"

	"weir/internal/protocol"
)

// TestTable holds the table of protocols to what its readers rely on.
func TestTable(t *testing.T) {
	lines := reflect.TypeFor[Protocols]()
	for i := range lines.NumField() {
		f := lines.Field(i)
		if !reflect.PointerTo(f.Type).Implements(reflect.TypeFor[protocol.Section]()) {
			t.Fatalf("%s: %s is no protocol.Section", f.Name, f.Type)
		}
	}
	parts := reflect.TypeFor[StreamProtocols]()
	for i := range parts.NumField() {
		if _, ok := lines.FieldByName(parts.Field(i).Name); !ok {
			t.Errorf("StreamProtocols.%s has no line of that name in Protocols", parts.Field(i).Name)
		}
	}
	names := ProtocolNames()
	slices.Sort(names)
	if len(names) == 0 || len(slices.Compact(slices.Clone(names))) != len(names) || slices.Contains(names, "") {
		t.Errorf("the names of the protocols are not one each: %q", names)
	}
}

// A protocol gets its own part of the entry that applies, not a copy of it.
func TestSettingsOfAProtocol(t *testing.T) {
	c := DefaultStream()
	parts := reflect.ValueOf(&c.StreamProtocols).Elem()
	n := 0
	for i, f := range new(Protocols).folders() {
		name := reflect.TypeFor[Protocols]().Field(i).Name
		part := parts.FieldByName(name)
		if got := f.settings(&c); part.IsValid() && got != part.Addr().Interface() || !part.IsValid() && got != nil {
			t.Errorf("%s: %T", name, got)
		}
		if part.IsValid() {
			n++
		}
	}
	if n != parts.NumField() {
		t.Errorf("%d of %d parts are given to a protocol", n, parts.NumField())
	}
}
