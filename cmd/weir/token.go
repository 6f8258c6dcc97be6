package main

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// tokenCmd is "weir token".
type tokenCmd struct{}

// Help is the text below the flags.
func (tokenCmd) Help() string {
	return "Example: weir token > /etc/weir/admin.token\n\nRun umask 077 before, so that nobody else can read the file.\n\nThe configuration reads it with admin: {token: {file: /etc/weir/admin.token}}."
}

// Run implements the command.
func (c *tokenCmd) Run(out *console) error {
	fmt.Fprintln(out.Err, "To set it for the admin listener, write admin: {token: TOKEN}, or keep it in a file: admin: {token: {file: FILE}}")
	_, err := fmt.Fprintln(out.Out, newToken())
	return err
}

// newToken returns 260 random bits in 52 letters and digits.
func newToken() string { return strings.ToLower(rand.Text() + rand.Text()) }
