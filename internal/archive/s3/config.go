package s3

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"weir/internal/config"
)

// Config is an entry of the section "s3": storage that recordings are uploaded to.
type Config struct {
	Name         string `yaml:"name" reload:"live" help:"what the storage is called in streams[].record[].upload, in log and metrics: lower-case letters, digits, - and _"`
	Endpoint     string `yaml:"endpoint" reload:"live" help:"address of the storage: https://s3.eu-central-1.amazonaws.com, or http://HOST:PORT where nobody listens in between"`
	Bucket       string `yaml:"bucket" reload:"live" help:"bucket, which must exist; give it a rule that removes incomplete uploads after some days, for those that a lost disk leaves behind"`
	Region       string `yaml:"region" reload:"live" help:"region of the bucket; empty asks the storage"`
	Prefix       string `yaml:"prefix" reload:"live" help:"what the names of objects begin with, before the name of the file: recordings/"`
	AccessKey    string `yaml:"access_key" reload:"live" secret:"true" help:"id of the access key"`
	SecretKey    string `yaml:"secret_key" reload:"live" secret:"true" help:"the access key's secret"`
	SessionToken string `yaml:"session_token" reload:"live" secret:"true" help:"token of temporary access keys; empty for others"`
	PathStyle    bool   `yaml:"path_style" reload:"live" help:"name the bucket in the path instead of the host name, as most storage but Amazon's wants"`
	CA           string `yaml:"ca" reload:"live" help:"file with the certificates (PEM) of those who may vouch for the storage; empty stands for the system's"`
	Checksum     string `yaml:"checksum" reload:"live" enum:"crc32c,md5" help:"how parts are checked on their way: crc32c is compared with the whole object at the end, too; md5 is for storage that knows no other"`
	Encryption   string `yaml:"encryption" reload:"live" enum:"none,aes256" help:"encryption that the storage is asked for: aes256 with its own keys"`
	PartSize     int64  `yaml:"part_size" reload:"live" unit:"bytes" min:"5242880" max:"1GiB" help:"size of the parts that are sent while a file is recorded; an upload has 10,000 of them, and larger ones if they do not suffice"`
	Bitrate      int64  `yaml:"bitrate" reload:"live" unit:"bitrate" help:"most that is sent to the storage, of all files together; 0 is no limit"`
	After        string `yaml:"after" reload:"live" enum:"keep,delete" help:"what becomes of a file here once it is there: keep leaves it to the rules of streams[].record[].keep, delete removes it"`
}

// SetDefaults implements config.Defaulter.
func (c *Config) SetDefaults() {
	*c = Config{Checksum: "crc32c", Encryption: "none", PartSize: 16 << 20, After: "keep"}
}

// MaxEntries bounds the section.
const MaxEntries = 16

// Validate implements config.Validator.
func (c *Config) Validate() error {
	var errs []error
	fail := func(field any, format string, args ...any) {
		errs = append(errs, config.Errorf(field, format, args...))
	}
	if err := config.CheckName(c.Name); err != nil {
		fail(&c.Name, "%w", err)
	}
	if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		fail(&c.Endpoint, "%q is no address of storage, such as https://s3.eu-central-1.amazonaws.com", c.Endpoint)
	}
	if len(c.Bucket) < 3 || len(c.Bucket) > 63 || strings.Trim(c.Bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		fail(&c.Bucket, "%q is no bucket: it has 3 to 63 lower-case letters, digits, dots and hyphens", c.Bucket)
	}
	if strings.HasPrefix(c.Prefix, "/") || len(c.Prefix) > 256 {
		fail(&c.Prefix, "%q: a prefix has no / in front and at most 256 bytes, such as recordings/", c.Prefix)
	}
	if c.AccessKey == "" || c.SecretKey == "" {
		fail(&c.AccessKey, "access_key and secret_key are needed")
	}
	return errors.Join(errs...)
}

// CheckEntries refuses two entries of one name, and too many.
func CheckEntries(list []Config) error {
	if len(list) > MaxEntries {
		return config.Errorf(&list[MaxEntries].Name, "there are more than %d entries", MaxEntries)
	}
	for i := range list {
		for j := range i {
			if list[i].Name == list[j].Name {
				return config.Errorf(&list[i].Name, "s3.%d is called %q, too", j, list[i].Name)
			}
		}
	}
	return nil
}

// Bounds of requests.
const (
	maxHeader = 64 << 10         // bytes of an answer's head
	headTime  = 30 * time.Second // to an answer's head
	dialTime  = 10 * time.Second
)
