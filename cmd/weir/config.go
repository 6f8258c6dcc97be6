package main

import (
	"encoding/json"
	"fmt"

	"weir"
	"weir/internal/config"
)

// configCmd is "weir config".
type configCmd struct {
	Check    configCheckCmd    `cmd:"" help:"Check a configuration: exit status 2 and every mistake with its place."`
	Show     configShowCmd     `cmd:"" help:"Print the effective values and where each came from."`
	Schema   configSchemaCmd   `cmd:"" help:"Print the JSON Schema of the configuration file."`
	Defaults configDefaultsCmd `cmd:"" help:"Print a commented configuration file with the defaults."`
	Ref      configRefCmd      `cmd:"" name:"reference" help:"Print the reference page (Markdown)."`
}

// Help is the text below the commands.
func (configCmd) Help() string { return "Example: weir config check -c weir.yml" }

type configCheckCmd struct{ source }

// Run implements the command.
func (c *configCheckCmd) Run(out *console) error {
	conf, _, err := c.load()
	if err != nil {
		return err
	}
	if err := weir.Check(*conf); err != nil {
		return usageError{err}
	}
	_, err = fmt.Fprintln(out.Out, "The configuration is good.")
	return err
}

type configShowCmd struct {
	source
	JSON bool `name:"json" help:"Print JSON."`
}

// Run implements the command.
func (c *configShowCmd) Run(out *console) error {
	_, loaded, err := c.load()
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(out.Out).Encode(loaded)
	}
	return loaded.WriteEffective(out.Out)
}

// sections are those of the default configuration.
func sections() []config.Section {
	c := weir.DefaultConfig()
	return c.Sections()
}

type configSchemaCmd struct{}

// Run implements the command.
func (c *configSchemaCmd) Run(out *console) error {
	schema, err := config.Schema(sections())
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out.Out)
	enc.SetIndent("", "  ")
	return enc.Encode(schema)
}

type configDefaultsCmd struct{}

// Run implements the command.
func (c *configDefaultsCmd) Run(out *console) error { return config.WriteDefaults(out.Out, sections()) }

type configRefCmd struct{}

// Run implements the command.
func (c *configRefCmd) Run(out *console) error { return config.WriteReference(out.Out, sections()) }
