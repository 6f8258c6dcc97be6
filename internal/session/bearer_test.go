package session

import "testing"

func TestBearerToken(t *testing.T) {
	for field, want := range map[string]string{
		"Bearer a.b": "a.b", "bearer a.b": "a.b", "BEARER  a.b": "a.b", "Bearer ": "", "Bearer": "",
		"": "-", "Basic a": "-", "Bearera b": "-", "a.b": "-",
	} {
		got, ok := BearerToken(field)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", field, got, want)
		}
	}
}
