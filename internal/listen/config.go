package listen

import (
	"log/slog"

	"weir/internal/config"
)

// TLSConfig is the keys of a listener that speaks TLS, such as rtmp.tls and http.tls.
type TLSConfig struct {
	Listen string `yaml:"listen" format:"listen" help:"address for TLS (RTMPS, HTTPS); it opens when cert and key are set"`
	Cert   string `yaml:"cert" help:"file with the certificate chain (PEM); read again when it changes"`
	Key    string `yaml:"key" help:"file with the private key (PEM)"`
}

// Enabled reports whether the listener is to be opened.
func (c *TLSConfig) Enabled() bool { return c.Cert != "" && c.Listen != "" }

// Validate implements config.Validator: a certificate and its key come together.
func (c *TLSConfig) Validate() error {
	switch {
	case c.Cert != "" && c.Key == "":
		return config.Errorf(&c.Key, "the key of the certificate %s is missing", c.Cert)
	case c.Cert == "" && c.Key != "":
		return config.Errorf(&c.Cert, "the certificate of the key is missing")
	}
	return nil
}

// Check implements config.Checker: the files are there and belong together.
func (c *TLSConfig) Check() error {
	if c.Cert == "" {
		return nil
	}
	if _, err := TLS(slog.New(slog.DiscardHandler), c.Cert, c.Key); err != nil {
		return config.Errorf(&c.Cert, "%w", err)
	}
	return nil
}
