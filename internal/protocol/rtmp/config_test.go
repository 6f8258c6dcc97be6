package rtmp

import (
	"slices"
	"testing"
)

// TestListeners has the one for TLS turned on once there is a certificate.
func TestListeners(t *testing.T) {
	var c Config
	c.SetDefaults()
	keys := func() (keys []string) {
		for _, l := range c.Listeners() {
			keys = append(keys, l.Key+" "+l.Address())
		}
		return keys
	}
	if got := keys(); !slices.Equal(got, []string{"rtmp.listen :1935", "rtmp.tls.listen "}) {
		t.Error(got)
	}
	c.TLS.Cert, c.TLS.Key = "c", "k"
	if got := keys(); !slices.Equal(got, []string{"rtmp.listen :1935", "rtmp.tls.listen :1936"}) {
		t.Error(got)
	}
}
