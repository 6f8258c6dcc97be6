package config

import (
	"net"
	"strconv"
)

// CheckListen refuses, at the key path, what cannot be an address to listen on: it is
// HOST:PORT with a numeric port, or empty for not listening at all.
func CheckListen(path, addr string) error {
	if addr == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return Atf(path, "%q is no address to listen on: write HOST:PORT or :PORT", addr)
	}
	return nil
}

// CheckKeyPair refuses a certificate file without its key file, or the other way round,
// at the keys "cert" and "key".
func CheckKeyPair(cert, key string) error {
	switch {
	case cert != "" && key == "":
		return Atf("key", "the key of the certificate %s is missing", cert)
	case cert == "" && key != "":
		return Atf("cert", "the certificate of the key is missing")
	}
	return nil
}
