package amf

import "testing"

func goldenBody(b *testing.B, name string) []byte {
	for _, c := range golden {
		if c.name == name {
			return unhex(b, c.hex)
		}
	}
	b.Fatalf("no case %q", name)
	return nil
}

func benchmarkDecode(b *testing.B, name string) {
	body := goldenBody(b, name)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeAll(body, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeConnect(b *testing.B)    { benchmarkDecode(b, "connect") }
func BenchmarkDecodeMetadata(b *testing.B)   { benchmarkDecode(b, "@setDataFrame") }
func BenchmarkDecodeAudioTrack(b *testing.B) { benchmarkDecode(b, "C-277 second audio track") }

func BenchmarkDecodeAMF3(b *testing.B) {
	body := unhex(b, "0a1b"+"01"+"0361"+"03"+"0362"+"0600"+"01")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DecodeAMF3(body, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSkip(b *testing.B) {
	body := goldenBody(b, "publish")
	b.ReportAllocs()
	for b.Loop() {
		d := NewDecoder(body, Limits{})
		for d.Skip() == nil {
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	values, err := DecodeAll(goldenBody(b, "onStatus"), Limits{})
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Append(buf, values...); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPrimitives(b *testing.B) {
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		AppendNull(AppendNumber(AppendString(buf, "onStatus"), 0))
	}
}
