package config_test

import (
	"fmt"
	"os"
	"time"

	"weir/internal/config"
)

// A section's struct lives beside the code that uses it.
type rtmpConfig struct {
	Listen      string        `yaml:"listen" format:"listen" help:"address to listen on; empty turns RTMP off"`
	IdleTimeout time.Duration `yaml:"idle_timeout" help:"closes a publisher that sends nothing for this long; 0s never"`
	Key         string        `yaml:"key" secret:"true" help:"what a publisher must send"`
}

func (c *rtmpConfig) Validate() error {
	if c.Listen == "" && c.Key != "" {
		return config.Errorf(&c.Key, "is of no use without listen")
	}
	return nil
}

type wholeConfig struct {
	RTMP rtmpConfig `yaml:"rtmp" help:"RTMP"`
}

func Example() {
	defaults := func() *wholeConfig {
		return &wholeConfig{RTMP: rtmpConfig{Listen: ":1935", IdleTimeout: 30 * time.Second}}
	}
	loaded, err := config.Load(defaults(), config.Source{
		File:    "weir.yml",
		Data:    []byte("rtmp:\n  key: hunter2\n"),
		Environ: []string{"WEIR_RTMP_IDLE_TIMEOUT=1m"},
		Sets:    []string{"rtmp.listen=:0"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = loaded.WriteEffective(os.Stdout)

	_, err = config.Load(defaults(), config.Source{File: "weir.yml", Data: []byte("rtmp:\n  lisen: ':1'\n  idle_timeout: 30\n")})
	fmt.Println(err)
	// Output:
	// rtmp:
	//   listen: ":0"  # --set
	//   idle_timeout: 1m  # env WEIR_RTMP_IDLE_TIMEOUT
	//   key: "***"  # weir.yml:2
	// weir.yml:2:3: rtmp.lisen: unknown key, did you mean "listen"? allowed: listen, idle_timeout, key
	// weir.yml:3:17: rtmp.idle_timeout: found the number 30, allowed: a duration such as 10s, 1m30s, 200ms or 0s
}
