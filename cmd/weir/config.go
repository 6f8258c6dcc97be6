package main

import (
	"encoding/json"
	"fmt"
	"io"

	"weir"
	"weir/internal/config"
)

// configCmd is "weir config".
type configCmd struct {
	Check    configCheckCmd    `cmd:"" help:"Check a configuration: exit status 2 and every mistake with its place; warnings leave it 0."`
	Show     configShowCmd     `cmd:"" help:"Print the effective values and where each came from."`
	Schema   configSchemaCmd   `cmd:"" help:"Print the JSON Schema of the configuration file."`
	Defaults configDefaultsCmd `cmd:"" help:"Print a commented configuration file with the defaults."`
	Ref      configRefCmd      `cmd:"" name:"reference" help:"Print the reference page (Markdown)."`
}

// Help is the text below the commands.
func (configCmd) Help() string { return "Example: weir config check -c weir.yml" }

type configCheckCmd struct{ source }

// Help is the text below the flags.
func (configCheckCmd) Help() string {
	return "Example: weir config check -c weir.yml"
}

// Run implements the command.
func (c *configCheckCmd) Run(out *console) error {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	if err := loaded.Check(); err != nil {
		return usageError{err}
	}
	for _, w := range loaded.Warnings() {
		fmt.Fprintf(out.Err, "warning: %v\n", w)
	}
	_, err = fmt.Fprintln(out.Out, "The configuration is good.")
	return err
}

type configShowCmd struct {
	source
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is the text below the flags.
func (configShowCmd) Help() string {
	return "Example: weir config show -c weir.yml --set log.level=debug"
}

// Run implements the command.
func (c *configShowCmd) Run(out *console) error {
	loaded, err := c.load()
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out.Out).Encode(loaded)
	}
	return loaded.WriteEffective(out.Out)
}

// defaults are the configuration that the generated texts show.
func defaults() *weir.Config {
	c := weir.DefaultConfig()
	return &c
}

type configSchemaCmd struct{}

// Help is the text below the flags.
func (configSchemaCmd) Help() string {
	return "Example: weir config schema > weir.schema.json"
}

// Run implements the command.
func (c *configSchemaCmd) Run(out *console) error {
	schema, err := config.Schema(defaults())
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(schema)
}

type configDefaultsCmd struct{}

// Help is the text below the flags.
func (configDefaultsCmd) Help() string {
	return "Example: weir config defaults > weir.yml"
}

// Run implements the command.
func (c *configDefaultsCmd) Run(out *console) error { return config.WriteDefaults(out.Out, defaults()) }

//go:generate sh -c "go run . config reference > ../../docs/configuration.md"

type configRefCmd struct{}

// referenceHead is how the reference page begins.
const referenceHead = `# Configuration

Nothing has to be configured: without a file the defaults below serve. A file is YAML and is
given with ` + "`weir serve -c weir.yml`" + `; ` + "`weir config defaults`" + ` prints one to begin with. Each key
can also be set by the environment (` + "`WEIR_RTMP_LISTEN=:1940`" + `) and on the command line
(` + "`--set rtmp.listen=:1940`" + `); the last of file, files over it, environment, command line wins. Entries of
` + "`streams`" + ` are counted from 0: ` + "`--set streams.0.match=live/*`" + `.

A mistake is refused with its place, what is allowed and the nearest valid key:
` + "`weir config check -c weir.yml`" + `. ` + "`weir config show`" + ` prints the values in force and where each
came from, keys and passwords as ` + "`***`" + `. A secret may be kept elsewhere: in the place of the text,
` + "`{file: /run/secrets/key}`" + ` is the content of a file and ` + "`{env: NAME}`" + ` an environment variable.

A stream's path is ` + "`app/name`" + `. The first entry of ` + "`streams`" + ` whose ` + "`match`" + ` fits it applies
alone; what the entry leaves out has the default, not the value of another entry.

The file is read again at SIGHUP, when the API asks for it, and with ` + "`reload: watch`" + ` when it changes. All of it is
checked first: a file with a mistake changes nothing. Sessions stay, whatever changes, but those of keys that were
taken out. A change applies

- *live*: at once, also to the streams and sessions that are there;
- *new sessions*: to publishers, players and requests that come afterwards; for ` + "`streams[].hls`" + ` to streams that are
  watched by HLS for the first time;
- *listener*: at once; a listener opens elsewhere or closes, or has another certificate, and its connections stay;
- *restart*: when the server starts again. Until then it has the old value, and the log and the API say that the new one
  waits.

What the API changes is kept in ` + "`STATE/config.d/50-api.yml`" + `. All ` + "`*.yml`" + ` there lie over the file, in the order of
their names: groups of keys are merged, a list or value replaces the one below, ` + "`null`" + ` leaves the default.

`

// Help is the text below the flags.
func (configRefCmd) Help() string {
	return "Example: weir config reference > configuration.md"
}

// Run implements the command.
func (c *configRefCmd) Run(out *console) error {
	if _, err := io.WriteString(out.Out, referenceHead); err != nil {
		return err
	}
	return config.WriteReference(out.Out, defaults())
}
