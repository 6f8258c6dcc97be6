package server

import (
	"testing"

	"weir/internal/archive/s3"
)

// storage is an entry of s3 for the tests, with further keys.
func storage(name, more string) string {
	return "[{name: " + name + ", endpoint: 'http://127.0.0.1:1', bucket: weir, access_key: a, secret_key: b" + more + "}]"
}

// probesOfStorage are those of the keys of s3.
func probesOfStorage(t *testing.T) map[string]probe {
	t.Helper()
	all := map[string]probe{}
	for key, p := range map[string]struct {
		set  string
		see  func(c *s3.Config) any
		want any
	}{
		"[].name":          {storage("x", ""), func(c *s3.Config) any { return c.Name }, "x"},
		"[].endpoint":      {storage("main", ""), func(c *s3.Config) any { return c.Endpoint }, "http://127.0.0.1:1"},
		"[].bucket":        {storage("main", ""), func(c *s3.Config) any { return c.Bucket }, "weir"},
		"[].region":        {storage("main", ", region: x"), func(c *s3.Config) any { return c.Region }, "x"},
		"[].prefix":        {storage("main", ", prefix: x/"), func(c *s3.Config) any { return c.Prefix }, "x/"},
		"[].access_key":    {storage("main", ""), func(c *s3.Config) any { return c.AccessKey }, "a"},
		"[].secret_key":    {storage("main", ""), func(c *s3.Config) any { return c.SecretKey }, "b"},
		"[].session_token": {storage("main", ", session_token: x"), func(c *s3.Config) any { return c.SessionToken }, "x"},
		"[].path_style":    {storage("main", ", path_style: true"), func(c *s3.Config) any { return c.PathStyle }, true},
		"[].ca":            {storage("main", ", ca: /x"), func(c *s3.Config) any { return c.CA }, "/x"},
		"[].checksum":      {storage("main", ", checksum: md5"), func(c *s3.Config) any { return c.Checksum }, "md5"},
		"[].encryption":    {storage("main", ", encryption: aes256"), func(c *s3.Config) any { return c.Encryption }, "aes256"},
		"[].part_size":     {storage("main", ", part_size: 32MiB"), func(c *s3.Config) any { return c.PartSize }, int64(32 << 20)},
		"[].bitrate":       {storage("main", ", bitrate: 1Mbps"), func(c *s3.Config) any { return c.Bitrate }, int64(1e6)},
		"[].after":         {storage("main", ", after: delete"), func(c *s3.Config) any { return c.After }, "delete"},
	} {
		all["s3"+key] = probe{p.set, func(_ *testing.T, s *Server) any {
			list := s.current.Load().conf.S3
			if len(list) == 0 {
				return nil
			}
			return p.see(&list[0])
		}, p.want}
	}
	return all
}
