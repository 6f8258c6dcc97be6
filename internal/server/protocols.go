package server

import (
	"fmt"
	"reflect"

	"weir/internal/protocol"
	"weir/internal/protocol/hls"
	"weir/internal/protocol/httpflv"
	"weir/internal/protocol/httpts"
	"weir/internal/protocol/rtmp"
)

// Protocols is THE table of protocols: a line for each folder below internal/protocol, with its section
// of the configuration. A folder that has none, or no keys in it, has the key "-".
type Protocols struct {
	RTMP    rtmp.Config    `yaml:"rtmp" reload:"restart" help:"RTMP: publishing and playing."`
	HTTPFLV httpflv.Config `yaml:"-"`
	HTTPTS  httpts.Config  `yaml:"-"`
	HLS     hls.Config     `yaml:"-"`
}

// StreamProtocols is the keys that protocols have in each entry of streams: a line, of the same name as
// in Protocols, for each that has any.
type StreamProtocols struct {
	HLS hls.StreamConfig `yaml:"hls"`
}

// folder is a line of the table.
type folder struct {
	protocol.Section
	// settings returns the protocol's struct in an entry of streams, nil if it has none.
	settings func(s *StreamConfig) any
}

// folders returns the lines of the table.
func (p *Protocols) folders() []folder {
	v, parts := reflect.ValueOf(p).Elem(), reflect.TypeFor[StreamProtocols]()
	list := make([]folder, v.NumField())
	for i := range list {
		section, ok := v.Field(i).Addr().Interface().(protocol.Section)
		if !ok {
			panic(fmt.Sprintf("server: %s is no protocol.Section", v.Type().Field(i).Type)) // TestTable would have failed
		}
		list[i] = folder{section, func(*StreamConfig) any { return nil }}
		if part, ok := parts.FieldByName(v.Type().Field(i).Name); ok {
			list[i].settings = func(s *StreamConfig) any {
				return reflect.ValueOf(&s.StreamProtocols).Elem().FieldByIndex(part.Index).Addr().Interface()
			}
		}
	}
	return list
}

// ProtocolNames returns the names of all protocols, in the order of the table.
func ProtocolNames() []string {
	var names []string
	for _, f := range new(Protocols).folders() {
		for _, e := range f.Protocols() {
			names = append(names, e.Name)
		}
	}
	return names
}
